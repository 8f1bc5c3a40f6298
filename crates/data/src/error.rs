//! The error type of this crate. It distinguishes damaged files, invalid logs and logs that do not
//! fit a model.

use std::path::{Path, PathBuf};

use foretaste_settings::Setting;

use crate::{Fault, Unknown};

/// What can go wrong with a log, on disk or in memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written: it is missing, a directory is in its place, the disk is
    /// full.
    #[error(transparent)]
    Files(#[from] foretaste_files::Error),
    /// A file is not a cached log.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        problem: String,
    },
    /// A step or a log breaks an invariant of [`Log`](crate::Log).
    #[error("invalid log: {0}")]
    Log(String),
    /// What is saved with a model cannot be read, or does not fit.
    #[error("{0}")]
    Saved(String),
    /// A log holds items that a model does not know.
    #[error(
        "{name}: the model does not know {found}; --unknown-items drop-steps continues, and \
         assumes that the model never shows them"
    )]
    Unknown {
        /// Name of the data set.
        name: String,
        /// How much of the log concerns such items.
        found: Unknown,
    },
    /// A setting is outside its range.
    #[error(transparent)]
    Setting(#[from] Setting),
}

impl Error {
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into() }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Log(fault.to_string())
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
