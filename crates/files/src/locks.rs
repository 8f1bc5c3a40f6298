//! Advisory locks between processes; they end with the process that holds them, however it ends.
//!
//! Where the file system has no locks, or keeps them from other machines, an exclusive lock is a
//! claim: a file that only one process can create. Such file systems are found when a lock is
//! taken: they refuse it, grant it twice, or are mounted with locks of one machine alone.

mod claims;
mod mounts;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use self::claims::{Claim, PACE};
use crate::{Error, Result};

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Guard(Kept);

#[derive(Debug)]
enum Kept {
    Lock { _file: File },
    Claim { _claim: Claim },
    Nothing,
}

impl Guard {
    /// Whether the file system itself keeps others away, those with a shared lock too: not where it
    /// has no locks that work.
    pub fn holds(&self) -> bool {
        matches!(self.0, Kept::Lock { .. })
    }
}

/// A file that is missing again and again is not only just removed.
const ATTEMPTS: usize = 1_000;
/// Between two attempts to take a claim.
const POLL: Duration = Duration::from_millis(200);

/// Takes the lock `path`, which is created where it is missing; `None` while another holds it.
///
/// Who holds it may remove the file, which gives it up.
///
/// # Errors
/// Where the file cannot be made or opened.
pub fn try_exclusive(path: &Path) -> Result<Option<Guard>> {
    match lock(path, File::try_lock)? {
        Locked::Yes(file) => Ok(Some(Guard(Kept::Lock { _file: file }))),
        Locked::Busy => Ok(None),
        Locked::Never => claim(path),
    }
}

/// Takes the lock `path` once no other process holds it.
///
/// # Errors
/// Where the file cannot be made or opened.
pub fn exclusive(path: &Path) -> Result<Guard> {
    if let Locked::Yes(file) = lock(path, |file| file.lock().map_err(TryLockError::Error))? {
        return Ok(Guard(Kept::Lock { _file: file }));
    }
    loop {
        match claim(path)? {
            Some(guard) => return Ok(guard),
            None => thread::sleep(POLL),
        }
    }
}

/// Takes the lock `path` together with all who take it so. Where there are no locks that work, it
/// keeps no process away.
///
/// # Errors
/// Where the file cannot be made or opened.
pub fn shared(path: &Path) -> Result<Guard> {
    Ok(Guard(match lock(path, |file| file.lock_shared().map_err(TryLockError::Error))? {
        Locked::Yes(file) => Kept::Lock { _file: file },
        Locked::Busy | Locked::Never => Kept::Nothing,
    }))
}

/// Whether a file belongs to the lock of this name in the same folder.
pub fn is_part_of(path: &Path, name: &str) -> bool {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file == name || claims::number(&file, name).is_some()
}

fn claim(path: &Path) -> Result<Option<Guard>> {
    Ok(Claim::take(path, PACE)?.map(|claim| Guard(Kept::Claim { _claim: claim })))
}

enum Locked {
    Yes(File),
    /// Another holds it.
    Busy,
    /// There are no locks that work.
    Never,
}

fn lock(
    path: &Path,
    take: impl Fn(&File) -> std::result::Result<(), TryLockError>,
) -> Result<Locked> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(path, &take) {
            // The last holder removed the file, or its folder, after it was opened here.
            Ok(None) => {}
            Err(Error::Io { source, .. }) if was_removed(&source) && attempts < ATTEMPTS => {}
            Ok(Some(locked)) => return Ok(locked),
            Err(error) => return Err(error),
        }
    }
}

/// Opens a file and locks it; `None` where that is no longer the file of this name.
fn attempt(
    path: &Path,
    take: impl Fn(&File) -> std::result::Result<(), TryLockError>,
) -> Result<Option<Locked>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    }
    let failed = |source| Error::io(path, source);
    let file = options().create(true).open(path).map_err(failed)?;
    match take(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Some(Locked::Busy)),
        Err(TryLockError::Error(reason)) => return Ok(Some(never(path, &reason))),
    }
    if mounts::locks_are_local(&file) {
        return Ok(Some(never(path, &"the locks of this mount are those of one machine")));
    }
    let again = options().open(path).map_err(failed)?;
    if !same(&file, &again).map_err(failed)? {
        return Ok(None);
    }
    // A second handle is refused a lock that is held, in this process as in any other.
    Ok(Some(match again.try_lock() {
        Err(TryLockError::WouldBlock) => Locked::Yes(file),
        _ => never(path, &"the same lock is granted twice"),
    }))
}

/// A folder that is removed while it is made exists and is none.
fn was_removed(reason: &io::Error) -> bool {
    matches!(reason.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
}

/// Shared locks want a file that can be read on some file systems, exclusive ones a file that can
/// be written.
fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).append(true);
    options
}

#[cfg(unix)]
fn same(one: &File, other: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let [one, other] = [one.metadata()?, other.metadata()?];
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Elsewhere the standard library does not tell.
#[cfg(not(unix))]
fn same(_one: &File, _other: &File) -> io::Result<bool> {
    Ok(true)
}

fn never(path: &Path, reason: &dyn fmt::Display) -> Locked {
    static WARNING: Once = Once::new();
    WARNING.call_once(|| {
        let (shown, expiry) = (path.display(), PACE.expiry.as_secs());
        tracing::warn!(
            "{shown} cannot be locked ({reason}): files are created there instead. What a killed \
             process leaves is taken over after {expiry} s"
        );
    });
    Locked::Never
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_lock_has_one_holder_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks").join("one");
        let first = try_exclusive(&path).unwrap().unwrap();
        assert!(first.holds() && try_exclusive(&path).unwrap().is_none());
        drop(first);
        let (one, two) = (shared(&path).unwrap(), shared(&path).unwrap());
        assert!(try_exclusive(&path).unwrap().is_none());
        drop((one, two));
        assert!(try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    #[cfg(unix)]
    fn a_lock_whose_holders_remove_its_file_and_folder_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks").join("one");
        let (holders, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        if let Some(guard) = try_exclusive(&path).unwrap() {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                            held.fetch_add(1, Ordering::SeqCst);
                            thread::yield_now();
                            holders.fetch_sub(1, Ordering::SeqCst);
                            fs::remove_file(&path).unwrap();
                            drop(guard);
                            let _ = fs::remove_dir(path.parent().unwrap());
                        }
                    }
                });
            }
        });
        assert!(held.load(Ordering::SeqCst) > 100, "{held:?}");
    }

    #[test]
    fn a_lock_and_its_claims_are_told_from_other_files() {
        let is_part = |file: &str| is_part_of(&Path::new("folder").join(file), ".lock");
        assert!([".lock", ".lock.claim-1", ".lock.claim-20"].into_iter().all(is_part));
        for file in [".locks", "lock", ".lock.claim-", ".lock.claim-a", ".lock.old", ".claim-1"] {
            assert!(!is_part(file), "{file}");
        }
    }

    /// What `flock` may do where it does not lock. The clock jumps as well.
    #[cfg(target_os = "linux")]
    const FAULTY: [(&str, &[&str]); 4] = [
        (include_str!("../tests/shims/flock_refused.c"), &["-DREASON=ENOLCK"]),
        (include_str!("../tests/shims/flock_refused.c"), &["-DREASON=ENOTSUP"]),
        (include_str!("../tests/shims/flock_refused.c"), &["-DREASON=ENOSYS"]),
        (include_str!("../tests/shims/flock_granted.c"), &[]),
    ];

    /// In processes that load these libraries before the system's.
    #[test]
    #[cfg(target_os = "linux")]
    fn where_locks_do_not_work_claims_take_their_place() {
        use std::process::Command;

        const INSIDE: &str = "FORETASTE_WITHOUT_LOCKS";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        if std::env::var_os(INSIDE).is_some() {
            let one = try_exclusive(&path).unwrap().unwrap();
            assert!(!one.holds() && try_exclusive(&path).unwrap().is_none());
            assert!(!shared(&path).unwrap().holds());
            drop(one);
            drop(exclusive(&path).unwrap());
            assert!(try_exclusive(&path).unwrap().is_some());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            return;
        }
        let [flock, clock, library] =
            ["flock.c", "clock.c", "faulty.so"].map(|name| folder.path().join(name));
        fs::write(&clock, include_str!("../tests/shims/clock.c")).unwrap();
        for (source, options) in FAULTY {
            fs::write(&flock, source).unwrap();
            let mut cc = Command::new("cc");
            cc.args(options).args(["-shared", "-fPIC", "-o"]).args([&library, &flock, &clock]);
            if !cc.status().is_ok_and(|status| status.success()) {
                println!("skipped: there is no C compiler to make a faulty `flock` with");
                return;
            }
            let test = "locks::tests::where_locks_do_not_work_claims_take_their_place";
            let run = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test])
                .envs([(INSIDE, "1".as_ref()), ("LD_PRELOAD", library.as_os_str())])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success() && said.contains("1 passed"), "{options:?}: {said}");
        }
    }
}
