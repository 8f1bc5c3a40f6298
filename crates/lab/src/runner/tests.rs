//! Grids of a toy experiment: every cell finishes once, whatever the number of jobs and processes,
//! and whatever fails, is interrupted or is damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Barrier, Mutex, Once};

use foretaste_eval::Metric;
use foretaste_report::{DataSet, View};
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::logging;

/// An experiment whose cells do as their method says.
struct Toy {
    cells: Vec<Cell>,
    stop: Arc<AtomicBool>,
    ran: Arc<Mutex<Vec<u64>>>,
    pair: Barrier,
}

impl Toy {
    fn new(methods: &[&str], seeds: u64) -> Self {
        let grid = methods
            .iter()
            .flat_map(|method| (0..seeds).map(move |seed| (method.to_string(), seed)));
        let cells = grid.map(|(method, seed)| Cell {
            experiment: "toy".into(),
            dataset: "none".into(),
            method,
            setting: String::new(),
            seed,
            config: json!({"digest": "0"}),
        });
        Self {
            cells: cells.collect(),
            stop: Arc::default(),
            ran: Arc::default(),
            pair: Barrier::new(2),
        }
    }
}

impl Experiment for Toy {
    fn question(&self) -> &'static str {
        "does it run?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        Vec::new()
    }

    fn columns(&self) -> &'static [Metric] {
        &[Metric::Value]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![Metric::Reached]
    }

    fn views(&self) -> Vec<View> {
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
            "slow" => {
                thread::sleep(Duration::from_millis(20));
                2.0
            }
            "panics" => panic!("a bug in seed {}", cell.seed),
            "fails" => return Err(anyhow::anyhow!("no such file").context("cannot read the log")),
            "meets" => {
                for line in 0..20 {
                    self.pair.wait();
                    tracing::warn!("line {line} of seed {}", cell.seed);
                    watch.record("", line, [("seed".to_owned(), cell.seed as f64)]);
                }
                0.0
            }
            "nan" => f64::NAN,
            "stops" => {
                self.stop.store(true, Ordering::Relaxed);
                assert!(watch.interrupted());
                return Err(Interrupted).context("training");
            }
            _ => 1.0 / (cell.seed + 3) as f64,
        };
        let metric = match cell.method.as_str() {
            "undeclared" => Metric::Nll,
            "further" => Metric::Reached,
            _ => Metric::Value,
        };
        Ok(Outcome { metrics: BTreeMap::from([(metric, value)]), curve: Vec::new() })
    }

    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Runs the toy on `folder`, and says which seeds ran.
fn run(toy: Toy, folder: &Path, jobs: usize) -> anyhow::Result<(Tally, Vec<u64>)> {
    static LOGS: Once = Once::new();
    LOGS.call_once(|| {
        let logs = tracing_subscriber::registry().with(logging::in_files());
        tracing::subscriber::set_global_default(logs).unwrap();
        logging::log_panics();
    });
    let (store, traces) = (Store::open(folder.to_owned())?, Traces::of(folder, "abc1"));
    let (stop, seeds, bars) = (Arc::clone(&toy.stop), Arc::clone(&toy.ran), MultiProgress::new());
    let (chosen, experiments): (Vec<bool>, [Box<dyn Experiment>; 1]) =
        (vec![true; toy.cells.len()], [Box::new(toy)]);
    let runner = Runner {
        experiments: &experiments,
        chosen: &chosen,
        store: &store,
        traces: &traces,
        jobs,
        stop,
        bars: &bars,
        quiet: true,
        again: false,
    };
    let tally = runner.tally(runner.run()?);
    let mut ran = seeds.lock().unwrap().clone();
    ran.sort();
    Ok((tally, ran))
}

/// The log of a cell of the toy.
fn log(folder: &Path, method: &str, seed: u64) -> String {
    fs::read_to_string(folder.join(format!("logs/toy/none/{method}/seed-{seed}.log"))).unwrap()
}

fn values(tally: &Tally) -> Vec<(Cell, Outcome)> {
    tally.finished.iter().map(|done| (done.cell.clone(), done.outcome.clone())).collect()
}

#[test]
fn a_cell_that_reports_what_its_experiment_does_not_declare_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (tally, _) = run(Toy::new(&["a", "further", "undeclared"], 1), folder.path(), 1).unwrap();
    assert_eq!(tally.finished.len(), 2);
    assert_eq!(tally.failed.len(), 1);
    assert!(tally.failed[0].error.contains("it reports `nll`"), "{}", tally.failed[0].error);
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
    assert_eq!(
        errors,
        ["panicked: a bug in seed 0", "cannot read the log: no such file", "`value` is NaN"]
    );
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
    assert_eq!(error.to_string(), "the grid has two cells `toy none a seed 0`");
}

/// Two processes on one folder, played by two runners: every cell runs once, and both end with all.
#[test]
fn runners_on_one_folder_share_the_cells() {
    let folder = tempfile::tempdir().unwrap();
    let shared = || run(Toy::new(&["a", "slow", "b"], 6), folder.path(), 2).unwrap();
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(shared);
        (shared(), other.join().unwrap())
    });
    assert!(one.0.complete() && other.0.complete());
    assert_eq!(one.1.len() + other.1.len(), 18);
    assert_eq!(one.0.run() + other.0.run(), 18);
    assert_eq!(values(&one.0), values(&other.0));
}

#[test]
fn a_cell_whose_process_died_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy::new(&["a"], 2);
    let store = Store::open(folder.path().to_owned()).unwrap();
    let held = store.claim(&toy.cells[1]).unwrap();
    let (tally, ran) = thread::scope(|scope| {
        let waiting = scope.spawn(|| run(toy, folder.path(), 1).unwrap());
        thread::sleep(3 * POLL);
        assert!(!waiting.is_finished());
        // What the system does for a process that is killed.
        drop(held);
        waiting.join().unwrap()
    });
    assert_eq!((tally.run(), ran), (2, vec![0, 1]));
}

#[test]
fn cells_that_run_at_the_same_time_do_not_mix_their_logs() {
    let folder = tempfile::tempdir().unwrap();
    run(Toy::new(&["meets"], 2), folder.path(), 2).unwrap();
    for seed in 0..2 {
        let log = log(folder.path(), "meets", seed);
        let found: Vec<&str> =
            log.lines().filter_map(|line| Some(line.split_once("WARN")?.1)).collect();
        let expected: Vec<_> = (0..20).map(|line| format!("line {line} of seed {seed}")).collect();
        assert!(
            found.len() == 20
                && found.iter().zip(&expected).all(|(found, line)| found.ends_with(line)),
            "{log}"
        );
        assert!(!log.contains(&format!("seed = {}", 1 - seed)), "{log}");
    }
}

#[test]
fn a_log_says_what_was_run_how_far_it_came_and_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy::new(&["panics", "fails", "nan", "a"], 1);
    let digests: Vec<_> = toy.cells.iter().map(Cell::digest).collect();
    run(toy, folder.path(), 2).unwrap();
    let ends = [
        ("panics", &["ERROR", "panicked at", "tests.rs", "ERROR", "panicked: a bug in seed 0"][..]),
        ("fails", &["ERROR", "cannot read the log\n", "Caused by:", "no such file"]),
        ("nan", &["ERROR", "`value` is NaN"]),
        ("a", &["metrics/value = 0.3333", "finished in"]),
    ];
    for ((method, end), digest) in ends.into_iter().zip(digests) {
        let log = log(folder.path(), method, 0);
        let begin = [digest.as_str(), "abc1", r#"configuration {"digest":"0"}"#, "1 of 2 done"];
        let mut rest = log.as_str();
        for part in begin.iter().chain(end) {
            rest =
                rest.split_once(part).unwrap_or_else(|| panic!("no `{part}` in order in\n{log}")).1;
        }
    }
}

#[test]
fn a_cell_that_runs_again_replaces_its_log() {
    let folder = tempfile::tempdir().unwrap();
    run(Toy::new(&["a"], 2), folder.path(), 1).unwrap();
    let first = [0, 1].map(|seed| log(folder.path(), "a", seed));
    let mut toy = Toy::new(&["a"], 2);
    toy.cells[1].config = json!({"digest": "1"});
    run(toy, folder.path(), 1).unwrap();
    assert_eq!(log(folder.path(), "a", 0), first[0]);
    let again = log(folder.path(), "a", 1);
    assert!(again.matches("begins").count() == 1 && again.contains(r#"{"digest":"1"}"#), "{again}");
}

#[test]
fn cells_finish_where_no_trace_of_them_can_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["events", "logs"] {
        fs::write(folder.path().join(name), "no folder").unwrap();
    }
    assert!(run(Toy::new(&["a"], 2), folder.path(), 2).unwrap().0.complete());
}

/// The log of the second cell lies on a full disk, then on one that is not.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_a_run_that_goes_on_once_there_is_space() {
    let (folder, straight) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let logs = folder.path().join("logs/toy/none/a");
    fs::create_dir_all(&logs).unwrap();
    std::os::unix::fs::symlink("/dev/full", logs.join("seed-1.log")).unwrap();
    let full = run(Toy::new(&["a"], 4), folder.path(), 1).unwrap_err().to_string();
    assert!(full.contains("seed-1.log: the disk is full"), "{full}");
    assert!(full.contains("run the same command again to continue"), "{full}");
    assert_eq!(Store::open(folder.path().to_owned()).unwrap().all().unwrap().len(), 1);
    fs::remove_file(logs.join("seed-1.log")).unwrap();
    let (tally, ran) = run(Toy::new(&["a"], 4), folder.path(), 1).unwrap();
    assert!(tally.complete());
    assert_eq!(ran, [1, 2, 3]);
    let (whole, _) = run(Toy::new(&["a"], 4), straight.path(), 1).unwrap();
    assert_eq!(values(&tally), values(&whole));
}
