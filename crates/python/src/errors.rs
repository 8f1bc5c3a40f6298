//! Work without the interpreter's lock, and what goes wrong in it as Python's exceptions.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use foretaste_console::terminal::reasons;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::{PyErr, PyResult, Python};

/// What came of some work, or what it said when it panicked.
pub type Caught<T> = Result<anyhow::Result<T>, String>;

/// Does the work while other threads of Python run. A panic becomes a `RuntimeError`.
///
/// # Errors
/// What [`finish`] makes of an error.
pub fn compute<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> PyResult<T> {
    finish(py.detach(|| caught(work)))
}

/// Does the work, and lets no panic out.
pub fn caught<T>(work: impl FnOnce() -> anyhow::Result<T>) -> Caught<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| said(&*payload).to_owned())
}

/// What came of the work.
///
/// # Errors
/// What [`raised`] makes of an error; a `RuntimeError` for a panic.
pub fn finish<T>(done: Caught<T>) -> PyResult<T> {
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(raised(&error)),
        Err(panic) => Err(PyRuntimeError::new_err(format!(
            "internal error: {panic}; this is a defect of foretaste, please report it"
        ))),
    }
}

/// An `OSError` where a file or the system is at fault, else a `ValueError`, in the same words.
pub fn raised(error: &anyhow::Error) -> PyErr {
    let words = reasons(error);
    if error.chain().any(|cause| cause.is::<io::Error>()) {
        PyOSError::new_err(words)
    } else {
        PyValueError::new_err(words)
    }
}

fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("unknown")
}
