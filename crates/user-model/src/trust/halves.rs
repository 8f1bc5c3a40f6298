use foretaste_data::Log;
use foretaste_eval::choice::ChoiceModel;
use foretaste_sim::{Environment, Policy};
use serde::Serialize;

use super::agreement::Agreement;
use super::policies::{Arena, Value, kendall, regret};
use crate::Result;

/// Two models of the same users, each fitted to one half of the sessions.
#[derive(Clone, Debug, Serialize)]
pub struct Halves {
    /// How far they agree on the items of held-out slates.
    pub agreement: Agreement,
    /// What the same policies earn in each; among them greed in the one and in the other.
    pub values: [Vec<Value>; 2],
}

/// What greed in each of the two is called.
const GREED: [&str; 2] = ["greedy on the first half", "greedy on the second half"];
/// Policies whose values differ by less, as a share of the larger, are not held to an order.
const MARGIN: f64 = 0.02;

impl Halves {
    /// Of two models, on the slates of these sessions and on the policies of `arena`; `greedy`
    /// shows what each finds most likely.
    ///
    /// # Errors
    /// What the models return.
    pub fn new<U: ChoiceModel + Environment, P: Policy>(
        halves: [&U; 2],
        greedy: [&P; 2],
        log: &Log,
        held_out: &[usize],
        arena: &Arena,
    ) -> Result<Self> {
        let greedy = [(GREED[0], greedy[0]), (GREED[1], greedy[1])];
        let agreement = Agreement::new(halves, log, held_out)?;
        let [first, second] = halves.map(|users| arena.values(users, &greedy));
        Ok(Self { agreement, values: [first?, second?] })
    }

    /// Kendall's τ between the orders that the two give the policies, over pairs that differ by
    /// more than 2% in one of them: the smaller of the two ways. None where the policies are all
    /// alike.
    pub fn order(&self) -> Option<f64> {
        let [a, b] = self.rewards();
        Some(kendall(&a, &b, MARGIN)?.min(kendall(&b, &a, MARGIN)?))
    }

    /// What the policy that is best in one of them loses in the other, as a share of the best
    /// there: the larger of the two.
    pub fn regret(&self) -> f64 {
        let [a, b] = self.rewards();
        regret(&a, &b).max(regret(&b, &a))
    }

    /// What greed in one of them earns in the other, over the most that a policy earns there which
    /// knows neither: the smaller of the two.
    pub fn greed(&self) -> f64 {
        let of = |half: usize| {
            let values = &self.values[half];
            let others = values.iter().filter(|value| !GREED.contains(&&*value.policy));
            let best = others.map(|value| value.reward.mean).fold(f64::NEG_INFINITY, f64::max);
            let greedy = self.greedy(half).map_or(0.0, |value| value.reward.mean);
            if best > 0.0 { greedy / best } else { 0.0 }
        };
        of(0).min(of(1))
    }

    /// Share of the places of greed's slates whose item the log never shows at that place, mean of
    /// the two.
    pub fn unseen(&self) -> f64 {
        let of = |half| self.greedy(half).map_or(1.0, |value| value.unseen);
        (of(0) + of(1)) / 2.0
    }

    /// Greed in the other half's model, as it does in that of this half.
    fn greedy(&self, half: usize) -> Option<&Value> {
        self.values[half].iter().find(|value| value.policy == GREED[1 - half])
    }

    fn rewards(&self) -> [Vec<f64>; 2] {
        [0, 1].map(|half| self.values[half].iter().map(|value| value.reward.mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use foretaste_eval::interval::student_t;

    use super::*;

    /// By hand: greed in the second half earns 5 in the first, whose best other policy earns 4;
    /// greed in the first earns 3 in the second, where the other is 4.
    #[test]
    fn figures_of_two_halves_by_hand() {
        let value = |policy: &str, reward: f64, unseen| Value {
            policy: policy.into(),
            reward: student_t(&[reward]).unwrap(),
            click_rate: 0.5,
            unseen,
        };
        let agreement =
            Agreement { correlation: None, distance: 0.0, by_item: vec![], by_history: vec![] };
        let values = [
            vec![value("uniform", 4.0, 0.0), value(GREED[0], 8.0, 0.0), value(GREED[1], 5.0, 0.25)],
            vec![value("uniform", 4.0, 0.0), value(GREED[0], 3.0, 0.75), value(GREED[1], 6.0, 0.0)],
        ];
        let halves = Halves { agreement, values };
        assert_eq!((halves.greed(), halves.unseen()), (0.75, 0.5));
        // Each takes greed in itself, which earns 5 of 8 and 3 of 6 in the other.
        assert_eq!(halves.regret(), 0.5);
        // Of three pairs one is in the same order: uniform below greed in the second half.
        assert!((halves.order().unwrap() + 1.0 / 3.0).abs() < 1e-12);
    }
}
