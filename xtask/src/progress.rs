//! What a person sees of a run: bars on a terminal, one line per finished cell elsewhere, nothing when asked for quiet.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::experiment::Cell;
use crate::terminal::tell;

/// The progress of a grid of cells.
pub struct Progress {
    bars: MultiProgress,
    overall: ProgressBar,
    show: Show,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Bars,
    Lines,
    Nothing,
}

impl Progress {
    /// The progress of `total` cells, `done` of which are behind us already.
    pub fn new(bars: &MultiProgress, quiet: bool, done: usize, total: usize) -> Self {
        let show = match (quiet, stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bars,
            (false, false) => Show::Lines,
        };
        let overall = match show {
            Show::Bars => bars.add(ProgressBar::new(total as u64)),
            Show::Lines | Show::Nothing => ProgressBar::with_draw_target(Some(total as u64), hidden()),
        };
        overall.set_style(style("{bar:30} {pos}/{len} cells, {elapsed} gone, about {eta} to go"));
        overall.set_position(done as u64);
        overall.reset_eta();
        if show == Show::Bars {
            overall.enable_steady_tick(Duration::from_millis(500));
        }
        Self { bars: bars.clone(), overall, show }
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
            match error {
                None => tell(format_args!("[{done}/{total}] {cell}: {seconds:.1} s")),
                Some(error) => tell(format_args!("[{done}/{total}] {cell}: failed after {seconds:.1} s: {error}")),
            }
        }
    }

    /// Takes the bars away.
    pub fn end(&self) {
        self.overall.finish_and_clear();
    }
}

fn hidden() -> indicatif::ProgressDrawTarget {
    indicatif::ProgressDrawTarget::hidden()
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
