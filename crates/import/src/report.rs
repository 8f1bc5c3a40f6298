use std::collections::BTreeMap;
use std::fmt;

use foretaste_data::Summary;
use serde::Serialize;

use crate::Expected;

/// What an import read, and what came of it; as text a table for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the data set holds.
    #[serde(flatten)]
    pub summary: Summary,
    /// What was read and dropped.
    pub reading: Reading,
    /// What the file is known to hold, if it was imported as its recipe says.
    pub expected: Option<Expected>,
}

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
    /// What else there is to know of how the log was made, for people.
    pub notes: Vec<String>,
}

impl Reading {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("rows read", self.rows.to_string()),
            ("rows dropped", self.dropped.values().sum::<u64>().to_string()),
        ];
        rows.extend(self.dropped.iter().map(|(reason, count)| ("", format!("{count} × {reason}"))));
        let dropped = [
            (self.empty_sessions, "without a step left"),
            (self.refused_sessions, "as the rest of a session whose rows do not stand together"),
        ];
        let dropped = dropped.into_iter().filter(|&(count, _)| count > 0);
        rows.extend(dropped.map(|(count, why)| ("sessions dropped", format!("{count} {why}"))));
        rows.extend(self.notes.iter().map(|note| ("note", note.clone())));
        rows
    }
}

impl Report {
    /// How the figure of a row of the table compares with what is expected, if anything is.
    fn remark(&self, label: &str) -> Option<String> {
        let (expected, summary) = (self.expected.as_ref()?, &self.summary);
        match label {
            "sessions" => remark(summary.sessions, expected.sessions?),
            "steps" => remark(summary.steps, expected.steps?),
            "items" => remark(summary.items, expected.items?),
            "rows read" => remark(self.reading.rows, expected.rows?),
            // The expected mean was rounded to two places.
            "mean session length" => match expected.mean_length? {
                mean if (summary.mean_length - mean).abs() < 0.005 => "as expected".into(),
                mean => format!("expected {mean:.2}"),
            },
            "split" if summary.split == expected.split => "as expected".into(),
            "split" => {
                let [train, validation, test] = expected.split?;
                format!("expected {train} / {validation} / {test} sessions")
            }
            _ => return None,
        }
        .into()
    }
}

fn remark<T: fmt::Display + PartialEq>(found: T, expected: T) -> String {
    if found == expected { "as expected".into() } else { format!("expected {expected}") }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [self.summary.rows(), self.reading.rows()].concat();
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        rows.iter().try_for_each(|(label, value)| match self.remark(label) {
            Some(remark) => writeln!(f, "{label:width$}  {value}  ({remark})"),
            None => writeln!(f, "{label:width$}  {value}"),
        })
    }
}
