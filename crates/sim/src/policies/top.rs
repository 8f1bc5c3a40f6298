//! The same slate for everyone at every step: what a recommender earns that ignores what users do.

use foretaste_data::ItemId;
use foretaste_random::Stream;

use super::{certain, check_candidates, check_k, top_k};
use crate::memory::without_memory;
use crate::{Candidates, Policy, Propensities, Result, Slates};

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

    /// The slate of `k` items for a row.
    fn slate(&self, allowed: Option<&Candidates>, row: usize, k: usize) -> Result<Vec<ItemId>> {
        let admitted = |item: &ItemId| allowed.is_none_or(|allowed| allowed.admits(row, *item));
        let slate: Vec<ItemId> = self.ranking.iter().copied().filter(admitted).take(k).collect();
        check_k(k, slate.len())?;
        Ok(slate)
    }
}

impl Policy for TopItems {
    type Memory = ();

    fn rank(
        &self,
        _memory: &(),
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.ranking.len())?;
        check_candidates(allowed, streams.len(), self.ranking.len())?;
        slates.clear(k);
        for row in 0..streams.len() {
            match allowed {
                None => slates.push_certain(&self.ranking[..k]),
                Some(_) => slates.push_certain(&self.slate(allowed, row, k)?),
            }
        }
        Ok(())
    }

    without_memory!();
}

impl Propensities for TopItems {
    fn propensities(
        &self,
        _memory: &(),
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> Result<Vec<f64>> {
        check_candidates(allowed, slates.rows(), self.ranking.len())?;
        let mut all = Vec::with_capacity(slates.items().len());
        for row in 0..slates.rows() {
            all.extend(certain(slates.row(row), &self.slate(allowed, row, slates.k())?));
        }
        Ok(all)
    }
}
