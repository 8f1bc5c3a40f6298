//! What an experiment is: a grid of cells, each a pure function of its configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foretaste_eval::Metric;
use foretaste_report::{DataSet, Figures, Point, View};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use crate::logging::CELL;
use crate::trace::Events;

/// A grid of cells that answers one question of a paper.
pub trait Experiment: Sync {
    /// The name on the command line and in the results.
    fn name(&self) -> &'static str;

    /// The grid, in the order in which it is to run. No two cells are equal.
    fn cells(&self) -> &[Cell];

    /// Runs one cell, on the calling thread.
    ///
    /// The outcome follows from the cell alone: the same bits on every run, whatever runs beside
    /// it. Measured times do not belong in it; the runner records them. A cell calls
    /// [`Watch::progress`] at least once a second, and returns [`Interrupted`] when
    /// [`Watch::interrupted`] says so.
    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome>;

    /// What it asks, one sentence.
    fn question(&self) -> &'static str;

    /// Its data sets, in the order of the grid.
    fn datasets(&self) -> Vec<DataSet>;

    /// The names of data sets that it has where their files are at hand, which the ledger may name
    /// whether they are or not.
    fn public_datasets(&self) -> &'static [&'static str] {
        &[]
    }

    /// The metrics that its table shows, in order; `results.csv` holds all.
    fn columns(&self) -> &'static [Metric];

    /// The metrics that its cells report beside those, each by some of them.
    fn further_metrics(&self) -> Vec<Metric>;

    /// What the validation figures of its learning curves are, with the unit; empty where it has
    /// none.
    fn curve_label(&self) -> &'static str {
        ""
    }

    /// Its plots and tables after those of the papers.
    fn views(&self) -> Vec<View>;

    /// Remarks under the experiment's table, one item of a Markdown list each: where the data come
    /// from, figures of public runs.
    fn notes(&self) -> Vec<String>;
}

/// One run of one method on one data set under one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the data set.
    pub dataset: String,
    /// Name of the method.
    pub method: String,
    /// What is varied beside data and method; empty where nothing is.
    pub setting: String,
    /// Number of the seed; the same number gives different methods the same draws, so that
    /// differences are paired.
    pub seed: u64,
    /// Everything else that the result depends on, a digest of the data file among it.
    pub config: Value,
}

/// What a cell found. All values are finite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The cell's figures; in the store, by name.
    pub metrics: Figures,
    /// The learning curve: one row per point, e.g. `iteration`, `train_nll`, `valid_nll`.
    pub curve: Vec<Point>,
}

/// A running cell's line to the person who watches it.
pub struct Watch {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    events: Arc<Events>,
    /// What the log last said of the progress.
    milestone: AtomicU64,
}

/// The run was asked to stop before the cell was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// Part of every digest: raised when the meaning of a stored outcome changes.
const FORMAT: u32 = 1;

impl Cell {
    /// The cell's address: hexadecimal, the same for equal cells on every machine.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // The project's first name: under another, no stored cell would be found again.
        hasher.update(format!("understudy cell {FORMAT}\n").as_bytes());
        for part in [&self.experiment, &self.dataset, &self.method, &self.setting] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(canonical(&self.config).as_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.experiment, self.dataset, self.method)?;
        if !self.setting.is_empty() {
            write!(f, " {}", self.setting)?;
        }
        write!(f, " seed {}", self.seed)
    }
}

impl Outcome {
    /// The first figure that is not finite, by name.
    pub fn not_finite(&self) -> Option<(&str, f64)> {
        let metrics = self.metrics.iter().map(|(metric, &value)| (metric.name(), value));
        let points = self.curve.iter().flatten().map(|(name, &value)| (name.as_str(), value));
        metrics.chain(points).find(|(_, value)| !value.is_finite())
    }
}

impl Watch {
    /// A line that shows on `bar` and asks to stop once `stop` is set.
    pub fn new(bar: ProgressBar, stop: Arc<AtomicBool>) -> Self {
        Self { bar, stop, events: Arc::default(), milestone: AtomicU64::new(u64::MAX) }
    }

    /// The same, with somewhere for figures to go.
    pub fn recording(self, events: Arc<Events>) -> Self {
        Self { events, ..self }
    }

    /// Shows that `done` of `total` units of work are behind the cell; `total` may change. The log
    /// hears of every tenth.
    pub fn progress(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let tenths = 10 * done / total.max(1);
        let milestone = total << 4 | tenths;
        if self.milestone.swap(milestone, Ordering::Relaxed) != milestone {
            info!(target: CELL, "{done} of {total} done");
        }
    }

    /// Shows figures of one step of the training while it goes on: a row of the learning curve as
    /// soon as it is made, and what else there is, such as norms of gradients. None of it becomes
    /// part of the outcome.
    ///
    /// `part` is the part of the cell that they belong to, empty for the curve of its outcome. A
    /// figure named `iteration` is the step and not shown again.
    pub fn record(&self, part: &str, step: u64, figures: impl IntoIterator<Item = (String, f64)>) {
        self.events.record(part, step, figures);
    }

    /// [`Watch::interrupted`] for what is told to break off.
    pub fn control_flow(&self) -> ControlFlow<()> {
        if self.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether the cell should give up now and return [`Interrupted`].
    pub fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// JSON with sorted keys and no spaces. serde_json's own map keeps the order of insertion as soon
/// as any crate of the build asks it to, so its output is not canonical.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let fields: Vec<_> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cell() -> Cell {
        Cell {
            experiment: "e".into(),
            dataset: "d".into(),
            method: "m".into(),
            setting: "s".into(),
            seed: 1,
            config: json!({"a": 1, "b": {"x": [1, 2.5], "y": null}}),
        }
    }

    #[test]
    fn the_digest_sees_every_field() {
        let base = cell().digest();
        let changes: [fn(&mut Cell); 7] = [
            |c| c.experiment.push('x'),
            |c| c.dataset.push('x'),
            |c| c.method.push('x'),
            |c| c.setting.push('x'),
            |c| c.seed += 1,
            |c| c.config["a"] = json!(2),
            |c| c.config["b"]["x"] = json!([2.5, 1]),
        ];
        for change in changes {
            let mut other = cell();
            change(&mut other);
            assert_ne!(other.digest(), base, "{other:?}");
        }
    }

    #[test]
    fn the_digest_does_not_see_the_order_of_keys() {
        let mut other = cell();
        other.config = serde_json::from_str(r#"{"b":{"y":null,"x":[1,2.5]},"a":1}"#).unwrap();
        assert_eq!(other.digest(), cell().digest());
    }

    #[test]
    fn text_cannot_move_between_fields() {
        let (mut a, mut b) = (cell(), cell());
        (a.method, a.setting) = ("xy".into(), "z".into());
        (b.method, b.setting) = ("x".into(), "yz".into());
        assert_ne!(a.digest(), b.digest());
    }

    #[test]
    fn a_nan_in_metrics_or_curve_is_found() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.not_finite(), None);
        outcome.curve.push([("loss".to_owned(), f64::INFINITY)].into());
        assert_eq!(outcome.not_finite(), Some(("loss", f64::INFINITY)));
        outcome.metrics.insert(Metric::Nll, f64::NAN);
        assert_eq!(outcome.not_finite().unwrap().0, "nll");
    }
}
