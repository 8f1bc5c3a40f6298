//! Figures of a running cell, on their way into its event file and its log.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{debug, warn};

use crate::logging::CELL;
use crate::space::Space;
use crate::tensorboard::EventFile;

/// Figures on their way into an event file, which is given up once it cannot be written: with a
/// warning, or because the disk is full.
#[derive(Default)]
pub struct Events {
    sink: Mutex<Sink>,
    folder: PathBuf,
    space: Space,
}

#[derive(Default)]
struct Sink {
    file: Option<EventFile>,
    /// Whether a row of the outcome's learning curve is in it.
    curve: bool,
}

/// The figure of a row of a learning curve that says which step it is of.
pub const STEP: &str = "iteration";

impl Events {
    /// Figures go into `file` of `folder`, or to the log alone.
    pub fn new(file: Option<EventFile>, folder: PathBuf, space: Space) -> Self {
        Self { sink: Mutex::new(Sink { file, curve: false }), folder, space }
    }

    /// Whether anything of the run could not be written because the disk is full.
    pub fn disk_is_full(&self) -> bool {
        self.space.full().is_some()
    }

    /// Whether a row of the outcome's learning curve was recorded.
    pub fn have_curve(&self) -> bool {
        self.sink().curve
    }

    /// Appends figures of a step, named `part/figure`, or as they are where `part` is empty; the
    /// log has them too.
    pub fn record(&self, part: &str, step: u64, figures: impl IntoIterator<Item = (String, f64)>) {
        let prefix = if part.is_empty() { String::new() } else { format!("{part}/") };
        let figures = figures.into_iter().filter(|(name, _)| name != STEP);
        let figures: Vec<_> =
            figures.map(|(name, value)| (format!("{prefix}{name}"), value)).collect();
        let listed: Vec<_> =
            figures.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        debug!(target: CELL, "step {step}: {}", listed.join(", "));
        let mut sink = self.sink();
        sink.curve |= part.is_empty();
        if let Some(file) = &mut sink.file
            && let Err(error) = file.write(step, &figures)
        {
            if !self.space.note(&self.folder, error.kind()) {
                warn!("further events of this cell are not kept: {error}");
            }
            sink.file = None;
        }
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
