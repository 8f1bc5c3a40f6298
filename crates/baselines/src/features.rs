//! The numbers by which boosted trees know a shown item. They are apart from the trees because
//! training rows are counted out of fold and others on all training sessions, by the same code.

use std::collections::BTreeMap;

use candle_core::Tensor;
use foretaste_data::ItemId;
use foretaste_train::CountFeatures;

use crate::counts::{co_clicks, counts};
use crate::impressions::Impression;
use crate::{Impressions, Result};

/// Number of features, the place last.
pub(crate) const FEATURES: usize = CountFeatures::DIM + 3;

/// What boosted trees see of a shown item; see [`TreesConfig`](crate::TreesConfig) for the list.
#[derive(Debug)]
pub(crate) struct Features(CountFeatures);

impl Features {
    /// Features whose counts come from these slates.
    pub fn new(counted: &Impressions<'_>, items: usize) -> Result<Self> {
        Ok(Self(CountFeatures::new(counts(counted, items)?, co_clicks(counted, items)?)))
    }

    /// The counts as tensors, to be saved.
    pub fn tables(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(self.0.tables()?)
    }

    /// What [`tables`](Self::tables) made.
    pub fn from_tables(weights: &BTreeMap<String, Tensor>, items: usize) -> Result<Self> {
        Ok(Self(CountFeatures::from_tables(weights, items)?))
    }

    /// Number of items that the features know.
    pub fn items(&self) -> usize {
        self.0.items()
    }

    /// The features of every item of the slates of the given numbers.
    pub fn rows(&self, impressions: &Impressions<'_>, wanted: &[usize]) -> Vec<[f64; FEATURES]> {
        let mut rows = Vec::new();
        for impression in wanted.iter().map(|&index| impressions.get(index)) {
            self.of_impression(impression, impressions.history(impression), &mut rows);
        }
        rows
    }

    fn of_impression(
        &self,
        impression: &Impression<'_>,
        history: &[ItemId],
        rows: &mut Vec<[f64; FEATURES]>,
    ) {
        let counted: Vec<_> = self.0.of_items(history, impression.slate).collect();
        let rates: f64 = counted.iter().map(|row| row[CountFeatures::RATE]).sum();
        for (place, counted) in counted.into_iter().enumerate() {
            let mut row = [0.0; FEATURES];
            row[..CountFeatures::DIM].copy_from_slice(&counted);
            row[CountFeatures::DIM..].copy_from_slice(&[
                counted[CountFeatures::RATE] / rates,
                impression.slate.len() as f64,
                place as f64,
            ]);
            rows.push(row);
        }
    }
}
