//! `cargo xtask bench import`: how fast a large log is read, in how much memory, and how fast
//! polars and pyarrow read the same file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use comfy_table::{Table, presets};
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_import::{Format, Options, export, import};
use foretaste_random::Seed;
use rand::Rng;
use serde::Serialize;

use crate::bench::peer::Peer;
use crate::bench::record::{Record, median};

/// Options of the import benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Size of the CSV file that is generated, in bytes; the Parquet file has the same rows.
    #[arg(long, default_value_t = 300_000_000)]
    bytes: u64,
    /// A Python that has the packages of benches/peers/requirements.txt: measures polars and
    /// pyarrow too, in turns with ours.
    #[arg(long, value_name = "PATH")]
    peer_python: Option<PathBuf>,
    /// How often each is measured; the median is shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    turns: u16,
    /// Keep the CSV file here and end, to import it under a limit of memory, say.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["peer_python", "turns"])]
    write: Option<PathBuf>,
    /// Write one row per place, in no order, with times: what --sort is for. Needs --write.
    #[arg(long, requires = "write")]
    events: bool,
}

const ITEMS: u32 = 10_000;
const PLACES: usize = 10;
const MEGABYTE: f64 = 1e6;

/// What the peers are asked for.
const WORK: [(&str, &str); 4] =
    [("polars", "lists"), ("polars", "codes"), ("pyarrow", "lists"), ("pyarrow", "codes")];

/// One run of a peer.
#[derive(Serialize)]
struct Request<'a> {
    library: &'static str,
    work: &'static str,
    path: &'a Path,
    rows: u64,
    items: usize,
}

/// Generates a log, imports it as CSV and as Parquet, and prints speed and memory next to those of
/// the peers.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    if let Some(path) = &args.write {
        let rows = if args.events { events(path, args.bytes) } else { generate(path, args.bytes) };
        let rows = rows.with_context(|| format!("cannot write {}", path.display()))?;
        print_line(format_args!("{rows} rows"));
        return Ok(());
    }
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let csv = folder.path().join("generated.csv");
    eprint_line("writing the log to read");
    let rows =
        generate(&csv, args.bytes).with_context(|| format!("cannot write {}", csv.display()))?;
    let megabytes = csv.metadata()?.len() as f64 / MEGABYTE;
    print_line(format_args!(
        "{megabytes:.0} MB of CSV, {rows} rows, slates of {PLACES} out of {ITEMS} items"
    ));
    let before = peak_memory();
    let (dataset, _) = import(&csv, Options::default())?;
    let after = peak_memory();
    let log = dataset.log.bytes() as f64 / MEGABYTE;
    print_line(format_args!("log         {log:>8.0} MB"));
    match before.zip(after) {
        Some((before, after)) => print_line(format_args!(
            "peak memory {after:>8.0} MB ({before:.0} MB before the import): {:.2} of the log",
            after / log
        )),
        None => print_line("peak memory  unknown on this system"),
    }
    let parquet = folder.path().join("generated.parquet");
    eprint_line("writing it as Parquet");
    export(&dataset, Format::Parquet, &parquet)?;
    let items = dataset.catalogue.len();
    drop(dataset);

    let mut peer =
        args.peer_python.as_deref().map(|python| Peer::script(python, "tables.py")).transpose()?;
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "file",
        "read by",
        "seconds",
        "M rows/s",
        "MB/s of CSV",
        "their time / ours",
    ]);
    for (name, path) in [("CSV", &csv), ("Parquet of lists", &parquet)] {
        let mut ours = Vec::new();
        let mut theirs: Vec<Vec<f64>> = vec![Vec::new(); WORK.len()];
        for turn in 1..=args.turns {
            eprint_line(format_args!("{name}: turn {turn} of {}", args.turns));
            let begin = Instant::now();
            let (dataset, _) = import(path, Options::default())?;
            ours.push(begin.elapsed().as_secs_f64());
            let steps = dataset.log.steps();
            ensure!(steps as u64 == rows, "{steps} steps of {rows} rows arrived");
            drop(dataset);
            for ((library, work), times) in WORK.into_iter().zip(&mut theirs) {
                if let Some(peer) = &mut peer {
                    let request = Request { library, work, path, rows, items };
                    times.push(peer.ask(&request, format_args!("{library} {work}"))?);
                }
            }
        }
        let ours = record.seconds(format!("import, {megabytes:.0} MB of CSV, as {name}"), &ours);
        let mut row = |label: String, seconds: f64| {
            table.add_row([
                name.to_owned(),
                label,
                format!("{seconds:.2}"),
                format!("{:.2}", rows as f64 / seconds / 1e6),
                format!("{:.0}", megabytes / seconds),
                format!("{:.2}", seconds / ours),
            ]);
        };
        row("ours".into(), ours);
        for ((library, work), times) in WORK.into_iter().zip(theirs) {
            if !times.is_empty() {
                row(format!("{library}, {work}"), median(times));
            }
        }
    }
    if let Some(peer) = &peer {
        print_line(peer.name());
    }
    print_line(table);
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

/// Writes rows of one place each, of sessions of 5 slates of 3 places, in an order without a
/// pattern; the number of rows.
fn events(path: &Path, bytes: u64) -> std::io::Result<u64> {
    /// About the bytes of a row.
    const ROW: u64 = 35;
    let mut stream = Seed::new(0).derive("import benchmark, events").stream(0);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    writeln!(file, "session,timestamp,item,clicked")?;
    let rows = (bytes / ROW).next_power_of_two();
    // An odd multiplier modulo a power of two gives every number once.
    let multiplier = stream.random_range(rows / 3..rows / 2) | 1;
    for row in 0..rows {
        let number = row.wrapping_mul(multiplier) % rows;
        let (session, within) = (number / 15, number % 15);
        let (slate, place) = (within / 3, within % 3);
        let item = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % u64::from(ITEMS / 3);
        let item = 3 * item + place;
        let clicked = u8::from((session + slate) % 3 == place);
        writeln!(file, "s{session},{},{item},{clicked}", 1_700_000_000 + 60 * slate)?;
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::json;

    use super::*;

    /// The example in the peers' script.
    #[test]
    fn a_request_is_what_the_script_says() {
        let path = Path::new("log.csv");
        let request = Request { library: "polars", work: "lists", path, rows: 1000, items: 10 };
        let expected = json!({
            "library": "polars", "work": "lists", "path": "log.csv", "rows": 1000, "items": 10
        });
        assert_eq!(serde_json::to_value(request).unwrap(), expected);
    }

    #[test]
    fn events_are_sessions_of_five_slates_of_three_places_in_another_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.csv");
        let rows = events(&path, 35_000).unwrap();
        assert_eq!(rows, 1024);
        let mut slates: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        let text = std::fs::read_to_string(&path).unwrap();
        let fields: Vec<Vec<&str>> =
            text.lines().skip(1).map(|row| row.split(',').collect()).collect();
        for row in &fields {
            let slate = slates.entry((row[0].to_owned(), row[1].to_owned())).or_default();
            slate.insert(row[2].to_owned());
        }
        assert_eq!(fields.len() as u64, rows);
        // 68 sessions of 15 rows, and 4 rows of another: its second slate is cut short.
        assert_eq!(slates.values().filter(|items| items.len() != 3).count(), 1);
        let moved = fields.windows(2).filter(|pair| pair[0][0] != pair[1][0]).count();
        assert!(moved > 900, "{moved}");
    }
}
