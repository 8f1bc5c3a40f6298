//! Logging policies: what fills a log before anything is learned, with the propensity of every
//! place.

mod epsilon;
mod popularity;
mod reward;
mod top;
mod uniform;

pub use epsilon::EpsilonGreedy;
pub use popularity::Popularity;
pub use reward::{MaxReward, MixReward};
pub use top::TopItems;
pub use uniform::UniformRandom;

use std::borrow::Cow;

use foretaste_data::ItemId;
use foretaste_settings::Setting;

use crate::{Candidates, Result};

/// The number of subsets of `k` out of `n`.
fn subsets(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

/// The `k` items of the largest scores, largest first; equal scores in the order of the items.
pub(crate) fn top_k(scores: &[f64], k: usize) -> Vec<ItemId> {
    let mut items: Vec<ItemId> = (0..scores.len() as u32).map(ItemId).collect();
    let better =
        |a: &ItemId, b: &ItemId| scores[b.index()].total_cmp(&scores[a.index()]).then(a.cmp(b));
    if k < items.len() {
        items.select_nth_unstable_by(k, better);
        items.truncate(k);
    }
    items.sort_unstable_by(better);
    items
}

/// The items that may be shown to `row` out of a catalogue of `items`, in its order.
pub(crate) fn items_of(
    allowed: Option<&Candidates>,
    row: usize,
    items: usize,
) -> Cow<'_, [ItemId]> {
    match allowed {
        Some(allowed) => allowed.of_row(row, items),
        None => (0..items as u32).map(ItemId).collect(),
    }
}

/// Refuses candidates that do not fit a batch of `rows` and a catalogue of `items`.
pub(crate) fn check_candidates(
    allowed: Option<&Candidates>,
    rows: usize,
    items: usize,
) -> Result<()> {
    allowed.map_or(Ok(()), |allowed| allowed.check(rows, items))
}

/// The probability of each of `slate`'s places under a policy that shows `shown` for certain: 1 up
/// to the first that differs, 0 from there on.
fn certain(slate: &[ItemId], shown: &[ItemId]) -> impl Iterator<Item = f64> {
    let agree = slate.iter().zip(shown).take_while(|(item, shown)| item == shown).count();
    (0..slate.len()).map(move |place| f64::from(u8::from(place < agree)))
}

pub(crate) fn check_k(k: usize, available: usize) -> Result<()> {
    if k <= available {
        return Ok(());
    }
    Err(Setting::new("k", format!("{k} items from {available} that can be shown")).into())
}
