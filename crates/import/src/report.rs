//! The result of an import for its user: what was read, what the data set contains and, for a
//! published file, whether that is what the recipe expects.

use std::fmt;

use foretaste_data::Summary;
use serde::Serialize;

use crate::Expected;
use crate::reader::Reading;

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
