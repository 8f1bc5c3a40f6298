use std::path::{Path, PathBuf};

/// What can go wrong with a log, on disk or in memory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused: a missing file, a directory in a file's place, a full disk.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A row of an input file is not what the format asks for.
    #[error("{}:{line}: {field}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1 with the header; for Parquet, the row counted from 1.
        line: u64,
        /// The column at fault.
        field: &'static str,
        /// What was found and what was expected.
        problem: String,
    },
    /// A file as a whole is not what its format asks for.
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
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into() }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
