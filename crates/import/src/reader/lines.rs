//! Lines of text.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use super::Source;
use super::source::{Rows, row_error};
use crate::limits::Limits;
use crate::{Error, Result};

/// The lines of a file with their numbers, from 1.
pub(crate) struct Lines<'a> {
    path: PathBuf,
    lines: std::io::Lines<BufReader<Source<'a>>>,
    rows: Rows,
    limits: Limits,
    number: u64,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(source: Source<'a>) -> Self {
        let (path, rows, limits) = (source.path().to_owned(), source.rows(), *source.limits());
        Self { path, lines: BufReader::new(source).lines(), rows, limits, number: 0 }
    }

    /// Refuses a record of several lines, the first of which is this one, that are so many bytes.
    pub(crate) fn check_record(&self, line: u64, bytes: u64) -> Result<()> {
        let most = self.limits.row_bytes;
        if bytes <= most {
            return Ok(());
        }
        let problem = format!("more than {most} bytes; --max-row-bytes raises the bound");
        Err(Error::Row { path: self.path.clone(), line, field: "row", problem })
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<(u64, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.begin();
        self.number += 1;
        let number = self.number;
        let line = self.lines.next()?;
        Some(match line {
            Ok(line) => Ok((number, line)),
            Err(source) => Err(row_error(&self.path, || number, source)),
        })
    }
}
