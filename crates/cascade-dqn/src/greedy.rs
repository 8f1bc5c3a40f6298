use foretaste_data::{Choice, ItemId, Log, LogBuilder, RecentClicks, Step};
use foretaste_random::Stream;
use foretaste_sim::{Environment, Policy, Responses, Slates};

use crate::argmax::top_items;
use crate::policy::show;
use crate::{Error, Result};

/// Shows the k items of the largest scores, equal scores in the order of the items: GAN-Greedy on
/// r_θ, W&D-LR and W&D-CCF on the predicted click. Deterministic: propensity 1.
///
/// The model of clicks is a function from a [`Log`], which every such model reads, to a score for
/// each item of each display. The users come to it as a log: a session for each, in which one step
/// for every click shows that item alone, and a last step the whole catalogue in the order of the
/// items. With `all` the numbers of the log's sessions,
///
/// * W&D-LR and W&D-CCF are `model.scores(&Displays::new(log, &all))` of a `ClickModel` of
///   foretaste-baselines,
/// * GAN-Greedy is the `utility` of each of `model.predict(log, &all)` of a `UserModel` of
///   foretaste-user-model.
#[derive(Clone, Debug)]
pub struct Greedy<F> {
    scores: F,
    items: usize,
    history: usize,
}

/// The scores of each display of a log, `[displays][items shown]`, or why there are none.
pub type Scores = std::result::Result<Vec<Vec<f32>>, Box<dyn std::error::Error + Send + Sync>>;

impl<F: Fn(&Log) -> Scores + Sync> Greedy<F> {
    /// Greedy on `scores` over a catalogue of `items`, which are told the last `history` clicks of
    /// a user.
    pub fn new(scores: F, items: usize, history: usize) -> Self {
        Self { scores, items, history }
    }

    fn slates(&self, clicks: &RecentClicks, k: usize) -> Result<Vec<ItemId>> {
        let (log, last) = self.log(clicks).map_err(foretaste_sim::Error::from)?;
        let scores = (self.scores)(&log).map_err(foretaste_sim::Error::Model)?;
        if scores.len() != log.steps()
            || last.iter().any(|&display| scores[display].len() != self.items)
        {
            let problem = format!(
                "{} displays, expected {} and {} items on each last one",
                scores.len(),
                log.steps(),
                self.items
            );
            return Err(Error::setting("scores", problem));
        }
        let slates = last
            .iter()
            .map(|&display| top_items(&scores[display], k))
            .collect::<Result<Vec<_>>>()?;
        Ok(slates.concat())
    }

    /// The users as a log, and the number of the last display of each.
    fn log(&self, clicks: &RecentClicks) -> foretaste_data::Result<(Log, Vec<usize>)> {
        let all: Vec<ItemId> = (0..self.items as u32).map(ItemId).collect();
        let (mut builder, mut last, mut steps) = (LogBuilder::default(), Vec::new(), 0);
        for row in 0..clicks.rows() {
            for &item in clicks.row(row).iter().rev() {
                builder.push(step(&[item], Choice::Item(item)))?;
                steps += 1;
            }
            builder.push(step(&all, Choice::Skip))?;
            builder.end_session(None)?;
            last.push(steps);
            steps += 1;
        }
        Ok((builder.build(), last))
    }
}

fn step(slate: &[ItemId], choice: Choice) -> Step<'_> {
    Step::new(slate, choice, 0.0)
}

impl<E: Environment + ?Sized, F: Fn(&Log) -> Scores + Sync> Policy<E> for Greedy<F> {
    type Memory = RecentClicks;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<RecentClicks> {
        Ok(RecentClicks::new(rows, self.history))
    }

    fn recommend(
        &self,
        clicks: &RecentClicks,
        _state: &E::State,
        k: usize,
        _streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        show(&self.slates(clicks, k)?, k, slates);
        Ok(())
    }

    fn observe(
        &self,
        clicks: &mut RecentClicks,
        _slates: &Slates,
        responses: &Responses,
    ) -> foretaste_sim::Result<()> {
        clicks.observe(&responses.choice);
        Ok(())
    }

    fn select(&self, clicks: &RecentClicks, rows: &[usize]) -> foretaste_sim::Result<RecentClicks> {
        Ok(clicks.select(rows))
    }
}
