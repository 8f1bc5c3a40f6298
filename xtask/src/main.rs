//! The runner of the workspace: `cargo xtask reproduce | claims | docs | book | bench | ci |
//! generate | python | shop`.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where a pipe is closed: use `terminal`"
)]

mod bench;
mod book;
mod ci;
mod claims;
mod docs;
mod generate;
mod python;
mod reproduce;
mod shop;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use foretaste_console::interrupt;
use foretaste_lab::logging;

/// glibc hands freed pages back at once and faults them in again on the next tensor, which costs
/// training a third of its time; mimalloc keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Reproduce the papers, measure speed, and check a change. For your own log use the program
/// `foretaste`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The revision of the sources that this program was built from, with `-dirty` where they were
/// changed since, or `unknown`.
const REVISION: &str = env!("FORETASTE_REVISION");

#[derive(Debug, Subcommand)]
enum Command {
    /// Run experiments of the papers and write their figures, with intervals over seeds.
    Reproduce(reproduce::Args),
    /// Compute from a pilot's results how many seeds the papers' claims need.
    Claims(claims::Args),
    /// Copy results to docs/results, and from there into the documents.
    Docs(docs::Args),
    /// Build the site of the pages with mdBook, and check its links.
    Book,
    /// Measure the speed of a hot path.
    Bench(bench::Args),
    /// Run every check that a change must pass.
    Ci,
    /// Simulate the bundled logs again.
    Generate(generate::Args),
    /// Build the Python package, install it in a virtual environment, and run its tests.
    Python(python::Args),
    /// Simulate a shop, and compare what the program reports about its logs with the truth.
    Shop(shop::Args),
}

/// The root of the sources that this program was built from.
fn workspace_root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let bars = logging::start();
    let done = match &cli.command {
        Command::Reproduce(args) => reproduce::run(args, &bars),
        Command::Claims(args) => claims::run(args),
        Command::Docs(args) => docs::run(args),
        Command::Book => book::run(),
        Command::Bench(args) => bench::run(args),
        Command::Ci => ci::run(),
        Command::Generate(args) => generate::run(args),
        Command::Python(args) => python::run(args),
        Command::Shop(args) => shop::run(args),
    };
    interrupt::exit_code(done)
}
