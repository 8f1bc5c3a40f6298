//! Ctrl-C: the first asks to stop, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use indicatif::MultiProgress;

use crate::terminal::tell;

/// The exit code of a program that was interrupted.
pub const EXIT_CODE: u8 = 130;

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
            std::process::exit(EXIT_CODE.into());
        }
        bars.suspend(|| tell(saying));
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}
