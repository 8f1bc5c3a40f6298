//! From a model of choices to a recommender that does not plan. It works with any model of choices,
//! so GAN-Greedy and the click models that GAN-CDQN compares it with differ in nothing but the
//! model.

use std::borrow::Cow;
use std::sync::OnceLock;

use foretaste_data::{Choice, ItemId, Log, LogBuilder, RecentClicks, Step};
use foretaste_eval::choice::ChoiceModel;
use foretaste_random::Stream;
use foretaste_settings::Setting;
use foretaste_sim::{Candidates, Policy, Slates};

use crate::Result;
use crate::argmax::top_items;
use crate::policy::{remembers_clicks, show};

/// Shows the k items that a model of choices scores highest, equal scores in the order of the
/// items: GAN-Greedy on a user model, whose scores are its rewards, W&D-LR and W&D-CCF on a click
/// model. Deterministic: propensity 1.
///
/// The model is asked what a user would choose from the whole catalogue, or from all candidates,
/// after the last clicks.
#[derive(Clone, Debug)]
pub struct Greedy<M> {
    model: M,
    items: usize,
    history: usize,
    /// The scores of all items for a user who has clicked nothing, once they were asked for: most
    /// slates of most logs come before any click.
    fresh: OnceLock<Vec<f32>>,
}

impl<M: ChoiceModel> Greedy<M> {
    /// Greedy on `model` over a catalogue of `items`; the model is given the last `history` clicks
    /// of a user.
    pub fn new(model: M, items: usize, history: usize) -> Self {
        Self { model, items, history, fresh: OnceLock::new() }
    }

    /// What the model makes of every item, a row for each of the memories.
    ///
    /// # Errors
    /// What the model returns, and for as many scores as it should not give.
    pub fn scores(&self, clicks: &RecentClicks) -> Result<Vec<Vec<f64>>> {
        let rows = self.scored(clicks, None)?;
        Ok(rows.into_iter().map(|scores| scores.into_iter().map(f64::from).collect()).collect())
    }

    /// The slates, `[rows · k]`.
    fn slates(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
        k: usize,
    ) -> Result<Vec<ItemId>> {
        let slate = |(row, scores): (usize, Vec<f32>)| {
            top_items(self.items_of(allowed, row).iter().copied().zip(scores), k)
        };
        let scored = self.scored(clicks, allowed)?;
        Ok(scored.into_iter().enumerate().map(slate).collect::<Result<Vec<_>>>()?.concat())
    }

    /// The scores of all items that may be shown, a row for each of the memories.
    pub(crate) fn scored(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
    ) -> Result<Vec<Vec<f32>>> {
        // Of one user alone, so that no score depends on the batch that it was first asked in.
        if allowed.is_some() || clicks.rows() != 1 || !clicks.row(0).is_empty() {
            return self.predicted(clicks, allowed);
        }
        if let Some(scores) = self.fresh.get() {
            return Ok(vec![scores.clone()]);
        }
        let scores = self.predicted(clicks, allowed)?;
        let _ = self.fresh.set(scores[0].clone());
        Ok(scores)
    }

    fn predicted(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
    ) -> Result<Vec<Vec<f32>>> {
        let (log, last) = self.log(clicks, allowed).map_err(foretaste_sim::Error::from)?;
        let sessions: Vec<usize> = (0..log.sessions()).collect();
        let predictions = self
            .model
            .predict(&log, &sessions)
            .map_err(|reason| foretaste_sim::Error::Model(Box::new(reason)))?;
        if predictions.len() != log.steps() {
            let problem = format!("{} slates, expected {}", predictions.len(), log.steps());
            return Err(Setting::new("predictions", problem).into());
        }
        let of_row = |(row, &step): (usize, &usize)| {
            let (items, scores) = (self.items_of(allowed, row), &predictions[step].scores);
            if scores.len() != items.len() {
                let problem = format!("{} for a slate of {} items", scores.len(), items.len());
                return Err(Setting::new("scores", problem).into());
            }
            Ok(scores.clone())
        };
        last.iter().enumerate().map(of_row).collect()
    }

    /// The users as a log, a session for each: every click is a step that shows that item alone,
    /// and the last step shows all that may be shown. With it comes the number of each last step.
    fn log(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
    ) -> foretaste_data::Result<(Log, Vec<usize>)> {
        let (mut builder, mut last, mut steps) = (LogBuilder::default(), Vec::new(), 0);
        for row in 0..clicks.rows() {
            for &item in clicks.row(row).iter().rev() {
                builder.push(step(&[item], Choice::Item(item)))?;
                steps += 1;
            }
            // What is chosen from the last makes no difference, and some users must choose.
            let last_slate = self.items_of(allowed, row);
            let chosen = last_slate.first().map_or(Choice::Skip, |&item| Choice::Item(item));
            builder.push(step(&last_slate, chosen))?;
            builder.end_session(None)?;
            last.push(steps);
            steps += 1;
        }
        Ok((builder.build(), last))
    }

    pub(crate) fn items_of<'a>(
        &self,
        allowed: Option<&'a Candidates>,
        row: usize,
    ) -> Cow<'a, [ItemId]> {
        match allowed {
            Some(allowed) => allowed.of_row(row, self.items),
            None => (0..self.items as u32).map(ItemId).collect(),
        }
    }
}

fn step(slate: &[ItemId], choice: Choice) -> Step<'_> {
    Step::new(slate, choice, 0.0)
}

impl<M: ChoiceModel> Policy for Greedy<M> {
    type Memory = RecentClicks;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<RecentClicks> {
        Ok(RecentClicks::new(rows, self.history))
    }

    fn rank(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
        k: usize,
        _streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        if let Some(allowed) = allowed {
            allowed.check(clicks.rows(), self.items)?;
        }
        show(&self.slates(clicks, allowed, k)?, k, slates);
        Ok(())
    }

    remembers_clicks!();
}
