//! Readers take paths, so inputs must be files; each target has a temporary folder of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

/// A folder that a target writes its files into.
pub struct Place(TempDir);

impl Place {
    /// A new one, in the folder of temporary files.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir().context("cannot make a temporary directory")?))
    }

    /// A file of this name and content, in place of what was there.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("temporary folders can be made");
        }
        fs::write(&path, content).expect("temporary files can be written");
        path
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path().join(name));
    }
}
