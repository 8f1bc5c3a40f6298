//! What cells cost: measured times, and what they let expect of cells that are still to run.

use std::collections::BTreeMap;

use anyhow::Context;
use foretaste_report::{Arm, Table};

use crate::store::Store;
use crate::times::mean;
use crate::{Cell, Experiment, Scale};
use foretaste_console::terminal::duration;

/// What is to be expected of a cell, in seconds.
pub struct Costs {
    /// By experiment and arm, and by experiment, method and setting on other data.
    exact: BTreeMap<(String, Arm), Vec<f64>>,
    alike: BTreeMap<[String; 3], Vec<f64>>,
}

impl Costs {
    /// From the finished cells of `store`, if there is one, and where it has none of an arm from
    /// the times that were `measured`, see [`Program::times`](crate::Program::times).
    pub fn new(scale: Scale, measured: &str, store: Option<&Store>) -> anyhow::Result<Self> {
        let mut costs = Self { exact: BTreeMap::new(), alike: BTreeMap::new() };
        for done in store.map_or(Ok(Vec::new()), Store::all)? {
            costs
                .exact
                .entry((done.cell.experiment.clone(), done.cell.arm()))
                .or_default()
                .push(done.seconds);
        }
        let mut table = csv::Reader::from_reader(measured.as_bytes());
        for record in table.records() {
            let record = record.context("the measured times")?;
            let [experiment, dataset, method, setting] =
                [1, 2, 3, 4].map(|at| record[at].to_owned());
            if record[0] != *scale.as_str() {
                continue;
            }
            let seconds: f64 = record[6]
                .parse()
                .with_context(|| format!("the measured times: `{}`", &record[6]))?;
            costs
                .alike
                .entry([experiment.clone(), method.clone(), setting.clone()])
                .or_default()
                .push(seconds);
            costs
                .exact
                .entry((experiment, Arm { dataset, method, setting }))
                .or_insert_with(|| vec![seconds]);
        }
        Ok(costs)
    }

    /// The expected time of a cell, and whether it was measured on these data; `None` where nothing
    /// is known.
    fn of(&self, cell: &Cell) -> Option<(f64, bool)> {
        let exact =
            self.exact.get(&(cell.experiment.clone(), cell.arm())).map(|all| (mean(all), true));
        let alike = || {
            self.alike.get(&[cell.experiment.clone(), cell.method.clone(), cell.setting.clone()])
        };
        exact.or_else(|| alike().map(|all| (mean(all), false)))
    }
}

/// The cells of a run and what they are expected to cost.
pub struct Plan {
    table: Table,
    total: usize,
    done: usize,
    left: f64,
    unknown: usize,
}

impl Plan {
    /// The plan of the cells that are `chosen` among those of the experiments, in their order;
    /// those that `finished` says are done cost nothing.
    pub fn new(
        experiments: &[Box<dyn Experiment>],
        chosen: &[bool],
        finished: impl Fn(&Cell) -> bool,
        costs: &Costs,
    ) -> Self {
        let header =
            ["experiment", "dataset", "method", "setting", "cells", "done", "s per cell", "s left"];
        let table = Table {
            title: "plan".into(),
            header: header.map(str::to_owned).into(),
            rows: Vec::new(),
        };
        let mut plan = Self { table, total: 0, done: 0, left: 0.0, unknown: 0 };
        let cells = experiments.iter().flat_map(|experiment| experiment.cells());
        let mut arms: Vec<(&Cell, usize, usize)> = Vec::new();
        let mut place = BTreeMap::new();
        for cell in cells.zip(chosen).filter_map(|(cell, chosen)| chosen.then_some(cell)) {
            let at = *place.entry((&cell.experiment, cell.arm())).or_insert(arms.len());
            if at == arms.len() {
                arms.push((cell, 0, 0));
            }
            arms[at].1 += 1;
            arms[at].2 += usize::from(finished(cell));
        }
        for (cell, count, done) in arms {
            let cost = costs.of(cell);
            let left = count - done;
            let (each, rest) = match cost {
                Some((seconds, exact)) => {
                    plan.left += seconds * left as f64;
                    let about = if exact { "" } else { "~" };
                    (format!("{about}{seconds:.1}"), format!("{about}{:.0}", seconds * left as f64))
                }
                None => {
                    plan.unknown += left;
                    ("?".into(), "?".into())
                }
            };
            let Cell { experiment, dataset, method, setting, .. } = cell;
            let names = [experiment, dataset, method, setting].map(String::clone);
            let row = names.into_iter().chain([count.to_string(), done.to_string(), each, rest]);
            plan.table.rows.push(row.collect());
            plan.total += count;
            plan.done += done;
        }
        plan
    }

    /// For the terminal.
    pub fn plain(&self, jobs: usize) -> String {
        let Self { total, done, left, unknown, .. } = self;
        let known = format!(
            "; about {} of one core left, {} with {jobs} jobs",
            duration(*left),
            duration(left / jobs as f64)
        );
        let known = if total - done > *unknown { known } else { String::new() };
        let unknown = if *unknown > 0 {
            format!("; the time of {unknown} has not been measured")
        } else {
            String::new()
        };
        format!(
            "{}\n{total} cells, {done} of them finished{known}{unknown}.\nThe times are those of \
             finished cells of this directory, or else of our machine with two cores; ~ marks \
             times measured on other data.",
            self.table.plain(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Outcome;
    use crate::store::Finished;

    const MEASURED: &str = "\
scale,experiment,dataset,method,setting,cells,seconds
quick,user-model,simulated,GAN-LSTM,split by seed,5,12.5
";

    fn cell(dataset: &str, method: &str) -> Cell {
        Cell {
            experiment: "user-model".into(),
            dataset: dataset.into(),
            method: method.into(),
            setting: "split by seed".into(),
            seed: 0,
            config: json!({}),
        }
    }

    #[test]
    fn what_was_measured_here_counts_before_what_comes_with_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let without = Costs::new(Scale::Quick, MEASURED, Some(&store)).unwrap();
        let (known, exact) = without.of(&cell("simulated", "GAN-LSTM")).unwrap();
        assert_eq!((known, exact), (12.5, true));
        for (seed, seconds) in [(0, 100.0), (1, 300.0)] {
            let cell = Cell { seed, ..cell("simulated", "GAN-LSTM") };
            store
                .save(&Finished {
                    cell,
                    outcome: Outcome::default(),
                    seconds,
                    revision: "abc".into(),
                })
                .unwrap();
        }
        let with = Costs::new(Scale::Quick, MEASURED, Some(&store)).unwrap();
        assert_eq!(with.of(&cell("simulated", "GAN-LSTM")), Some((200.0, true)));
        assert!(!with.of(&cell("a log of my own", "GAN-LSTM")).unwrap().1);
        assert_eq!(with.of(&cell("simulated", "no such method")), None);
    }
}
