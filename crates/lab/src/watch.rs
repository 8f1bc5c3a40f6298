//! How a running cell reports its progress, and hears that it is to stop.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use indicatif::ProgressBar;
use tracing::info;

use crate::events::Events;
use crate::logging::CELL;

/// A running cell's line to the person who watches it.
pub struct Watch {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    events: Arc<Events>,
    /// What the log last said of the progress.
    milestone: AtomicU64,
}

impl Watch {
    /// A line that shows on `bar`, records into `events`, and asks to stop once `stop` is set.
    pub(crate) fn new(bar: ProgressBar, stop: Arc<AtomicBool>, events: Arc<Events>) -> Self {
        Self { bar, stop, events, milestone: AtomicU64::new(u64::MAX) }
    }

    /// A line that no one sees.
    pub fn hidden(stop: Arc<AtomicBool>) -> Self {
        Self::new(ProgressBar::hidden(), stop, Arc::default())
    }

    /// Shows that `done` of `total` units of work are behind the cell; `total` may change. The log
    /// hears of every tenth.
    pub fn progress(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let tenths = 10 * done / total.max(1);
        let milestone = total << 4 | tenths;
        if self.milestone.swap(milestone, Ordering::Relaxed) != milestone {
            info!(target: CELL, "{done} of {total} done");
        }
    }

    /// Shows figures of one step of the training while it goes on: a row of the learning curve as
    /// soon as it is made, and what else there is, such as norms of gradients. None of it becomes
    /// part of the outcome.
    ///
    /// `part` is the part of the cell that they belong to, empty for the curve of its outcome. A
    /// figure named `iteration` is the step and not shown again.
    pub fn record(&self, part: &str, step: u64, figures: impl IntoIterator<Item = (String, f64)>) {
        self.events.record(part, step, figures);
    }

    /// [`Watch::interrupted`] for code that a callback may stop.
    pub fn control_flow(&self) -> ControlFlow<()> {
        if self.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether the cell should give up now and return [`Interrupted`](crate::Interrupted).
    pub fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.events.disk_is_full()
    }
}
