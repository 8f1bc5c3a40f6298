//! A logging policy as shops often have it: popular items are shown more often, and every item with
//! a click has some chance. Its propensities are exact.

use std::borrow::Cow;

use foretaste_data::ItemId;
use foretaste_random::Stream;
use foretaste_settings::Setting;

use super::{check_candidates, check_k};
use crate::draw::{accumulate, proportional};
use crate::memory::without_memory;
use crate::{Candidates, Error, Policy, Propensities, Result, Slates};

/// Items drawn one after the other, without replacement, in proportion to fixed weights
/// (Plackett-Luce).
#[derive(Clone, Debug)]
pub struct Popularity {
    weights: Vec<f64>,
    cumulative: Vec<f64>,
    positive: usize,
}

impl Popularity {
    /// From one weight per item, in any unit: say, its number of clicks. Items of weight 0 are
    /// never shown.
    ///
    /// # Errors
    /// [`Error::Setting`] if a weight is negative or not finite, or their sum is not finite.
    pub fn new(weights: Vec<f64>) -> Result<Self> {
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
            let problem = format!("weight {weight} is negative or not finite");
            return Err(Setting::new("popularity", problem).into());
        }
        let policy = Self::of_weights(weights);
        if policy.cumulative.last().is_some_and(|total| !total.is_finite()) {
            return Err(Setting::new("popularity", "the sum of the weights is not finite").into());
        }
        Ok(policy)
    }

    fn of_weights(weights: Vec<f64>) -> Self {
        let mut cumulative = weights.clone();
        accumulate(&mut cumulative);
        let positive = weights.iter().filter(|&&weight| weight > 0.0).count();
        Self { weights, cumulative, positive }
    }

    /// The same among the items that may be shown to `row`.
    fn among(&self, allowed: Option<&Candidates>, row: usize) -> Cow<'_, Self> {
        let Some(allowed) = allowed else { return Cow::Borrowed(self) };
        let mut weights = self.weights.clone();
        let barred = |(item, _): &(usize, &mut f64)| !allowed.admits(row, ItemId(*item as u32));
        weights.iter_mut().enumerate().filter(barred).for_each(|(_, weight)| *weight = 0.0);
        Cow::Owned(Self::of_weights(weights))
    }

    /// Draws a slate, `[k]`.
    fn draw(&self, slate: &mut [ItemId], stream: &mut Stream) -> Result<()> {
        check_k(slate.len(), self.positive)?;
        let mut remaining = Vec::new();
        for place in 0..slate.len() {
            let item = self.next(&slate[..place], stream, &mut remaining);
            slate[place] =
                item.ok_or_else(|| Error::Contract("no item of positive weight is left".into()))?;
        }
        Ok(())
    }

    /// The next item of a slate. Drawing again while the item is on the slate is drawing from what
    /// remains; when few are left, walking over them is sure to end.
    fn next(
        &self,
        slate: &[ItemId],
        stream: &mut Stream,
        remaining: &mut Vec<f64>,
    ) -> Option<ItemId> {
        const ATTEMPTS: usize = 8;
        for _ in 0..ATTEMPTS {
            let item = ItemId(proportional(&self.cumulative, stream)? as u32);
            if !slate.contains(&item) {
                return Some(item);
            }
        }
        remaining.clone_from(&self.weights);
        slate.iter().for_each(|item| remaining[item.index()] = 0.0);
        accumulate(remaining);
        proportional(remaining, stream).map(|item| ItemId(item as u32))
    }

    /// The probability of each place of `slate`, `[k]`, given those before it.
    fn places(&self, slate: &[ItemId]) -> impl Iterator<Item = f64> {
        // Taking the shown weights off a sum leaves its rounding errors, so a small rest is summed
        // again.
        const SMALL: f64 = 1e-3;
        let mut summed = self.cumulative.last().copied().unwrap_or(0.0);
        let mut left = summed;
        slate.iter().enumerate().map(move |(place, item)| {
            if left < SMALL * summed {
                let shown = |item: usize| slate[..place].contains(&ItemId(item as u32));
                left = self
                    .weights
                    .iter()
                    .enumerate()
                    .filter(|(item, _)| !shown(*item))
                    .map(|(_, weight)| weight)
                    .sum();
                summed = left;
            }
            let weight = self.weights.get(item.index()).copied().unwrap_or(0.0);
            let share = weight / left;
            left -= weight;
            if weight > 0.0 { share.min(1.0) } else { 0.0 }
        })
    }
}

impl Policy for Popularity {
    type Memory = ();

    fn rank(
        &self,
        _memory: &(),
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_candidates(allowed, streams.len(), self.weights.len())?;
        slates.clear(k);
        let (mut slate, mut propensity) = (vec![ItemId(0); k], Vec::new());
        for (row, stream) in streams.iter_mut().enumerate() {
            let among = self.among(allowed, row);
            among.draw(&mut slate, stream)?;
            propensity.clear();
            propensity.extend(among.places(&slate).map(|p| p as f32));
            slates.push(&slate, Some(&propensity));
        }
        Ok(())
    }

    without_memory!();
}

impl Propensities for Popularity {
    fn propensities(
        &self,
        _memory: &(),
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> Result<Vec<f64>> {
        check_candidates(allowed, slates.rows(), self.weights.len())?;
        let mut all = Vec::with_capacity(slates.items().len());
        for row in 0..slates.rows() {
            all.extend(self.among(allowed, row).places(slates.row(row)));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn propensities(weights: &[f64], slate: &[u32]) -> Vec<f32> {
        let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
        let policy = Popularity::new(weights.to_vec()).unwrap();
        policy.places(&slate).map(|p| p as f32).collect()
    }

    /// Sum of the probabilities of all slates of `k` items that begin with `slate`.
    fn sum(weights: &[f64], slate: &mut Vec<u32>, k: usize) -> f64 {
        if slate.len() == k {
            let propensity = propensities(weights, slate);
            assert!(
                propensity.iter().all(|p| *p > 0.0 && *p <= 1.0),
                "{weights:?} {slate:?}: {propensity:?}"
            );
            return propensity.into_iter().map(f64::from).product();
        }
        let mut total = 0.0;
        for item in 0..weights.len() as u32 {
            if !slate.contains(&item) {
                slate.push(item);
                total += sum(weights, slate, k);
                slate.pop();
            }
        }
        total
    }

    proptest! {
        #[test]
        fn propensities_sum_to_one_however_far_apart_the_weights(
            exponents in prop::collection::vec(-18.0f64..18.0, 1..6), k in 1usize..6,
        ) {
            let weights: Vec<f64> = exponents.iter().map(|exponent| 10f64.powf(*exponent)).collect();
            let total = sum(&weights, &mut Vec::new(), k.min(weights.len()));
            prop_assert!((total - 1.0).abs() < 1e-5, "{total}");
        }
    }

    #[test]
    fn small_weights_behind_large_ones_keep_their_propensities() {
        let large_first = [1e8, 1e8 / 3.0, 1e-9, 1e-9, 1e-9];
        assert_eq!(propensities(&large_first, &[0, 1, 2, 3, 4])[1..], [1.0, 1.0 / 3.0, 0.5, 1.0]);
        assert!((sum(&large_first, &mut Vec::new(), 5) - 1.0).abs() < 1e-5);
        assert_eq!(propensities(&[0.1, 0.2, 1e-17], &[1, 0, 2])[2], 1.0);
    }

    #[test]
    fn weights_without_a_finite_sum_are_refused() {
        for weights in [vec![1.0, -1.0], vec![f64::NAN], vec![f64::INFINITY], vec![1e308; 2]] {
            assert!(matches!(Popularity::new(weights), Err(Error::Setting(_))));
        }
    }
}
