//! From scores to slates: weights, orders, and what is expected of draws without replacement.

use foretaste_data::ItemId;
use foretaste_random::Stream;
use rand::Rng;

/// exp(score / temperature), the largest of which is 1. What can be shown keeps a weight above 0.
pub(super) fn weights(scores: &[f64], temperature: f64) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |&score: &f64| match score {
        f64::NEG_INFINITY => 0.0,
        score => ((score - largest) / temperature).exp().max(f64::MIN_POSITIVE),
    };
    scores.iter().map(weight).collect()
}

/// Scores whose order is that of items drawn without replacement in proportion to
/// exp(score / temperature): with Gumbel noise on each (Yellott 1977).
pub(super) fn perturbed(scores: &[f64], temperature: f64, stream: &mut Stream) -> Vec<f64> {
    let noise = |score: &f64| {
        // In (0, 1): its logarithm is finite.
        let uniform = 1.0 - stream.random::<f64>();
        let noise = -(-uniform.min(1.0 - f64::EPSILON).ln()).ln();
        score / temperature + noise
    };
    scores.iter().map(noise).collect()
}

/// The `k` of these items with the largest scores, largest first; equal ones in the order of the
/// items.
pub(super) fn sorted(among: &[ItemId], k: usize, scores: &[f64]) -> Vec<ItemId> {
    let mut items = among.to_vec();
    let better =
        |a: &ItemId, b: &ItemId| scores[b.index()].total_cmp(&scores[a.index()]).then(a.cmp(b));
    if k < items.len() {
        items.select_nth_unstable_by(k, better);
        items.truncate(k);
    }
    items.sort_unstable_by(better);
    items
}

/// Σ_a p(a) v(a) at each place of a slate, where p is in proportion to the weights of what is left.
pub(super) fn drawn(
    among: &[ItemId],
    slate: &[ItemId],
    values: &[f64],
    weight: impl Fn(ItemId) -> f64,
) -> Vec<f64> {
    let mut left = among.to_vec();
    let mut expected = Vec::with_capacity(slate.len());
    let sums = |left: &[ItemId]| {
        left.iter().fold((0.0, 0.0), |(all, valued), &item| {
            (all + weight(item), valued + weight(item) * values[item.index()])
        })
    };
    let (mut all, mut valued) = sums(&left);
    let mut summed = all;
    for item in slate {
        expected.push(if all > 0.0 { valued / all } else { 0.0 });
        let Ok(at) = left.binary_search(item) else {
            expected.resize(slate.len(), 0.0);
            break;
        };
        left.remove(at);
        (all, valued) = (all - weight(*item), valued - weight(*item) * values[item.index()]);
        // Taking weights off a sum leaves its rounding errors, so a small rest is summed again.
        if all < 1e-3 * summed {
            (all, valued) = sums(&left);
            summed = all;
        }
    }
    expected
}

/// The probabilities of places under a coin that is tossed once: uniform slates with this share.
pub(super) fn mix(mut share: f64, own: &mut [f64], uniform: &[f64]) {
    for (own, &uniform) in own.iter_mut().zip(uniform) {
        let both = share * uniform + (1.0 - share) * *own;
        share = posterior(share, *own, uniform);
        *own = both;
    }
}

/// The share of uniform slates among those that have the next item too.
pub(super) fn posterior(share: f64, own: f64, uniform: f64) -> f64 {
    let both = share * uniform + (1.0 - share) * own;
    if both > 0.0 { share * uniform / both } else { 1.0 }
}
