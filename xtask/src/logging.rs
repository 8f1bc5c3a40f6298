//! Structured logs on stderr, steered by `RUST_LOG`, that do not tear the progress bars.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;

/// Sends logs to stderr, warnings and worse unless `RUST_LOG` says otherwise; the bars step aside for each line.
pub fn start() -> MultiProgress {
    let bars = MultiProgress::new();
    let writer = AsideWriter(bars.clone());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(move || writer.clone()).init();
    bars
}

#[derive(Clone)]
struct AsideWriter(MultiProgress);

impl Write for AsideWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The subscriber answers a failed write with a panic.
        let _ = self.0.suspend(|| io::stderr().write_all(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
