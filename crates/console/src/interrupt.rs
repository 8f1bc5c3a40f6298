//! Ctrl-C, and how a program ends: the first Ctrl-C asks it to stop, the second ends it.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use indicatif::MultiProgress;

use crate::terminal::{eprint_line, reasons};

/// The work was asked to stop before it was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// The exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// The flag that the first Ctrl-C sets; the second ends the process. `saying` is shown then, and
/// the bars step aside for it.
///
/// # Errors
/// Where the system lets nobody watch, or somebody watches already.
pub fn on_ctrl_c(bars: &MultiProgress, saying: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, bars) = (Arc::clone(&stop), bars.clone());
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        bars.suspend(|| eprint_line(saying));
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

/// The exit code of a program that ends like this: 0, 130 if it was [`Interrupted`], else 1. What
/// went wrong is written to the standard error.
pub fn exit_code(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprint_line(error);
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprint_line(format_args!("error: {}", reasons(&error)));
            ExitCode::FAILURE
        }
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}
