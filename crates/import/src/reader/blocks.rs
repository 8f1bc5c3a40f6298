//! Text in which several lines are one record.

use std::io::{BufRead, BufReader};

use super::{Place, Source, read_error};
use crate::Result;

/// How one record ends and the next begins.
#[derive(Clone, Copy)]
pub(crate) enum Blocks {
    /// At an empty line.
    ByEmptyLines,
    /// Before a line that begins so.
    Before(&'static str),
}

impl Blocks {
    /// Passes the lines of every record to `take`, with the place of the first and how much of the
    /// file has been read by then. Empty lines are in no record.
    pub(crate) fn read(
        self,
        source: Source<'_>,
        mut take: impl FnMut(Place, &[String], f64) -> Result<()>,
    ) -> Result<()> {
        let (path, fraction) = (source.path().to_owned(), source.fraction());
        let (mut block, mut first) = (Vec::<String>::new(), 1);
        for (number, line) in (1..).zip(BufReader::new(source).lines()) {
            let line = line.map_err(|source| read_error(&path, source))?;
            let is_empty = line.trim().is_empty();
            let ends = match self {
                Self::ByEmptyLines => is_empty,
                Self::Before(start) => line.starts_with(start),
            };
            if ends && !block.is_empty() {
                take(Place::Line(first), &block, fraction.get())?;
                block.clear();
            }
            if !is_empty {
                first = if block.is_empty() { number } else { first };
                block.push(line);
            }
        }
        if block.is_empty() { Ok(()) } else { take(Place::Line(first), &block, fraction.get()) }
    }
}
