//! Prints lines at the terminal. A reader that has gone away does not end the program:
//! lines that no one reads are dropped, where `println!` would panic. Lines that a reader waits for
//! and that cannot be written, as on a full disk, end the program.

use std::fmt::Display;
use std::io::{ErrorKind, Write, stderr, stdout};

/// Writes a line to the standard output. A closed pipe is no error; any other ends the program with
/// exit code 1.
pub fn print_line(line: impl Display) {
    still_read(line);
}

/// The same, and whether it is still read: a command that prints without end stops if it is not.
pub fn still_read(line: impl Display) -> bool {
    match writeln!(stdout(), "{line}").and_then(|()| stdout().flush()) {
        Ok(()) => true,
        Err(reason) if reason.kind() == ErrorKind::BrokenPipe => false,
        Err(reason) => {
            eprint_line(format_args!("error: cannot write to the standard output: {reason}"));
            std::process::exit(1);
        }
    }
}

/// Writes a line to the standard error.
pub fn eprint_line(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// A time as people say it: `45 s`, `12 min`, `3.4 h`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        ..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// An error with its causes, in one line. Many errors end with the text of their cause; it is not
/// said twice. The numbers of the operating system are left out.
pub fn reasons(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| without_numbers(&cause.to_string())) {
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// `denied (os error 13)` is `denied`.
fn without_numbers(said: &str) -> String {
    const NUMBER: &str = " (os error ";
    let mut parts = said.split(NUMBER);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(')');
        text.push_str(rest.unwrap_or(part));
    }
    text
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
        assert_eq!(
            reasons(&anyhow::Error::new(cause()).context("log.csv")),
            "log.csv: no such file"
        );
    }

    #[test]
    fn numbers_of_the_system_are_left_out() {
        let denied = anyhow::Error::msg("a: denied (os error 13), b: gone (os error 2)");
        assert_eq!(reasons(&denied), "a: denied, b: gone");
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(
            [4.4, 89.0, 130.0, 5_300.0, 9_000.0].map(duration),
            ["4 s", "89 s", "2 min", "88 min", "2.5 h"]
        );
    }
}
