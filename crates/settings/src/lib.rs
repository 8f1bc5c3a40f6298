//! The error of a setting or an argument that is outside its range, or that does not fit the data.
//!
//! Each crate's `Error` holds a [`Setting`] as one of its variants, transparently and with
//! `#[from]`, so that `?` turns it into the error of whichever crate checks the setting.
//!
//! ```
//! use foretaste_settings::Setting;
//!
//! fn check(k: usize) -> Result<(), Setting> {
//!     match k {
//!         0 => Err(Setting::new("k", "0, expected at least 1")),
//!         _ => Ok(()),
//!     }
//! }
//! assert_eq!(check(0).unwrap_err().to_string(), "k: 0, expected at least 1");
//! ```

use serde::Serialize;

/// A setting or an argument is outside its range, or does not fit the data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct Setting {
    /// The setting or the argument.
    pub what: &'static str,
    /// What was found and what was expected.
    pub problem: String,
}

impl Setting {
    /// The setting or the argument, and what was found and what was expected.
    pub fn new(what: &'static str, problem: impl Into<String>) -> Self {
        Self { what, problem: problem.into() }
    }

    /// Settings as a whole, in the form in which people write them, and what was expected of them.
    pub fn of(what: &'static str, settings: &impl Serialize, expected: &str) -> Self {
        // What cannot be written says nothing, and the rest of the sentence still does.
        let found = serde_json::to_string(settings).unwrap_or_default();
        Self::new(what, format!("{found}, expected {expected}"))
    }
}
