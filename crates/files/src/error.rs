use std::io;
use std::path::{Path, PathBuf};

/// Why a file cannot be written or locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something is there that is never replaced.
    #[error("{} is {found}, but a file is to be written there; move it away", path.display())]
    NoFile {
        /// What is there.
        path: PathBuf,
        /// Its kind, as [`kind`](crate::kind) names it.
        found: &'static str,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
