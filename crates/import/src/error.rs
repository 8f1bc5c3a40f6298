//! The error type of this crate. It says where a problem is: in which file, and for a bad row also
//! in which line and in which field, by the name that the file gives it.

use std::path::{Path, PathBuf};

use foretaste_data::Fault;
use foretaste_settings::Setting;

/// What can go wrong between a file and a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written: it is missing, a directory is in its place, the disk is
    /// full.
    #[error(transparent)]
    Files(#[from] foretaste_files::Error),
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
    /// An option is outside its range, or does not go with the format.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// A cached log cannot be read, or what was read makes no data set.
    #[error(transparent)]
    Data(#[from] foretaste_data::Error),
}

impl Error {
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into() }
    }

    /// `column` is what the file calls the field, where it has another name.
    pub(crate) fn row(path: &Path, line: u64, fault: &Fault, column: Option<&str>) -> Self {
        let (field, problem) = (fault.field(), fault.problem());
        let problem = match column {
            Some(column) => format!("column {column:?}: {problem}"),
            None => problem,
        };
        Self::Row { path: path.to_owned(), line, field, problem }
    }

    /// The file that the error is about, if it is about one.
    pub(crate) fn path_mut(&mut self) -> Option<&mut PathBuf> {
        use foretaste_data::Error as Data;
        use foretaste_files::Error::Io;

        match self {
            Self::Row { path, .. }
            | Self::File { path, .. }
            | Self::Files(Io { path, .. })
            | Self::Data(Data::File { path, .. } | Data::Files(Io { path, .. })) => Some(path),
            _ => None,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        foretaste_data::Error::from(fault).into()
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
