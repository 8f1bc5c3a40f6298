//! Ctrl-C, and how a program ends: the first Ctrl-C asks it to stop, the second ends it.

use std::fmt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use indicatif::MultiProgress;

use crate::terminal::{eprint_line, reasons};

/// The work was asked to stop before it was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// The exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// Who watches for Ctrl-C: there is one for the whole process.
static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

struct Watch {
    stop: Arc<AtomicBool>,
    bars: MultiProgress,
    saying: &'static str,
}

/// The flag that the first Ctrl-C sets; the second ends the process. `saying` is shown then, and
/// the bars step aside for it. A program that does several things one after the other may ask
/// again: the flag is the same, and the last `saying` is shown.
///
/// # Errors
/// Where the system does not let the process watch.
pub fn on_ctrl_c(bars: &MultiProgress, saying: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(watch) = &mut *watch {
        watch.bars = bars.clone();
        watch.saying = saying;
        return Ok(Arc::clone(&watch.stop));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        let watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Watch { bars, saying, .. }) = &*watch {
            bars.suspend(|| eprint_line(saying));
        }
    })
    .context("cannot watch for Ctrl-C")?;
    *watch = Some(Watch { stop: Arc::clone(&stop), bars: bars.clone(), saying });
    Ok(stop)
}

/// The same flag for a program inside another that watches for Ctrl-C by itself, as Python does:
/// nothing is installed, and the flag is down. To be called before each piece of work, of which
/// there is one at a time.
pub fn inside() -> Arc<AtomicBool> {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    let watch = watch.get_or_insert_with(|| Watch {
        stop: Arc::default(),
        bars: MultiProgress::new(),
        saying: "",
    });
    watch.stop.store(false, Ordering::Relaxed);
    Arc::clone(&watch.stop)
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
