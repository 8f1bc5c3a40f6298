//! What a command returns instead of printing: lines for people and the same as JSON. So `--json`,
//! a run's stored stages and the Python package get the same answer.

use foretaste_console::terminal::print_line;
use serde_json::Value;

/// The result of a command, for people and for programs.
pub struct Answer {
    /// Lines for people.
    pub text: String,
    /// The same as an object.
    pub json: Value,
}

impl Answer {
    /// Of a command that has printed all that it has to say.
    pub fn said() -> Self {
        Self { text: String::new(), json: Value::Null }
    }

    /// Writes it to the standard output.
    pub fn print(self, as_json: bool) {
        match as_json {
            true if self.json.is_null() => {}
            true => print_line(self.json),
            false if self.text.is_empty() => {}
            false => print_line(self.text.trim_end()),
        }
    }
}
