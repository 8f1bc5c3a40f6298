//! Claims: locks made of files, for file systems without others.
//!
//! The process that creates the file `LOCK.claim-N` holds the claim, and changes the file while it
//! does. A file that does not change for some time is of a process that was killed, and is
//! succeeded by `LOCK.claim-(N+1)`, which again only one process can create. The time is that of
//! the observer's monotonic clock: neither the dates of files nor the clocks of two machines are
//! compared. A process that was suspended for longer than that may find its claim taken.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How often a claim is renewed, and when it has expired.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub beat: Duration,
    pub expiry: Duration,
}

pub(super) const PACE: Pace =
    Pace { beat: Duration::from_secs(1), expiry: Duration::from_secs(30) };

/// What stands between the name of a lock and the number of a claim.
const CLAIM: &str = ".claim-";

/// A claim, which is given up when this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    owner: String,
    beating: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Claim {
    /// Takes the claim to a lock; `None` while another process holds it. If there is a claim, this
    /// waits until it changes or has expired.
    ///
    /// # Errors
    /// Where the folder cannot be read or written.
    pub(super) fn take(lock: &Path, pace: Pace) -> Result<Option<Self>> {
        let predecessor = match latest(lock)? {
            None => None,
            Some(number) => match expired(&place(lock, number), pace)? {
                Some(content) => Some((number, content)),
                None => return Ok(None),
            },
        };
        let number = predecessor.as_ref().map_or(1, |(number, _)| number + 1);
        let Some(claim) = Self::create(place(lock, number), pace)? else { return Ok(None) };
        // Since then others may have succeeded the same claim, or its holder may have given it up,
        // so that another could begin at 1. The claim is then dropped.
        let follows = match &predecessor {
            Some((number, content)) => read(&place(lock, *number))?.as_ref() == Some(content),
            None => true,
        };
        if !follows || latest(lock)? != Some(number) {
            return Ok(None);
        }
        if let Some((number, _)) = predecessor {
            let _ = fs::remove_file(place(lock, number));
        }
        Ok(Some(claim))
    }

    /// Creates the file of a claim; `None` where it is there.
    fn create(path: PathBuf, pace: Pace) -> Result<Option<Self>> {
        let mut file = match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(reason) if reason.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(reason) => return Err(Error::io(&path, reason)),
        };
        let random = RandomState::new().hash_one(&path);
        let mut claim =
            Self { path, owner: format!("{} {random:016x}", std::process::id()), beating: None };
        let failed = |reason| Error::io(&claim.path, reason);
        beat(&mut file, &claim.owner, 0).map_err(failed)?;
        let (stop, stopped) = channel();
        let owner = claim.owner.clone();
        let beating = move || {
            let mut beats = 0_u64;
            while stopped.recv_timeout(pace.beat) == Err(RecvTimeoutError::Timeout) {
                beats += 1;
                // If this fails for long, the claim expires.
                let _ = beat(&mut file, &owner, beats);
            }
        };
        let thread = thread::Builder::new().name("claim".into()).spawn(beating).map_err(failed)?;
        claim.beating = Some((stop, thread));
        Ok(Some(claim))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.beating.take() {
            drop(stop);
            let _ = thread.join();
        }
        // Another's, if this one expired.
        let is_own = |content: Vec<u8>| content.starts_with(self.owner.as_bytes());
        if read(&self.path).is_ok_and(|content| content.is_some_and(is_own)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The number of the claim to `lock` that is in the file of this name.
pub(super) fn number(file: &str, lock: &str) -> Option<u64> {
    file.strip_prefix(lock)?.strip_prefix(CLAIM)?.parse().ok()
}

fn place(lock: &Path, number: u64) -> PathBuf {
    let mut name = lock.file_name().unwrap_or_default().to_owned();
    name.push(format!("{CLAIM}{number}"));
    lock.with_file_name(name)
}

/// The highest number of a claim to a lock.
fn latest(lock: &Path) -> Result<Option<u64>> {
    let folder = lock.parent().filter(|folder| *folder != OsStr::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let name = lock.file_name().unwrap_or_default().to_string_lossy();
    let failed = |reason| Error::io(folder, reason);
    let mut latest = None;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.file_name();
        latest = latest.max(number(&file.to_string_lossy(), &name));
    }
    Ok(latest)
}

/// The content of a claim that does not change for as long as claims last.
fn expired(path: &Path, pace: Pace) -> Result<Option<Vec<u8>>> {
    let Some(first) = read(path)? else { return Ok(None) };
    let begin = Instant::now();
    while begin.elapsed() < pace.expiry {
        thread::sleep(pace.beat / 4);
        if read(path)?.as_ref() != Some(&first) {
            return Ok(None);
        }
    }
    Ok(Some(first))
}

/// The content of a claim; none where it is gone.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    const AT_MOST: u64 = 1 << 10;
    match crate::read(path, AT_MOST) {
        Ok(content) => Ok(Some(content)),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the content another one of the same length.
fn beat(file: &mut File, owner: &str, beats: u64) -> io::Result<()> {
    file.rewind()?;
    file.write_all(format!("{owner} {beats:020}\n").as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const QUICK: Pace = Pace { beat: Duration::from_millis(10), expiry: Duration::from_secs(2) };

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names.iter().map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_claim_has_one_holder_until_it_is_dropped_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        let held = Claim::take(&lock, QUICK).unwrap().unwrap();
        assert!(Claim::take(&lock, QUICK).unwrap().is_none());
        assert!(Claim::take(&folder.path().join("other"), QUICK).unwrap().is_some());
        drop(held);
        assert!(names(folder.path()).is_empty());
        assert!(Claim::take(&lock, QUICK).unwrap().is_some());
    }

    #[test]
    fn the_claim_of_a_killed_process_is_taken_over_by_one_and_the_same_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        fs::write(place(&lock, 7), "123 killed").unwrap();
        let takers: Vec<_> = thread::scope(|scope| {
            let take = || Claim::take(&lock, QUICK).unwrap();
            let takers: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            takers.into_iter().filter_map(|taker| taker.join().unwrap()).collect()
        });
        assert!(takers.len() <= 1);
        // All may have stepped back from one another.
        let held = takers.into_iter().next().or_else(|| Claim::take(&lock, QUICK).unwrap());
        assert!(Claim::take(&lock, QUICK).unwrap().is_none());
        drop(held.unwrap());
        assert!(names(folder.path()).is_empty());
    }

    /// The holder goes on after its claim was taken over.
    #[test]
    fn a_holder_that_was_suspended_does_not_end_the_claim_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        let mut suspended = Claim::take(&lock, QUICK).unwrap().unwrap();
        let (stop, thread) = suspended.beating.take().unwrap();
        drop(stop);
        thread.join().unwrap();
        let held = Claim::take(&lock, QUICK).unwrap().unwrap();
        assert_eq!(names(folder.path()), ["lock.claim-2"]);
        fs::copy(place(&lock, 2), place(&lock, 1)).unwrap();
        drop(suspended);
        assert_eq!(names(folder.path()), ["lock.claim-1", "lock.claim-2"]);
        drop(held);
    }

    #[test]
    fn eight_threads_never_hold_a_claim_together() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        let (holders, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..40 {
                        if let Some(claim) = Claim::take(&lock, QUICK).unwrap() {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                            held.fetch_add(1, Ordering::SeqCst);
                            thread::yield_now();
                            holders.fetch_sub(1, Ordering::SeqCst);
                            drop(claim);
                        }
                    }
                });
            }
        });
        assert!(held.load(Ordering::SeqCst) > 0);
    }
}
