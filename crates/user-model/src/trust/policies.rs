//! Policies that learned users are asked to rank.

use std::collections::HashSet;

use foretaste_data::{ItemId, Log};
use foretaste_eval::{Estimate, interval};
use foretaste_random::{Seed, Stream};
use foretaste_settings::Setting;
use foretaste_sim::policies::{EpsilonGreedy, Popularity, TopItems, UniformRandom};
use foretaste_sim::{Blind, Candidates, Environment, Policy, Responses, Rollout, Slates};
use foretaste_train::counts::Counts;
use rand::Rng;
use serde::Serialize;

use crate::Result;

/// Where policies play: what they show, to how many sessions, and what the log shows.
#[derive(Clone, Debug)]
pub struct Arena {
    /// Number of items that environments have.
    items: usize,
    /// Those that may be shown, in the order of the catalogue.
    shown: Vec<ItemId>,
    /// What is at each place of the log.
    support: HashSet<(usize, ItemId)>,
    clicks: Vec<f64>,
    rates: Vec<f64>,
    rollout: Rollout,
    seed: Seed,
}

/// What a policy earns.
#[derive(Clone, Debug, Serialize)]
pub struct Value {
    /// What the policy is called.
    pub policy: String,
    /// Reward of a session, in the log's unit.
    pub reward: Estimate,
    /// Clicks a slate.
    pub click_rate: f64,
    /// Share of the places of its slates whose item the log never shows at that place.
    pub unseen: f64,
}

/// Items that policies may show, at most: those that the log shows most often.
const MOST_ITEMS: usize = 200;
/// Showings that draw the click rate of an item to that of all.
const PRIOR: f64 = 10.0;
/// Slates that are the same for all users.
const FIXED: usize = 3;
/// Sessions that are played together.
const CHUNK: usize = 64;

impl Arena {
    /// Policies that show slates of `k` items which these sessions of the log show, `sessions`
    /// times, cut after `max_steps`. The users are the same for all.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the log shows fewer than `k` items, or one that
    /// is none of `items`.
    pub fn new(
        log: &Log,
        learned: &[usize],
        items: usize,
        k: usize,
        (sessions, max_steps): (u64, usize),
        seed: Seed,
    ) -> Result<Self> {
        let steps = || learned.iter().flat_map(|&session| log.session(session).steps());
        let place =
            |slate: &[ItemId], clicked| slate.iter().position(|item| Some(*item) == clicked);
        let slates = steps().map(|step| (step.slate, place(step.slate, step.choice.item())));
        let counts = Counts::new(slates, items)?;
        let mut shown: Vec<ItemId> = (0..items as u32).map(ItemId).collect();
        shown.retain(|item| counts.shown[item.index()] > 0);
        shown.sort_by_key(|item| (std::cmp::Reverse(counts.shown[item.index()]), item.0));
        shown.truncate(MOST_ITEMS.max(k));
        shown.sort_unstable();
        if shown.len() < k {
            let problem = format!("{k} items, but the log shows {}", shown.len());
            return Err(Setting::new("slates", problem).into());
        }
        let number = |count: &u32| f64::from(*count);
        let rate = |(clicks, shown): (&u32, &u32)| {
            (number(clicks) + PRIOR * counts.rate) / (number(shown) + PRIOR)
        };
        Ok(Self {
            items,
            shown,
            support: steps().flat_map(|step| step.slate.iter().copied().enumerate()).collect(),
            clicks: counts.clicks.iter().map(number).collect(),
            rates: counts.clicks.iter().zip(&counts.shown).map(rate).collect(),
            rollout: Rollout::new(seed.derive("sessions of policies"), 0..sessions, k)
                .max_steps(max_steps)
                .chunk(CHUNK),
            seed,
        })
    }

    /// The items that may be shown.
    pub fn shown(&self) -> &[ItemId] {
        &self.shown
    }

    /// What policies of every sort earn: uniform slates, the log's popularity in three ways, slates
    /// that are the same for all users, and these policies.
    ///
    /// # Errors
    /// What the environment and the policies return.
    pub fn values<E: Environment + ?Sized, P: Policy>(
        &self,
        environment: &E,
        others: &[(&str, &P)],
    ) -> Result<Vec<Value>> {
        let k = self.rollout.k();
        let among = |scores: &[f64]| -> TopItems {
            let mut kept = vec![f64::NEG_INFINITY; self.items];
            self.shown.iter().for_each(|item| kept[item.index()] = scores[item.index()]);
            TopItems::new(&kept)
        };
        let mut weights = vec![0.0; self.items];
        self.shown.iter().for_each(|item| weights[item.index()] = self.clicks[item.index()] + 1.0);
        let popular = among(&self.rates);
        let half = EpsilonGreedy::new(popular.clone(), 0.5, self.items)?;
        let mut values = vec![
            self.value("uniform", environment, &UniformRandom { items: self.items })?,
            self.value("drawn by clicks", environment, &Popularity::new(weights)?)?,
            self.value(MOST_CLICKED, environment, &popular)?,
            self.value("half of it uniform", environment, &half)?,
        ];
        let mut stream = self.seed.derive("fixed slates").stream(0);
        for number in 1..=FIXED.min(self.shown.len() / k) {
            let scores: Vec<f64> = (0..self.items).map(|_| stream.random()).collect();
            values.push(self.value(
                &format!("fixed slate {number}"),
                environment,
                &among(&scores),
            )?);
        }
        for &(name, policy) in others {
            values.push(self.value(name, environment, policy)?);
        }
        Ok(values)
    }

    /// What a policy earns.
    ///
    /// # Errors
    /// What environment and policy return.
    pub fn value<E: Environment + ?Sized, P: Policy>(
        &self,
        name: &str,
        environment: &E,
        policy: &P,
    ) -> Result<Value> {
        let among = Among { policy, allowed: Candidates::only(self.shown.clone()) };
        let log = self.rollout.run(environment, &Blind(among))?;
        let rewards: Vec<f64> = log
            .iter()
            .map(|session| session.steps().map(|step| f64::from(step.reward)).sum())
            .collect();
        let steps = || log.iter().flat_map(|session| session.steps());
        let clicks = steps().filter(|step| step.choice.item().is_some()).count();
        let places = || steps().flat_map(|step| step.slate.iter().copied().enumerate());
        let unseen = places().filter(|place| !self.support.contains(place)).count();
        Ok(Value {
            policy: name.to_owned(),
            reward: interval::student_t(&rewards)?,
            click_rate: clicks as f64 / log.steps() as f64,
            unseen: unseen as f64 / log.impressions() as f64,
        })
    }
}

/// What shows the items of the largest click rate in the log is called.
pub(super) const MOST_CLICKED: &str = "most clicked";

/// A policy that shows these items alone.
struct Among<'a, P> {
    policy: &'a P,
    allowed: Candidates,
}

impl<P: Policy> Policy for Among<'_, P> {
    type Memory = P::Memory;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<P::Memory> {
        self.policy.begin(rows)
    }

    fn rank(
        &self,
        memory: &P::Memory,
        _allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        self.policy.rank(memory, Some(&self.allowed), k, streams, slates)
    }

    fn observe(
        &self,
        memory: &mut P::Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> foretaste_sim::Result<()> {
        self.policy.observe(memory, slates, responses)
    }

    fn select(&self, memory: &P::Memory, rows: &[usize]) -> foretaste_sim::Result<P::Memory> {
        self.policy.select(memory, rows)
    }
}

/// Kendall's τ of `found` with `truth` over the pairs whose truth differs by more than `margin`, as
/// a share of the larger: pairs in the same order less those in the other, over all; a pair that
/// `found` does not order counts for neither. None where there is no such pair.
pub fn kendall(truth: &[f64], found: &[f64], margin: f64) -> Option<f64> {
    let (mut pairs, mut score) = (0.0, 0.0);
    for (at, (a, found_a)) in truth.iter().zip(found).enumerate() {
        for (b, found_b) in truth.iter().zip(found).skip(at + 1) {
            if differ(*a, *b, margin) {
                pairs += 1.0;
                let order = (found_a - found_b) * (a - b);
                score += if order == 0.0 { 0.0 } else { order.signum() };
            }
        }
    }
    (pairs > 0.0).then(|| score / pairs)
}

/// Whether two values differ by more than this share of the larger.
pub fn differ(a: f64, b: f64, margin: f64) -> bool {
    (a - b).abs() > margin * a.abs().max(b.abs())
}

/// What is lost in `truth` by taking the best of `found`, as a share of the best there; 0 where
/// that is not positive.
pub fn regret(truth: &[f64], found: &[f64]) -> f64 {
    let best = |values: &[f64]| (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
    match (best(truth), best(found)) {
        (Some(best), Some(taken)) if truth[best] > 0.0 => 1.0 - truth[taken] / truth[best],
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, LogBuilder, Step};
    use foretaste_sim::{ChoiceUsers, ChoiceUsersConfig};

    use super::*;

    #[test]
    fn rank_figures_by_hand() {
        // Of three pairs one lies within 10%; of the others one is in the other order.
        assert_eq!(kendall(&[1.0, 1.05, 2.0], &[5.0, 1.0, 3.0], 0.1), Some(0.0));
        assert_eq!(kendall(&[1.0, 1.05], &[1.0, 2.0], 0.1), None);
        assert_eq!(kendall(&[1.0, 2.0], &[3.0, 3.0], 0.1), Some(0.0));
        assert_eq!(regret(&[1.0, 4.0, 3.0], &[0.0, 1.0, 2.0]), 0.25);
        assert_eq!(regret(&[1.0, 4.0], &[0.0, 1.0]), 0.0);
    }

    #[test]
    fn policies_show_what_the_log_shows_and_the_rest_is_counted() {
        let users = ChoiceUsers::new(&ChoiceUsersConfig::default()).unwrap();
        let few: Vec<ItemId> = (0..6).map(ItemId).collect();
        let mut log = LogBuilder::default();
        for first in 0..3 {
            log.push(Step::new(&few[first..first + 3], Choice::Skip, 0.0)).unwrap();
            log.end_session(None).unwrap();
        }
        let arena = Arena::new(&log.build(), &[0, 1, 2], 50, 3, (40, 4), Seed::new(1)).unwrap();
        assert_eq!(arena.shown().len(), 5);
        let none: &[(&str, &UniformRandom)] = &[];
        let values = arena.values(&users, none).unwrap();
        assert_eq!(values.len(), 5);
        // Of the fifteen places of five items the log shows nine.
        let uniform = &values[0];
        assert!((uniform.unseen - 6.0 / 15.0).abs() < 0.06, "{uniform:?}");
    }
}
