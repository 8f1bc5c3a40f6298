//! The account of an import: what of the files is not in the log, counted by reason, and what else
//! a user should know about it.

use std::collections::BTreeMap;

use serde::Serialize;

/// What an import read and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Rows read, without the header.
    pub rows: u64,
    /// Rows dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Sessions dropped because no step of theirs was left.
    pub empty_sessions: u64,
    /// Sessions refused because their id stood before, with other sessions between: parts of
    /// sessions.
    pub refused_sessions: u64,
    /// Sessions left out because they had more steps than a session may have.
    pub long_sessions: u64,
    /// Columns of the files that were not read.
    pub ignored_columns: Vec<String>,
    /// What else there is to know of how the log was made, for people.
    pub notes: Vec<String>,
}

impl Reading {
    /// The rows of a table for people: what they say, and of how much.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("rows read", self.rows.to_string()),
            ("rows dropped", self.dropped.values().sum::<u64>().to_string()),
        ];
        rows.extend(self.dropped.iter().map(|(reason, count)| ("", format!("{count} × {reason}"))));
        let dropped = [
            (self.empty_sessions, "without a step left"),
            (self.long_sessions, "of more steps than --max-session-steps"),
            (self.refused_sessions, "as the rest of a session whose rows are not consecutive"),
        ];
        let dropped = dropped.into_iter().filter(|&(count, _)| count > 0);
        rows.extend(dropped.map(|(count, why)| ("sessions dropped", format!("{count} {why}"))));
        if !self.ignored_columns.is_empty() {
            let named = |name: &String| match name.is_empty() {
                true => "one without a name".into(),
                false => name.clone(),
            };
            let names: Vec<String> = self.ignored_columns.iter().map(named).collect();
            rows.push(("columns not read", names.join(", ")));
        }
        rows.extend(self.notes.iter().map(|note| ("note", note.clone())));
        rows
    }
}
