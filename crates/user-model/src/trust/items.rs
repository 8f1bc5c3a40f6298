//! How often items are clicked where they are shown, and what they pay there.

use foretaste_data::{Choice, ItemId, Log};
use foretaste_eval::Estimate;
use foretaste_eval::choice::Prediction;
use foretaste_eval::metrics::rank_correlation;
use serde::Serialize;

use super::calibration::shown;
use super::grouped::{groups, jackknifed};
use crate::RewardHead;

/// An item that is shown less often than this has no rate of its own.
const FEWEST: f64 = 20.0;

/// Clicks or rewards of single items per showing, on the slates of a log: those that users are
/// expected to bring, and those of the log.
#[derive(Clone, Debug, Serialize)]
pub struct ItemRates {
    /// Items that are shown at least 20 times.
    pub items: usize,
    /// Spearman's rank correlation of the two rates over these items, with a jackknife over users;
    /// none where there are fewer than three, or a rate is the same for all.
    pub correlation: Option<Estimate>,
    /// The same between the log's own rates in two halves of its users: what its chance allows for
    /// halves.
    pub ceiling: Option<f64>,
    /// Mean size of the difference of the two rates, over these items.
    pub distance: Option<f64>,
}

/// Showings of an item, and what its clicks are worth: expected and logged.
type Counts = [f64; 3];

impl ItemRates {
    /// Clicks on the slates of these sessions, of which `predictions` say what users do, one a
    /// slate.
    pub fn clicks(log: &Log, sessions: &[usize], predictions: &[Prediction], items: usize) -> Self {
        Self::new(log, sessions, predictions, items, |_| 1.0, |_| 1.0)
    }

    /// The rewards of these clicks, in the log's unit, where `head` says what a click pays.
    pub fn rewards(
        log: &Log,
        sessions: &[usize],
        predictions: &[Prediction],
        items: usize,
        head: &RewardHead,
    ) -> Self {
        let expected = |item| f64::from(head.expected(Choice::Item(item)));
        Self::new(log, sessions, predictions, items, expected, f64::from)
    }

    /// Each click counts as `expected` of its item, or as `logged` of its reward.
    fn new(
        log: &Log,
        sessions: &[usize],
        predictions: &[Prediction],
        items: usize,
        expected: impl Fn(ItemId) -> f64,
        logged: impl Fn(f32) -> f64,
    ) -> Self {
        let (groups, count) = groups(log, sessions);
        let mut by_group = vec![vec![[0.0; 3]; items]; count];
        let mut shown = shown(log, sessions, predictions).into_iter();
        for (&session, &group) in sessions.iter().zip(&groups) {
            for step in log.session(session).steps() {
                for (item, shown) in step.slate.iter().zip(shown.by_ref()) {
                    if let Some(counts) = by_group[group].get_mut(item.index()) {
                        counts[0] += 1.0;
                        counts[1] += shown.chance * expected(*item);
                        counts[2] += if shown.clicked { logged(step.reward) } else { 0.0 };
                    }
                }
            }
        }
        let sum = |holds: &dyn Fn(usize) -> bool| -> Vec<Counts> {
            let mut sums = vec![[0.0; 3]; items];
            for (_, of_group) in by_group.iter().enumerate().filter(|(group, _)| holds(*group)) {
                for (sum, counts) in sums.iter_mut().zip(of_group) {
                    for (sum, count) in sum.iter_mut().zip(counts) {
                        *sum += count;
                    }
                }
            }
            sums
        };
        let all = sum(&|_| true);
        let known: Vec<usize> = (0..items).filter(|&item| all[item][0] >= FEWEST).collect();
        let rates = |counts: &[Counts], which: usize| -> Vec<f64> {
            known.iter().map(|&item| counts[item][which] / counts[item][0]).collect()
        };
        let agreement = |counts: &[Counts]| {
            let several = known.len() > 2;
            several.then(|| rank_correlation(&rates(counts, 1), &rates(counts, 2)).ok()).flatten()
        };
        let correlation =
            jackknifed(count, |without| agreement(&sum(&|group| Some(group) != without)));
        let halves = [0, 1].map(|half| rates(&sum(&|group| group % 2 == half), 2));
        let ceiling = rank_correlation(&halves[0], &halves[1]).ok().filter(|_| known.len() > 2);
        let distances =
            || rates(&all, 1).into_iter().zip(rates(&all, 2)).map(|(a, b)| (a - b).abs());
        let distance = (!known.is_empty()).then(|| distances().sum::<f64>() / known.len() as f64);
        Self { items: known.len(), correlation, ceiling, distance }
    }
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, ItemId, LogBuilder, Step};

    use super::*;

    /// Item i of six is clicked on i slates of ten, and shown on 40 by 40 users. Chances that rise
    /// with the item are in the order of the log, chances that fall are in the other.
    #[test]
    fn rates_in_the_order_of_the_log_correlate_fully_and_in_the_other_not() {
        let mut log = LogBuilder::default();
        for user in 0..40 {
            for item in (0..6).map(ItemId) {
                let clicked = user % 10 < item.0;
                let choice = if clicked { Choice::Item(item) } else { Choice::Skip };
                log.push(Step::new(&[item], choice, 0.0)).unwrap();
            }
            log.end_session(None).unwrap();
        }
        let log = log.build();
        let all: Vec<usize> = (0..40).collect();
        let rates = |chance: fn(usize) -> f64| {
            let of_slate = |slate: usize| {
                let chance = chance(slate % 6);
                Prediction {
                    scores: vec![0.0],
                    log_given_choice: Some(vec![0.0]),
                    log_choice: Some(vec![chance.ln(), (1.0 - chance).ln()]),
                }
            };
            ItemRates::clicks(&log, &all, &(0..240).map(of_slate).collect::<Vec<_>>(), 7)
        };
        let right = rates(|item| (item as f64 + 1.0) / 10.0);
        assert_eq!((right.items, right.correlation.unwrap().mean), (6, 1.0));
        assert!((right.distance.unwrap() - 0.1).abs() < 1e-12);
        // Users of even and odd numbers click in tenths that differ: ranks less their mean are
        // ±2.5, ±1, ±1 in one half and ±2, ±2, 0 in the other.
        let ceiling = 14.0 / (16.5f64 * 16.0).sqrt();
        assert!((right.ceiling.unwrap() - ceiling).abs() < 1e-12);
        let wrong = rates(|item| 0.9 - item as f64 / 10.0);
        assert!((wrong.correlation.unwrap().mean + 1.0).abs() < 1e-12);
    }

    /// Every item is always clicked, so only what the clicks pay can be put in an order.
    #[test]
    fn rewards_order_items_that_are_always_clicked() {
        let mut log = LogBuilder::default();
        for user in 0..40 {
            for item in (0..6).map(ItemId) {
                let reward = item.0 as f32 - 2.0 + (user % 3) as f32;
                log.push(Step::new(&[item], Choice::Item(item), reward)).unwrap();
            }
            log.end_session(None).unwrap();
        }
        let log = log.build();
        let all: Vec<usize> = (0..40).collect();
        let head = RewardHead::observed(&log, &all);
        let prediction = Prediction {
            scores: vec![0.0],
            log_given_choice: Some(vec![0.0]),
            log_choice: Some(vec![0.0, f64::NEG_INFINITY]),
        };
        let said = vec![prediction; 240];
        assert_eq!(ItemRates::clicks(&log, &all, &said, 6).correlation, None);
        let rewards = ItemRates::rewards(&log, &all, &said, 6, &head);
        assert_eq!(rewards.correlation.unwrap().mean, 1.0);
        // The head shrinks single items to the mean of all, which here is little.
        assert!(rewards.distance.unwrap() < 0.05, "{rewards:?}");
    }
}
