//! What the readers of all formats share: files as streams, rows, and the [`Collector`] that makes
//! a data set of them.

pub(crate) mod ahead;
pub(crate) mod arrow_columns;
mod bad_rows;
pub(crate) mod blocks;
pub(crate) mod cells;
mod collector;
pub(crate) mod date;
mod guarded;
pub(crate) mod lines;
mod pages;
pub(crate) mod parquet;
mod reading;
pub(crate) mod record;
pub(crate) mod runs;
pub(crate) mod sort;
mod source;
mod table;
pub(crate) mod times;

use std::borrow::Borrow;
use std::path::Path;

use foretaste_data::Fault;

use crate::{Error, Result};
pub(crate) use bad_rows::Place;
pub(crate) use collector::{Answer, Collector, Taken};
pub use reading::Reading;
pub use source::Progress;
pub(crate) use source::{Source, read_error, row_error};
pub(crate) use table::{Row, Table, Text};

/// Something that was made of a row, or why the row cannot be used.
pub(crate) type Checked<T = ()> = std::result::Result<T, Fault>;

/// What numbers without a fraction are called in errors.
pub(crate) const WHOLE: &str = "a whole number";

/// A text as a number; `expected` says which.
pub(crate) fn number<T: std::str::FromStr>(
    text: &str,
    name: &'static str,
    expected: &'static str,
) -> Checked<T> {
    text.trim_ascii().parse().map_err(|_| Fault::value(name, expected, text))
}

/// The place of a column that must be there.
pub(crate) fn column(path: &Path, found: &[impl Borrow<str>], name: &str) -> Result<usize> {
    found.iter().position(|column| column.borrow() == name).ok_or_else(|| {
        Error::file(path, format!("has no column {name:?}; its columns are {}", found.join(", ")))
    })
}
