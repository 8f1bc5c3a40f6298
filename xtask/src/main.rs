//! The runner of the workspace: `cargo xtask reproduce | claims | docs | book | bench | ci | fuzz |
//! chaos | generate | python | shop`.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where a pipe is closed: use `terminal`"
)]

mod bench;
mod book;
mod chaos;
mod ci;
mod claims;
mod date;
mod docs;
mod fuzz;
mod generate;
mod python;
mod reproduce;
mod shop;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
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
    #[command(after_help = "Examples:\n\
        \x20 cargo xtask reproduce user-model --seeds 2\n\
        \x20 cargo xtask reproduce --scale quick --plan")]
    Reproduce(reproduce::Args),
    /// Compute from a pilot's results how many seeds the papers' claims need.
    #[command(after_help = "Example:\n  cargo xtask claims --power out/quick/results.csv")]
    Claims(claims::Args),
    /// Copy results to docs/results and from there into the documents, and write the reference of
    /// all commands.
    #[command(after_help = "Example:\n  cargo xtask docs --take out/quick")]
    Docs(docs::Args),
    /// Build the site of the pages with mdBook, and check its links.
    Book,
    /// Measure the speed of a hot path.
    #[command(after_help = "Example:\n  cargo xtask bench sim")]
    Bench(bench::Args),
    /// Run every check that a change must pass.
    Ci,
    /// Read made-up files of every kind, and look for those that panic, abort or do not end.
    #[command(after_help = "Examples:\n\
        \x20 cargo xtask fuzz --minutes 120\n\
        \x20 cargo xtask fuzz --target import-csv --seed 7")]
    Fuzz(fuzz::Args),
    /// Run commands under faults of the machine, such as kills and full disks, and look for results
    /// that are lost or changed.
    #[command(after_help = "Examples:\n\
        \x20 cargo xtask chaos --faults 1000\n\
        \x20 cargo xtask chaos --kinds kill,full-disk --seed 7")]
    Chaos(chaos::Args),
    /// Simulate the bundled logs again.
    #[command(after_help = "Example:\n  cargo xtask generate --out datasets --force")]
    Generate(generate::Args),
    /// Build the Python package, install it in a virtual environment, and run its tests.
    #[command(after_help = "Examples:\n\
        \x20 cargo xtask python --release\n\
        \x20 cargo xtask python --peers")]
    Python(python::Args),
    /// Simulate a shop, and compare what the program reports about its logs with the truth.
    #[command(after_help = "Example:\n  cargo xtask shop log --sessions 5000 --to shop.csv")]
    Shop(shop::Args),
}

/// The root of the sources that this program was built from.
fn workspace_root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The commands and options of the runner, from which its reference is generated.
fn command() -> clap::Command {
    Cli::command()
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Chaos(args) = &cli.command
        && let Some(arguments) = args.foretaste()
    {
        return foretaste::main(arguments);
    }
    let bars = logging::start();
    let done = match &cli.command {
        Command::Reproduce(args) => reproduce::run(args, &bars),
        Command::Claims(args) => claims::run(args),
        Command::Docs(args) => docs::run(args),
        Command::Book => book::run(),
        Command::Bench(args) => bench::run(args),
        Command::Ci => ci::run(),
        Command::Fuzz(args) => fuzz::run(args),
        Command::Chaos(args) => chaos::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Python(args) => python::run(args),
        Command::Shop(args) => shop::run(args),
    };
    interrupt::exit_code(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_with_options_has_an_example_that_it_accepts() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().skip(1).collect();
            let options = command.get_arguments().count() + command.get_subcommands().count();
            assert_eq!(examples.is_empty(), options == 0, "{}", command.get_name());
            for example in examples {
                let words: Vec<&str> = example.split_whitespace().collect();
                assert_eq!(words[..3], ["cargo", "xtask", command.get_name()]);
                Cli::try_parse_from(&words[1..]).unwrap();
            }
        }
    }
}
