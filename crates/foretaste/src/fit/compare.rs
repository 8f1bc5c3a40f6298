//! Learned users compared with simpler models, on the test sessions.

use std::collections::HashMap;

use anyhow::Context;
use foretaste_data::{Dataset, Split};
use foretaste_eval::choice::{ChoiceModel, Evaluation, Prediction, evaluate};
use foretaste_eval::interval::student_t;
use foretaste_eval::{Estimate, Interval};

use super::calibration::Calibration;
use super::simpler::Simpler;

/// What the test sessions say of learned users and of simpler models.
pub struct Comparison {
    /// The users.
    pub users: Figures,
    /// The simpler models.
    pub others: Vec<Beside>,
    /// The click rate that the users are expected to have on the slates of the test sessions, and
    /// the one that the log shows.
    pub click_rate: [f64; 2],
}

/// How well a model predicts the clicks of the test sessions.
pub struct Figures {
    pub name: &'static str,
    pub evaluation: Evaluation,
    /// Of the chances given that an item of the slate is clicked.
    pub calibration: Calibration,
    /// Minus the logarithm of the chance that each click had.
    losses: Vec<f64>,
}

/// A simpler model beside the users.
pub struct Beside {
    pub figures: Figures,
    /// Its NLL given a click less that of the users, in nats a click.
    pub difference: Estimate,
}

/// Who predicts clicks better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Users,
    Simpler,
    CannotBeTold,
}

impl Comparison {
    /// Compares `users` with the others on the test sessions of `split`.
    ///
    /// # Errors
    /// What a model returns.
    pub fn new(
        users: &dyn ChoiceModel,
        name: &'static str,
        others: &[Simpler],
        dataset: &Dataset,
        split: &Split,
    ) -> anyhow::Result<Self> {
        let test = Test::new(dataset, &split.test);
        let (users, predictions) = test.figures(name, users)?;
        let chances = predictions.iter().filter_map(|prediction| {
            let items = prediction.log_choice.as_ref()?.split_last()?.1;
            Some(items.iter().map(|log_p| log_p.exp()).sum::<f64>())
        });
        let slates = predictions.len() as f64;
        let click_rate = [chances.sum::<f64>() / slates, test.places.len() as f64 / slates];
        let beside = |other: &Simpler| -> anyhow::Result<Beside> {
            let (figures, _) = test.figures(other.name, &*other.model)?;
            let difference = test.difference(&figures.losses, &users.losses)?;
            Ok(Beside { figures, difference })
        };
        let others = others.iter().map(beside).collect::<anyhow::Result<_>>()?;
        Ok(Self { users, others, click_rate })
    }
}

impl Beside {
    /// Who predicts clicks better, as far as the interval of the difference tells.
    pub fn better(&self) -> Better {
        match self.difference.interval {
            Ok(Interval { low, .. }) if low > 0.0 => Better::Users,
            Ok(Interval { high, .. }) if high < 0.0 => Better::Simpler,
            _ => Better::CannotBeTold,
        }
    }
}

/// The clicks of the test sessions.
struct Test<'a> {
    dataset: &'a Dataset,
    sessions: &'a [usize],
    /// Which slate each click is on, and at which place.
    places: Vec<(usize, usize)>,
    /// Whose click it is: the user's, or the session's where the log names no user.
    clusters: Vec<usize>,
}

impl<'a> Test<'a> {
    fn new(dataset: &'a Dataset, sessions: &'a [usize]) -> Self {
        let (mut places, mut clusters) = (Vec::new(), Vec::new());
        let (mut numbers, mut slates) = (HashMap::new(), 0);
        for &index in sessions {
            let session = dataset.log.session(index);
            let whose = session.user().ok_or(index);
            for step in session.steps() {
                let clicked = step.choice.item();
                let place = step.slate.iter().position(|item| Some(*item) == clicked);
                if let Some(place) = place {
                    let next = numbers.len();
                    clusters.push(*numbers.entry(whose).or_insert(next));
                    places.push((slates, place));
                }
                slates += 1;
            }
        }
        Self { dataset, sessions, places, clusters }
    }

    fn figures(
        &self,
        name: &'static str,
        model: &dyn ChoiceModel,
    ) -> anyhow::Result<(Figures, Vec<Prediction>)> {
        let log = &self.dataset.log;
        let evaluation = evaluate(model, log, self.sessions)?;
        let predictions = model.predict(log, self.sessions)?;
        let (mut losses, mut items) = (Vec::new(), Vec::new());
        for &(slate, chosen) in &self.places {
            let chances = predictions[slate].log_given_choice.as_ref();
            let chances = chances.with_context(|| format!("{name} gives no chances"))?;
            losses.push(-chances[chosen]);
            let of_item = |(place, log_p): (usize, &f64)| (log_p.exp(), place == chosen);
            items.extend(chances.iter().enumerate().map(of_item));
        }
        let calibration = Calibration::new(items);
        Ok((Figures { name, evaluation, calibration, losses }, predictions))
    }

    /// The mean over clicks of `a - b`, with Student's interval over users: that of a ratio of two
    /// means, linearised (Cochran 1977, Sampling Techniques, §6.3).
    fn difference(&self, a: &[f64], b: &[f64]) -> anyhow::Result<Estimate> {
        let clusters = self.clusters.iter().max().map_or(0, |&last| last + 1);
        let mut sums = vec![(0.0, 0.0); clusters];
        for (&cluster, (a, b)) in self.clusters.iter().zip(a.iter().zip(b)) {
            sums[cluster].0 += a - b;
            sums[cluster].1 += 1.0;
        }
        let clicks = self.clusters.len() as f64;
        let mean = sums.iter().map(|(sum, _)| sum).sum::<f64>() / clicks;
        let of_mean = clicks / clusters as f64;
        let linear = |(sum, count): &(f64, f64)| mean + (sum - mean * count) / of_mean;
        Ok(student_t(&sums.iter().map(linear).collect::<Vec<_>>())?)
    }
}
