//! The draws that the environments and policies share.

use foretaste_data::ItemId;
use foretaste_random::Stream;
use rand::{Rng, RngCore};

/// Samples `k` of `n` items without replacement, each ordered slate with the same probability.
///
/// Place `j` needs a uniform integer below `n - j`. Several are cut from one 64-bit word by
/// repeated multiplication (Brackett-Rozinsky and Lemire, "Batched ranged random integer
/// generation", 2024), without bias: the remainder of the last product decides whether the word
/// must be drawn again.
pub(crate) struct Subsets {
    n: u32,
    batches: Vec<Batch>,
    permutation: Vec<u32>,
    swaps: Vec<u32>,
}

struct Batch {
    first: u32,
    last: u32,
    threshold: u64,
}

impl Subsets {
    /// For `k <= n` items below `n`.
    pub(crate) fn new(n: usize, k: usize) -> Self {
        const LARGEST_PRODUCT: u64 = 1 << 56;
        let (n, k) = (n as u32, k as u32);
        let mut batches = Vec::new();
        let mut first = 0;
        while first < k {
            let (mut last, mut product) = (first, 1);
            while last < k && product <= LARGEST_PRODUCT / u64::from(n - last) {
                product *= u64::from(n - last);
                last += 1;
            }
            batches.push(Batch { first, last, threshold: product.wrapping_neg() % product });
            first = last;
        }
        Self { n, batches, permutation: (0..n).collect(), swaps: vec![0; k as usize] }
    }

    /// Fills `slate`, `[k]`, with the next slate.
    pub(crate) fn draw(&mut self, stream: &mut Stream, slate: &mut [ItemId]) {
        for batch in &self.batches {
            let places = batch.first..batch.last;
            loop {
                let mut word = stream.next_u64();
                for (swap, j) in self.swaps[batch.first as usize..batch.last as usize]
                    .iter_mut()
                    .zip(places.clone())
                {
                    let product = u128::from(word) * u128::from(self.n - j);
                    *swap = j + (product >> 64) as u32;
                    word = product as u64;
                }
                if word >= batch.threshold {
                    break;
                }
            }
        }
        for (j, (item, &swap)) in slate.iter_mut().zip(&self.swaps).enumerate() {
            // No later place looks at position j again, so one half of the swap need not be
            // written.
            let first = self.permutation[j];
            *item = ItemId(std::mem::replace(&mut self.permutation[swap as usize], first));
        }
        // Back to the identity: a session's slate must not depend on the slates drawn before it.
        for &swap in &self.swaps {
            self.permutation[swap as usize] = swap;
        }
    }
}

/// The index drawn in proportion to the weights whose running sums these are; `None` if they are
/// all zero.
#[inline]
pub(crate) fn proportional(running_sums: &[f64], stream: &mut Stream) -> Option<usize> {
    let total = *running_sums.last()?;
    let point = stream.random::<f64>() * total;
    (total > 0.0).then(|| rank(running_sums, point))
}

/// The first index whose running sum exceeds `point`, or the last index that has weight.
#[inline]
pub(crate) fn rank(running_sums: &[f64], point: f64) -> usize {
    const SHORT: usize = 32;
    let index = if running_sums.len() <= SHORT {
        running_sums.iter().map(|&sum| usize::from(sum <= point)).sum()
    } else {
        running_sums.partition_point(|&sum| sum <= point)
    };
    if index < running_sums.len() {
        return index;
    }
    // Rounding can put the point on the total itself.
    let total = running_sums[running_sums.len() - 1];
    running_sums.partition_point(|&sum| sum < total)
}

/// Replaces weights by their running sums.
pub(crate) fn accumulate(weights: &mut [f64]) {
    let mut sum = 0.0;
    for weight in weights {
        sum += *weight;
        *weight = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foretaste_random::Seed;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn subsets_are_distinct_and_in_range(n in 1usize..300, share in 0.0f64..=1.0, seed: u64) {
            let k = ((n as f64 * share) as usize).max(1);
            let mut subsets = Subsets::new(n, k);
            let mut stream = Seed::new(seed).stream(0);
            for _ in 0..3 {
                let mut slate = vec![ItemId(0); k];
                subsets.draw(&mut stream, &mut slate);
                slate.sort_unstable();
                slate.dedup();
                prop_assert_eq!(slate.len(), k);
                prop_assert!(slate.iter().all(|&item| item.index() < n));
            }
        }

        #[test]
        fn rank_is_the_same_for_short_and_long_rows(
            weights in prop::collection::vec(prop_oneof![Just(0.0), 0.0f64..1.0], 1..80),
            u in 0.0f64..=1.0,
        ) {
            let mut sums = weights.clone();
            accumulate(&mut sums);
            let total = sums[sums.len() - 1];
            prop_assume!(total > 0.0);
            let index = rank(&sums, u * total);
            prop_assert!(weights[index] > 0.0);
            prop_assert!(sums[index] >= u * total);
            prop_assert!(index == 0 || sums[index - 1] <= u * total);
        }
    }
}
