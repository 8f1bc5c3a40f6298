//! Whether the disk is full: a run that can write no more stops at the first write that fails.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use foretaste_files::Error;

/// What is known of the space of a run, shared by all who write for it.
#[derive(Clone, Debug, Default)]
pub struct Space(Arc<OnceLock<String>>);

impl Space {
    /// Takes note of a write that failed; whether that was because the disk is full.
    pub fn note(&self, path: &Path, kind: io::ErrorKind) -> bool {
        self.note_error(&Error::io(path, kind.into()))
    }

    /// The same of an error, whatever it was that failed.
    pub fn note_any(&self, error: &anyhow::Error) -> bool {
        let mut files = error.chain().filter_map(|cause| cause.downcast_ref::<Error>());
        files.any(|error| self.note_error(error))
    }

    /// What could not be written first, if anything.
    pub fn full(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn note_error(&self, error: &Error) -> bool {
        if error.is_full_disk() {
            self.0.get_or_init(|| error.to_string());
        }
        error.is_full_disk()
    }
}
