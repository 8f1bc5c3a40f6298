//! What IRecGAN's networks make of logged lists.

use anyhow::ensure;
use candle_core::{D, Device};
use foretaste_data::{Log, PaddedBatch};
use foretaste_eval::Metric;
use foretaste_eval::metrics::{mean_nll, precision_at};
use foretaste_irecgan::Agent;
use foretaste_nn::Params;
use foretaste_user_model::behaviour::BehaviourModel;

use crate::epochs::Row;

/// What scores the items of a list.
#[derive(Clone, Copy)]
pub enum Ranker<'a> {
    /// U, by Eq 1.
    Users(&'a BehaviourModel),
    /// A, by Eq 4.
    Agent(&'a Agent),
}

/// A list that was reranked: the scores of its items, and the place of the clicked one.
pub type List = (Vec<f32>, usize);

/// Sessions that are reranked as one batch.
const CHUNK: usize = 64;

impl<'a> Ranker<'a> {
    /// The lists of all clicks of some sequences, after the clicks before.
    pub fn rerank(self, sequences: &Log) -> anyhow::Result<Vec<List>> {
        let (sessions, mut lists): (Vec<usize>, _) =
            ((0..sequences.sessions()).collect(), Vec::new());
        for chunk in sessions.chunks(CHUNK) {
            let batch = PaddedBatch::new(sequences, chunk, None);
            match self {
                Self::Users(model) => lists.extend(by_users(model, &batch)?),
                Self::Agent(agent) => lists.extend(agent.rerank(&batch)?),
            }
        }
        Ok(lists)
    }

    /// Its trainable parameters.
    pub fn params(self) -> &'a Params {
        match self {
            Self::Users(model) => model.params(),
            Self::Agent(agent) => agent.params(),
        }
    }

    /// precision@1, precision@10, and the negative log-likelihood of the clicked item among those
    /// of its list, in nats per click; over the [`later`] clicks of sessions.
    pub fn validate(self, sequences: &Log) -> anyhow::Result<Row> {
        let lists = self.rerank(sequences)?;
        let lists: Vec<&List> = judged(&lists, sequences)?;
        let log_p = lists.iter().map(|(scores, clicked)| {
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = scores.iter().map(|&score| f64::from(score - largest).exp()).sum();
            f64::from(scores[*clicked] - largest) - sum.ln()
        });
        let precision =
            |r| precision_at(r, lists.iter().map(|(scores, clicked)| (&scores[..], *clicked)));
        let nll = mean_nll(&log_p.collect::<Vec<_>>())?;
        let figures = [
            (Metric::PrecisionAt1, precision(1)?),
            (Metric::PrecisionAt10, precision(10)?),
            (Metric::NllGivenClick, nll),
        ];
        Ok(figures.map(|(metric, value)| (metric.name().to_owned(), value)).into())
    }
}

/// Of every click of a log whether there is one before it in its session. The authors judge by
/// these: before the first click a model of clicks knows no more than how popular items are.
pub fn later(log: &Log) -> Vec<bool> {
    let of_session = |session: foretaste_data::Session<'_>| {
        (0..session.clicks().count()).map(|at| at > 0).collect::<Vec<_>>()
    };
    log.iter().flat_map(of_session).collect()
}

/// The lists of the [`later`] clicks, or of all where every session has one click.
pub fn judged<'a>(lists: &'a [List], log: &Log) -> anyhow::Result<Vec<&'a List>> {
    let later = later(log);
    ensure!(lists.len() == later.len(), "{} lists of {} clicks", lists.len(), later.len());
    let none = !later.contains(&true);
    Ok(lists.iter().zip(later).filter(|(_, later)| *later || none).map(|(list, _)| list).collect())
}

fn by_users(model: &BehaviourModel, batch: &PaddedBatch) -> anyhow::Result<Vec<List>> {
    let log_p = model.click_log_probabilities(batch)?.detach();
    ensure!(log_p.dim(D::Minus1)? == batch.places + 1, "END is in the last column");
    let log_p = log_p.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
    let cells = (0..batch.step_mask.len()).filter(|&cell| batch.step_mask[cell]);
    let clicked = cells.zip(log_p).filter(|(cell, _)| batch.clicked_mask[*cell]);
    let list = |(cell, row): (usize, Vec<f32>)| {
        let shown = &batch.shown_mask[cell * batch.places..][..batch.places];
        let scores = row
            .into_iter()
            .zip(shown)
            .filter(|(_, shown)| **shown)
            .map(|(score, _)| score)
            .collect();
        (scores, batch.chosen[cell] as usize)
    };
    Ok(clicked.map(list).collect())
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, ItemId, LogBuilder, Step};
    use foretaste_random::Seed;
    use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourUsers};

    use super::*;

    /// Against the probabilities by which U acts as users.
    #[test]
    fn lists_are_scored_as_users_would_choose() {
        let config = BehaviourConfig { embedding: 4, hidden: 5, ..BehaviourConfig::new(6) };
        let model = BehaviourModel::new(config, Seed::new(1), &Device::Cpu).unwrap();
        for (_, var) in model.params().iter() {
            var.set(&(var.as_tensor() * 4.0).unwrap()).unwrap();
        }
        let mut builder = LogBuilder::default();
        for session in [
            &[(&[0, 1, 2][..], Some(1)), (&[3, 4], Some(4)), (&[0, 5, 2], None)][..],
            &[(&[2, 3, 1, 5], Some(5))],
        ] {
            for (slate, clicked) in session {
                let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
                let choice = clicked.map_or(Choice::Leave, |item| Choice::Item(ItemId(item)));
                builder.push(Step::new(&slate, choice, 0.0)).unwrap();
            }
            builder.end_session(None).unwrap();
        }
        let log = builder.build();
        let lists = Ranker::Users(&model).rerank(&log).unwrap();
        let users = BehaviourUsers::new(&model).unwrap();
        let mut lists = lists.iter();
        for session in log.iter() {
            let mut state = users.begin(1).unwrap();
            for step in session.steps() {
                if let Some(item) = step.choice.item() {
                    let (scores, clicked) = lists.next().unwrap();
                    assert_eq!((scores.len(), step.slate[*clicked]), (step.slate.len(), item));
                    let expected = users.expectations(&state, &[step.slate]).unwrap().remove(0);
                    for (score, (probability, _)) in scores.iter().zip(expected) {
                        assert!(
                            (f64::from(*score) - probability.ln()).abs() < 1e-4,
                            "{score} {probability}"
                        );
                    }
                }
                users.observe(&mut state, &[step.choice]).unwrap();
            }
        }
        assert!(lists.next().is_none());
    }
}
