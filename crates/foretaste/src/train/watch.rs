//! Who watches a training: shows how far it is, keeps it from time to time, and stops it after
//! Ctrl-C.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use foretaste_console::terminal::eprint_line;
use foretaste_recommender::Watch;
use indicatif::MultiProgress;
use serde_json::Value;

use crate::folder::Folder;
use crate::progress::Progress;

/// Time between two saves of an unfinished training.
const PERIOD: Duration = Duration::from_secs(60);

/// A training that is watched.
pub struct Watched<'a> {
    folder: &'a Folder<'a>,
    command: &'a Value,
    stop: Arc<AtomicBool>,
    bars: &'a MultiProgress,
    quiet: bool,
    /// From the first epoch on.
    shown: Option<Progress>,
    /// Epochs done, and of how many.
    epochs: (u64, u64),
    kept: Instant,
    /// Why it could not be kept.
    failed: anyhow::Result<()>,
}

impl<'a> Watched<'a> {
    /// A training of `command` that is kept in `folder`, and stops where `stop` says so.
    pub fn new(
        folder: &'a Folder<'a>,
        command: &'a Value,
        stop: Arc<AtomicBool>,
        bars: &'a MultiProgress,
        quiet: bool,
    ) -> Self {
        let (kept, failed) = (Instant::now(), Ok(()));
        Self { folder, command, stop, bars, quiet, shown: None, epochs: (0, 0), kept, failed }
    }

    /// Takes the bar away; the epochs done, and of how many.
    ///
    /// # Errors
    /// Where the training was stopped because it could not be kept.
    pub fn end(self) -> anyhow::Result<(u64, u64)> {
        if let Some(shown) = self.shown {
            shown.end();
        }
        self.failed.map(|()| self.epochs)
    }
}

impl Watch for Watched<'_> {
    fn warn(&mut self, text: &str) {
        eprint_line(format_args!("warning: {text}"));
    }

    fn progress(&mut self, progress: foretaste_recommender::Progress<'_>) -> ControlFlow<()> {
        let foretaste_recommender::Progress { done, total, stage, save } = progress;
        self.epochs = (done, total);
        let Some(shown) = &mut self.shown else {
            if done > 0 && done < total {
                eprint_line(format_args!("continuing after {done} of {total} epochs"));
            }
            self.shown = Some(Progress::new(self.bars, self.quiet, done, total));
            return ControlFlow::Continue(());
        };
        shown.set_total(total);
        shown.reach(done, stage);
        let stopped = self.stop.load(Ordering::Relaxed) && done < total;
        if stopped || self.kept.elapsed() > PERIOD {
            self.failed = self.folder.keep(self.command, |place| Ok(save(place)?));
            self.kept = Instant::now();
        }
        if stopped || self.failed.is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
