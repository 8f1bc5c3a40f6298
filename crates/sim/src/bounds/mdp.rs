//! The best that any policy can earn in the MDP of IRecGAN §7.1, with and without knowledge of the
//! hidden state.

use std::collections::HashMap;

use foretaste_data::{Choice, ItemId};
use foretaste_random::Stream;
use foretaste_settings::Setting;

use super::linear::sum_until_absorbed;
use super::slate::{Component, Mixture, best_slate};
use crate::memory::without_memory;
use crate::policies::{self, check_candidates, items_of};
use crate::{Candidates, Error, Mdp, MdpState, Policy, Privileged, Responses, Result, Slates};

/// The optimal policy of an [`Mdp`] for one that sees the state: the exact ceiling of the expected
/// number of clicks.
///
/// V(s) = max_A Σ_{j∈A} p(j|s, A) r_sj (1 + Σ_s' P(s'|s, j) V(s')), p(j|s, A) = r_sj / Σ_A r, is
/// found by policy iteration: the maximum is linear-fractional in the slate, so Dinkelbach's method
/// finds it exactly, and each policy's value solves a linear system. It holds for sessions that are
/// not cut.
#[derive(Clone, Debug)]
pub struct MdpOracle {
    slates: Vec<Vec<ItemId>>,
    values: Vec<f64>,
    /// r_sj (1 + Σ_s' P(s'|s, j) V(s')), `[m][n]`.
    worths: Vec<Vec<f64>>,
}

impl MdpOracle {
    /// Solves `mdp` for slates of `k` items.
    ///
    /// # Errors
    /// [`Error::Setting`] if `k` is 0 or exceeds the catalogue, or if some slate need never end a
    /// session.
    pub fn new(mdp: &Mdp, k: usize) -> Result<Self> {
        if k == 0 || k > mdp.items() {
            return Err(Setting::new("k", format!("{k} of {} items", mdp.items())).into());
        }
        let mut values = vec![0.0; mdp.states()];
        let mut slates: Vec<Vec<ItemId>>;
        loop {
            slates = (0..mdp.states())
                .map(|state| {
                    best_slate(mdp.rewards(state), &worths(mdp, state, &values), 0.0, k).items
                })
                .collect();
            let improved = clicks_of(mdp, &slates)?;
            let gain = improved
                .iter()
                .zip(&values)
                .map(|(new, old)| (new - old) / (1.0 + new))
                .fold(0.0, f64::max);
            values = improved;
            if gain < 1e-12 {
                let worths = (0..mdp.states()).map(|state| worths(mdp, state, &values)).collect();
                return Ok(Self { slates, values, worths });
            }
        }
    }

    /// V(s_0): the expected number of clicks of a session.
    pub fn value(&self) -> f64 {
        self.values[0]
    }

    /// V(s), `[m]`.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// V(s) - Q(s, A): how many clicks of a session the slate A is expected to cost in `state` of
    /// `mdp`, whose oracle this is, if the best slates follow it.
    pub fn regret(&self, mdp: &Mdp, state: usize, slate: &[ItemId]) -> f64 {
        let (rewards, worths) = (mdp.rewards(state), &self.worths[state]);
        let sum: f64 = slate.iter().map(|item| rewards[item.index()]).sum();
        let worth: f64 =
            slate.iter().map(|item| rewards[item.index()] * worths[item.index()]).sum();
        self.values[state] - if sum > 0.0 { worth / sum } else { 0.0 }
    }

    /// The best slate in each state; the order of its items carries no meaning.
    pub fn slates(&self) -> &[Vec<ItemId>] {
        &self.slates
    }
}

impl Privileged<Mdp> for MdpOracle {
    type Memory = ();

    fn recommend(
        &self,
        _memory: &(),
        state: &MdpState,
        k: usize,
        _streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.slates[0].len())?;
        slates.clear(k);
        state.0.iter().for_each(|&state| slates.push_certain(&self.slates[state as usize]));
        Ok(())
    }

    without_memory!();
}

/// A recommender that knows the [`Mdp`] but not the user's state: a reference that can be reached.
///
/// Its memory is b(s), the probability of each state given the slates and clicks so far; a click on
/// j turns it into b'(s') ∝ Σ_s b(s) p(j|s, A) r_sj P(s'|s, j). It shows the slate that maximizes
/// Σ_s b(s) Σ_j p(j|s, A) r_sj (1 + E V(s')), V the oracle's (QMDP). That sum of ratios is
/// maximized exactly where the catalogue has at most 2,000 slates or the state is certain;
/// elsewhere by ascent and swaps of single items, so that the slate is then a good one, not surely
/// the best.
#[derive(Clone, Debug)]
pub struct MdpBelief {
    mdp: Mdp,
    /// r_sj (1 + E V), `[m][n]`.
    worths: Vec<Vec<f64>>,
    k: usize,
}

impl MdpBelief {
    const EXHAUSTIVE: usize = 2_000;

    /// Prepares for slates of `k` items.
    ///
    /// # Errors
    /// As [`MdpOracle::new`].
    pub fn new(mdp: &Mdp, k: usize) -> Result<Self> {
        Ok(Self { mdp: mdp.clone(), worths: MdpOracle::new(mdp, k)?.worths, k })
    }

    /// The slate for a belief over the states, `[m]`.
    pub fn slate(&self, belief: &[f64]) -> Vec<ItemId> {
        self.slate_among(belief, &items_of(None, 0, self.mdp.items()))
    }

    fn slate_among(&self, belief: &[f64], candidates: &[ItemId]) -> Vec<ItemId> {
        let component = |(state, &probability): (usize, &f64)| Component {
            probability,
            a: self.mdp.rewards(state).to_vec(),
            w: self.worths[state].clone(),
            c: 0.0,
        };
        let likely = belief.iter().enumerate().filter(|(_, probability)| **probability > 0.0);
        Mixture { k: self.k, components: likely.map(component).collect() }
            .best_among(candidates, Self::EXHAUSTIVE)
    }

    /// Moves a belief, `[m]`, on by a click on `item` of `slate`.
    ///
    /// # Errors
    /// [`Error::Contract`] if that click has probability 0 under the belief.
    pub fn update(&self, belief: &mut [f64], slate: &[ItemId], item: ItemId) -> Result<()> {
        let evidence = self.mdp.filter(belief, slate, item);
        if evidence.is_nan() || evidence <= 0.0 {
            return Err(Error::Contract(format!(
                "a click on item {} is impossible in this mdp",
                item.0
            )));
        }
        Ok(())
    }
}

impl Policy for MdpBelief {
    /// b(s), one row per session.
    type Memory = Vec<Vec<f64>>;

    fn begin(&self, rows: usize) -> Result<Self::Memory> {
        let mut belief = vec![0.0; self.mdp.states()];
        belief[0] = 1.0;
        Ok(vec![belief; rows])
    }

    fn rank(
        &self,
        memory: &Self::Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.k)?;
        check_candidates(allowed, streams.len(), self.mdp.items())?;
        slates.clear(k);
        // Early in their sessions many users share a belief, and finding the slate is what takes
        // time.
        let mut known: HashMap<_, Vec<ItemId>> = HashMap::new();
        for (row, belief) in memory.iter().enumerate() {
            let candidates = items_of(allowed, row, self.mdp.items());
            policies::check_k(k, candidates.len())?;
            let bits: Vec<u64> = belief.iter().map(|p| p.to_bits()).collect();
            let slate = known
                .entry((bits, allowed.map(|_| candidates.to_vec())))
                .or_insert_with(|| self.slate_among(belief, &candidates));
            slates.push_certain(slate);
        }
        Ok(())
    }

    fn observe(
        &self,
        memory: &mut Self::Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> Result<()> {
        for (row, (belief, choice)) in memory.iter_mut().zip(&responses.choice).enumerate() {
            if let Choice::Item(item) = choice {
                self.update(belief, slates.row(row), *item)?;
            }
        }
        Ok(())
    }

    fn select(&self, memory: &Self::Memory, rows: &[usize]) -> Result<Self::Memory> {
        Ok(rows.iter().map(|&row| memory[row].clone()).collect())
    }
}

pub(super) fn check_k(k: usize, prepared: usize) -> Result<()> {
    if k == prepared {
        return Ok(());
    }
    let problem = format!("{k}, but the policy was prepared for slates of {prepared}");
    Err(Setting::new("k", problem).into())
}

/// r_sj (1 + Σ_s' P(s'|s, j) V(s')), `[n]`.
fn worths(mdp: &Mdp, state: usize, values: &[f64]) -> Vec<f64> {
    let worth = |(item, reward): (usize, &f64)| {
        let next = mdp.transition(state, ItemId(item as u32));
        reward * (1.0 + next.iter().zip(values).map(|(p, v)| p * v).sum::<f64>())
    };
    mdp.rewards(state).iter().enumerate().map(worth).collect()
}

/// The expected number of clicks from each state if state s is shown `slates[s]`.
fn clicks_of(mdp: &Mdp, slates: &[Vec<ItemId>]) -> Result<Vec<f64>> {
    let states = mdp.states();
    let (mut q, mut success) = (vec![0.0; states * states], vec![0.0; states]);
    for (state, slate) in slates.iter().enumerate() {
        let rewards = mdp.rewards(state);
        let sum: f64 = slate.iter().map(|item| rewards[item.index()]).sum();
        for item in slate.iter().filter(|_| sum > 0.0) {
            let click = rewards[item.index()] * rewards[item.index()] / sum;
            success[state] += click;
            let row = &mut q[state * states..][..states];
            row.iter_mut().zip(mdp.transition(state, *item)).for_each(|(q, p)| *q += click * p);
        }
    }
    let problem = "some slates never end a session: the oracle's value is not finite";
    sum_until_absorbed(&q, success)
        .filter(|values| values.iter().all(|v| *v >= 0.0))
        .ok_or_else(|| Setting::new("mdp", problem).into())
}
