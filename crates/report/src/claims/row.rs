//! A claim as a row of the ledger's file.

use foretaste_eval::Metric;
use serde::Deserialize;

use super::{Amount, Better, Claim, Contender, Needs, Rule};
use crate::patterns::{Patterns, split};
use crate::results::Named;

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
    #[serde(default)]
    pub(super) margin: String,
    #[serde(default)]
    pub(super) effect: String,
    #[serde(default)]
    pub(super) needs: String,
}

impl Claim {
    /// The claim of a row, or what is wrong with it.
    pub(super) fn new(row: Row, line: u64, named: Named) -> std::result::Result<Self, String> {
        let contenders = |list: &str| split(list).map(Contender::from).collect();
        let metric = |name: String| named(&name).map_err(|unknown| unknown.to_string());
        let metrics =
            split(&row.metrics).map(metric).collect::<std::result::Result<Vec<Metric>, _>>()?;
        if let Some(metric) = metrics.iter().find(|metric| !row.better.suits(metric.better())) {
            return Err(format!(
                "`{}` is not what is better of `{metric}`: {}",
                row.better.as_str(),
                metric.description()
            ));
        }
        let amount = |column: &str, cell: &str| {
            let about = |problem: String| format!("`{column}` of \"{}\" {problem}", row.sentence);
            match Amount::parse(cell).map_err(about)? {
                Some(Amount::Percent(_)) if row.better == Better::Steadier => Err(about(format!(
                    "is `{cell}`, but a spread has no share: expected a number in the metric's unit"
                ))),
                amount => Ok(amount),
            }
        };
        let (margin, effect) = (amount("margin", &row.margin)?, amount("effect", &row.effect)?);
        let needs = Needs::parse(&row.needs, named)
            .map_err(|problem| format!("`needs` of \"{}\" {problem}", row.sentence))?;
        if margin.is_none() && row.rule.needs_margin() {
            return Err(format!(
                "`margin` of \"{}\" is empty: the rule `{}` needs one",
                row.sentence,
                row.rule.as_str()
            ));
        }
        Ok(Self {
            line,
            margin,
            effect,
            needs,
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
