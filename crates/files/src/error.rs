//! The error type of this crate, whose messages name the path and, in the system's words without
//! its numbers, the reason.

use std::io::{self, ErrorKind};
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
    /// [`Error::Io`]: what the operating system said of a file or folder, in its words without its
    /// numbers, but for a disk that is full.
    pub fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source: in_words(source) }
    }

    /// Whether there is no space left for what was to be written.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source.kind()))
    }
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn in_words(source: io::Error) -> io::Error {
    let (kind, said) = (source.kind(), source.to_string());
    match (source.raw_os_error(), kind) {
        (_, ErrorKind::StorageFull) => io::Error::new(kind, "the disk is full"),
        (Some(number), _) => {
            io::Error::new(kind, said.trim_end_matches(&format!(" (os error {number})")))
        }
        (None, _) => source,
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    #[test]
    fn what_the_system_says_has_no_number() {
        let path = Path::new("nowhere/at all");
        let error = Error::io(path, File::open(path).unwrap_err());
        assert!(!error.is_full_disk() && !error.to_string().contains("os error"), "{error}");
        assert!(error.to_string().starts_with("nowhere/at all: "), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_says_so() {
        let path = Path::new("/dev/full");
        let full = File::options().write(true).open(path).unwrap().write_all(b"a").unwrap_err();
        let error = Error::io(path, full);
        assert_eq!(error.to_string(), "/dev/full: the disk is full");
        assert!(error.is_full_disk());
    }
}
