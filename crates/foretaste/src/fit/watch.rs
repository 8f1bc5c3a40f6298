//! How a command that fits models shows its progress and hears Ctrl-C, apart from the fits
//! themselves, which only learn whether to go on.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foretaste_console::interrupt;
use indicatif::MultiProgress;

use crate::progress::Progress;

/// Who watches a fit: shows how far it is, and stops it after Ctrl-C.
pub struct Watch {
    stop: Arc<AtomicBool>,
    shown: Progress,
    total: u64,
}

impl Watch {
    /// A fit of so many units of work at most.
    pub fn new(bars: &MultiProgress, quiet: bool, total: u64) -> anyhow::Result<Self> {
        let stop = interrupt::on_ctrl_c(bars, "stopping; press Ctrl-C again to end at once")?;
        Ok(Self { stop, shown: Progress::new(bars, quiet, 0, total), total })
    }

    /// One more unit is done; whether to go on.
    pub fn advance(&mut self, kind: &'static str) -> ControlFlow<()> {
        self.shown.advance(kind);
        match self.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// So many units of the total turn out not to be needed.
    pub fn leave_out(&mut self, units: u64) {
        self.total -= units;
        self.shown.set_total(self.total);
    }

    /// Takes the bar away.
    pub fn end(self) {
        self.shown.end();
    }
}
