//! Runs the cells that are not done yet, several at a time, and keeps what they find.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::MultiProgress;

use crate::progress::Progress;
use crate::store::{Finished, Store};
use crate::terminal::reasons;
use crate::trace::Traces;
use crate::{Cell, Experiment, Interrupted, Outcome, Watch};

/// How to run.
pub struct Runner<'a> {
    /// Where results are kept and found.
    pub store: &'a Store,
    /// Where running cells leave their traces.
    pub traces: &'a Traces,
    /// Number of worker threads; at least 1.
    pub jobs: usize,
    /// Set from outside to stop: running cells give up at their next look, no new one starts.
    pub stop: Arc<AtomicBool>,
    /// Where progress shows.
    pub bars: &'a MultiProgress,
    /// Show no progress.
    pub quiet: bool,
    /// Run cells that are finished too.
    pub anew: bool,
}

/// What became of the cells.
#[derive(Debug, Default)]
pub struct Tally {
    /// The finished ones, in grid order.
    pub finished: Vec<Finished>,
    /// How many of them others had finished, or an earlier run.
    pub resumed: usize,
    /// The failed ones, in grid order.
    pub failed: Vec<Failed>,
    /// Number of cells in the grid.
    pub total: usize,
    /// How many of those that this run was to bring to an end are neither finished nor failed.
    pub left: usize,
}

/// A cell that failed.
#[derive(Debug)]
pub struct Failed {
    /// Which.
    pub cell: Cell,
    /// Why, in one line.
    pub error: String,
}

/// How long to wait before another look at a cell that another process works on.
const POLL: Duration = Duration::from_millis(100);

/// Backward passes recurse once per operation, and long sessions make long chains; the address
/// space costs nothing.
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
    /// Brings the `chosen` cells of the experiments to an end, as far as failures and interruption
    /// allow. Cells that another process works on are waited for, and taken over if it ends without
    /// them.
    ///
    /// # Errors
    /// Where a grid names a cell twice, or a worker cannot be started. A cell that fails is no
    /// error: it is in the tally.
    pub fn run(&self, experiments: &[Box<dyn Experiment>], chosen: &[bool]) -> anyhow::Result<Ran> {
        let grid: Vec<Job> = experiments
            .iter()
            .flat_map(|experiment| {
                experiment.cells().iter().map(|cell| Job { experiment: experiment.as_ref(), cell })
            })
            .collect();
        refuse_twins(&grid)?;
        let found: Vec<bool> = grid.iter().map(|job| self.stored(job.cell).is_some()).collect();
        let pending: Vec<usize> =
            (0..grid.len()).filter(|&i| chosen[i] && (self.anew || !found[i])).collect();
        let mut ran = BTreeMap::new();
        if !pending.is_empty() {
            let total = chosen.iter().filter(|&&chosen| chosen).count();
            let progress =
                Progress::new(self.bars, self.quiet, total - pending.len(), total, self.jobs);
            ran.extend(self.work(&grid, pending, &progress)?);
            progress.end();
        }
        Ok(Ran(ran))
    }

    /// What became of the cells, with all that the store holds of them now.
    pub fn tally(
        &self,
        experiments: &[Box<dyn Experiment>],
        chosen: &[bool],
        mut ran: Ran,
    ) -> Tally {
        let cells = experiments.iter().flat_map(|experiment| experiment.cells());
        let mut tally = Tally::default();
        for (i, (cell, chosen)) in cells.zip(chosen).enumerate() {
            tally.total += 1;
            let done = ran.0.remove(&i);
            if let Some(Done::Failed(failed)) = done {
                tally.failed.push(failed);
            } else if self.anew && *chosen && done.is_none() {
                tally.left += 1;
            } else if let Some(finished) = self.stored(cell) {
                tally.finished.push(finished);
                tally.resumed += usize::from(!matches!(done, Some(Done::Finished)));
            } else {
                tally.left += usize::from(*chosen);
            }
        }
        tally
    }

    fn stored(&self, cell: &Cell) -> Option<Finished> {
        self.store.load(cell).unwrap_or_else(|error| {
            tracing::warn!("unusable result, the cell runs again: {}", reasons(&error));
            None
        })
    }

    fn work(
        &self,
        grid: &[Job],
        pending: Vec<usize>,
        progress: &Progress,
    ) -> anyhow::Result<Vec<(usize, Done)>> {
        let workers = self.jobs.min(pending.len());
        let queue = Mutex::new(VecDeque::from(pending));
        let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = || {
            let mut done = Vec::new();
            while !self.stop.load(Ordering::Relaxed) {
                let Some(i) = queue().pop_front() else { break };
                match self.turn(&grid[i], progress) {
                    Turn::Done(result) => done.push((i, result)),
                    Turn::Interrupted => (),
                    Turn::Busy => {
                        queue().push_back(i);
                        thread::sleep(POLL);
                    }
                }
            }
            done
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers)
                .map(|_| {
                    thread::Builder::new()
                        .name("cell".into())
                        .stack_size(STACK_BYTES)
                        .spawn_scoped(scope, worker)
                })
                .collect::<Result<_, _>>()
                .context("cannot start a worker thread")?;
            let mut all = Vec::new();
            for worker in workers {
                all.extend(
                    worker.join().map_err(|panic| {
                        anyhow::anyhow!("a worker died: {}", panic_text(&*panic))
                    })?,
                );
            }
            Ok(all)
        })
    }

    /// Runs one cell to its end, unless another process has it or has finished it.
    fn turn(&self, job: &Job, progress: &Progress) -> Turn {
        match self.store.claim(job.cell) {
            Err(error) => {
                Turn::Done(Done::Failed(Failed { cell: job.cell.clone(), error: reasons(&error) }))
            }
            Ok(None) => Turn::Busy,
            Ok(Some(_held)) if !self.anew && matches!(self.store.load(job.cell), Ok(Some(_))) => {
                progress.pass();
                Turn::Done(Done::Elsewhere)
            }
            Ok(Some(_held)) => self.one(job, progress).map_or(Turn::Interrupted, Turn::Done),
        }
    }

    /// Runs one cell to its end; `None` where it was interrupted.
    fn one(&self, job: &Job, progress: &Progress) -> Option<Done> {
        let bar = progress.start(job.cell);
        let trace = self.traces.begin(job.cell);
        let watch = Watch::new(bar.clone(), Arc::clone(&self.stop), trace.events());
        let begin = Instant::now();
        let found = job.run(&watch).and_then(|outcome| {
            let finished = Finished {
                cell: job.cell.clone(),
                outcome,
                seconds: begin.elapsed().as_secs_f64(),
                revision: self.traces.revision().into(),
            };
            self.store.save(&finished)?;
            Ok(finished)
        });
        let seconds = begin.elapsed().as_secs_f64();
        trace.end(&found, seconds);
        match found {
            Ok(_) => {
                progress.finish(job.cell, &bar, seconds, None);
                Some(Done::Finished)
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

/// How the cells ended whose turn it was, by their place in the grid.
pub struct Ran(BTreeMap<usize, Done>);

enum Done {
    Finished,
    Failed(Failed),
    /// Another process has finished it.
    Elsewhere,
}

/// What became of a cell whose turn it was.
enum Turn {
    Done(Done),
    Interrupted,
    /// Another process works on it.
    Busy,
}

impl Job<'_> {
    fn run(&self, watch: &Watch) -> anyhow::Result<Outcome> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.experiment.run(self.cell, watch)))
            .unwrap_or_else(|panic| bail!("panicked: {}", panic_text(&*panic)))?;
        if let Some((name, value)) = outcome.not_finite() {
            bail!("`{name}` is {value}");
        }
        let (columns, further) = (self.experiment.columns(), self.experiment.further_metrics());
        if let Some(metric) = outcome
            .metrics
            .keys()
            .find(|metric| !columns.contains(metric) && !further.contains(metric))
        {
            bail!(
                "it reports `{metric}`, which is in neither `columns` nor `further_metrics` of \
                 the experiment"
            );
        }
        Ok(outcome)
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
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
