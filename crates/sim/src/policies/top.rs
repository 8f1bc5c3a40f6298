use foretaste_data::ItemId;
use foretaste_random::Stream;

use super::{check_k, show_to_all, top_k};
use crate::{Environment, Policy, Responses, Result, Slates};

/// The k items of the largest fixed scores, largest first, to everyone at every step.
/// Deterministic: propensity 1.
#[derive(Clone, Debug)]
pub struct TopItems {
    ranking: Vec<ItemId>,
}

impl TopItems {
    /// From one score per item; equal scores rank in the order of the items.
    pub fn new(scores: &[f64]) -> Self {
        Self { ranking: top_k(scores, scores.len()) }
    }
}

impl<E: Environment + ?Sized> Policy<E> for TopItems {
    type Memory = ();

    fn begin(&self, _rows: usize) -> Result<()> {
        Ok(())
    }

    fn recommend(
        &self,
        _memory: &(),
        _state: &E::State,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.ranking.len())?;
        show_to_all(&self.ranking[..k], streams.len(), slates);
        Ok(())
    }

    fn observe(&self, _memory: &mut (), _slates: &Slates, _responses: &Responses) -> Result<()> {
        Ok(())
    }

    fn select(&self, _memory: &(), _rows: &[usize]) -> Result<()> {
        Ok(())
    }
}
