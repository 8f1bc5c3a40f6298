//! The best slate where users choose one item in proportion to weights: exactly for one kind of
//! user, and approximately for a mixture of kinds. The optimal policies of both kinds of users are
//! built on it.

use foretaste_data::ItemId;

use crate::policies::top_k;

/// A slate and what it is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct BestSlate {
    /// The items; their order carries no meaning.
    pub items: Vec<ItemId>,
    /// The objective at these items.
    pub value: f64,
}

/// The slate of `k` items that maximizes Σ_{j∈A} a_j w_j / (c + Σ_{j∈A} a_j), exactly.
///
/// This is the value of a slate whose item j is chosen with weight a_j against an outside option of
/// weight c and is then worth w_j. Dinkelbach's method: a slate of value λ is improved by the k
/// items of largest a_j (w_j - λ) until none improves; it ends after a handful of rounds, each
/// O(n). Where all weights are 0 a slate is worth 0. `a` and `w` are `[n]`, `a` and `c` not
/// negative.
///
/// # Panics
/// If `a` and `w` differ in length or hold fewer than `k` items.
pub fn best_slate(a: &[f64], w: &[f64], c: f64, k: usize) -> BestSlate {
    assert!(
        a.len() == w.len() && k <= a.len(),
        "{} weights, {} worths, slates of {k}",
        a.len(),
        w.len()
    );
    let worth = |items: &[ItemId]| {
        let (total, weight) = items.iter().fold((0.0, c), |(total, weight), item| {
            let a = a[item.index()];
            (total + a * w[item.index()], weight + a)
        });
        if weight > 0.0 { total / weight } else { 0.0 }
    };
    let mut items = top_k(a, k);
    let mut value = worth(&items);
    loop {
        let scores: Vec<f64> = a.iter().zip(w).map(|(a, w)| a * (w - value)).collect();
        let candidate = top_k(&scores, k);
        let better = worth(&candidate);
        if better <= value {
            return BestSlate { items, value };
        }
        (items, value) = (candidate, better);
    }
}

/// A user who is one of several: component s has probability p_s, item weights a_s and worths w_s,
/// and the slate is worth Σ_s p_s Σ_j a_sj w_sj / (c_s + Σ_j a_sj).
#[derive(Clone, Debug)]
pub(super) struct Mixture {
    pub(super) k: usize,
    pub(super) components: Vec<Component>,
}

#[derive(Clone, Debug)]
pub(super) struct Component {
    pub(super) probability: f64,
    pub(super) a: Vec<f64>,
    pub(super) w: Vec<f64>,
    pub(super) c: f64,
}

/// Σ_j a_j w_j and c + Σ_j a_j of a slate under one component.
type Sums = (f64, f64);

impl Mixture {
    /// The best slate: exact for one component and where the catalogue has at most `exhaustive`
    /// slates, else the best that ascent followed by swaps of single items finds, which bounds the
    /// maximum from below.
    pub(super) fn best(&self, exhaustive: usize) -> BestSlate {
        if let [only] = &self.components[..] {
            let best = best_slate(&only.a, &only.w, only.c, self.k);
            return BestSlate { value: only.probability * best.value, ..best };
        }
        let items = self.components[0].a.len();
        if subsets_up_to(items, self.k, exhaustive) {
            return self.best_of_all(items);
        }
        let mut best = self.improve(self.likeliest());
        let other = self.improve(self.average());
        if other.value > best.value {
            best = other;
        }
        best
    }

    /// The items of the [`best`](Self::best) slate of `candidates`, which are in the order of the
    /// catalogue.
    pub(super) fn best_among(&self, candidates: &[ItemId], exhaustive: usize) -> Vec<ItemId> {
        let pick = |all: &[f64]| candidates.iter().map(|item| all[item.index()]).collect();
        let restricted = |&Component { probability, ref a, ref w, c }: &Component| Component {
            probability,
            a: pick(a),
            w: pick(w),
            c,
        };
        let components = self.components.iter().map(restricted).collect();
        let best = Self { k: self.k, components }.best(exhaustive);
        best.items.iter().map(|place| candidates[place.index()]).collect()
    }

    pub(super) fn value(&self, slate: &[ItemId]) -> f64 {
        self.worth(&self.sums(slate))
    }

    fn best_of_all(&self, items: usize) -> BestSlate {
        let mut best = BestSlate { items: Vec::new(), value: f64::NEG_INFINITY };
        for_each_subset(items, self.k, |slate| {
            let value = self.value(slate);
            if value > best.value {
                best = BestSlate { items: slate.to_vec(), value };
            }
        });
        best
    }

    /// The best slate for the likeliest component alone.
    fn likeliest(&self) -> Vec<ItemId> {
        let by_probability =
            |a: &&Component, b: &&Component| a.probability.total_cmp(&b.probability);
        let likeliest = self.components.iter().max_by(by_probability);
        likeliest.map_or_else(Vec::new, |component| {
            best_slate(&component.a, &component.w, component.c, self.k).items
        })
    }

    /// The best slate for the component that the others average to.
    fn average(&self) -> Vec<ItemId> {
        let items = self.components[0].a.len();
        let (mut a, mut aw, mut c) = (vec![0.0; items], vec![0.0; items], 0.0);
        for component in &self.components {
            c += component.probability * component.c;
            for item in 0..items {
                let weight = component.probability * component.a[item];
                a[item] += weight;
                aw[item] += weight * component.w[item];
            }
        }
        let w: Vec<f64> =
            aw.iter().zip(&a).map(|(aw, a)| if *a > 0.0 { aw / a } else { 0.0 }).collect();
        best_slate(&a, &w, c, self.k).items
    }

    /// Ascends by linearizing each ratio at the present slate, then swaps single items while that
    /// helps.
    fn improve(&self, start: Vec<ItemId>) -> BestSlate {
        let mut items = start;
        let mut value = self.value(&items);
        loop {
            let candidate = top_k(&self.gradient(&items), self.k);
            let better = self.value(&candidate);
            if better <= value {
                break;
            }
            (items, value) = (candidate, better);
        }
        while self.swap(&mut items, &mut value) {}
        BestSlate { items, value }
    }

    fn gradient(&self, slate: &[ItemId]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.components[0].a.len()];
        for (component, (total, weight)) in self.components.iter().zip(self.sums(slate)) {
            let (ratio, scale) = if weight > 0.0 {
                (total / weight, component.probability / weight)
            } else {
                (0.0, 1.0)
            };
            for (gradient, (a, w)) in gradient.iter_mut().zip(component.a.iter().zip(&component.w))
            {
                *gradient += scale * a * (w - ratio);
            }
        }
        gradient
    }

    /// Makes the best exchange of one item, if one helps by more than rounding.
    fn swap(&self, items: &mut [ItemId], value: &mut f64) -> bool {
        let sums = self.sums(items);
        let mut best = (*value + 1e-12 * value.abs(), None);
        for place in 0..items.len() {
            for new in (0..self.components[0].a.len() as u32)
                .map(ItemId)
                .filter(|item| !items.contains(item))
            {
                let swapped =
                    self.components.iter().zip(&sums).map(|(component, &(total, weight))| {
                        let (old, new) = (items[place].index(), new.index());
                        let (a, w) = (&component.a, &component.w);
                        let total = total - a[old] * w[old] + a[new] * w[new];
                        component.probability * ratio((total, weight - a[old] + a[new]))
                    });
                let worth = swapped.sum();
                if worth > best.0 {
                    best = (worth, Some((place, new)));
                }
            }
        }
        let Some((place, item)) = best.1 else { return false };
        items[place] = item;
        let before = std::mem::replace(value, self.value(items));
        *value > before
    }

    fn sums(&self, slate: &[ItemId]) -> Vec<Sums> {
        let add = |component: &Component| {
            slate.iter().fold((0.0, component.c), |(total, weight), item| {
                let a = component.a[item.index()];
                (total + a * component.w[item.index()], weight + a)
            })
        };
        self.components.iter().map(add).collect()
    }

    fn worth(&self, sums: &[Sums]) -> f64 {
        self.components
            .iter()
            .zip(sums)
            .map(|(component, &sums)| component.probability * ratio(sums))
            .sum()
    }
}

fn ratio((total, weight): Sums) -> f64 {
    if weight > 0.0 { total / weight } else { 0.0 }
}

/// Whether n items have at most `limit` subsets of k.
fn subsets_up_to(n: usize, k: usize, limit: usize) -> bool {
    let mut count = 1.0;
    for place in 0..k.min(n - k) {
        count *= (n - place) as f64 / (place + 1) as f64;
        if count > limit as f64 {
            return false;
        }
    }
    true
}

/// Calls `visit` with every subset of k of n items, in lexicographic order.
pub(super) fn for_each_subset(n: usize, k: usize, mut visit: impl FnMut(&[ItemId])) {
    let mut subset: Vec<ItemId> = (0..k as u32).map(ItemId).collect();
    loop {
        visit(&subset);
        let Some(place) = (0..k).rev().find(|&place| subset[place].index() < n - k + place) else {
            return;
        };
        let first = subset[place].0 + 1;
        for (offset, item) in subset[place..].iter_mut().enumerate() {
            *item = ItemId(first + offset as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mixture() -> impl Strategy<Value = Mixture> {
        (1usize..4, 1usize..8, 0.0f64..1.0).prop_flat_map(|(components, n, share)| {
            let k = ((n as f64 * share) as usize).clamp(1, n);
            let row = move |low| prop::collection::vec(low..1.0f64, n);
            let component = (0.01f64..1.0, row(0.0), row(-1.0), 0.0f64..2.0)
                .prop_map(|(probability, a, w, c)| Component { probability, a, w, c });
            prop::collection::vec(component, components)
                .prop_map(move |components| Mixture { k, components })
        })
    }

    proptest! {
        #[test]
        fn best_slate_equals_brute_force(mixture in mixture()) {
            let one = Mixture { k: mixture.k, components: mixture.components[..1].to_vec() };
            let brute = one.best_of_all(one.components[0].a.len());
            let found = one.best(0);
            prop_assert!((found.value - brute.value).abs() < 1e-12);
            prop_assert!((one.value(&found.items) - found.value).abs() < 1e-12);
        }

        #[test]
        fn ascent_and_swaps_give_a_lower_bound_that_no_swap_improves(mixture in mixture()) {
            let n = mixture.components[0].a.len();
            let brute = mixture.best_of_all(n);
            let mut found = mixture.best(0);
            prop_assert!(found.value <= brute.value + 1e-12);
            prop_assert!((mixture.value(&found.items) - found.value).abs() < 1e-12);
            let before = found.value;
            mixture.swap(&mut found.items, &mut found.value);
            prop_assert!(found.value - before < 1e-9);
        }

        #[test]
        fn subsets_are_counted(n in 1usize..10, share in 0.0f64..=1.0) {
            let k = ((n as f64 * share) as usize).max(1);
            let mut count = 0;
            for_each_subset(n, k, |_| count += 1);
            prop_assert!(subsets_up_to(n, k, count) && (count == 1 || !subsets_up_to(n, k, count - 1)));
        }
    }
}
