//! What a run left in its results directory, for those who cite it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use foretaste_report::{Figures, Key, Results};

use crate::RunConfig;
use crate::provenance::Status;
use crate::results_dir::ResultsDir;
use crate::store::Finished;

/// What a run left in its results directory. Reading it changes nothing there.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What all results of the directory have in common.
    pub config: RunConfig,
    /// The command line of the last run.
    pub command: Vec<String>,
    /// Its start, in seconds since 1970.
    pub started_unix_s: u64,
    /// The cells of its grid; `None` until it has ended, or if it was killed.
    pub planned: Option<usize>,
    /// The figures of its finished cells.
    pub results: Results,
    /// Its `claims.csv`; `None` until it has ended.
    pub claims: Option<Vec<u8>>,
    /// The revisions of the program that ran the cells, with the number of cells of each.
    pub revisions: BTreeMap<String, usize>,
    /// The times of all cells together.
    pub seconds: f64,
}

impl Kept {
    /// What is in the directory. Of a run that has ended these are the cells of its tables; of
    /// another all that are finished of its experiments.
    ///
    /// # Errors
    /// Where it is no results directory, tables and cells contradict each other, or there are cells
    /// of several configurations and no table says which of them count.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let (record, store) = ResultsDir::left(path)?;
        let mut cells = store.all()?;
        cells.retain(|done| record.experiments.contains(&done.cell.experiment));
        cells.sort_by_cached_key(|done| (key(done), done.cell.digest()));
        let ended = record.status != Status::Running;
        let (results, claims) = if ended {
            let (results, claims) = ResultsDir::tables(path)?;
            let figures: BTreeMap<&Key, &Figures> = results.runs().collect();
            cells.retain(|done| figures.get(&key(done)) == Some(&&done.outcome.metrics));
            cells.dedup_by_key(|done| key(done));
            if cells.len() < figures.len() {
                bail!(
                    "{}: results.csv has {} runs, but the cells hold the figures of {} of them: \
                     repeat the command of the run, which writes the tables anew",
                    path.display(),
                    figures.len(),
                    cells.len()
                );
            }
            (results, Some(claims))
        } else {
            (of_cells(&cells).with_context(|| path.display().to_string())?, None)
        };
        let mut revisions = BTreeMap::new();
        for done in &cells {
            *revisions.entry(done.revision.clone()).or_default() += 1;
        }
        Ok(Self {
            config: record.config,
            command: record.command,
            started_unix_s: record.started_unix_s,
            planned: ended.then_some(record.cells.total),
            results,
            claims,
            revisions,
            seconds: cells.iter().map(|done| done.seconds).sum(),
        })
    }

    /// The number of finished cells.
    pub fn cells(&self) -> usize {
        self.revisions.values().sum()
    }

    /// Whether every cell of the grid is finished.
    pub fn is_complete(&self) -> bool {
        self.planned == Some(self.cells())
    }
}

fn key(done: &Finished) -> Key {
    Key { experiment: done.cell.experiment.clone(), arm: done.cell.arm(), seed: done.cell.seed }
}

fn of_cells(cells: &[Finished]) -> anyhow::Result<Results> {
    if let Some(pair) = cells.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
        bail!(
            "the cell {} is there in two configurations; a run that has ended says which counts",
            pair[0].cell
        );
    }
    let mut results = Results::default();
    for done in cells {
        results.insert(key(done), done.outcome.metrics.clone());
    }
    Ok(results)
}
