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
    /// A plot cannot be drawn.
    #[error("cannot draw {plot}: {problem}")]
    Draw {
        /// Name of the plot.
        plot: String,
        /// Why.
        problem: String,
    },
}
