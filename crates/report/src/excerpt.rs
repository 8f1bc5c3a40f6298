//! Parts of kept results, as documents show them.

use std::ops::RangeInclusive;

use crate::patterns::{Patterns, split};
use crate::{Error, Result, Table};

/// A part of kept results as a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Excerpt {
    /// The figures or claims.
    pub table: Table,
    /// The fewest and the most seeds of any figure in it.
    pub seeds: RangeInclusive<usize>,
}

/// Which figures an excerpt shows: lists of patterns, as in [`Claim::read`](crate::Claim::read).
/// The empty list chooses everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Data sets.
    pub datasets: String,
    /// Settings.
    pub settings: String,
    /// Methods.
    pub methods: String,
    /// Metrics.
    pub metrics: String,
    /// What differs from row to row, of `dataset`, `setting`, `method` and `metric`, separated by
    /// ` | `; `method` where nothing is said. The rest differs from column to column.
    pub rows: String,
}

/// What a figure is of.
pub(crate) const PARTS: [&str; 4] = ["dataset", "setting", "method", "metric"];
const METHOD: usize = 2;

impl Choice {
    /// What is chosen, in the order of [`PARTS`].
    pub(crate) fn parts(&self) -> [Patterns; PARTS.len()] {
        [&self.datasets, &self.settings, &self.methods, &self.metrics]
            .map(|list| Patterns::parse(list))
    }

    /// Which of [`PARTS`] differ from row to row.
    pub(crate) fn of_rows(&self) -> Result<Vec<usize>> {
        let mut rows = Vec::new();
        for name in split(&self.rows) {
            let at = PARTS.iter().position(|part| *part == name);
            let at = at.ok_or_else(|| Error::unknown("part of a row", &name, &PARTS))?;
            if !rows.contains(&at) {
                rows.push(at);
            }
        }
        Ok(if rows.is_empty() { vec![METHOD] } else { rows })
    }
}
