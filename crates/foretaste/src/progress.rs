//! Progress of a command: a bar on a terminal, a line every few seconds elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use foretaste_console::terminal::{duration, eprint_line};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The progress of work that consists of so many units.
pub struct Progress {
    show: Show,
    begin: Instant,
    total: u64,
    done: u64,
    /// Units that were done before.
    before: u64,
}

enum Show {
    Bar(ProgressBar),
    Lines { last: Instant },
    Nothing,
}

/// Time between two lines.
pub const PERIOD: Duration = Duration::from_secs(10);

impl Progress {
    /// Of `total` units, `before` of which were done before. Shows nothing where `quiet`.
    pub fn new(bars: &MultiProgress, quiet: bool, before: u64, total: u64) -> Self {
        let now = Instant::now();
        let show = match (quiet, stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, false) => Show::Lines { last: now },
            (false, true) => {
                let style = "{bar:30} {pos}/{len} {msg}, {elapsed} elapsed, about {eta} left";
                let style = ProgressStyle::with_template(style);
                let bar = bars.add(ProgressBar::new(total));
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.set_position(before);
                bar.reset_eta();
                bar.enable_steady_tick(Duration::from_millis(500));
                Show::Bar(bar)
            }
        };
        Self { show, begin: now, total, done: before, before }
    }

    /// There are so many units in all, as it turns out.
    pub fn set_total(&mut self, total: u64) {
        self.total = total;
        if let Show::Bar(bar) = &self.show {
            bar.set_length(total);
        }
    }

    /// One more unit is done, of this kind.
    pub fn advance(&mut self, kind: &'static str) {
        self.reach(self.done + 1, kind);
    }

    /// So many units are done, and the last, or the one that is worked on, is of this kind.
    pub fn reach(&mut self, done: u64, kind: &'static str) {
        self.done = done;
        let (done, total) = (self.done, self.total);
        match &mut self.show {
            Show::Nothing => {}
            Show::Bar(bar) => {
                bar.set_message(kind);
                bar.set_position(done);
            }
            Show::Lines { last } => {
                if last.elapsed() < PERIOD {
                    return;
                }
                *last = Instant::now();
                let each = self.begin.elapsed().as_secs_f64() / (done - self.before) as f64;
                let to_go = match total.saturating_sub(done) {
                    0 => String::new(),
                    _ if done == self.before => String::new(),
                    left => format!(", about {} left", duration(each * left as f64)),
                };
                eprint_line(format_args!("[{done}/{total}] {kind}{to_go}"));
            }
        }
    }

    /// Takes the bar away.
    pub fn end(self) {
        if let Show::Bar(bar) = self.show {
            bar.finish_and_clear();
        }
    }
}
