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
use crate::tally::{Ended, Failed, Tally};
use crate::trace::Traces;
use crate::{Cell, Experiment, Interrupted, Outcome, Watch};
use foretaste_console::terminal::reasons;

/// Brings the chosen cells of some experiments to an end.
pub struct Runner<'a> {
    /// The experiments.
    pub experiments: &'a [Box<dyn Experiment>],
    /// For every cell of theirs, in order, whether it is to be run.
    pub chosen: &'a [bool],
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
    pub again: bool,
}

/// How long to wait before another look at a cell that another process works on.
const POLL: Duration = Duration::from_millis(100);

/// Backward passes recurse once per operation, and long sessions make long chains; the address
/// space costs nothing.
const STACK_BYTES: usize = 256 << 20;

impl Runner<'_> {
    /// Brings the cells to an end, as far as failures and interruption allow, and says how those
    /// ended whose turn it was, by their place in the grid. Cells that another process works on are
    /// waited for, and taken over if it ends without them.
    ///
    /// # Errors
    /// Where a grid names a cell twice, a worker cannot be started, or the disk is full: then it
    /// stops at the first write that fails. A cell that fails is no error.
    pub fn run(&self) -> anyhow::Result<BTreeMap<usize, Ended>> {
        let grid: Vec<Job> = self.jobs_of_all().collect();
        refuse_duplicates(&grid)?;
        let to_run = |&i: &usize| {
            self.chosen[i] && (self.again || self.store.usable(grid[i].cell).is_none())
        };
        let pending: Vec<usize> = (0..grid.len()).filter(to_run).collect();
        if pending.is_empty() {
            return Ok(BTreeMap::new());
        }
        let total = self.chosen.iter().filter(|&&chosen| chosen).count();
        let progress =
            Progress::new(self.bars, self.quiet, total - pending.len(), total, self.jobs);
        let ended = self.work(&grid, pending, &progress)?;
        progress.end();
        if let Some(full) = self.traces.space().full() {
            bail!(
                "{full}; the finished cells are kept; free some space, and run the same command \
                 again to continue"
            );
        }
        Ok(ended.into_iter().collect())
    }

    /// What became of all cells, by how those ended whose turn it was and what the store holds now.
    pub fn tally(&self, mut ended: BTreeMap<usize, Ended>) -> Tally {
        let mut tally = Tally::default();
        for (i, (job, &chosen)) in self.jobs_of_all().zip(self.chosen).enumerate() {
            let again = self.again && chosen;
            tally.add(ended.remove(&i), chosen, again, || self.store.usable(job.cell));
        }
        tally
    }

    fn jobs_of_all(&self) -> impl Iterator<Item = Job<'_>> {
        self.experiments.iter().flat_map(|experiment| {
            let experiment = experiment.as_ref();
            experiment.cells().iter().map(move |cell| Job { experiment, cell })
        })
    }

    fn work(
        &self,
        grid: &[Job],
        pending: Vec<usize>,
        progress: &Progress,
    ) -> anyhow::Result<Vec<(usize, Ended)>> {
        let workers = self.jobs.min(pending.len());
        let queue = Mutex::new(VecDeque::from(pending));
        let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = || {
            let mut ended = Vec::new();
            while !self.stop.load(Ordering::Relaxed) && self.traces.space().full().is_none() {
                let Some(i) = queue().pop_front() else { break };
                match self.turn(&grid[i], progress) {
                    Turn::Ended(result) => ended.push((i, result)),
                    Turn::Interrupted => (),
                    Turn::Busy => {
                        queue().push_back(i);
                        thread::sleep(POLL);
                    }
                }
            }
            ended
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
                all.extend(worker.join().map_err(|panic| {
                    anyhow::anyhow!("a worker thread ended: {}", panic_text(&*panic))
                })?);
            }
            Ok(all)
        })
    }

    /// Runs one cell to its end, unless another process has it or has finished it.
    fn turn(&self, job: &Job, progress: &Progress) -> Turn {
        match self.store.claim(job.cell) {
            Err(error) if self.traces.space().note_any(&error) => Turn::Interrupted,
            Err(error) => Turn::Ended(Ended::Failed(Failed {
                cell: job.cell.clone(),
                error: reasons(&error),
            })),
            Ok(None) => Turn::Busy,
            Ok(Some(_held)) if !self.again && matches!(self.store.load(job.cell), Ok(Some(_))) => {
                progress.pass();
                Turn::Ended(Ended::Elsewhere)
            }
            Ok(Some(_held)) => self.one(job, progress).map_or(Turn::Interrupted, Turn::Ended),
        }
    }

    /// Runs one cell to its end; `None` where it was interrupted.
    fn one(&self, job: &Job, progress: &Progress) -> Option<Ended> {
        let bar = progress.start(job.cell);
        let trace = self.traces.begin(job.cell);
        if self.traces.space().full().is_some() {
            bar.finish_and_clear();
            return None;
        }
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
                Some(Ended::Finished)
            }
            Err(error) if error.is::<Interrupted>() || self.traces.space().note_any(&error) => {
                bar.finish_and_clear();
                None
            }
            Err(error) => {
                let error = reasons(&error);
                progress.finish(job.cell, &bar, seconds, Some(&error));
                Some(Ended::Failed(Failed { cell: job.cell.clone(), error }))
            }
        }
    }
}

struct Job<'a> {
    experiment: &'a dyn Experiment,
    cell: &'a Cell,
}

/// What became of a cell whose turn it was.
enum Turn {
    Ended(Ended),
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

/// Two cells that agree in all but their configuration could not be distinguished in the results.
fn refuse_duplicates(grid: &[Job]) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for Job { cell, .. } in grid {
        if !seen.insert((&cell.experiment, &cell.dataset, &cell.method, &cell.setting, cell.seed)) {
            bail!("the grid has two cells `{cell}`");
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
