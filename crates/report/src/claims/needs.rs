//! What a data set must show of itself before its differences count.

use std::fmt;

use foretaste_eval::{Metric, text};

use crate::results::Named;
use crate::{Arm, Result, Results};

/// A metric and the least mean of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Needs {
    pub(super) metric: Metric,
    least: f64,
}

impl Needs {
    /// What a cell says: `METRIC >= NUMBER`, or nothing.
    pub(super) fn parse(cell: &str, named: Named) -> std::result::Result<Option<Self>, String> {
        if cell.trim().is_empty() {
            return Ok(None);
        }
        let parts = cell.split_once(">=").map(|(name, least)| (name.trim(), least.trim()));
        let number = |text: &str| text.parse().ok().filter(|least: &f64| least.is_finite());
        let Some((name, least)) = parts.and_then(|(name, least)| Some((name, number(least)?)))
        else {
            return Err(format!("is `{cell}`, expected `METRIC >= NUMBER`"));
        };
        let metric = named(name).map_err(|unknown| unknown.to_string())?;
        Ok(Some(Self { metric, least }))
    }

    /// Why the differences of an arm do not count; `None` where they do.
    ///
    /// # Errors
    /// Where a value is not finite.
    pub(super) fn lacking(
        self,
        experiment: &str,
        arm: &Arm,
        results: &Results,
    ) -> Result<Option<String>> {
        let found = results.estimate(experiment, arm, self.metric)?;
        Ok(match found {
            Some(found) if found.mean >= self.least => None,
            Some(found) => {
                let mean = text::significant(found.mean, 2);
                Some(format!("{}: {} is {mean}, {self} is needed", arm.dataset, self.metric))
            }
            None => Some(format!("{}: {} is not known", arm.dataset, self.metric)),
        })
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at least {}", self.least)
    }
}
