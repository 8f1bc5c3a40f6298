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
                    "{}: results.csv has {} runs, but the cells have the figures of {} of them: \
                     repeat the command of the run, which writes the tables again",
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
            "the cell {} has results of two configurations; repeat the command of the run to its \
             end, which records the one that counts",
            pair[0].cell
        );
    }
    let mut results = Results::default();
    for done in cells {
        results.insert(key(done), done.outcome.metrics.clone());
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use foretaste_eval::Metric;
    use serde_json::json;

    use super::*;
    use crate::provenance::{Cells, RunRecord};
    use crate::{Cell, Outcome, Scale};

    fn finished(experiment: &str, seed: u64, rate: f64, value: f64) -> Finished {
        let cell = Cell {
            experiment: experiment.into(),
            dataset: "d".into(),
            method: "m".into(),
            setting: String::new(),
            seed,
            config: json!({ "rate": rate }),
        };
        let outcome = Outcome { metrics: [(Metric::Nll, value)].into(), curve: Vec::new() };
        Finished { cell, outcome, seconds: 2.0, revision: format!("r{seed}") }
    }

    /// A directory of results of the experiment `e` with these cells.
    fn folder(cells: &[Finished]) -> (tempfile::TempDir, ResultsDir, RunRecord) {
        let folder = tempfile::tempdir().unwrap();
        let config = RunConfig { scale: Scale::Quick, data_dir: None, device: "cpu".into() };
        let record = RunRecord::start(config, vec!["e".into()], 2, None, "r0");
        let dir = ResultsDir::open(folder.path(), &record).unwrap();
        cells.iter().for_each(|done| dir.store().save(done).unwrap());
        (folder, dir, record)
    }

    /// The run ends with a table of these cells, of so many that it planned.
    fn end(dir: &ResultsDir, record: &RunRecord, cells: &[Finished], total: usize) {
        let table = of_cells(cells).unwrap().to_csv().unwrap();
        fs::write(dir.path().join("results.csv"), table).unwrap();
        fs::write(dir.path().join("claims.csv"), "claims").unwrap();
        let counts = Cells { total, ..Cells::default() };
        let record = RunRecord { status: Status::Complete, cells: counts, ..record.clone() };
        dir.write_record(&record, &dir.writing().unwrap()).unwrap();
    }

    #[test]
    fn of_an_unfinished_run_all_cells_of_its_experiments_are_found() {
        let cells = [finished("e", 0, 0.1, 0.5), finished("e", 1, 0.1, 0.25)];
        let (folder, dir, _) = folder(&cells);
        dir.store().save(&finished("f", 0, 0.1, 0.75)).unwrap();
        let files = || -> BTreeSet<_> {
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let before = files();
        let kept = Kept::read(folder.path()).unwrap();
        assert_eq!(files(), before);
        assert_eq!((kept.cells(), kept.planned, kept.seconds), (2, None, 4.0));
        assert!(kept.claims.is_none() && !kept.is_complete());
        assert_eq!(kept.results, of_cells(&cells).unwrap());
        assert_eq!(kept.revisions, [("r0".into(), 1), ("r1".into(), 1)].into());
    }

    #[test]
    fn cells_in_two_configurations_count_once_the_tables_say_which() {
        let [new, old] = [finished("e", 0, 0.1, 0.5), finished("e", 0, 0.2, 0.25)];
        let (folder, dir, record) = folder(&[new.clone(), old]);
        let error = format!("{:#}", Kept::read(folder.path()).unwrap_err());
        assert!(
            error.contains("the cell e d m seed 0 has results of two configurations"),
            "{error}"
        );
        end(&dir, &record, std::slice::from_ref(&new), 1);
        let kept = Kept::read(folder.path()).unwrap();
        assert!(kept.is_complete());
        assert_eq!(kept.claims.as_deref(), Some(&b"claims"[..]));
        assert_eq!(kept.results, of_cells(&[new]).unwrap());
    }

    #[test]
    fn a_table_without_its_cells_is_refused_and_missing_cells_are_counted() {
        let cells = [finished("e", 0, 0.1, 0.5), finished("e", 1, 0.1, 0.25)];
        let (folder, dir, record) = folder(&cells);
        end(&dir, &record, &cells, 3);
        let kept = Kept::read(folder.path()).unwrap();
        assert_eq!((kept.cells(), kept.planned, kept.is_complete()), (2, Some(3), false));
        fs::remove_file(dir.store().path(&cells[0].cell)).unwrap();
        let error = Kept::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("results.csv has 2 runs, but the cells have"), "{error}");
    }
}
