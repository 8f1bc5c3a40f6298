//! What the program tells the person at the terminal. A reader that has gone away ends nothing: lines that nobody reads
//! are dropped, where `println!` would panic.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// Writes a line to the standard output.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Writes a line to the standard error.
pub fn tell(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// An error with its causes, in one line. Many errors end with the text of their cause; it is not said twice.
pub fn reasons(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        let cause = || Error::other("no such file");
        let repeats = anyhow::Error::new(cause()).context("log.csv: no such file").context("data");
        assert_eq!(reasons(&repeats), "data: log.csv: no such file");
        assert_eq!(reasons(&anyhow::Error::new(cause()).context("log.csv")), "log.csv: no such file");
    }
}
