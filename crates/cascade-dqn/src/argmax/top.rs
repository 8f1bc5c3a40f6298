//! The best items by score, with ties broken by the smaller item id. The rule makes slates
//! independent of the number of threads, and every policy that ranks items by score uses it.

use foretaste_data::ItemId;
use foretaste_settings::Setting;

use crate::Result;

/// The items of the n largest values seen, largest first; of equal values the item of the smaller
/// id comes first, provided that items are offered in the order of their ids.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Top {
    n: usize,
    entries: Vec<(f32, ItemId)>,
}

impl Top {
    pub fn new(n: usize) -> Self {
        Self { n, entries: Vec::with_capacity(n + 1) }
    }

    /// Values must exceed this one to enter. What is not a number never does.
    #[inline]
    pub fn threshold(&self) -> f32 {
        if self.entries.len() < self.n { f32::NEG_INFINITY } else { self.entries[self.n - 1].0 }
    }

    /// Enters an item whose value exceeds the threshold.
    pub fn enter(&mut self, value: f32, item: ItemId) {
        let place = self.entries.partition_point(|entry| entry.0 >= value);
        self.entries.insert(place, (value, item));
        self.entries.truncate(self.n);
    }

    /// Enters what was seen among items of larger ids.
    pub fn merge(&mut self, later: &Self) {
        for &(value, item) in &later.entries {
            if value > self.threshold() {
                self.enter(value, item);
            }
        }
    }

    pub fn entries(&self) -> &[(f32, ItemId)] {
        &self.entries
    }
}

/// The `k` items of the largest of these scores, which come in the order of the items, largest
/// first; equal ones in the order of the items.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if fewer scores are numbers, or `k` is 0.
pub(crate) fn top_items(
    scores: impl Iterator<Item = (ItemId, f32)>,
    k: usize,
) -> Result<Vec<ItemId>> {
    if k == 0 {
        return Err(Setting::new("k", "0, expected at least 1").into());
    }
    let (mut top, mut all) = (Top::new(k), 0);
    for (item, score) in scores {
        all += 1;
        if score > top.threshold() {
            top.enter(score, item);
        }
    }
    let found = top.entries.len();
    match found == k {
        true => Ok(top.entries.into_iter().map(|entry| entry.1).collect()),
        false => {
            let problem = format!("{k} items, but {found} of {all} scores are numbers");
            Err(Setting::new("k", problem).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_largest_are_kept_and_ties_go_to_the_smaller_id(
            values in prop::collection::vec(prop_oneof![9 => (-3i8..3).prop_map(f32::from), 1 => Just(f32::NAN)], 0..30),
            n in 1usize..5,
            cut in 0usize..30,
        ) {
            let offer = |part: std::ops::Range<usize>| {
                let mut top = Top::new(n);
                for item in part {
                    if values[item] > top.threshold() {
                        top.enter(values[item], ItemId(item as u32));
                    }
                }
                top
            };
            let mut expected: Vec<usize> = (0..values.len()).filter(|&item| !values[item].is_nan()).collect();
            expected.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
            expected.truncate(n);
            let whole = offer(0..values.len());
            prop_assert_eq!(whole.entries().iter().map(|entry| entry.1.index()).collect::<Vec<_>>(), expected);
            let cut = cut.min(values.len());
            let mut merged = offer(0..cut);
            merged.merge(&offer(cut..values.len()));
            prop_assert_eq!(merged, whole);
        }
    }
}
