//! The context features as the networks need them. The rows of training slates are counted out of
//! fold once and kept; a row that counted its own click would reveal the label.

use std::collections::BTreeMap;

use candle_core::Tensor;
use foretaste_random::Seed;
use foretaste_train::{ContextFeatures, CountContext, CountedContext};

use crate::{Data, Impressions, Result};

/// The context features of a network, and the rows of its training slates.
#[derive(Debug)]
pub(crate) struct Context {
    counted: CountContext,
    /// Of all training slates, one after the other, counted out of fold.
    training: Vec<f32>,
    /// Where the rows of each training slate begin, and where the last ones end.
    starts: Vec<usize>,
}

/// Which slates are asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// Those of the training sessions, all of them.
    Training,
    /// Any others.
    Others,
}

impl Context {
    /// Counts in the training sessions.
    pub fn count(data: &Data<'_>, place: bool, seed: Seed) -> Result<Self> {
        let CountedContext { context, training } =
            CountContext::count(data.log, data.train, data.items, place, seed)?;
        let mut starts = vec![0];
        for (slate, _) in data.training().slates() {
            starts.push(starts[starts.len() - 1] + slate.len() * context.dim());
        }
        Ok(Self { counted: context, training: training.concat(), starts })
    }

    /// It but for the rows of its training slates, as [`CountContext::tables`].
    pub fn tables(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(self.counted.tables()?)
    }

    /// What [`tables`](Self::tables) made.
    pub fn from_tables(
        weights: &BTreeMap<String, Tensor>,
        items: usize,
        place: bool,
    ) -> Result<Self> {
        let counted = CountContext::from_tables(weights, items, place)?;
        Ok(Self { counted, training: Vec::new(), starts: vec![0] })
    }

    /// How many numbers an item has.
    pub fn dim(&self) -> usize {
        self.counted.dim()
    }

    /// The numbers of every item of the slates of the given numbers.
    pub fn rows(&self, of: Sessions, impressions: &Impressions<'_>, wanted: &[usize]) -> Vec<f32> {
        let mut rows = Vec::new();
        for &index in wanted {
            if of == Sessions::Training {
                rows.extend_from_slice(&self.training[self.starts[index]..self.starts[index + 1]]);
            } else {
                let impression = impressions.get(index);
                let history = impressions.history(impression);
                self.counted.rows(history, impression.slate, &mut rows);
            }
        }
        rows
    }
}
