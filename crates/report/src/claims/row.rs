//! A claim as a row of the ledger's file.

use foretaste_eval::Metric;
use serde::Deserialize;

use super::{Better, Claim, Contender, Rule};
use crate::patterns::{Patterns, split};

/// A row of the ledger's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) paper: String,
    pub(super) section: String,
    pub(super) experiment: String,
    pub(super) sentence: String,
    pub(super) metrics: String,
    pub(super) better: Better,
    pub(super) ours: String,
    pub(super) rivals: String,
    pub(super) rule: Rule,
    pub(super) datasets: String,
    pub(super) settings: String,
}

impl Claim {
    /// The claim of a row, or what is wrong with it.
    pub(super) fn new(row: Row, line: u64) -> std::result::Result<Self, String> {
        let contenders = |list: &str| split(list).map(Contender::from).collect();
        let named = |name: String| name.parse::<Metric>().map_err(|unknown| unknown.to_string());
        let metrics = split(&row.metrics).map(named).collect::<std::result::Result<Vec<_>, _>>()?;
        if let Some(metric) = metrics.iter().find(|metric| !row.better.suits(metric.better())) {
            return Err(format!(
                "`{}` is not what is better of `{metric}`: {}",
                row.better.as_str(),
                metric.description()
            ));
        }
        Ok(Self {
            line,
            metrics,
            ours: contenders(&row.ours),
            rivals: contenders(&row.rivals),
            datasets: Patterns::parse(&row.datasets),
            settings: Patterns::parse(&row.settings),
            paper: row.paper,
            section: row.section,
            experiment: row.experiment,
            sentence: row.sentence,
            better: row.better,
            rule: row.rule,
        })
    }
}

impl From<String> for Contender {
    fn from(text: String) -> Self {
        match text.split_once(" @ ") {
            Some((method, setting)) => {
                Self { method: method.into(), setting: Some(setting.into()) }
            }
            None => Self { method: text, setting: None },
        }
    }
}
