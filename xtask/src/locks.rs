//! Advisory locks between processes; they end with the process that holds them, however it ends.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Once;

use anyhow::Context;

/// A lock that is held until this is dropped; on file systems without locks it stands for nothing.
#[derive(Debug)]
pub struct Guard {
    file: Option<File>,
}

impl Guard {
    /// Whether it keeps others away.
    pub fn holds(&self) -> bool {
        self.file.is_some()
    }
}

/// Takes the lock `path`, which is created where it is missing; `None` while another holds it.
pub fn try_exclusive(path: &Path) -> anyhow::Result<Option<Guard>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Guard { file: Some(file) })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Ok(Some(without(path, &error))),
    }
}

/// Takes the lock `path` once nobody else holds it.
pub fn exclusive(path: &Path) -> anyhow::Result<Guard> {
    let file = open(path)?;
    Ok(match file.lock() {
        Ok(()) => Guard { file: Some(file) },
        Err(error) => without(path, &error),
    })
}

/// Takes the lock `path` together with all who take it so.
pub fn shared(path: &Path) -> anyhow::Result<Guard> {
    let file = open(path)?;
    Ok(match file.lock_shared() {
        Ok(()) => Guard { file: Some(file) },
        Err(error) => without(path, &error),
    })
}

fn open(path: &Path) -> anyhow::Result<File> {
    let shown = path.display();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    // Shared locks want a file that can be read on some file systems.
    File::options()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {shown}"))
}

/// Cells are pure and their files atomic: without locks the worst is that two processes run the
/// same cell.
fn without(path: &Path, error: &std::io::Error) -> Guard {
    static WARNING: Once = Once::new();
    WARNING.call_once(|| {
        let shown = path.display();
        tracing::warn!("{shown} cannot be locked ({error}): processes that share the directory may run a cell twice");
    });
    Guard { file: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks").join("one");
        let first = try_exclusive(&path).unwrap().unwrap();
        assert!(try_exclusive(&path).unwrap().is_none());
        drop(first);
        let (one, two) = (shared(&path).unwrap(), shared(&path).unwrap());
        assert!(try_exclusive(&path).unwrap().is_none());
        drop((one, two));
        assert!(try_exclusive(&path).unwrap().is_some());
    }
}
