//! A run: brings cells to an end, keeps what they find, and writes the tables.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::bail;
use indicatif::MultiProgress;

use crate::costs::{Costs, Plan};
use crate::provenance::{Cells, RunConfig, RunRecord, Status};
use crate::results_dir::ResultsDir;
use crate::runner::Runner;
use crate::store::{self, Finished, Store};
use crate::tally::Tally;
use crate::trace::Traces;
use crate::{Cell, Experiment, Interrupted, Program, Scale, Shard, remarks, reports};
use foretaste_console::terminal::{eprint_line, print_line};

/// What to run, how, and where its results go.
pub struct Run<'a> {
    /// What the program brings.
    pub program: Program,
    /// The experiments to run.
    pub experiments: &'a [Box<dyn Experiment>],
    /// What all results of a directory have in common.
    pub config: RunConfig,
    /// Number of seeds of the experiments.
    pub seeds: u64,
    /// Directory of the results; the same directory again resumes.
    pub out: PathBuf,
    /// Cells that run at the same time; at least 1.
    pub jobs: usize,
    /// The part of the cells to run; none for all.
    pub shard: Option<Shard>,
    /// The methods whose cells to run; a name that ends with `*` is the beginning of names. None
    /// for all.
    pub methods: Vec<String>,
    /// Take over the cells of these results directories, and run nothing unless there is none.
    pub merge: Vec<PathBuf>,
    /// Run finished cells again.
    pub again: bool,
    /// Show no progress.
    pub quiet: bool,
}

impl<'a> Run<'a> {
    /// All cells of these experiments, one at a time on the processor, at the scale `quick`.
    pub fn new(
        program: Program,
        experiments: &'a [Box<dyn Experiment>],
        seeds: u64,
        out: impl Into<PathBuf>,
    ) -> Self {
        let config = RunConfig { scale: Scale::Quick, data_dir: None, device: "cpu".into() };
        Self {
            program,
            experiments,
            config,
            seeds,
            out: out.into(),
            jobs: 1,
            shard: None,
            methods: Vec::new(),
            merge: Vec::new(),
            again: false,
            quiet: false,
        }
    }

    /// Prints the cells, which are finished, and what the others are expected to cost.
    ///
    /// # Errors
    /// Where the results directory is of another configuration.
    pub fn print_plan(&self) -> anyhow::Result<()> {
        self.check_methods()?;
        let begun = ResultsDir::is_begun(&self.out)
            .then(|| ResultsDir::cells_of(&self.out, &self.config))
            .transpose()?;
        let stored = |store: &Store, cell: &Cell| matches!(store.load(cell), Ok(Some(_)));
        let finished =
            |cell: &Cell| !self.again && begun.as_ref().is_some_and(|store| stored(store, cell));
        let costs = Costs::new(self.config.scale, self.program.times, begun.as_ref())?;
        let plan = Plan::new(self.experiments, &self.chosen(), finished, &costs);
        print_line(plan.plain(self.jobs));
        Ok(())
    }

    /// Runs the cells, until `stop` is set at most, and writes and prints the tables; progress
    /// shows on `bars`.
    ///
    /// # Errors
    /// [`Interrupted`], with what to do, if it was stopped. Otherwise where a directory is not as
    /// it should be, a file cannot be written, or a cell failed.
    pub fn run(&self, bars: &MultiProgress, stop: Arc<AtomicBool>) -> anyhow::Result<()> {
        self.check_methods()?;
        let begin = Instant::now();
        let Self { experiments, program, .. } = self;
        let names = experiments.iter().map(|experiment| experiment.name().to_owned()).collect();
        let mut record =
            RunRecord::start(self.config.clone(), names, self.seeds, self.shard, program.revision);
        let merged = self.merged()?;
        let dir = ResultsDir::open(&self.out, &record)?;
        if !self.merge.is_empty() {
            let (found, new) = (merged.len(), dir.store().take_over(&merged)?);
            eprint_line(format_args!(
                "{found} cells found, {new} of them new to {}",
                self.out.display()
            ));
        }

        let chosen = self.chosen();
        let traces = Traces::of(&self.out, program.revision);
        let runner = Runner {
            experiments,
            chosen: &chosen,
            store: dir.store(),
            traces: &traces,
            jobs: self.jobs,
            stop,
            bars,
            quiet: self.quiet,
            again: self.again,
        };
        let ended = runner.run()?;

        // Of those who work here together the last to write sees the cells of all.
        let writing = dir.writing()?;
        let tally = runner.tally(ended);
        record.status = status(&tally);
        record.cells = Cells {
            total: tally.total,
            run: tally.run(),
            resumed: tally.resumed,
            failed: tally.failed.len(),
        };
        record.wall_s = begin.elapsed().as_secs_f64();
        let others = self.others_in(dir.store())?;
        let remarks = remarks::remarks(&tally.finished, &others, &record, program.experiments);
        let output = reports::output(experiments, &tally, &record, program, remarks)?;
        dir.write_output(&output, program.experiments, &writing)?;
        dir.write_record(&record, &writing)?;
        drop(writing);
        if self.shard.is_none() {
            print_line(output.report.plain());
        }
        conclude(&tally, dir.path(), &record, !self.methods.is_empty())
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.experiments.iter().flat_map(|experiment| experiment.cells())
    }

    /// For every cell whether this run is to bring it to an end.
    fn chosen(&self) -> Vec<bool> {
        let mut chosen = match self.shard {
            Some(shard) => shard.choose(self.cells()),
            None => vec![self.merge.is_empty(); self.cells().count()],
        };
        if !self.methods.is_empty() {
            for (chosen, cell) in chosen.iter_mut().zip(self.cells()) {
                *chosen &= self.methods.iter().any(|name| is_called(name, &cell.method));
            }
        }
        chosen
    }

    /// Refuses a method that no cell has.
    fn check_methods(&self) -> anyhow::Result<()> {
        let known: BTreeSet<&str> = self.cells().map(|cell| cell.method.as_str()).collect();
        match self.methods.iter().find(|name| !known.iter().any(|known| is_called(name, known))) {
            None => Ok(()),
            Some(name) => {
                let known: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
                bail!("there is no method `{name}`, expected one of {}", known.join(", "))
            }
        }
    }

    /// The finished cells of the directories to be merged.
    fn merged(&self) -> anyhow::Result<Vec<Finished>> {
        let stores = self.merge.iter().map(|dir| ResultsDir::cells_of(dir, &self.config));
        store::union(&stores.collect::<anyhow::Result<Vec<_>>>()?, self.cells())
    }

    /// The finished cells that are not of these grids.
    fn others_in(&self, store: &Store) -> anyhow::Result<Vec<Cell>> {
        let known: BTreeSet<_> = self.cells().map(Cell::digest).collect();
        let cells = store.all()?.into_iter().map(|done| done.cell);
        Ok(cells.filter(|cell| !known.contains(&cell.digest())).collect())
    }
}

/// Whether a method is of this name, or its name begins as one that ends with `*`.
fn is_called(name: &str, method: &str) -> bool {
    name.strip_suffix('*').map_or(method == name, |start| method.starts_with(start))
}

fn status(tally: &Tally) -> Status {
    match tally {
        tally if tally.left > 0 => Status::Interrupted,
        tally if tally.complete() => Status::Complete,
        tally if !tally.failed.is_empty() => Status::Failed,
        _ => Status::Partial,
    }
}

/// Says how the run ended; `some` if it was one of some methods only.
fn conclude(tally: &Tally, out: &Path, record: &RunRecord, some: bool) -> anyhow::Result<()> {
    let shown = out.display();
    for failed in &tally.failed {
        eprint_line(format_args!("failed: {}: {}", failed.cell, failed.error));
    }
    let (finished, total, resumed) = (tally.finished.len(), tally.total, tally.resumed);
    let seconds = record.wall_s;
    match (record.status, record.shard) {
        (Status::Interrupted, _) => Err(anyhow::Error::new(Interrupted).context(format!(
            "interrupted: {finished} of {total} cells are finished and kept in {shown}; run the \
             same command again to continue"
        ))),
        (Status::Failed, _) => bail!(
            "{} of {total} cells failed; the others are kept in {shown}; the same command runs the \
             failed ones again",
            tally.failed.len()
        ),
        (Status::Partial, None) if some => {
            print_line(format_args!(
                "the cells of these methods are done in {seconds:.1} s: {finished} of {total} \
                 cells of all methods are finished: {shown}"
            ));
            Ok(())
        }
        (Status::Partial, None) => bail!(
            "{} of {total} cells are in none of these directories, so {shown} is incomplete; merge \
             the directories of the other parts too",
            total - finished
        ),
        (Status::Partial, Some(shard)) => {
            print_line(format_args!(
                "part {shard} is done in {seconds:.1} s: {finished} of {total} cells of all parts \
                 are finished: {shown}"
            ));
            Ok(())
        }
        (Status::Complete | Status::Running, _) => {
            print_line(format_args!(
                "{total} cells, {resumed} of them from earlier runs, in {seconds:.1} s: \
                 {shown}/report.html"
            ));
            Ok(())
        }
    }
}
