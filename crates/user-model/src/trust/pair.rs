//! Two models of the same users, fitted to different sessions or of different forms: where they
//! contradict each other, neither is to be believed.

use foretaste_data::Log;
use foretaste_eval::Estimate;
use foretaste_eval::choice::{ChoiceModel, Clicks};
use foretaste_sim::{Environment, Policy};
use serde::Serialize;

use super::agreement::Agreement;
use super::policies::{Arena, Value, kendall, regret};
use crate::Result;

/// Two models of the same users: each fitted to one half of the sessions, or of different forms.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// How far they agree on the items of held-out slates.
    pub agreement: Agreement,
    /// NLL given a click of the second model less that of the first, on held-out slates, in nats a
    /// click; none where nothing is clicked.
    pub nll_difference: Option<Estimate>,
    /// What the same policies earn in each; the last two are greedy in the one and in the other.
    pub values: [Vec<Value>; 2],
}

/// A model of users.
#[derive(Debug)]
pub struct Named<'a, U, P> {
    /// What the policy that is greedy in it is called.
    pub greedy: &'a str,
    /// The model.
    pub users: &'a U,
    /// The policy that shows what the model finds most likely.
    pub policy: &'a P,
}

/// Policies whose values differ by less, as a share of the larger, are not held to an order.
const MARGIN: f64 = 0.02;

impl Pair {
    /// Of two models, on the slates of these sessions and on the policies of `arena`.
    ///
    /// # Errors
    /// What the models return.
    pub fn new<U: ChoiceModel + Environment, P: Policy>(
        models: [Named<'_, U, P>; 2],
        log: &Log,
        held_out: &[usize],
        arena: &Arena,
    ) -> Result<Self> {
        let greedy = models.each_ref().map(|model| (model.greedy, model.policy));
        let users = models.map(|model| model.users);
        let agreement = Agreement::new(users, log, held_out)?;
        let clicks = Clicks::new(log, held_out);
        let losses = |users: &U| users.predict(log, held_out).map(|said| clicks.losses(&said));
        let nll_difference = match (losses(users[0])?, losses(users[1])?) {
            (Some(first), Some(second)) if !first.is_empty() => {
                Some(clicks.difference(&second, &first)?)
            }
            _ => None,
        };
        let [first, second] = users.map(|users| arena.values(users, &greedy));
        Ok(Self { agreement, nll_difference, values: [first?, second?] })
    }

    /// Kendall's τ of the order that the other model gives the policies with that of model
    /// `judge`, 0 or 1, over pairs that differ by more than 2% there. None where the policies are
    /// all alike.
    pub fn order_in(&self, judge: usize) -> Option<f64> {
        kendall(&self.rewards(judge), &self.rewards(1 - judge), MARGIN)
    }

    /// What the policy that is best in the other model loses in model `judge`, as a share of the
    /// best there.
    pub fn regret_in(&self, judge: usize) -> f64 {
        regret(&self.rewards(judge), &self.rewards(1 - judge))
    }

    /// What the policy that is greedy in the other model earns in model `judge`, over the most that
    /// a policy earns there which knows neither.
    pub fn greed_in(&self, judge: usize) -> f64 {
        let others = self.values[judge].iter().rev().skip(2);
        let best = others.map(|value| value.reward.mean).fold(f64::NEG_INFINITY, f64::max);
        if best > 0.0 { self.greedy_in_other(judge).reward.mean / best } else { 0.0 }
    }

    /// The smaller [order](Self::order_in) of the two.
    pub fn order(&self) -> Option<f64> {
        Some(self.order_in(0)?.min(self.order_in(1)?))
    }

    /// The larger [regret](Self::regret_in) of the two.
    pub fn regret(&self) -> f64 {
        self.regret_in(0).max(self.regret_in(1))
    }

    /// The smaller [greed](Self::greed_in) of the two.
    pub fn greed(&self) -> f64 {
        self.greed_in(0).min(self.greed_in(1))
    }

    /// Share of the places of greedy slates whose item the log never shows at that place, mean of
    /// the two.
    pub fn unseen(&self) -> f64 {
        (self.greedy_in_other(0).unseen + self.greedy_in_other(1).unseen) / 2.0
    }

    /// What the policy that is greedy in the other model does in this one.
    fn greedy_in_other(&self, model: usize) -> &Value {
        let values = &self.values[model];
        &values[values.len() - 1 - model]
    }

    fn rewards(&self, model: usize) -> Vec<f64> {
        self.values[model].iter().map(|value| value.reward.mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use foretaste_eval::interval::student_t;

    use super::*;

    /// By hand: greed in the second model earns 5 in the first, whose best other policy earns 4;
    /// greed in the first earns 3 in the second, where the other is 4.
    #[test]
    fn figures_of_two_models_by_hand() {
        let value = |policy: &str, reward: f64, unseen| Value {
            policy: policy.into(),
            reward: student_t(&[reward]).unwrap(),
            click_rate: 0.5,
            unseen,
        };
        let agreement =
            Agreement { correlation: None, distance: 0.0, by_item: vec![], by_history: vec![] };
        let values = [
            vec![value("uniform", 4.0, 0.0), value("first", 8.0, 0.0), value("second", 5.0, 0.25)],
            vec![value("uniform", 4.0, 0.0), value("first", 3.0, 0.75), value("second", 6.0, 0.0)],
        ];
        let pair = Pair { agreement, nll_difference: None, values };
        assert_eq!((pair.greed(), pair.unseen()), (0.75, 0.5));
        // Each takes greed in itself, which earns 5 of 8 and 3 of 6 in the other.
        assert_eq!(pair.regret(), 0.5);
        // Of three pairs one is in the same order: uniform below greed in the second.
        assert!((pair.order().unwrap() + 1.0 / 3.0).abs() < 1e-12);
    }
}
