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

use foretaste_data::ItemId;

use crate::{Error, Result, Slates};

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

/// One certain slate for every row.
fn show_to_all(slate: &[ItemId], rows: usize, slates: &mut Slates) {
    slates.clear(slate.len());
    let certain = vec![1.0; slate.len()];
    for _ in 0..rows {
        slates.push(slate, Some(&certain));
    }
}

fn check_k(k: usize, available: usize) -> Result<()> {
    if k <= available {
        return Ok(());
    }
    Err(Error::setting("k", format!("{k} items from {available} that can be shown")))
}
