//! `cargo xtask bench all`: every hot path that needs no peer, at a short setting, into one file.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_files::Target;

use crate::bench::HotPath;
use crate::bench::record::{Machine, Record, Run};
use crate::date::date;

/// Options of `all`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write: the machine, the revision, the date, and all repetitions of every case.
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Run only these hot paths.
    #[arg(long, value_delimiter = ',', value_parser = path_names())]
    only: Vec<String>,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

/// What is run, as `cargo xtask bench` takes it.
const SHORT: [&str; 8] = [
    "growth --turns 7",
    "import --bytes 20000000 --turns 7",
    "sim --steps 300000 --repeats 7",
    "users --sessions 1024 --steps 40000 --threads 1 --repeats 7",
    "planning --iterations 60 --threads 1 --repeats 7",
    "nn --hidden 64 --batch 32 --time 10 --only train,act --threads 1 --seconds 0.05 --turns 7",
    "argmax --items 10000,100000 --storage single --threads 1 --repeats 7",
    "irecgan --items 4000 --hidden 128 --batches 8 --threads 1 --repeats 7",
];

/// A line of [`SHORT`].
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(subcommand)]
    path: HotPath,
}

/// A value that names a hot path of this benchmark.
pub fn path_names() -> PossibleValuesParser {
    PossibleValuesParser::new(SHORT.map(name))
}

/// Runs all that is asked for, and writes the file at the end.
///
/// # Errors
/// Where a benchmark fails, or the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let target = Target::new(&args.json, vec![], args.force)?;
    let mut record = Record::default();
    for line in SHORT {
        if args.only.is_empty() || args.only.iter().any(|only| only == name(line)) {
            eprint_line(format_args!("cargo xtask bench {line}"));
            Line::try_parse_from(line.split(' '))?.path.run(&mut record)?;
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let run = Run {
        machine: Machine::here(),
        revision: crate::REVISION.into(),
        date: date(now.as_secs()),
        cases: record.cases,
    };
    let mut text = serde_json::to_vec_pretty(&run)?;
    text.push(b'\n');
    foretaste_files::write(target.path(), &text)?;
    print_line(format_args!("{}: {} cases", args.json.display(), run.cases.len()));
    Ok(())
}

fn name(line: &'static str) -> &'static str {
    line.split(' ').next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_command() {
        for line in SHORT {
            Line::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
