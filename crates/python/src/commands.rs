//! The commands of the program `foretaste`, run inside Python.

use std::ffi::OsString;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use foretaste_console::interrupt;
use pyo3::prelude::*;

use crate::errors::{caught, finish};

/// One command runs at a time: they share the flag that stops them.
static RUNNING: Mutex<()> = Mutex::new(());

/// How often Python is asked whether Ctrl-C was pressed.
const PERIOD: Duration = Duration::from_millis(50);

/// Does work that looks at the flag of [`interrupt`], on a thread of its own, while this one asks
/// Python for signals. After Ctrl-C the work stops as the program's does, and the
/// `KeyboardInterrupt` goes on its way when it has.
///
/// # Errors
/// What [`finish`] makes of an error; what a signal raised.
pub fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> PyResult<T> {
    let (done, interrupted) = py.detach(|| {
        let _one = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let stop = interrupt::inside();
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(1);
            scope.spawn(move || send.send(caught(work)));
            let mut interrupted = None;
            loop {
                match receive.recv_timeout(PERIOD) {
                    Ok(done) => break (Some(done), interrupted),
                    Err(RecvTimeoutError::Disconnected) => break (None, interrupted),
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if let Err(signal) = Python::attach(|py| py.check_signals()) {
                    stop.store(true, Ordering::Relaxed);
                    interrupted.get_or_insert(signal);
                }
            }
        })
    });
    if let Some(signal) = interrupted {
        return Err(signal);
    }
    finish(done.unwrap_or_else(|| Err("the work ended without a word".into())))
}

/// The answer of a command, as JSON.
#[pyfunction]
pub fn command(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<String> {
    interruptible(py, || Ok(foretaste::answer(arguments)?.to_string()))
}

/// The program itself; its exit code.
#[pyfunction]
pub fn program(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let code = py.detach(|| foretaste::main(arguments));
    // Only the system can read an `ExitCode`.
    [0, 1, 2, 3, 130].into_iter().find(|&known| code == known.into()).unwrap_or(1)
}
