//! Structured logs: on stderr, and in a file for each running cell.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foretaste_console::logging::on_stderr;
use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing::{Subscriber, error};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::space::Space;

/// Target of what is said for the log files of cells: stderr shows it if `RUST_LOG` asks for it.
pub const CELL: &str = "cell";

/// The log file of a cell, shared by the threads that run it.
#[derive(Clone)]
pub struct CellLog(Arc<Shared>);

struct Shared {
    file: File,
    path: PathBuf,
    space: Space,
    incomplete: AtomicBool,
}

thread_local! {
    static CURRENT: RefCell<Option<CellLog>> = const { RefCell::new(None) };
}

/// Sends logs to stderr, warnings and worse unless `RUST_LOG` says otherwise, and to the log of the
/// cell that runs on the thread; the bars step aside for each line.
pub fn start() -> MultiProgress {
    let bars = MultiProgress::new();
    let on_stderr = on_stderr(&bars, &format!("warn,{CELL}=off"));
    registry().with(on_stderr).with(in_files()).init();
    log_panics();
    bars
}

/// Logs panics too, with the place that they come from.
pub fn log_panics() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        report(panic);
        error!(target: CELL, "{panic}");
    }));
}

/// Sends logs to the file of the cell that runs on the thread.
pub fn in_files<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    fmt::layer().with_ansi(false).with_writer(|| CurrentWriter).with_filter(LevelFilter::DEBUG)
}

/// The log that the calling thread writes to.
pub fn current() -> Option<CellLog> {
    CURRENT.with_borrow(Clone::clone)
}

/// From here on the calling thread writes to `log`.
pub fn enter(log: Option<CellLog>) {
    CURRENT.set(log);
}

impl CellLog {
    /// A new file in the place of what was there, which tells `space` where the disk is full.
    pub fn create(path: &Path, space: Space) -> io::Result<Self> {
        let (file, path) = (File::create(path)?, path.to_owned());
        Ok(Self(Arc::new(Shared { file, path, space, incomplete: AtomicBool::new(false) })))
    }

    /// Whether a line could not be written, except for lack of space.
    pub fn incomplete(&self) -> bool {
        self.0.incomplete.load(Ordering::Relaxed)
    }
}

/// The log of the cell that runs on the thread, or nowhere.
struct CurrentWriter;

impl Write for CurrentWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        CURRENT.with_borrow(|log| {
            if let Some(CellLog(log)) = log
                && let Err(error) = (&log.file).write_all(line)
                && !log.space.note(&log.path, error.kind())
            {
                log.incomplete.store(true, Ordering::Relaxed);
            }
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
