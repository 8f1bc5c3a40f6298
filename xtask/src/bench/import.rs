//! `cargo xtask bench import`: how fast a large CSV log is read, and in how much memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use foretaste_import::{Options, import};
use foretaste_random::Seed;
use rand::Rng;

use foretaste_console::terminal::{eprint_line, print_line};

/// Options of the import benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Size of the file that is generated, in bytes.
    #[arg(long, default_value_t = 1_000_000_000)]
    bytes: u64,
}

const ITEMS: u32 = 10_000;
const PLACES: usize = 10;
const MEGABYTE: f64 = 1e6;

/// Generates a log, imports it, and prints speed and memory beside the speed of splitting the same
/// file into fields.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = folder.path().join("generated.csv");
    eprint_line("writing the log to read");
    let rows =
        generate(&path, args.bytes).with_context(|| format!("cannot write {}", path.display()))?;
    let bytes = path.metadata()?.len();
    let megabytes = bytes as f64 / MEGABYTE;
    print_line(format_args!(
        "{megabytes:.0} MB of CSV, {rows} rows, slates of {PLACES} out of {ITEMS} items"
    ));

    eprint_line("importing it");
    let before = peak_memory();
    let begin = Instant::now();
    let (dataset, _) = import(&path, Options::default())?;
    let seconds = begin.elapsed().as_secs_f64();
    let after = peak_memory();
    let steps = dataset.log.steps();
    ensure!(steps as u64 == rows, "{steps} steps of {rows} rows arrived");
    print_line(format_args!(
        "import      {:>8.0} MB/s {:>12.0} rows/s",
        megabytes / seconds,
        rows as f64 / seconds
    ));

    eprint_line("splitting it into fields");
    let begin = Instant::now();
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 18).from_path(&path)?;
    let mut record = csv::ByteRecord::new();
    let mut read = 0_u64;
    while reader.read_byte_record(&mut record)? {
        read += 1;
    }
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(read == rows, "{read} records of {rows} rows");
    print_line(format_args!(
        "csv records {:>8.0} MB/s {:>12.0} rows/s (the csv crate, fields unread)",
        megabytes / seconds,
        rows as f64 / seconds
    ));

    let log = dataset.log.bytes() as f64 / MEGABYTE;
    print_line(format_args!("log         {log:>8.0} MB"));
    match (before, after) {
        (Some(before), Some(after)) => {
            print_line(format_args!(
                "peak memory {after:>8.0} MB ({before:.0} MB before the import): {:.2} of the log",
                after / log
            ));
        }
        _ => print_line("peak memory  unknown on this system"),
    }
    Ok(())
}

/// Writes sessions of 3 to 5 steps, a click of reward 1 on all but the last, until `bytes` are
/// full; the number of rows.
fn generate(path: &Path, bytes: u64) -> std::io::Result<u64> {
    let mut stream = Seed::new(0).derive("import benchmark").stream(0);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut row = b"session,step,shown,chosen,reward\n".to_vec();
    let (mut written, mut rows) = (0, 0);
    let mut slate = Vec::with_capacity(PLACES);
    for session in 0_u64.. {
        let steps = stream.random_range(3..=5);
        for step in 0..steps {
            slate.clear();
            while slate.len() < PLACES {
                let item = stream.random_range(0..ITEMS);
                if !slate.contains(&item) {
                    slate.push(item);
                }
            }
            write!(row, "{session},{step},")?;
            for (place, item) in slate.iter().enumerate() {
                write!(row, "{}{item}", if place == 0 { "" } else { " " })?;
            }
            if step + 1 < steps {
                writeln!(row, ",{},1", slate[stream.random_range(0..PLACES)])?;
            } else {
                row.extend(b",,0\n");
            }
            file.write_all(&row)?;
            written += row.len() as u64;
            rows += 1;
            row.clear();
        }
        if written >= bytes {
            break;
        }
    }
    file.flush()?;
    Ok(rows)
}

/// The most memory that this process has held so far, in megabytes, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024.0 / MEGABYTE)
}
