//! Rows that cannot be used: an error at the first, or counts and a limit to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foretaste_data::Fault;

use super::table;
use crate::{Error, Result};

/// Where a row stands: what an error needs to name its line.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// The line, or the row of a file without lines, from 1.
    Line(u64),
    /// The byte of a delimited file, see [`table::line_at`].
    Byte(u64),
}

impl Place {
    fn line(self, path: &Path) -> u64 {
        match self {
            Self::Line(line) => line,
            Self::Byte(byte) => table::line_at(path, byte),
        }
    }
}

/// What to do with bad rows, and those of one file so far.
pub(crate) struct BadRows {
    path: PathBuf,
    /// The largest share of rows, and of sessions, that may be bad; `None` if none may.
    limit: Option<f64>,
    reasons: BTreeMap<String, u64>,
    examples: Vec<Example>,
    /// What the file calls the columns of the schema.
    columns: BTreeMap<String, String>,
}

struct Example {
    path: PathBuf,
    place: Place,
    session: Option<String>,
    fault: Fault,
}

impl BadRows {
    const EXAMPLES: usize = 3;

    pub(super) fn new(path: &Path, limit: Option<f64>) -> Self {
        Self {
            path: path.to_owned(),
            limit,
            reasons: BTreeMap::new(),
            examples: Vec::new(),
            columns: BTreeMap::new(),
        }
    }

    /// Says what the file calls the columns of the schema.
    pub(super) fn name_columns(&mut self, columns: &BTreeMap<String, String>) {
        self.columns.clone_from(columns);
    }

    /// Goes on with the rows of another file.
    pub(super) fn go_to(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// The same for another file.
    pub(super) fn beside(&self, path: &Path) -> Self {
        Self::new(path, self.limit)
    }

    /// Takes note of `rows` rows that cannot be used, of a session if it is known: an error, or a
    /// count.
    pub(crate) fn reject(
        &mut self,
        place: Place,
        rows: u64,
        session: Option<&str>,
        fault: Fault,
    ) -> Result<()> {
        if self.limit.is_none() {
            let column = self.columns.get(fault.field()).map(String::as_str);
            return Err(Error::row(&self.path, place.line(&self.path), &fault, column));
        }
        *self.reasons.entry(fault.reason()).or_default() += rows;
        if self.examples.len() < Self::EXAMPLES {
            let (path, session) = (self.path.clone(), session.map(str::to_owned));
            self.examples.push(Example { path, place, session, fault });
        }
        Ok(())
    }

    /// Rows by reason.
    pub(super) fn into_reasons(self) -> BTreeMap<String, u64> {
        self.reasons
    }

    fn rows(&self) -> u64 {
        self.reasons.values().sum()
    }

    /// Checks the shares of what is lost: the bad rows of `rows`, and so many `sessions` of all, if
    /// there are any.
    pub(super) fn check(&self, rows: u64, sessions: Option<(u64, u64)>) -> Result<()> {
        let Some(limit) = self.limit else { return Ok(()) };
        // 29 of 100 are not more than 0.29, though the product of the two is below 29.
        const ROUNDING: f64 = 1.0 + 1e-9;
        let beyond = |&(_, lost, all): &(_, u64, u64)| lost as f64 > limit * all as f64 * ROUNDING;
        let sessions = sessions.map(|(lost, all)| ("sessions", lost, all));
        let lost = sessions.into_iter().chain([("rows", self.rows(), rows)]).find(beyond);
        let Some((what, lost, all)) = lost else { return Ok(()) };
        let (share, limit) = (100.0 * lost as f64 / all as f64, 100.0 * limit);
        let reasons: Vec<String> =
            self.reasons.iter().map(|(why, count)| format!("{count} × {why}")).collect();
        let examples: Vec<String> = self.examples.iter().map(Example::text).collect();
        let problem = format!(
            "{lost} of its {all} {what} ({share:.1} %) cannot be used, more than the {limit:.1} % \
             that may be skipped; rows by reason: {}; the first: {}; correct them, or raise the \
             limit with --max-bad SHARE",
            reasons.join("; "),
            examples.join("; "),
        );
        Err(Error::file(&self.path, problem))
    }
}

impl Example {
    fn text(&self) -> String {
        let session =
            self.session.as_ref().map(|id| format!(", session {id:?}")).unwrap_or_default();
        format!("line {}{session}: {}", self.place.line(&self.path), self.fault.finding())
    }
}
