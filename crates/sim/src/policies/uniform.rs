//! The logging policy π_random of IRecGAN §7.1. It gives every slate the same chance, so its log
//! can be used to judge any other policy.

use foretaste_data::ItemId;
use foretaste_random::Stream;

use super::{check_candidates, check_k, subsets};
use crate::draw::Subsets;
use crate::memory::without_memory;
use crate::{Candidates, Policy, Propensities, Result, Slates};

/// π_random (IRecGAN §7.1): every ordered slate of k distinct items below `items` with the same
/// probability.
#[derive(Clone, Copy, Debug)]
pub struct UniformRandom {
    /// Size of the catalogue n.
    pub items: usize,
}

impl UniformRandom {
    /// The probability that it shows `k` given items, in any order.
    pub fn slate_probability(&self, k: usize) -> f64 {
        1.0 / subsets(self.items, k)
    }
}

impl Policy for UniformRandom {
    type Memory = ();

    fn rank(
        &self,
        _memory: &(),
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_candidates(allowed, streams.len(), self.items)?;
        slates.clear(k);
        let Some(allowed) = allowed else {
            let mut draw = Draw::new(self.items, k)?;
            streams.iter_mut().for_each(|stream| draw.push(stream, slates, |item| item));
            return Ok(());
        };
        for (row, stream) in streams.iter_mut().enumerate() {
            let items = allowed.of_row(row, self.items);
            Draw::new(items.len(), k)?.push(stream, slates, |place| items[place.index()]);
        }
        Ok(())
    }

    without_memory!();
}

impl Propensities for UniformRandom {
    fn propensities(
        &self,
        _memory: &(),
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> Result<Vec<f64>> {
        check_candidates(allowed, slates.rows(), self.items)?;
        let mut all = Vec::with_capacity(slates.items().len());
        for row in 0..slates.rows() {
            let items = allowed.map_or(self.items, |allowed| allowed.of_row(row, self.items).len());
            all.extend(slates.row(row).iter().enumerate().map(|(place, &item)| {
                let shown = item.index() < self.items
                    && allowed.is_none_or(|allowed| allowed.admits(row, item));
                if shown { 1.0 / items.saturating_sub(place) as f64 } else { 0.0 }
            }));
        }
        Ok(all)
    }
}

/// Ordered slates of k of so many items, each with the same probability.
struct Draw {
    subsets: Subsets,
    propensity: Vec<f32>,
}

impl Draw {
    fn new(items: usize, k: usize) -> Result<Self> {
        check_k(k, items)?;
        let propensity = (0..k).map(|place| 1.0 / (items - place) as f32).collect();
        Ok(Self { subsets: Subsets::new(items, k), propensity })
    }

    /// Appends a slate whose items are `item` of the drawn places.
    fn push(&mut self, stream: &mut Stream, slates: &mut Slates, item: impl Fn(ItemId) -> ItemId) {
        slates.push_with(Some(&self.propensity), |slate| {
            self.subsets.draw(stream, slate);
            slate.iter_mut().for_each(|place| *place = item(*place));
        });
    }
}
