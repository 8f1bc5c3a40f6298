//! Text in which several lines are one record.

use super::lines::Lines;
use super::{Place, Source};
use crate::Result;

/// How one record ends and the next begins.
#[derive(Clone, Copy)]
pub(crate) enum Blocks {
    /// At an empty line.
    ByEmptyLines,
    /// Before a line that is the first of a record.
    Before(fn(&str) -> bool),
}

impl Blocks {
    /// Passes the lines of every record to `take`, with the place of the first and how much of the
    /// file has been read by then. Empty lines are in no record.
    pub(crate) fn read(
        self,
        source: Source<'_>,
        mut take: impl FnMut(Place, &[String], f64) -> Result<()>,
    ) -> Result<()> {
        let fraction = source.fraction();
        let (mut block, mut first, mut bytes) = (Vec::<String>::new(), 1, 0);
        let mut lines = Lines::of(source);
        while let Some(line) = lines.next() {
            let (number, line) = line?;
            let is_empty = line.trim().is_empty();
            let ends = match self {
                Self::ByEmptyLines => is_empty,
                Self::Before(begins) => begins(&line),
            };
            if ends && !block.is_empty() {
                take(Place::Line(first), &block, fraction.get())?;
                block.clear();
                bytes = 0;
            }
            if !is_empty {
                first = if block.is_empty() { number } else { first };
                bytes += (line.len() + size_of::<String>()) as u64;
                lines.check_record(first, bytes)?;
                block.push(line);
            }
        }
        if block.is_empty() { Ok(()) } else { take(Place::Line(first), &block, fraction.get()) }
    }
}
