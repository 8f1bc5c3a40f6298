use std::io;
use std::path::{Path, PathBuf};

/// Why a file cannot be read, written or locked.
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
    /// The place that a user named for a result must stay as it is; says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// A file is larger than anything that we wrote would be.
    #[error("{} holds more than {at_most} bytes: it is not what is expected there", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        at_most: u64,
    },
}

impl Error {
    /// [`Error::Io`]: what the operating system said of a file or folder.
    pub fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
