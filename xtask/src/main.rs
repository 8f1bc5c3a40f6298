//! The runner of the workspace: `cargo xtask reproduce | data | train | evaluate | bench | ci`.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where a pipe is closed: use `terminal`"
)]

mod bench;
mod ci;
mod costs;
mod data;
mod evaluate;
mod experiment;
mod experiments;
mod logging;
mod progress;
mod provenance;
mod remarks;
mod reports;
mod reproduce;
mod results_dir;
mod runner;
mod settings;
mod shard;
mod store;
mod target;
mod tensorboard;
mod terminal;
mod trace;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::experiment::Interrupted;
use crate::terminal::{reasons, tell};

/// glibc hands freed pages back at once and faults them in again on the next tensor, which costs
/// training a third of its time; mimalloc keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Learn a stand-in for a product's users from interaction logs, train recommenders against it, and
/// judge them.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run experiments of the papers and write their figures, with intervals over seeds.
    Reproduce(reproduce::Args),
    /// Import, describe and export interaction logs.
    Data(data::Args),
    /// Train a recommender, IRecGAN's agent, on a log.
    Train(train::Args),
    /// Estimate from a log with propensities what a trained recommender would have earned.
    Evaluate(evaluate::Args),
    /// Measure the speed of a hot path.
    Bench(bench::Args),
    /// Run every check that a change must pass.
    Ci,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let bars = logging::start();
    let done = match &cli.command {
        Command::Reproduce(args) => reproduce::run(args, &bars),
        Command::Data(args) => data::run(args),
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Ci => ci::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            tell(error);
            ExitCode::from(130)
        }
        Err(error) => {
            tell(format_args!("error: {}", reasons(&error)));
            ExitCode::FAILURE
        }
    }
}
