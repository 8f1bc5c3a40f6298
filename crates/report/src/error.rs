//! What can go wrong.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A table from outside does not hold what it should.
    #[error("{file}, line {line}: {problem}")]
    Table {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What was found, and what was expected.
        problem: String,
    },
    /// A table cannot be read or written.
    #[error("{file}: {source}")]
    Csv {
        /// Name of the file.
        file: String,
        /// Why.
        source: csv::Error,
    },
    /// A figure has no mean or interval.
    #[error("{what}: {source}")]
    Figure {
        /// Whose figure it is.
        what: String,
        /// Why.
        source: foretaste_eval::Error,
    },
    /// A claim names what its experiment does not have.
    #[error("line {line} of the ledger, \"{sentence}\": {problem}")]
    Claim {
        /// Line of the ledger's file, from 1.
        line: u64,
        /// The claim.
        sentence: String,
        /// What was found, and what was expected.
        problem: String,
    },
    /// What is asked for is not in the results.
    #[error("there is no {kind} `{name}`, expected one of {known}")]
    Unknown {
        /// What kind of thing it would be.
        kind: &'static str,
        /// Its name, or a pattern that fits none.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Each part of what is asked for is in the results, but nothing has all of them.
    #[error(
        "no figure has all that is chosen: its data set, setting, method and metric are each there, \
         but not together"
    )]
    NothingChosen,
    /// A plot cannot be drawn.
    #[error("cannot draw {plot}: {problem}")]
    Draw {
        /// Name of the plot.
        plot: String,
        /// Why.
        problem: String,
    },
}

impl Error {
    pub(crate) fn unknown(kind: &'static str, name: &str, known: &[&str]) -> Self {
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        Self::Unknown { kind, name: name.into(), known: known.join(", ") }
    }
}
