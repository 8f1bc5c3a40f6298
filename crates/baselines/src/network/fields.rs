//! From slates to the index tensors of the networks. Both architectures read the same fields, and
//! what the items of a slate share is stored once for each slate.

use candle_core::{DType, Device, Tensor};
use foretaste_nn::lookup;

use crate::{Impressions, Result};

/// Places from this on share their weights.
pub(crate) const PLACES: usize = 64;

/// Some slates as the sparse fields of wide & deep and DeepFM. An entry is one shown item of one
/// slate; entries of a slate stand together, in the order shown.
pub(crate) struct Fields {
    /// The item of each entry.
    pub items: Vec<u32>,
    /// Its place in the slate, at most [`PLACES`] - 1.
    pub places: Vec<u32>,
    /// Its slate, `[entries]`.
    pub slate_of_entry: Tensor,
    /// Its context features, `[entries, numbers]`, where they are wanted.
    pub context: Option<Tensor>,
    /// ln(1 + the number of clicks before) of each slate, `[impressions, 1]`.
    pub length: Tensor,
    /// The last clicks before each slate; `None` if there is none before any.
    history: Option<History>,
}

/// The last clicks before some slates.
struct History {
    /// The clicked items.
    items: Vec<u32>,
    /// The slate that each comes before, `[clicks]`.
    slate_of_click: Tensor,
    /// 1 over the number of these clicks before that slate, `[clicks, 1]`.
    share: Tensor,
    pairs: Option<Pairs>,
}

/// The pairs of a distinct click and a shown item of the same slate.
struct Pairs {
    /// Each as a number below the number of buckets, `[pairs]`.
    bucket: Tensor,
    /// Its entry, `[pairs]`.
    entry: Tensor,
}

/// The clicked place of some slates that all have one.
pub(crate) struct Choices {
    /// 1 + the entry at each place of each slate, 0 where it has no such place,
    /// `[impressions · widest]`.
    pub entry_of_place: Tensor,
    /// Whether the slate has the place, `[impressions, widest]` (u8).
    pub mask: Tensor,
    /// The clicked place, `[impressions, 1]`.
    pub clicked: Tensor,
}

impl Fields {
    /// The slates of the given numbers. The `window` last clicks are their history, whose pairs
    /// with shown items fall into `buckets`; without buckets there are no pairs.
    pub fn new(
        impressions: &Impressions<'_>,
        wanted: &[usize],
        window: usize,
        buckets: Option<u32>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let (mut items, mut places, mut slate_of_entry) = (Vec::new(), Vec::new(), Vec::new());
        let (mut clicks, mut slate_of_click, mut share) = (Vec::new(), Vec::new(), Vec::new());
        let (mut pairs, mut entry_of_pair, mut length) = (Vec::new(), Vec::new(), Vec::new());
        for (impression, shown) in wanted.iter().map(|&index| impressions.get(index)).enumerate() {
            let entries = items.len()..items.len() + shown.slate.len();
            let history = impressions.history(shown);
            length.push((history.len() as f64).ln_1p());
            let recent = &history[history.len().saturating_sub(window)..];
            for (at, click) in recent.iter().enumerate() {
                clicks.push(click.0);
                slate_of_click.push(impression as u32);
                share.push(1.0 / recent.len() as f64);
                if let Some(buckets) = buckets.filter(|_| !recent[..at].contains(click)) {
                    pairs.extend(shown.slate.iter().map(|item| bucket(click.0, item.0, buckets)));
                    entry_of_pair.extend(entries.clone().map(|entry| entry as u32));
                }
            }
            items.extend(shown.slate.iter().map(|item| item.0));
            places.extend((0..shown.slate.len()).map(|place| place.min(PLACES - 1) as u32));
            slate_of_entry.extend(entries.map(|_| impression as u32));
        }
        let column = |values: Vec<f64>| {
            let rows = values.len();
            Tensor::from_vec(values, (rows, 1), device)?.to_dtype(dtype)
        };
        let history = if clicks.is_empty() {
            None
        } else {
            let pairs = match buckets {
                Some(_) => Some(Pairs {
                    bucket: Tensor::new(pairs, device)?,
                    entry: Tensor::new(entry_of_pair, device)?,
                }),
                None => None,
            };
            Some(History {
                items: clicks,
                slate_of_click: Tensor::new(slate_of_click, device)?,
                share: column(share)?,
                pairs,
            })
        };
        Ok(Self {
            items,
            places,
            slate_of_entry: Tensor::new(slate_of_entry, device)?,
            context: None,
            length: column(length)?,
            history,
        })
    }

    /// The mean of the rows of `table [items, width]` over the history of each slate, zero for an
    /// empty one: `[impressions, width]`.
    pub fn mean_of_history(&self, table: &Tensor) -> Result<Tensor> {
        let zeros =
            Tensor::zeros((self.length.dim(0)?, table.dim(1)?), table.dtype(), table.device())?;
        Ok(match &self.history {
            Some(history) => {
                let clicked = lookup(table, &history.items)?.broadcast_mul(&history.share)?;
                zeros.index_add(&history.slate_of_click, &clicked, 0)?
            }
            None => zeros,
        })
    }

    /// `sums [entries, 1]` plus, for every entry, the weights `[buckets, 1]` of its pairs.
    pub fn add_pairs(&self, sums: Tensor, weights: &Tensor) -> Result<Tensor> {
        Ok(match self.history.as_ref().and_then(|history| history.pairs.as_ref()) {
            // Not a look-up of rows: a batch has so many pairs that sorting them costs more than a
            // gradient of all weights.
            Some(pairs) => {
                let of_pairs = weights.squeeze(1)?.gather(&pairs.bucket, 0)?;
                sums.squeeze(1)?.index_add(&pairs.entry, &of_pairs, 0)?.unsqueeze(1)?
            }
            None => sums,
        })
    }
}

impl Choices {
    /// The slates of the given numbers, whose entries stand in this order.
    pub fn new(impressions: &Impressions<'_>, wanted: &[usize], device: &Device) -> Result<Self> {
        let sizes = || wanted.iter().map(|&index| impressions.get(index).slate.len());
        let widest = sizes().max().unwrap_or(0);
        let (mut entry_of_place, mut mask, mut first) = (Vec::new(), Vec::new(), 1);
        for size in sizes() {
            entry_of_place.extend(
                (0..widest).map(|place| if place < size { (first + place) as u32 } else { 0 }),
            );
            mask.extend((0..widest).map(|place| u8::from(place < size)));
            first += size;
        }
        let clicked =
            wanted.iter().map(|&index| impressions.get(index).clicked.unwrap_or(0) as u32);
        Ok(Self {
            entry_of_place: Tensor::new(entry_of_place, device)?,
            mask: Tensor::from_vec(mask, (wanted.len(), widest), device)?,
            clicked: Tensor::new(clicked.collect::<Vec<_>>(), device)?.unsqueeze(1)?,
        })
    }
}

/// A number below `buckets` for a click and a shown item, by feature hashing (Weinberger et al.
/// 2009).
pub(crate) fn bucket(click: u32, item: u32, buckets: u32) -> u32 {
    // SplitMix64: one step and its finaliser.
    let mut hash = (u64::from(click) << 32 | u64::from(item)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) % u64::from(buckets)) as u32
}
