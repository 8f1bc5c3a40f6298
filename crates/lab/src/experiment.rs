//! What an experiment is: a grid of cells, each a pure function of its configuration.

use foretaste_eval::Metric;
use foretaste_report::{DataSet, View};

use crate::{Cell, Outcome, Watch};

/// A grid of cells that answers one question of a paper.
pub trait Experiment: Sync {
    /// The name on the command line and in the results.
    fn name(&self) -> &'static str;

    /// The grid, in the order in which it is to run. No two cells are equal.
    fn cells(&self) -> &[Cell];

    /// Runs one cell, on the calling thread.
    ///
    /// The outcome follows from the cell alone: the same bits on every run, whatever else runs
    /// it. Measured times do not belong in it; the runner records them. A cell calls
    /// [`Watch::progress`] at least once a second, and returns
    /// [`Interrupted`](crate::Interrupted) when
    /// [`Watch::interrupted`] says so.
    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome>;

    /// What it asks, one sentence.
    fn question(&self) -> &'static str;

    /// Its data sets, in the order of the grid.
    fn datasets(&self) -> Vec<DataSet>;

    /// The names of data sets that it has where their files are available, which the ledger may
    /// name whether they are or not.
    fn public_datasets(&self) -> &'static [&'static str] {
        &[]
    }

    /// The metrics that its table shows, in order; `results.csv` holds all.
    fn columns(&self) -> &'static [Metric];

    /// The metrics that its cells report in addition to those, each by some of them.
    fn further_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    /// What the validation figures of its learning curves are, with the unit; empty where it has
    /// none.
    fn curve_label(&self) -> &'static str {
        ""
    }

    /// Its plots and tables after those of the papers.
    fn views(&self) -> Vec<View> {
        Vec::new()
    }

    /// Remarks under the experiment's table, one item of a Markdown list each: where the data come
    /// from, figures of public runs.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
