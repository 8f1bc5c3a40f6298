use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::claims::Claim;

/// An experiment whose cells do as their method says.
struct Toy {
    cells: Vec<Cell>,
    stop: Arc<AtomicBool>,
    ran: Arc<Mutex<Vec<u64>>>,
}

impl Toy {
    fn new(methods: &[&str], seeds: u64) -> Self {
        let grid = methods.iter().flat_map(|method| (0..seeds).map(move |seed| (method.to_string(), seed)));
        let cells = grid.map(|(method, seed)| Cell {
            experiment: "toy".into(),
            dataset: "none".into(),
            method,
            setting: String::new(),
            seed,
            config: json!({"digest": "0"}),
        });
        Self { cells: cells.collect(), stop: Arc::default(), ran: Arc::default() }
    }
}

impl Experiment for Toy {
    fn columns(&self) -> &'static [&'static str] {
        &[]
    }

    fn curve_label(&self) -> &'static str {
        "nothing"
    }

    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    fn name(&self) -> &'static str {
        "toy"
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        self.ran.lock().unwrap().push(cell.seed);
        watch.progress(1, 2);
        let value = match cell.method.as_str() {
            "panics" => panic!("a bug in seed {}", cell.seed),
            "fails" => bail!("no such file"),
            "nan" => f64::NAN,
            "stops" => {
                self.stop.store(true, Ordering::Relaxed);
                assert!(watch.interrupted());
                return Err(Interrupted).context("training");
            }
            _ => 1.0 / (cell.seed + 3) as f64,
        };
        Ok(Outcome { metrics: BTreeMap::from([("value".into(), value)]), curve: Vec::new() })
    }

    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Runs the toy on `folder`, and says which seeds ran.
fn run(toy: Toy, folder: &std::path::Path, jobs: usize) -> anyhow::Result<(Tally, Vec<u64>)> {
    let store = Store::open(folder.to_owned())?;
    let (stop, seeds, bars) = (Arc::clone(&toy.stop), Arc::clone(&toy.ran), MultiProgress::new());
    let tally = Runner { store: &store, jobs, stop, bars: &bars, quiet: true }.run(&[Box::new(toy)])?;
    let mut ran = seeds.lock().unwrap().clone();
    ran.sort();
    Ok((tally, ran))
}

fn values(tally: &Tally) -> Vec<(Cell, Outcome)> {
    tally.finished.iter().map(|done| (done.cell.clone(), done.outcome.clone())).collect()
}

#[test]
fn any_number_of_jobs_finishes_every_cell_once_in_grid_order() {
    let straight = tempfile::tempdir().unwrap();
    let (one, _) = run(Toy::new(&["a", "b"], 8), straight.path(), 1).unwrap();
    for jobs in [2, 5, 40] {
        let folder = tempfile::tempdir().unwrap();
        let (many, ran) = run(Toy::new(&["a", "b"], 8), folder.path(), jobs).unwrap();
        assert_eq!(values(&many), values(&one));
        assert_eq!(ran.len(), 16);
        assert!(many.complete());
        assert_eq!((many.run(), many.resumed), (16, 0));
    }
}

#[test]
fn finished_cells_do_not_run_again_and_more_seeds_add_to_them() {
    let folder = tempfile::tempdir().unwrap();
    run(Toy::new(&["a"], 3), folder.path(), 2).unwrap();
    let (again, ran) = run(Toy::new(&["a"], 5), folder.path(), 2).unwrap();
    assert_eq!(ran, [3, 4]);
    assert_eq!((again.run(), again.resumed, again.total), (2, 3, 5));
    let fresh = tempfile::tempdir().unwrap();
    let (straight, _) = run(Toy::new(&["a"], 5), fresh.path(), 1).unwrap();
    assert_eq!(values(&again), values(&straight));
}

#[test]
fn a_corrupt_cell_runs_again_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = run(Toy::new(&["a"], 3), folder.path(), 1).unwrap();
    let path = Store::open(folder.path().to_owned()).unwrap().path(&first.finished[1].cell);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (again, ran) = run(Toy::new(&["a"], 3), folder.path(), 1).unwrap();
    assert_eq!(ran, [1]);
    assert_eq!(values(&again), values(&first));
}

#[test]
fn a_cell_of_another_configuration_is_another_cell() {
    let folder = tempfile::tempdir().unwrap();
    run(Toy::new(&["a"], 2), folder.path(), 1).unwrap();
    let mut toy = Toy::new(&["a"], 2);
    toy.cells[1].config = json!({"digest": "1"});
    assert_eq!(run(toy, folder.path(), 1).unwrap().1, [1]);
}

#[test]
fn failures_stop_nothing_and_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let methods = ["panics", "fails", "nan", "a"];
    let (tally, _) = run(Toy::new(&methods, 1), folder.path(), 2).unwrap();
    let errors: Vec<_> = tally.failed.iter().map(|failed| failed.error.as_str()).collect();
    assert_eq!(errors, ["panicked: a bug in seed 0", "no such file", "`value` is NaN"]);
    assert_eq!(tally.finished.len(), 1);
    assert!(!tally.complete());
    let (again, ran) = run(Toy::new(&methods, 1), folder.path(), 1).unwrap();
    assert_eq!(ran.len(), 3);
    assert_eq!((again.failed.len(), again.resumed), (3, 1));
}

#[test]
fn an_interrupted_cell_is_neither_finished_nor_failed_and_nothing_starts_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (tally, ran) = run(Toy::new(&["a", "stops", "b"], 2), folder.path(), 1).unwrap();
    assert_eq!(ran, [0, 0, 1]);
    assert_eq!((tally.finished.len(), tally.failed.len(), tally.total), (2, 0, 6));
}

#[test]
fn a_grid_with_twins_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut toy = Toy::new(&["a"], 2);
    toy.cells[1].seed = 0;
    toy.cells[1].config = json!(null);
    let error = run(toy, folder.path(), 1).unwrap_err();
    assert_eq!(error.to_string(), "the grid holds two cells `toy none a seed 0`");
}
