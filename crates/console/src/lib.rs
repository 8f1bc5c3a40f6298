//! How the programs of the project behave at a terminal.
//!
//! * [`terminal`] prints lines. A closed pipe does not end the program, and a full disk does.
//! * [`logging`] starts logs and progress bars that do not overwrite each other.
//! * [`interrupt`] turns Ctrl-C into a request to stop, and the end of a program into its exit
//!   code.
//! * [`threads`] sets how many threads are used.
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
