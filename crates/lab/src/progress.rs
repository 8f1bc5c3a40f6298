//! What a person sees of a run: bars on a terminal, one line per finished cell elsewhere, nothing
//! when asked for quiet.

use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::Cell;
use foretaste_console::terminal::{duration, eprint_line};

/// The progress of a grid of cells.
pub struct Progress {
    bars: MultiProgress,
    overall: ProgressBar,
    show: Show,
    durations: Mutex<Durations>,
}

/// How long cells took, and how many run at the same time.
struct Durations {
    jobs: usize,
    cells: u32,
    seconds: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Bars,
    Lines,
    Nothing,
}

impl Progress {
    /// The progress of `total` cells, `done` of which are behind us already; `jobs` of the others
    /// run at the same time.
    pub fn new(bars: &MultiProgress, quiet: bool, done: usize, total: usize, jobs: usize) -> Self {
        let show = match (quiet, stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bars,
            (false, false) => Show::Lines,
        };
        let overall = match show {
            Show::Bars => bars.add(ProgressBar::new(total as u64)),
            Show::Lines | Show::Nothing => {
                ProgressBar::with_draw_target(Some(total as u64), hidden())
            }
        };
        overall.set_style(style("{bar:30} {pos}/{len} cells, {elapsed} elapsed, about {eta} left"));
        overall.set_position(done as u64);
        overall.reset_eta();
        if show == Show::Bars {
            overall.enable_steady_tick(Duration::from_millis(500));
        }
        Self {
            bars: bars.clone(),
            overall,
            show,
            durations: Mutex::new(Durations { jobs, cells: 0, seconds: 0.0 }),
        }
    }

    /// Opens the line of a cell that starts.
    pub fn start(&self, cell: &Cell) -> ProgressBar {
        if self.show != Show::Bars {
            return ProgressBar::hidden();
        }
        let bar = self.bars.insert_before(&self.overall, ProgressBar::new(1));
        bar.set_style(style("{bar:30} {percent:>3}% {msg}"));
        bar.set_message(cell.to_string());
        bar
    }

    /// Closes the line of a cell that took `seconds` and is finished, or failed with `error`.
    pub fn finish(&self, cell: &Cell, bar: &ProgressBar, seconds: f64, error: Option<&str>) {
        bar.finish_and_clear();
        self.bars.remove(bar);
        self.overall.inc(1);
        if self.show == Show::Lines {
            let (done, total) = (self.overall.position(), self.overall.length().unwrap_or(0));
            let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
            durations.add(seconds);
            let to_go = match durations.to_go(total.saturating_sub(done)) {
                Some(to_go) => format!(", about {} left", duration(to_go)),
                None => String::new(),
            };
            match error {
                None => eprint_line(format_args!("[{done}/{total}] {cell}: {seconds:.1} s{to_go}")),
                Some(error) => {
                    eprint_line(format_args!(
                        "[{done}/{total}] {cell}: failed after {seconds:.1} s{to_go}: {error}"
                    ));
                }
            }
        }
    }

    /// Counts a cell that another process has finished.
    pub fn pass(&self) {
        self.overall.inc(1);
    }

    /// Takes the bars away.
    pub fn end(&self) {
        self.overall.finish_and_clear();
    }
}

impl Durations {
    fn add(&mut self, seconds: f64) {
        (self.cells, self.seconds) = (self.cells + 1, self.seconds + seconds);
    }

    /// Seconds until `left` cells are done that take as long as those before, some of them already
    /// at work; none if none is left.
    fn to_go(&self, left: u64) -> Option<f64> {
        let at_once = left.min(self.jobs as u64);
        (at_once > 0).then(|| self.seconds / f64::from(self.cells) * left as f64 / at_once as f64)
    }
}

fn hidden() -> indicatif::ProgressDrawTarget {
    indicatif::ProgressDrawTarget::hidden()
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_go_is_shared_by_the_jobs_that_still_have_something_to_do() {
        let mut durations = Durations { jobs: 4, cells: 0, seconds: 0.0 };
        durations.add(2.0);
        durations.add(4.0);
        let to_go = [20, 4, 3, 1, 0].map(|left| durations.to_go(left));
        assert_eq!(to_go, [Some(15.0), Some(3.0), Some(3.0), Some(3.0), None]);
    }
}
