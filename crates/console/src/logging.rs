//! Structured logs on stderr, steered by `RUST_LOG`, without tearing the progress bars.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

/// Sends logs to stderr, warnings and worse unless `RUST_LOG` says otherwise; the bars step aside
/// for each line.
pub fn start() -> MultiProgress {
    let bars = MultiProgress::new();
    registry().with(on_stderr(&bars, "warn")).init();
    bars
}

/// Logs on stderr, filtered as `RUST_LOG` says, or else by `default`.
pub fn on_stderr<S>(bars: &MultiProgress, default: &str) -> impl Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let writer = AsideWriter(bars.clone());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    fmt::layer().with_target(false).with_writer(move || writer.clone()).with_filter(filter)
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
