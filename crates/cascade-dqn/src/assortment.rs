//! A policy for users whose choices are a multinomial logit: the best slate for one step, with no
//! regard for later steps. It is apart from `greedy.rs` because the items of a slate compete for
//! one click, so the best slate need not consist of the best items.

use foretaste_data::{ItemId, RecentClicks};
use foretaste_eval::choice::ChoiceModel;
use foretaste_random::Stream;
use foretaste_settings::Setting;
use foretaste_sim::{Candidates, Policy, Slates};

use crate::argmax::top_items;
use crate::policy::{remembers_clicks, show};
use crate::{Greedy, Result};

/// Shows the slate whose expected reward is the largest at once, where users choose one of its
/// items, or nothing, by a multinomial logit: the assortment of k items that maximizes
/// (Σ wᵢ pᵢ + p₀) / (Σ wᵢ + 1), wᵢ = exp(uᵢ), over the items i of the slate. Without the option of
/// choosing nothing, the terms p₀ and 1 are absent. Deterministic: propensity 1.
///
/// The slate is exact. For the largest value z, it is the k items of the largest wᵢ (pᵢ - z), and z
/// is found by Dinkelbach's iteration for fractional programs (Management Science 13(7), 1967),
/// which raises it at each step. Where all items pay the same, and more than choosing nothing does,
/// it is the slate of [`Greedy`].
#[derive(Clone, Debug)]
pub struct Assortment<M> {
    choices: Greedy<M>,
    eta: f64,
    pays: Pays,
}

/// What a step pays in expectation, given what the user did.
#[derive(Clone, Debug, PartialEq)]
pub struct Pays {
    /// p: of a choice of each item, `[K]`.
    pub items: Vec<f32>,
    /// p₀: of choosing nothing, where users may, with utility 0.
    pub nothing: Option<f32>,
}

impl<M: ChoiceModel> Assortment<M> {
    /// By a model whose scores, times `eta`, are the utilities u of the items; it is given the last
    /// `history` clicks of a user.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a number is not finite.
    pub fn new(model: M, history: usize, eta: f64, pays: Pays) -> Result<Self> {
        let numbers = pays.items.iter().chain(&pays.nothing);
        if !eta.is_finite() || numbers.clone().any(|number| !number.is_finite()) {
            return Err(Setting::new("pays", "expected finite numbers").into());
        }
        Ok(Self { choices: Greedy::new(model, pays.items.len(), history), eta, pays })
    }

    /// The slate of one user, for whom the items that may be shown, in their order, have these
    /// scores.
    fn slate(&self, items: &[ItemId], scores: &[f32], k: usize) -> Result<Vec<ItemId>> {
        let utilities: Vec<f64> = scores.iter().map(|&score| self.eta * f64::from(score)).collect();
        // Weights are relative to the largest, so that none overflows, and never 0, so that every
        // slate has a value.
        let nothing = self.pays.nothing.map(|pays| (0.0, f64::from(pays)));
        let least = nothing.map_or(f64::NEG_INFINITY, |(utility, _)| utility);
        let largest = utilities.iter().copied().fold(least, f64::max);
        let weight = |utility: f64| (utility - largest).exp().max(f64::MIN_POSITIVE);
        let pays = |item: ItemId| f64::from(self.pays.items[item.index()]);
        let nothing = nothing.map_or((0.0, 0.0), |(utility, pays)| (weight(utility), pays));
        let weights: Vec<f64> = utilities.into_iter().map(weight).collect();
        let best_at = |z: f64| {
            let margins = items
                .iter()
                .zip(&weights)
                .map(|(&item, weight)| (item, (weight * (pays(item) - z)) as f32));
            top_items(margins, k)
        };
        let value = |slate: &[ItemId]| {
            let place = |item: &ItemId| items.binary_search(item).unwrap_or_default();
            let start = (nothing.0 * nothing.1, nothing.0);
            let (paid, all) = slate.iter().fold(start, |(paid, all), item| {
                let weight = weights[place(item)];
                (paid + weight * pays(*item), all + weight)
            });
            paid / all
        };
        let mut best = best_at(0.0)?;
        loop {
            let z = value(&best);
            let next = best_at(z)?;
            if value(&next) <= z {
                return Ok(best);
            }
            best = next;
        }
    }
}

impl<M: ChoiceModel> Policy for Assortment<M> {
    type Memory = RecentClicks;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<RecentClicks> {
        self.choices.begin(rows)
    }

    fn rank(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
        k: usize,
        _streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        if let Some(allowed) = allowed {
            allowed.check(clicks.rows(), self.pays.items.len())?;
        }
        let scored = self.choices.scored(clicks, allowed)?;
        let slate = |(row, scores): (usize, Vec<f32>)| {
            self.slate(&self.choices.items_of(allowed, row), &scores, k)
        };
        let chosen = scored.into_iter().enumerate().map(slate).collect::<Result<Vec<_>>>()?;
        show(&chosen.concat(), k, slates);
        Ok(())
    }

    remembers_clicks!();
}

#[cfg(test)]
mod tests {
    use foretaste_data::Log;
    use foretaste_eval::choice::Prediction;
    use proptest::prelude::*;

    use super::*;

    /// Never asked: the tests have scores of their own.
    struct NoModel;

    impl ChoiceModel for NoModel {
        fn predict(&self, _: &Log, _: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
            Ok(Vec::new())
        }
    }

    fn assortment(pays: &[f32], nothing: Option<f32>) -> Assortment<NoModel> {
        let pays = Pays { items: pays.to_vec(), nothing };
        Assortment::new(NoModel, 5, 1.5, pays).unwrap()
    }

    fn value(of: &Assortment<NoModel>, scores: &[f32], slate: &[usize]) -> f64 {
        let weight = |&item: &usize| (of.eta * f64::from(scores[item])).exp();
        let (own, paid) = match of.pays.nothing {
            Some(pays) => (1.0, f64::from(pays)),
            None => (0.0, 0.0),
        };
        let all: f64 = own + slate.iter().map(weight).sum::<f64>();
        let pays = |item: &usize| weight(item) * f64::from(of.pays.items[*item]);
        (paid + slate.iter().map(pays).sum::<f64>()) / all
    }

    proptest! {
        #[test]
        fn no_slate_pays_more(
            items in prop::collection::vec((-3.0f32..3.0, -2.0f32..5.0), 5),
            nothing in prop::option::of(-2.0f32..2.0),
            k in 1usize..=5,
        ) {
            let (scores, pays): (Vec<f32>, Vec<f32>) = items.into_iter().unzip();
            let of = assortment(&pays, nothing);
            let ids: Vec<ItemId> = (0..5).map(ItemId).collect();
            let slate = of.slate(&ids, &scores, k).unwrap();
            let slate: Vec<usize> = slate.iter().map(|item| item.index()).collect();
            let best = (0u32..32).filter(|set| set.count_ones() as usize == k).map(|set| {
                let slate: Vec<usize> = (0..5).filter(|item| set >> item & 1 == 1).collect();
                value(&of, &scores, &slate)
            }).fold(f64::NEG_INFINITY, f64::max);
            let found = value(&of, &scores, &slate);
            prop_assert!((found - best).abs() <= 1e-5 * best.abs().max(1.0), "{found} of {best}");
        }

        #[test]
        fn where_all_items_pay_the_same_the_likeliest_are_shown(
            scores in prop::collection::vec(-3.0f32..3.0, 6), pay in 0.1f32..5.0, k in 1usize..=6,
        ) {
            let ids: Vec<ItemId> = (0..6).map(ItemId).collect();
            let found = assortment(&[pay; 6], Some(0.0)).slate(&ids, &scores, k).unwrap();
            let liked = top_items(ids.iter().copied().zip(scores), k).unwrap();
            prop_assert_eq!(found, liked);
        }
    }

    /// The liked item costs 2, and the weights of the others are too small to matter.
    #[test]
    fn utilities_however_far_apart_make_a_slate() {
        let ids: Vec<ItemId> = (0..3).map(ItemId).collect();
        let of = assortment(&[-2.0, 1.0, 1.0], None);
        assert_eq!(of.slate(&ids, &[1e4, 0.0, 1.0], 2).unwrap(), [ItemId(1), ItemId(2)]);
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let pays = Pays { items: vec![1.0, f32::NAN], nothing: None };
        assert!(Assortment::new(NoModel, 5, 1.0, pays.clone()).is_err());
        let pays = Pays { items: vec![1.0, 2.0], ..pays };
        assert!(Assortment::new(NoModel, 5, f64::INFINITY, pays).is_err());
    }
}
