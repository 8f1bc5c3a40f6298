//! Where two models of the same users disagree.

use std::collections::BTreeMap;

use foretaste_data::{ItemId, Log};
use foretaste_eval::choice::ChoiceModel;
use foretaste_eval::metrics::rank_correlation;
use foretaste_eval::{Error, Estimate};
use serde::Serialize;

use super::calibration::{history_group, shown};
use super::grouped::{groups, jackknifed};
use crate::Result;

/// How far two models of the same users agree on the chances of the items of some slates.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// Spearman's rank correlation of the chances, over all items of all slates, with a jackknife
    /// over users; none where a model gives all the same chance.
    pub correlation: Option<Estimate>,
    /// The mean distance of the chances.
    pub distance: f64,
    /// By item, the largest mean distance first, of items that are shown at least ten times.
    pub by_item: Vec<Disagreement<ItemId>>,
    /// By the number of clicks before: 0, 1, from 2, from 4, from 8, from 16.
    pub by_history: Vec<Disagreement<usize>>,
}

/// How far the chances of some items lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Disagreement<K> {
    /// Which items.
    pub of: K,
    /// How often they are shown.
    pub shown: usize,
    /// Their mean chance, in both models.
    pub chance: f64,
    /// The mean distance of the two.
    pub distance: f64,
}

/// An item that is shown less often says nothing.
const FEWEST: usize = 10;

/// Number, sum of chances and sum of distances.
#[derive(Clone, Copy, Default)]
struct Tally(usize, f64, f64);

impl Agreement {
    /// On the slates of these sessions.
    ///
    /// # Errors
    /// What the models return; [`Error::Figure`](crate::Error::Figure) if nothing is shown.
    pub fn new<M: ChoiceModel + ?Sized>(
        models: [&M; 2],
        log: &Log,
        sessions: &[usize],
    ) -> Result<Self> {
        let [a, b] = models.map(|model| model.predict(log, sessions));
        let [a, b] = [shown(log, sessions, &a?), shown(log, sessions, &b?)];
        if a.is_empty() || a.len() != b.len() {
            return Err(Error::Lengths { what: "chances", left: a.len(), right: b.len() }.into());
        }
        let (groups, count) = groups(log, sessions);
        let (mut of_group, mut items) = (Vec::with_capacity(a.len()), Vec::with_capacity(a.len()));
        for (&session, &group) in sessions.iter().zip(&groups) {
            for item in log.session(session).steps().flat_map(|step| step.slate) {
                of_group.push(group);
                items.push(*item);
            }
        }
        let correlation = jackknifed(count, |without| {
            let kept = || (0..a.len()).filter(|&at| Some(of_group[at]) != without);
            let chances = |of: &[super::Shown]| kept().map(|at| of[at].chance).collect::<Vec<_>>();
            rank_correlation(&chances(&a), &chances(&b)).ok()
        });
        let mut all = Tally::default();
        let mut by_item: BTreeMap<ItemId, Tally> = BTreeMap::new();
        let mut by_history: BTreeMap<usize, Tally> = BTreeMap::new();
        for ((a, b), item) in a.iter().zip(&b).zip(items) {
            let of_item = by_item.entry(item).or_default();
            let of_history = by_history.entry(history_group(a.history)).or_default();
            for tally in [&mut all, of_item, of_history] {
                tally.0 += 1;
                tally.1 += (a.chance + b.chance) / 2.0;
                tally.2 += (a.chance - b.chance).abs();
            }
        }
        let mut by_item = listed(by_item);
        by_item.retain(|of| of.shown >= FEWEST);
        by_item.sort_by(|a, b| b.distance.total_cmp(&a.distance));
        let distance = all.2 / all.0 as f64;
        Ok(Self { correlation, distance, by_item, by_history: listed(by_history) })
    }
}

fn listed<K>(tallies: BTreeMap<K, Tally>) -> Vec<Disagreement<K>> {
    let of = |(of, Tally(shown, chances, distances)): (K, Tally)| {
        let count = shown as f64;
        Disagreement { of, shown, chance: chances / count, distance: distances / count }
    };
    tallies.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, LogBuilder, Step};
    use foretaste_eval::choice::Prediction;

    use super::*;

    /// Gives item i of a slate the chance (i + shift) / 10.
    struct Counting(f64);

    impl ChoiceModel for Counting {
        fn predict(
            &self,
            log: &Log,
            sessions: &[usize],
        ) -> foretaste_eval::Result<Vec<Prediction>> {
            let steps = sessions.iter().flat_map(|&session| log.session(session).steps());
            Ok(steps
                .map(|step| {
                    let chances: Vec<f64> =
                        step.slate.iter().map(|item| (f64::from(item.0) + self.0) / 10.0).collect();
                    let none = (1.0 - chances.iter().sum::<f64>()).ln();
                    let logs = chances.iter().map(|chance| chance.ln()).chain([none]).collect();
                    Prediction {
                        scores: vec![0.0; step.slate.len()],
                        log_given_choice: None,
                        log_choice: Some(logs),
                    }
                })
                .collect())
        }
    }

    #[test]
    fn chances_that_differ_by_a_constant_agree_in_rank_and_lie_so_far_apart() {
        let mut log = LogBuilder::default();
        for session in 0..40 {
            let item = ItemId(1 + session % 3);
            log.push(Step::new(&[item, ItemId(0)], Choice::Item(item), 0.0)).unwrap();
            log.push(Step::new(&[ItemId(2)], Choice::Skip, 0.0)).unwrap();
            log.end_session(None).unwrap();
        }
        let (log, all) = (log.build(), (0..40).collect::<Vec<_>>());
        let found = Agreement::new([&Counting(1.0), &Counting(1.5)], &log, &all).unwrap();
        assert!((found.correlation.unwrap().mean - 1.0).abs() < 1e-12);
        assert!((found.distance - 0.05).abs() < 1e-12);
        let shown: Vec<_> = found.by_history.iter().map(|of| (of.of, of.shown)).collect();
        assert_eq!(shown, [(0, 80), (1, 40)]);
        let most: usize = found.by_item.iter().map(|of| of.shown).sum();
        assert_eq!((found.by_item.len(), most), (4, 120));
        assert!(found.by_item.iter().all(|of| (of.distance - 0.05).abs() < 1e-12));
    }
}
