//! Mini-batches for fits that count updates and not epochs. The order depends on the seed and the
//! epoch alone, so a resumed fit sees the batches that it would have seen.

use foretaste_data::Batches;
use foretaste_random::Seed;
use foretaste_settings::Setting;

use crate::Result;

/// Batches of examples without end, shuffled again in every epoch: epoch e from the e-th seed under
/// a seed.
#[derive(Clone, Debug)]
pub struct EndlessBatches<'a> {
    examples: &'a [usize],
    size: usize,
    seed: Seed,
    epoch: u64,
    batches: Batches,
}

impl<'a> EndlessBatches<'a> {
    /// Batches of `size` of these examples, the last one of an epoch perhaps smaller.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is no example.
    pub fn new(examples: &'a [usize], size: usize, seed: Seed) -> Result<Self> {
        if examples.is_empty() {
            let problem = "there is nothing to learn from".to_owned();
            return Err(Setting::new("training sessions", problem).into());
        }
        let batches = Batches::shuffled(examples, size, seed.index(0));
        Ok(Self { examples, size, seed, epoch: 0, batches })
    }

    /// The next batch.
    pub fn next_batch(&mut self) -> Vec<usize> {
        loop {
            if let Some(batch) = self.batches.next() {
                return batch;
            }
            self.epoch += 1;
            self.batches = Batches::shuffled(self.examples, self.size, self.seed.index(self.epoch));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_epoch_holds_every_example_once(examples in 1usize..9, size in 1usize..5, seed: u64) {
            let examples: Vec<usize> = (0..examples).map(|example| 7 * example).collect();
            let mut batches = EndlessBatches::new(&examples, size, Seed::new(seed)).unwrap();
            for epoch in 0..3 {
                let expected = Batches::shuffled(&examples, size, Seed::new(seed).index(epoch));
                for batch in expected {
                    prop_assert_eq!(batches.next_batch(), batch);
                }
            }
        }
    }

    #[test]
    fn without_an_example_there_is_no_batch() {
        assert!(matches!(EndlessBatches::new(&[], 2, Seed::new(1)), Err(Error::Setting(_))));
    }
}
