//! What this machine permits, and how a command is run under its limits.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use super::fault::Kind;
use super::shims::{Shim, Shims};
use super::target::PLACE;

/// What this machine permits.
pub struct Machine {
    /// Limits on the size of files, by `prlimit`.
    limits: bool,
    /// Mounts that only one process sees, by `unshare`.
    mounts: bool,
    /// Calls of the system that fail in a process.
    shims: Option<Shims>,
}

/// What a command runs under.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Nothing.
    None,
    /// A write beyond this size of a file fails.
    FailsAt(u64),
    /// A write beyond this size of a file ends the process.
    EndsAt(u64),
    /// Its place has so many bytes.
    Space(u64),
    /// Its place cannot be written to.
    ReadOnly,
}

/// Where a command under [`Limit::Space`] leaves what was in its place.
pub const LEFT: &str = "left";

/// `$1` is the limit.
const FAILS_AT: &str = "trap '' XFSZ; limit=$1; shift; exec prlimit --fsize=$limit \"$@\"";
const ENDS_AT: &str = "limit=$1; shift; exec prlimit --core=0 --fsize=$limit \"$@\"";
const SPACE: &str = "cp -a place before && mount -t tmpfs -o size=$1 tmpfs place && \
                     cp -a before/. place && shift && { \"$@\"; code=$?; cp -a place left && \
                     exit $code; }";
const READ_ONLY: &str = "mount --bind place place && mount -o remount,bind,ro place && shift && \
                         exec \"$@\"";

impl Machine {
    /// Tries in `folder` what is permitted.
    pub fn probe(folder: &Path) -> anyhow::Result<Self> {
        let place = folder.join("probe").join(PLACE);
        std::fs::create_dir_all(&place)
            .with_context(|| format!("cannot create {}", place.display()))?;
        let all = Self { limits: true, mounts: true, shims: None };
        let works = |limit| {
            let mut command = all.command(&["true".to_owned()], limit);
            command.current_dir(folder.join("probe")).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        Ok(Self {
            limits: works(Limit::EndsAt(1 << 20)),
            mounts: works(Limit::ReadOnly) && works(Limit::Space(1 << 20)),
            shims: Shims::compile(&folder.join("probe")),
        })
    }

    /// Why faults of a kind cannot be made here, if so.
    pub fn lacks(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::TornWrite | Kind::FullDisk if !self.limits => {
                Some("the program prlimit, of util-linux, is needed")
            }
            Kind::ReadOnly if !self.mounts => {
                Some("mounts are not permitted here (unshare --map-root-user --mount)")
            }
            Kind::Clock if self.shims.is_none() => {
                Some("a C compiler, and a loader that knows LD_PRELOAD, are needed")
            }
            _ => None,
        }
    }

    /// The library by which calls of the system fail in a process, if it could be made.
    pub fn library(&self, shim: Shim) -> Option<PathBuf> {
        Some(self.shims.as_ref()?.library(shim))
    }

    /// Whether disks can be small.
    pub fn mounts(&self) -> bool {
        self.mounts
    }

    /// A command under a limit.
    pub fn command(&self, words: &[String], limit: Limit) -> Command {
        let (script, number) = match limit {
            Limit::None => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                return command;
            }
            Limit::FailsAt(bytes) => (FAILS_AT, bytes),
            Limit::EndsAt(bytes) => (ENDS_AT, bytes),
            Limit::Space(bytes) => (SPACE, bytes),
            Limit::ReadOnly => (READ_ONLY, 0),
        };
        let mut command = match limit {
            Limit::Space(_) | Limit::ReadOnly => {
                let mut command = Command::new("unshare");
                command.args(["--map-root-user", "--mount", "sh"]);
                command
            }
            _ => Command::new("sh"),
        };
        command.args(["-c", script, "sh", &number.to_string()]).args(words);
        command
    }
}
