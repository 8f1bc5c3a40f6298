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
    /// Writes it to the standard output.
    pub fn print(self, as_json: bool) {
        match as_json {
            true => print_line(self.json),
            false => print_line(self.text.trim_end()),
        }
    }
}
