use foretaste_data::ItemId;
use foretaste_random::Stream;
use rand::Rng;

use super::check_k;
use crate::{Environment, Error, Policy, Responses, Result, Slates};

/// ε-greedy, place by place: with probability ε an item drawn uniformly from those not yet on the
/// slate, otherwise the first item of the greedy policy's slate that is not yet on it.
///
/// Propensities are logged if the greedy policy is deterministic and says so by propensities of 1;
/// for one that randomises, the probability of a place given the places before it is not known.
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
    /// [`Error::Setting`] if `epsilon` is not in \[0, 1\].
    pub fn new(greedy: P, epsilon: f64, items: usize) -> Result<Self> {
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(Error::setting("epsilon", format!("{epsilon} is not in [0, 1]")));
        }
        Ok(Self { greedy, epsilon, items })
    }

    /// The uniform draw from the items that are not on the slate.
    fn explore(&self, slate: &[ItemId], stream: &mut Stream) -> ItemId {
        loop {
            let item = ItemId(stream.random_range(0..self.items as u32));
            if !slate.contains(&item) {
                return item;
            }
        }
    }
}

impl<E: Environment + ?Sized, P: Policy<E>> Policy<E> for EpsilonGreedy<P> {
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
        let deterministic = greedy.propensities().is_some_and(|all| all.iter().all(|&p| p == 1.0));
        slates.clear(k);
        let (mut slate, mut propensity) = (Vec::new(), Vec::new());
        for (row, stream) in streams.iter_mut().enumerate() {
            slate.clear();
            propensity.clear();
            for place in 0..k {
                // Of k distinct greedy items, fewer than k stand on the slate.
                let best = greedy.row(row).iter().copied().find(|item| !slate.contains(item));
                let explores = stream.random_bool(self.epsilon);
                let item =
                    best.filter(|_| !explores).unwrap_or_else(|| self.explore(&slate, stream));
                let chance = self.epsilon / (self.items - place) as f64;
                let greedily = if best == Some(item) { 1.0 - self.epsilon } else { 0.0 };
                propensity.push((chance + greedily) as f32);
                slate.push(item);
            }
            slates.push(&slate, deterministic.then_some(&propensity[..]));
        }
        Ok(())
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
