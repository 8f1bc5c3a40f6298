//! Exploration around any other policy, which makes its log usable for other policies too. It works
//! on slates, and so does not need to know how the greedy policy makes them.

use foretaste_data::ItemId;
use foretaste_random::Stream;
use foretaste_settings::Setting;
use rand::Rng;

use super::{check_candidates, check_k};
use crate::{Candidates, Environment, Policy, Privileged, Responses, Result, Slates};

/// ε-greedy, place by place: with probability ε an item drawn uniformly from those not yet on the
/// slate, otherwise the first item of the greedy policy's slate that is not yet on it.
///
/// Propensities are logged if the greedy policy is deterministic and says so by propensities of 1;
/// for one that randomizes, the probability of a place given the places before it is not known.
#[derive(Clone, Debug)]
pub struct EpsilonGreedy<P> {
    greedy: P,
    epsilon: f64,
    items: usize,
}

impl<P> EpsilonGreedy<P> {
    /// Explores a catalogue of `items` with probability `epsilon`, else does as `greedy` does.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if `epsilon` is not in \[0, 1\].
    pub fn new(greedy: P, epsilon: f64, items: usize) -> Result<Self> {
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(Setting::new("epsilon", format!("{epsilon} is not in [0, 1]")).into());
        }
        Ok(Self { greedy, epsilon, items })
    }

    /// Replaces the content of `slates` by greedy slates of `k` items with some of their places
    /// explored, among the items that may be shown.
    fn explore(
        &self,
        greedy: &Slates,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        let deterministic = greedy.propensities().is_some_and(|all| all.iter().all(|&p| p == 1.0));
        slates.clear(k);
        let (mut slate, mut propensity) = (Vec::new(), Vec::new());
        for (row, stream) in streams.iter_mut().enumerate() {
            let among = allowed.map(|allowed| allowed.of_row(row, self.items));
            let items = among.as_ref().map_or(self.items, |among| among.len());
            check_k(k, items)?;
            slate.clear();
            propensity.clear();
            for place in 0..k {
                // Of k distinct greedy items, fewer than k stand on the slate.
                let best = greedy.row(row).iter().copied().find(|item| !slate.contains(item));
                let explores = stream.random_bool(self.epsilon);
                let item = best
                    .filter(|_| !explores)
                    .unwrap_or_else(|| draw(items, among.as_deref(), &slate, stream));
                let chance = self.epsilon / (items - place) as f64;
                let greedily = if best == Some(item) { 1.0 - self.epsilon } else { 0.0 };
                propensity.push((chance + greedily) as f32);
                slate.push(item);
            }
            slates.push(&slate, deterministic.then_some(&propensity[..]));
        }
        Ok(())
    }
}

/// An item that is not on the slate, uniformly out of the first `items`, or of as many candidates.
fn draw(
    items: usize,
    candidates: Option<&[ItemId]>,
    slate: &[ItemId],
    stream: &mut Stream,
) -> ItemId {
    loop {
        let number = stream.random_range(0..items as u32);
        let item = candidates.map_or(ItemId(number), |items| items[number as usize]);
        if !slate.contains(&item) {
            return item;
        }
    }
}

impl<P: Policy> Policy for EpsilonGreedy<P> {
    type Memory = P::Memory;

    fn begin(&self, rows: usize) -> Result<P::Memory> {
        self.greedy.begin(rows)
    }

    fn rank(
        &self,
        memory: &P::Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.items)?;
        check_candidates(allowed, streams.len(), self.items)?;
        let mut greedy = Slates::with_k(k);
        self.greedy.rank(memory, allowed, k, streams, &mut greedy)?;
        self.explore(&greedy, allowed, k, streams, slates)
    }

    fn observe(
        &self,
        memory: &mut P::Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> Result<()> {
        self.greedy.observe(memory, slates, responses)
    }

    fn select(&self, memory: &P::Memory, rows: &[usize]) -> Result<P::Memory> {
        self.greedy.select(memory, rows)
    }
}

impl<E: Environment + ?Sized, P: Privileged<E>> Privileged<E> for EpsilonGreedy<P> {
    type Memory = P::Memory;

    fn begin(&self, rows: usize) -> Result<P::Memory> {
        self.greedy.begin(rows)
    }

    fn recommend(
        &self,
        memory: &P::Memory,
        state: &E::State,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.items)?;
        let mut greedy = Slates::with_k(k);
        self.greedy.recommend(memory, state, k, streams, &mut greedy)?;
        self.explore(&greedy, None, k, streams, slates)
    }

    fn observe(
        &self,
        memory: &mut P::Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> Result<()> {
        self.greedy.observe(memory, slates, responses)
    }

    fn select(&self, memory: &P::Memory, rows: &[usize]) -> Result<P::Memory> {
        self.greedy.select(memory, rows)
    }
}
