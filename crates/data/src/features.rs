//! Numbers that describe items or users, in the one checked form in which models read them.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Features of items or of users: as many finite numbers for each, row-major `[rows, dim]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features {
    dim: usize,
    values: Vec<f32>,
}

impl Features {
    /// The features of `rows` items or users, whichever `whose` says in errors.
    ///
    /// # Errors
    /// [`Error::Log`] if `values` is not `rows · dim` long or holds a number that is not finite.
    pub fn new(values: Vec<f32>, dim: usize, rows: usize, whose: &str) -> Result<Self> {
        let features = Self { dim, values };
        features.check(rows, whose)?;
        Ok(features)
    }

    /// How many numbers each has.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All of them, row-major `[rows, dim]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The features of each, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks(self.dim)
    }

    /// Checks features that were read from a file.
    pub(crate) fn check(&self, rows: usize, whose: &str) -> Result<()> {
        let Self { dim, values } = self;
        if *dim == 0 || rows.checked_mul(*dim) != Some(values.len()) {
            let found = values.len();
            return Err(Error::Log(format!(
                "{found} feature values for {rows} {whose}s of {dim} features"
            )));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::Log(format!(
                "feature {} of {whose} {} is not finite",
                at % dim,
                at / dim
            )));
        }
        Ok(())
    }
}
