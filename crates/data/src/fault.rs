//! What is wrong with one step, separate from where it was found: the builder knows the problem,
//! and only the reader of a file knows the line.

use std::fmt;

/// What is wrong with a step of a log, or with a row that is to become one, before it is known
/// where it stood.
///
/// What was expected is fixed text, so that faults can be counted by their
/// [`reason`](Self::reason).
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    field: &'static str,
    expected: &'static str,
    found: String,
    advice: Option<String>,
}

impl Fault {
    /// A fault of a field.
    pub fn new(field: &'static str, expected: &'static str, found: impl Into<String>) -> Self {
        Self { field, expected, found: found.into(), advice: None }
    }

    /// A fault whose finding is a value from a file: it is quoted, and clipped to 60 characters.
    pub fn value(field: &'static str, expected: &'static str, found: &str) -> Self {
        const CLIP: usize = 60;
        let quoted = match found.char_indices().nth(CLIP) {
            Some((end, _)) => format!("{:?}…", &found[..end]),
            None if found.is_empty() => "nothing".into(),
            None => format!("{found:?}"),
        };
        Self::new(field, expected, quoted)
    }

    /// The fault with what would help: an option, or what to change.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// An optional column that some steps of a session give and others do not.
    pub fn all_or_none(field: &'static str, given: bool) -> Self {
        let found = if given { "the first value of the session" } else { "none" };
        Self::new(field, "a value on every step of a session or on none", found)
    }

    /// The field at fault.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The field and what was expected of it, whatever was found.
    pub fn reason(&self) -> String {
        format!("{}: expected {}", self.field, self.expected)
    }

    /// The field, what was expected and what was found.
    pub fn finding(&self) -> String {
        format!("{}, found {}", self.reason(), self.found)
    }

    /// What was expected and what was found, and what would help where that is known.
    pub fn problem(&self) -> String {
        let advice = self.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
        format!("expected {}, found {}{advice}", self.expected, self.found)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem())
    }
}
