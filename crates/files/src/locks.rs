//! Advisory locks between processes; they end with the process that holds them, however it ends.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Once;

use crate::{Error, Result};

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
///
/// # Errors
/// Where the file cannot be made or opened.
pub fn try_exclusive(path: &Path) -> Result<Option<Guard>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Guard { file: Some(file) })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Ok(Some(without(path, &error))),
    }
}

/// Takes the lock `path` once no other process holds it.
///
/// # Errors
/// Where the file cannot be made or opened.
pub fn exclusive(path: &Path) -> Result<Guard> {
    let file = open(path)?;
    Ok(match file.lock() {
        Ok(()) => Guard { file: Some(file) },
        Err(error) => without(path, &error),
    })
}

/// Takes the lock `path` together with all who take it so.
///
/// # Errors
/// Where the file cannot be made or opened.
pub fn shared(path: &Path) -> Result<Guard> {
    let file = open(path)?;
    Ok(match file.lock_shared() {
        Ok(()) => Guard { file: Some(file) },
        Err(error) => without(path, &error),
    })
}

fn open(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    }
    // Shared locks want a file that can be read on some file systems.
    let mut options = File::options();
    options.create(true).read(true).append(true);
    options.open(path).map_err(|source| Error::io(path, source))
}

/// A lock that keeps no process away: the caller's files are whole or absent all the same.
fn without(path: &Path, error: &std::io::Error) -> Guard {
    static WARNING: Once = Once::new();
    WARNING.call_once(|| {
        let shown = path.display();
        tracing::warn!(
            "{shown} cannot be locked ({error}): processes that share the directory may do the \
             same work twice"
        );
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

    /// As where a network file system has no lock service: in a process whose `flock` is one that
    /// refuses. Without a C compiler there is no such process.
    #[test]
    #[cfg(target_os = "linux")]
    fn where_locks_are_refused_a_guard_holds_nothing_and_work_goes_on() {
        use std::process::Command;

        const INSIDE: &str = "FORETASTE_WITHOUT_LOCKS";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        if std::env::var_os(INSIDE).is_some() {
            let (one, two) = (try_exclusive(&path).unwrap(), try_exclusive(&path).unwrap());
            assert!([&one, &two].iter().all(|guard| !guard.as_ref().unwrap().holds()));
            assert!(!shared(&path).unwrap().holds() && !exclusive(&path).unwrap().holds());
            return;
        }
        assert!(try_exclusive(&path).unwrap().unwrap().holds());
        let [source, library] = ["flock.c", "flock.so"].map(|name| folder.path().join(name));
        let refuses =
            "#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }";
        fs::write(&source, refuses).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        if !cc.status().is_ok_and(|status| status.success()) {
            return;
        }
        let test = "locks::tests::where_locks_are_refused_a_guard_holds_nothing_and_work_goes_on";
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .envs([(INSIDE, "1".as_ref()), ("LD_PRELOAD", library.as_os_str())])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
    }
}
