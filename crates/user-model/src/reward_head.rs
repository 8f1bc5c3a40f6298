//! What a step pays in the log's own unit. r_θ explains choices only and has no unit, so rewards
//! are estimated from the log's rewards, apart from the network.

use foretaste_data::{Choice, Log};
use serde::{Deserialize, Serialize};

/// What the log's own reward is on average, given what the user did: the mean that a learned user
/// pays.
///
/// E[reward | click on item i] is a shrunken mean, (Σ r + κ r̄) / (n_i + κ) over the n_i logged
/// clicks on the item, where r̄ is the mean over all clicks and κ = s² / τ² weighs the variance
/// within items against that between them (empirical Bayes: the estimators of moments of the
/// one-way random-effects model, Searle, Casella & McCulloch 1992, §3.6). Where the log shows no
/// difference between items beyond chance, τ² is 0 and all items pay r̄; rewards without noise are
/// not shrunken. An item that was never clicked pays r̄. Steps without a choice pay one mean if the
/// user stayed and one if the user left.
///
/// Rewards are in the log's unit and may be any real number. Where they are 0 or 1, a mean is a
/// probability: users pay it as it is, which has the expectation of a draw and less variance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardHead {
    /// r̄: the mean reward of a click.
    pub click: f32,
    /// (item index, mean reward of a click on it) of the items whose mean is not r̄, by index.
    pub items: Vec<(u32, f32)>,
    /// Mean reward of a step on which the user chose nothing and stayed; 0 if there is none.
    pub skip: f32,
    /// Mean reward of a step on which the user left; 0 if there is none.
    pub leave: f32,
}

impl RewardHead {
    /// The means of these sessions of a log.
    pub fn observed(log: &Log, sessions: &[usize]) -> Self {
        let steps = || sessions.iter().flat_map(|&session| log.session(session).steps());
        let (mut clicks, mut skip, mut leave) =
            (Tally::default(), Tally::default(), Tally::default());
        let mut items: Vec<Tally> = Vec::new();
        for step in steps() {
            let tally = match step.choice {
                Choice::Skip => &mut skip,
                Choice::Leave => &mut leave,
                Choice::Item(item) => {
                    items.resize(items.len().max(item.index() + 1), Tally::default());
                    items[item.index()].add(step.reward);
                    &mut clicks
                }
            };
            tally.add(step.reward);
        }
        let deviations = steps().filter_map(|step| {
            let item = step.choice.item()?;
            Some((f64::from(step.reward) - items[item.index()].mean()).powi(2))
        });
        let kappa = shrinkage(&items, clicks, deviations.sum());
        let overall = clicks.mean();
        let shrunken =
            |tally: &Tally| ((tally.sum + kappa * overall) / (tally.count + kappa)) as f32;
        let click = overall as f32;
        let items = (0..).zip(&items).filter(|(_, tally)| tally.count > 0.0 && kappa.is_finite());
        let items = items
            .map(|(item, tally)| (item, shrunken(tally)))
            .filter(|&(_, mean)| mean != click)
            .collect();
        Self { click, items, skip: skip.mean() as f32, leave: leave.mean() as f32 }
    }

    /// The expected reward of a step on which the user did this.
    pub fn expected(&self, choice: Choice) -> f32 {
        match choice {
            Choice::Skip => self.skip,
            Choice::Leave => self.leave,
            Choice::Item(item) => {
                let found = self.items.binary_search_by_key(&item.0, |&(item, _)| item);
                found.map_or(self.click, |place| self.items[place].1)
            }
        }
    }

    /// What is wrong with the numbers, if anything.
    pub(crate) fn problem(&self, items: usize) -> Option<String> {
        let means =
            self.items.iter().map(|&(_, mean)| mean).chain([self.click, self.skip, self.leave]);
        if let Some(mean) = means.into_iter().find(|mean| !mean.is_finite()) {
            return Some(format!("a mean reward of {mean}, expected a finite number"));
        }
        if let Some(&(item, _)) = self.items.iter().find(|(item, _)| *item as usize >= items) {
            return Some(format!("a reward for item index {item}, expected less than {items}"));
        }
        let unordered = self.items.windows(2).any(|pair| pair[0].0 >= pair[1].0);
        unordered.then(|| {
            "item rewards out of order, expected each item index once and rising".to_owned()
        })
    }
}

/// A number of rewards and their sum.
#[derive(Clone, Copy, Default)]
struct Tally {
    count: f64,
    sum: f64,
}

impl Tally {
    fn add(&mut self, reward: f32) {
        self.count += 1.0;
        self.sum += f64::from(reward);
    }

    /// 0 of none.
    fn mean(self) -> f64 {
        self.sum / self.count.max(1.0)
    }
}

/// κ = s² / τ²; infinite where the log cannot tell items apart. `within` is Σ (r - r̄_i)².
fn shrinkage(items: &[Tally], clicks: Tally, within: f64) -> f64 {
    let clicked = || items.iter().filter(|tally| tally.count > 0.0);
    let kinds = clicked().count() as f64;
    if kinds < 2.0 || clicks.count <= kinds {
        return f64::INFINITY;
    }
    let variance = within / (clicks.count - kinds);
    let between: f64 =
        clicked().map(|tally| tally.count * (tally.mean() - clicks.mean()).powi(2)).sum();
    let squares: f64 = clicked().map(|tally| tally.count.powi(2)).sum();
    let spread = (between - (kinds - 1.0) * variance) / (clicks.count - squares / clicks.count);
    if spread > 0.0 { variance / spread } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use foretaste_data::{ItemId, LogBuilder, Step};
    use proptest::prelude::*;

    use super::*;

    /// One session of steps on a slate of all six items.
    fn log(steps: &[(Choice, f32)]) -> Log {
        let slate: Vec<ItemId> = (0..6).map(ItemId).collect();
        let mut log = LogBuilder::default();
        for &(choice, reward) in steps {
            log.push(Step::new(&slate, choice, reward)).unwrap();
        }
        log.end_session(None).unwrap();
        log.build()
    }

    fn click(item: u32) -> Choice {
        Choice::Item(ItemId(item))
    }

    proptest! {
        #[test]
        fn a_mean_lies_between_that_of_the_item_and_that_of_all_clicks(
            steps in prop::collection::vec((0u32..6, -5.0f32..5.0), 1..40)
        ) {
            let steps: Vec<_> = steps.into_iter().map(|(item, reward)| (click(item), reward)).collect();
            let head = RewardHead::observed(&log(&steps), &[0]);
            prop_assert_eq!(head.problem(6), None);
            for item in 0..6 {
                let own: Vec<f32> = steps.iter().filter(|step| step.0 == click(item)).map(|step| step.1).collect();
                let paid = head.expected(click(item));
                let mean = if own.is_empty() { head.click } else { own.iter().sum::<f32>() / own.len() as f32 };
                prop_assert!(paid >= mean.min(head.click) - 1e-4 && paid <= mean.max(head.click) + 1e-4);
            }
        }

        #[test]
        fn rewards_in_another_unit_are_paid_in_that_unit(
            steps in prop::collection::vec((0u32..6, -5i32..5), 2..40), scale in 1i32..4, shift in -3i32..3
        ) {
            let pay = |scale: i32, shift: i32| {
                let steps: Vec<_> = steps.iter().map(|&(item, r)| (click(item), (scale * r + shift) as f32)).collect();
                let head = RewardHead::observed(&log(&steps), &[0]);
                (0..6).map(|item| head.expected(click(item))).collect::<Vec<_>>()
            };
            for (there, here) in pay(scale, shift).into_iter().zip(pay(1, 0)) {
                prop_assert!((there - (scale as f32 * here + shift as f32)).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn rewards_without_noise_are_paid_exactly_and_unclicked_items_pay_the_mean() {
        let head = RewardHead::observed(
            &log(&[
                (click(0), 2.0),
                (click(0), 2.0),
                (click(3), -1.0),
                (Choice::Skip, 0.5),
                (Choice::Leave, -3.0),
            ]),
            &[0],
        );
        assert_eq!([0, 3, 5].map(|item| head.expected(click(item))), [2.0, -1.0, 1.0]);
        assert_eq!((head.expected(Choice::Skip), head.expected(Choice::Leave)), (0.5, -3.0));
    }

    /// By hand: Σ (r - r̄_i)² = 1 + 0.75, s² = 1.75 / 6 = 0.29, and between = 2 · 4 · 0.125² =
    /// 0.125 is less.
    #[test]
    fn items_that_differ_by_chance_alone_pay_the_same() {
        let steps =
            [(0, 1.0), (0, 0.0), (0, 1.0), (0, 0.0), (1, 1.0), (1, 0.0), (1, 0.0), (1, 0.0)];
        let head =
            RewardHead::observed(&log(&steps.map(|(item, reward)| (click(item), reward))), &[0]);
        assert_eq!((head.click, head.items), (0.375, vec![]));
    }

    /// By hand: items 0 and 1 of four clicks each with means 0.75 and 0; Σ (r - r̄_i)² = 0.75, s² =
    /// 0.75 / 6 = 0.125, between = 2 · 4 · 0.375² = 1.125, τ² = (1.125 - 0.125) / (8 - 32 / 8) =
    /// 0.25, κ = 0.5; (3 + 0.5 · 0.375) / 4.5 and 0.1875 / 4.5.
    #[test]
    fn the_shrinkage_is_that_of_the_moments() {
        let steps =
            [(0, 1.0), (0, 1.0), (0, 1.0), (0, 0.0), (1, 0.0), (1, 0.0), (1, 0.0), (1, 0.0)];
        let head =
            RewardHead::observed(&log(&steps.map(|(item, reward)| (click(item), reward))), &[0]);
        assert!((head.expected(click(0)) - 3.1875 / 4.5).abs() < 1e-6, "{head:?}");
        assert!((head.expected(click(1)) - 0.1875 / 4.5).abs() < 1e-6, "{head:?}");
    }

    #[test]
    fn only_the_sessions_that_are_named_count() {
        let mut both = LogBuilder::default();
        for reward in [1.0, 9.0] {
            for step in log(&[(click(1), reward)]).session(0).steps() {
                both.push(step).unwrap();
            }
            both.end_session(None).unwrap();
        }
        assert_eq!(RewardHead::observed(&both.build(), &[0]).expected(click(1)), 1.0);
    }
}
