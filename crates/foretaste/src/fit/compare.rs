//! Learned users compared with simpler models, on the test sessions.

use anyhow::Context;
use foretaste_data::Log;
use foretaste_eval::choice::{ChoiceModel, Clicks, Evaluation, Prediction, evaluate};
use foretaste_eval::{Estimate, Interval};
use foretaste_user_model::trust::Calibration;

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

/// A simpler model, compared with the users.
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
    CannotBeDistinguished,
}

impl Comparison {
    /// Compares `users` with the others on these sessions, from which none of them learned.
    ///
    /// # Errors
    /// What a model returns.
    pub fn new(
        users: &dyn ChoiceModel,
        name: &'static str,
        others: &[Simpler],
        log: &Log,
        sessions: &[usize],
    ) -> anyhow::Result<Self> {
        let test = Test::new(log, sessions);
        let (users, predictions) = test.figures(name, users)?;
        let chances = predictions.iter().filter_map(|prediction| {
            let items = prediction.log_choice.as_ref()?.split_last()?.1;
            Some(items.iter().map(|log_p| log_p.exp()).sum::<f64>())
        });
        let slates = predictions.len() as f64;
        let click_rate =
            [chances.sum::<f64>() / slates, test.clicks.places().len() as f64 / slates];
        let beside = |other: &Simpler| -> anyhow::Result<Beside> {
            let (figures, _) = test.figures(other.name, &*other.model)?;
            let difference = test.clicks.difference(&figures.losses, &users.losses)?;
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
            _ => Better::CannotBeDistinguished,
        }
    }
}

/// The test sessions.
struct Test<'a> {
    log: &'a Log,
    sessions: &'a [usize],
    clicks: Clicks,
}

impl<'a> Test<'a> {
    fn new(log: &'a Log, sessions: &'a [usize]) -> Self {
        Self { log, sessions, clicks: Clicks::new(log, sessions) }
    }

    fn figures(
        &self,
        name: &'static str,
        model: &dyn ChoiceModel,
    ) -> anyhow::Result<(Figures, Vec<Prediction>)> {
        let evaluation = evaluate(model, self.log, self.sessions)?;
        let predictions = model.predict(self.log, self.sessions)?;
        let losses = self.clicks.losses(&predictions);
        let losses = losses.with_context(|| format!("{name} gives no probabilities"))?;
        let mut items = Vec::new();
        for &(slate, chosen) in self.clicks.places() {
            let of_item = |(place, log_p): (usize, &f64)| (log_p.exp(), place == chosen);
            let chances = predictions[slate].log_given_choice.iter().flatten();
            items.extend(chances.enumerate().map(of_item));
        }
        let calibration = Calibration::new(items);
        Ok((Figures { name, evaluation, calibration, losses }, predictions))
    }
}
