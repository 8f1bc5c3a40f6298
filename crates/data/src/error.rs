use std::fmt;
use std::path::{Path, PathBuf};

use crate::Unknown;

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
    /// A file as a whole is not what its format asks for, or a data set is not what a format can
    /// hold.
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
    /// What stands beside a saved model cannot be read, or does not fit.
    #[error("{0}")]
    Saved(String),
    /// A log holds items that a model does not know.
    #[error(
        "{name}: the model does not know {found}; --unknown-items drop-steps leaves out the steps \
         that show them"
    )]
    Unknown {
        /// Name of the data set.
        name: String,
        /// How much of the log concerns such items.
        found: Unknown,
    },
    /// A setting is outside its range.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn row(path: &Path, line: u64, fault: Fault) -> Self {
        Self::Row { path: path.to_owned(), line, field: fault.field, problem: fault.problem() }
    }
}

impl From<foretaste_files::Error> for Error {
    fn from(error: foretaste_files::Error) -> Self {
        match error {
            foretaste_files::Error::Io { path, source } => Self::Io { path, source },
            foretaste_files::Error::NoFile { path, found } => {
                let problem = format!("is {found}, expected a file to write");
                Self::File { path, problem }
            }
            other => Self::Setting(other.to_string()),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Log(fault.to_string())
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with one row or step, before it is known where it stood. `expected` is fixed text,
/// so that faults can be counted by [`Fault::reason`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    field: &'static str,
    expected: &'static str,
    found: String,
}

impl Fault {
    pub(crate) fn new(
        field: &'static str,
        expected: &'static str,
        found: impl Into<String>,
    ) -> Self {
        Self { field, expected, found: found.into() }
    }

    /// A fault whose finding is a value of the file, quoted and clipped.
    pub(crate) fn value(field: &'static str, expected: &'static str, found: &str) -> Self {
        const CLIP: usize = 60;
        let quoted = match found.char_indices().nth(CLIP) {
            Some((end, _)) => format!("{:?}…", &found[..end]),
            None if found.is_empty() => "nothing".into(),
            None => format!("{found:?}"),
        };
        Self::new(field, expected, quoted)
    }

    /// An optional column that some steps of a session give and others do not.
    pub(crate) fn all_or_none(field: &'static str, given: bool) -> Self {
        let found = if given { "the first value of the session" } else { "none" };
        Self::new(field, "a value on every step of a session or on none", found)
    }

    pub(crate) fn reason(&self) -> String {
        format!("{}: expected {}", self.field, self.expected)
    }

    fn problem(&self) -> String {
        format!("expected {}, found {}", self.expected, self.found)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem())
    }
}
