//! How the programs talk to the person at the terminal: lines that a closed pipe does not end, logs
//! that step aside for progress bars, Ctrl-C, exit codes, numbers of threads.
//!
//! ```
//! use foretaste_console::terminal::{duration, reasons};
//!
//! let error = anyhow::anyhow!("no such file").context("clicks.csv");
//! assert_eq!(reasons(&error), "clicks.csv: no such file");
//! assert_eq!(duration(130.0), "2 min");
//! ```

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where a pipe is closed: use `terminal`"
)]

pub mod interrupt;
pub mod logging;
pub mod terminal;
pub mod threads;

pub use interrupt::Interrupted;
