//! Small libraries that a process loads before those of the system, so that a call of the system
//! fails in it: clocks that jump, and locks that do not work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shim {
    /// The clock of the day jumps whenever it is read.
    Clock,
    /// Every lock is refused.
    LocksRefused,
    /// Every lock is granted to everyone.
    LocksGranted,
}

impl Shim {
    const ALL: [Self; 3] = [Self::Clock, Self::LocksRefused, Self::LocksGranted];

    fn source(self) -> &'static str {
        match self {
            Self::Clock => include_str!("../../../crates/files/tests/shims/clock.c"),
            Self::LocksRefused => include_str!("../../../crates/files/tests/shims/flock_refused.c"),
            Self::LocksGranted => include_str!("../../../crates/files/tests/shims/flock_granted.c"),
        }
    }

    fn file(self, folder: &Path, extension: &str) -> PathBuf {
        folder.join(format!("{self:?}.{extension}"))
    }
}

/// The libraries, in a folder.
pub struct Shims(PathBuf);

impl Shims {
    /// Compiles them, where there is a C compiler and a loader that takes them.
    pub fn compile(folder: &Path) -> Option<Self> {
        let shims = Self(folder.to_owned());
        let works = |shim: Shim| {
            let source = shim.file(folder, "c");
            let written = fs::write(&source, shim.source()).is_ok();
            let mut cc = Command::new("cc");
            cc.args(["-shared", "-fPIC", "-o"]).arg(shims.library(shim)).arg(source);
            written && cfg!(target_os = "linux") && succeeds(cc)
        };
        Shim::ALL.into_iter().all(works).then_some(shims)
    }

    /// What `LD_PRELOAD` is to be.
    pub fn library(&self, shim: Shim) -> PathBuf {
        shim.file(&self.0, "so")
    }
}

fn succeeds(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use foretaste_console::terminal::print_line;

    use super::*;

    #[test]
    fn the_clock_jumps() {
        let folder = tempfile::tempdir().unwrap();
        let Some(shims) = Shims::compile(folder.path()) else {
            print_line("skipped: there is no C compiler");
            return;
        };
        let mut date = Command::new("date");
        date.arg("+%Y").env("LD_PRELOAD", shims.library(Shim::Clock));
        let year = String::from_utf8(date.output().unwrap().stdout).unwrap();
        let now = String::from_utf8(Command::new("date").arg("+%Y").output().unwrap().stdout);
        assert_ne!(year, now.unwrap());
    }
}
