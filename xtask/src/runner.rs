//! Runs the cells that are not done yet, several at a time, and keeps what they find.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::MultiProgress;

use crate::experiment::{Cell, Experiment, Interrupted, Outcome, Watch};
use crate::progress::Progress;
use crate::provenance::REVISION;
use crate::store::{Finished, Store};
use crate::terminal::reasons;

/// How to run.
pub struct Runner<'a> {
    /// Where results are kept and found.
    pub store: &'a Store,
    /// Number of worker threads; at least 1.
    pub jobs: usize,
    /// Set from outside to stop: running cells give up at their next look, no new one starts.
    pub stop: Arc<AtomicBool>,
    /// Where progress shows.
    pub bars: &'a MultiProgress,
    /// Show no progress.
    pub quiet: bool,
}

/// What became of the cells.
#[derive(Debug, Default)]
pub struct Tally {
    /// The finished ones, in grid order.
    pub finished: Vec<Finished>,
    /// How many of them had been finished before.
    pub resumed: usize,
    /// The failed ones, in grid order.
    pub failed: Vec<Failed>,
    /// Number of cells in the grid; those that neither finished nor failed were interrupted or never started.
    pub total: usize,
}

/// A cell that failed.
#[derive(Debug)]
pub struct Failed {
    /// Which.
    pub cell: Cell,
    /// Why, in one line.
    pub error: String,
}

/// Backward passes recurse once per operation, and long sessions make long chains; the address space costs nothing.
const STACK_BYTES: usize = 256 << 20;

impl Tally {
    /// How many cells were run to their end by this call.
    pub fn run(&self) -> usize {
        self.finished.len() - self.resumed
    }

    /// Whether every cell of the grid is finished.
    pub fn complete(&self) -> bool {
        self.finished.len() == self.total
    }
}

impl Runner<'_> {
    /// Brings every cell of the experiments to an end, as far as failures and interruption allow.
    ///
    /// # Errors
    /// Where a grid names a cell twice, or a worker cannot be started. A cell that fails is no error: it is in the tally.
    pub fn run(&self, experiments: &[Box<dyn Experiment>]) -> anyhow::Result<Tally> {
        let grid: Vec<Job> = experiments
            .iter()
            .flat_map(|experiment| experiment.cells().iter().map(|cell| Job { experiment: experiment.as_ref(), cell }))
            .collect();
        refuse_twins(&grid)?;
        let mut slots: Vec<Option<Done>> = grid.iter().map(|job| self.resume(job).map(Done::Finished)).collect();
        let resumed = slots.iter().flatten().count();
        let pending: Vec<usize> = (0..grid.len()).filter(|&i| slots[i].is_none()).collect();
        if !pending.is_empty() {
            let progress = Progress::new(self.bars, self.quiet, resumed, grid.len());
            for (i, done) in self.work(&grid, &pending, &progress)? {
                slots[i] = Some(done);
            }
            progress.end();
        }
        let mut tally = Tally { total: grid.len(), resumed, ..Tally::default() };
        for done in slots.into_iter().flatten() {
            match done {
                Done::Finished(finished) => tally.finished.push(finished),
                Done::Failed(failed) => tally.failed.push(failed),
            }
        }
        Ok(tally)
    }

    fn resume(&self, job: &Job) -> Option<Finished> {
        self.store.load(job.cell).unwrap_or_else(|error| {
            tracing::warn!("unusable result, the cell runs again: {}", reasons(&error));
            None
        })
    }

    fn work(&self, grid: &[Job], pending: &[usize], progress: &Progress) -> anyhow::Result<Vec<(usize, Done)>> {
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut done = Vec::new();
            while !self.stop.load(Ordering::Relaxed) {
                let Some(&i) = pending.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                done.extend(self.one(&grid[i], progress).map(|result| (i, result)));
            }
            done
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs.min(pending.len()))
                .map(|_| thread::Builder::new().name("cell".into()).stack_size(STACK_BYTES).spawn_scoped(scope, worker))
                .collect::<Result<_, _>>()
                .context("cannot start a worker thread")?;
            let mut all = Vec::new();
            for worker in workers {
                all.extend(worker.join().map_err(|panic| anyhow::anyhow!("a worker died: {}", panic_text(&*panic)))?);
            }
            Ok(all)
        })
    }

    /// Runs one cell to its end; `None` where it was interrupted.
    fn one(&self, job: &Job, progress: &Progress) -> Option<Done> {
        let bar = progress.start(job.cell);
        let watch = Watch::new(bar.clone(), Arc::clone(&self.stop));
        let begin = Instant::now();
        let found = job.run(&watch).and_then(|outcome| {
            let finished = Finished {
                cell: job.cell.clone(),
                outcome,
                seconds: begin.elapsed().as_secs_f64(),
                revision: REVISION.into(),
            };
            self.store.save(&finished)?;
            Ok(finished)
        });
        let seconds = begin.elapsed().as_secs_f64();
        match found {
            Ok(finished) => {
                progress.finish(job.cell, &bar, seconds, None);
                Some(Done::Finished(finished))
            }
            Err(error) if error.is::<Interrupted>() => {
                bar.finish_and_clear();
                None
            }
            Err(error) => {
                let error = reasons(&error);
                progress.finish(job.cell, &bar, seconds, Some(&error));
                Some(Done::Failed(Failed { cell: job.cell.clone(), error }))
            }
        }
    }
}

struct Job<'a> {
    experiment: &'a dyn Experiment,
    cell: &'a Cell,
}

enum Done {
    Finished(Finished),
    Failed(Failed),
}

impl Job<'_> {
    fn run(&self, watch: &Watch) -> anyhow::Result<Outcome> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.experiment.run(self.cell, watch)))
            .unwrap_or_else(|panic| bail!("panicked: {}", panic_text(&*panic)))?;
        match outcome.not_finite() {
            Some((name, value)) => bail!("`{name}` is {value}"),
            None => Ok(outcome),
        }
    }
}

/// Two cells that agree in all but their configuration could not be told apart in the results.
fn refuse_twins(grid: &[Job]) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for Job { cell, .. } in grid {
        if !seen.insert((&cell.experiment, &cell.dataset, &cell.method, &cell.setting, cell.seed)) {
            bail!("the grid holds two cells `{cell}`");
        }
    }
    Ok(())
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests;
