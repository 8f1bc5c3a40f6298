//! The program `foretaste`: what a recommender would earn, before your users meet it.
//!
//! * [`main`] is the program.
//! * [`answer`] runs a command and returns what it prints with `--json`. [`read_log`] and
//!   [`describe`](describe()) read a log and describe it. The Python package uses these three.
//! * [`command`] is the definition of the command line.
//!
//! ```
//! let command = ["describe", "bundled:simulated-mdp.csv", "--quiet"];
//! let described = foretaste::answer(command.map(Into::into))?;
//! assert_eq!(described["sessions"], 250);
//! # Ok::<(), anyhow::Error>(())
//! ```

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where a pipe is closed: use `foretaste_console::terminal`"
)]

mod answer;
mod claims;
mod completions;
mod describe;
mod export;
mod fit;
mod folder;
mod import;
mod judge;
mod layout;
mod list;
mod log;
mod man;
mod policy;
mod progress;
mod recommend;
mod run;
mod saved;
mod simulate;
mod slates;
mod train;
mod trust;
mod users;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use foretaste_console::{interrupt, logging, threads};
use foretaste_data::Dataset;
use foretaste_import::{Format, Input, Report};
use indicatif::MultiProgress;
use serde_json::Value;

use crate::answer::Answer;
use crate::log::LogArgs;

/// The revision of the sources that this program was built from, with `-dirty` where they were
/// changed since, or `unknown`.
const REVISION: &str = env!("FORETASTE_REVISION");

/// Estimate what a recommender would earn before your users see it: read interaction logs, learn
/// users and train recommenders from them, judge policies by them, simulate, and recommend.
///
/// Results go to the standard output, progress and warnings to the standard error. The exit code is
/// 0 on success, 1 after an error, 2 if the command line is wrong, 3 if `describe` finds a problem
/// in the log or a step of `run` fails, and 130 after Ctrl-C.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Do not show progress.
    #[arg(long, global = true)]
    quiet: bool,
    /// Number of threads [default: the number of cores].
    #[arg(long, global = true, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a log file, check it, and keep it as a cached log that loads fast.
    #[command(after_help = "Example:\n\
        \x20 foretaste import clicks.csv --column session=session_id --to clicks.log")]
    Import(import::Args),
    /// Print what a log contains, and what is wrong with it.
    #[command(after_help = "Example:\n  foretaste describe clicks.csv --html clicks.html")]
    Describe(describe::Args),
    /// Write a log in a format that other programs read.
    #[command(after_help = "Example:\n\
        \x20 foretaste export clicks.log --format parquet --to clicks.parquet")]
    Export(export::Args),
    /// List the logs and the recipes for public data sets that are inside this program.
    #[command(after_help = "Example:\n  foretaste list movielens")]
    List(list::Args),
    /// Learn users from a log, and compare how well they are predicted with simpler models.
    #[command(after_help = "Example:\n  foretaste fit clicks.csv --to users")]
    Fit(fit::Args),
    /// Train a recommender on a log, or in users learned from it: by default IRecGAN's agent.
    #[command(after_help = "Examples:\n\
        \x20 foretaste train clicks.csv --to popular --method popularity\n\
        \x20 foretaste train clicks.csv --to greedy --method greedy --users users")]
    Train(train::Args),
    /// Estimate from a log with propensities what policies would have earned.
    #[command(after_help = "Example:\n\
        \x20 foretaste judge clicks.csv --policy popular --policy ours=policy.parquet")]
    Judge(judge::Args),
    /// Print what a recommender shows: for one history, or for requests line by line.
    #[command(after_help = "Example:\n  foretaste recommend popular --history hat-2,shoe-9 -k 6")]
    Recommend(recommend::Args),
    /// Simulate a policy with learned users, and write the sessions as a log.
    #[command(after_help = "Example:\n\
        \x20 foretaste simulate users --policy uniform --sessions 1000 --to simulated.log")]
    Simulate(simulate::Args),
    /// Report how far to trust learned users, and what they may be used for.
    #[command(after_help = "Example:\n  foretaste trust users --log clicks.csv")]
    Trust(trust::Args),
    /// From a log to one page: check the log, learn users, train recommenders, and judge them.
    #[command(after_help = "Example:\n  foretaste run clicks.csv")]
    Run(run::Args),
    /// Decide claims by a table of results from any source.
    #[command(after_help = "Example:\n  foretaste claims claims.csv --results results.csv")]
    Claims(claims::Args),
    /// Print a script that makes a shell complete commands, options and their values.
    #[command(after_help = "Example, for bash; its file may need another place for your shell:\n\
        \x20 foretaste completions bash > ~/.local/share/bash-completion/completions/foretaste")]
    Completions(completions::Args),
    /// Write the help of all commands as manual pages.
    #[command(after_help = "Example:\n  foretaste man --to ~/.local/share/man/man1")]
    Man(man::Args),
}

/// The exit code where the answer says that something is wrong.
const SOMETHING_WRONG: u8 = 3;

/// A log, as the options of every command that reads one name it.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct LogOnly {
    /// Format of the file, if it cannot be recognized by its first line.
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    log: LogArgs,
}

/// Runs the command that the arguments name, the name of the program before them, and prints its
/// answer; the exit code is that of the program. To be called once, at the start of a process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(misuse) => {
            // Help that is not read is no error.
            let _ = misuse.print();
            return ExitCode::from(u8::try_from(misuse.exit_code()).unwrap_or(1));
        }
    };
    if let Some(threads) = cli.threads {
        threads::use_at_most(threads);
    }
    if cli.command.runs_small_networks() {
        threads::for_small_networks();
    }
    let bars = logging::start();
    let done = cli.command.run(&bars, cli.quiet);
    let wrong = matches!(done, Ok((_, true)));
    let done = done.map(|(answer, _)| answer.print(cli.json));
    if wrong {
        return ExitCode::from(SOMETHING_WRONG);
    }
    interrupt::exit_code(done)
}

/// The commands and options of the program, from which its reference is generated.
pub fn command() -> clap::Command {
    Cli::command()
}

/// What the command that the arguments name answers with `--json`, without printing it. Pools of
/// threads are the caller's; who may interrupt it: [`interrupt::inside`].
///
/// # Errors
/// Where the arguments make no sense, in the program's words; what the command returns.
pub fn answer(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Value> {
    let name = OsString::from("foretaste");
    let cli = Cli::try_parse_from([name].into_iter().chain(arguments)).map_err(misuse)?;
    let (answer, _) = cli.command.run(&MultiProgress::new(), cli.quiet)?;
    Ok(answer.json)
}

/// The log that options name as those of `describe` do, and what was read of it unless it was
/// cached.
///
/// # Errors
/// As [`answer`].
pub fn read_log(
    arguments: impl IntoIterator<Item = OsString>,
) -> anyhow::Result<(Dataset, Option<Report>)> {
    let LogOnly { format, log } = LogOnly::try_parse_from(arguments).map_err(misuse)?;
    log.read(format, true)
}

/// The same of an input in memory; the path among the arguments is its name.
///
/// # Errors
/// As [`answer`].
pub fn read_input(
    input: &Input,
    arguments: impl IntoIterator<Item = OsString>,
) -> anyhow::Result<(Dataset, Option<Report>)> {
    let LogOnly { format, log } = LogOnly::try_parse_from(arguments).map_err(misuse)?;
    log.read_from(input, format, true)
}

/// What `describe --json` says of a log, and of what was read of it unless it was cached.
///
/// # Errors
/// Where the answer is no JSON.
pub fn describe(dataset: &Dataset, report: Option<&Report>) -> anyhow::Result<Value> {
    Ok(describe::of_log(dataset, report)?.0.json)
}

/// Refuses the text of a `foretaste.toml` that is none.
///
/// # Errors
/// An error that names the setting, what was found and what was expected.
pub fn check_settings(text: &str) -> anyhow::Result<()> {
    run::check_settings(text)
}

/// What is wrong with the arguments, without the advice for a command line.
fn misuse(error: clap::Error) -> anyhow::Error {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or(&text).trim_start_matches("error: ");
    anyhow::Error::msg(first.split_whitespace().collect::<Vec<_>>().join(" "))
}

impl Command {
    /// Whether its work is that of learned users, who are small networks.
    fn runs_small_networks(&self) -> bool {
        match self {
            Self::Fit(_) | Self::Simulate(_) | Self::Trust(_) | Self::Run(_) => true,
            Self::Train(args) => args.learns_in_users(),
            Self::Judge(args) => args.asks_users(),
            _ => false,
        }
    }

    /// The answer, and whether it says that something is wrong.
    fn run(&self, bars: &MultiProgress, quiet: bool) -> anyhow::Result<(Answer, bool)> {
        let answer = match self {
            Self::Describe(args) => return describe::run(args, quiet),
            Self::Import(args) => import::run(args, quiet),
            Self::Export(args) => export::run(args, quiet),
            Self::List(args) => list::run(args),
            Self::Fit(args) => fit::run(args, bars, quiet),
            Self::Train(args) => train::run(args, bars, quiet),
            Self::Judge(args) => judge::run(args, bars, quiet),
            Self::Recommend(args) => recommend::run(args),
            Self::Simulate(args) => simulate::run(args, bars, quiet),
            Self::Trust(args) => trust::run(args, bars, quiet),
            Self::Run(args) => return run::run(args, bars, quiet),
            Self::Claims(args) => claims::run(args),
            Self::Completions(args) => completions::run(args, command()),
            Self::Man(args) => man::run(args, command()),
        };
        Ok((answer?, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_an_example_that_it_accepts() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().skip(1).collect();
            assert!(!examples.is_empty(), "{}", command.get_name());
            for example in examples {
                // What a shell does is not the program's.
                let (example, _) = example.split_once(" > ").unwrap_or((example, ""));
                let words: Vec<&str> = example.split_whitespace().collect();
                assert_eq!(words[..2], ["foretaste", command.get_name()]);
                Cli::try_parse_from(words).unwrap();
            }
        }
    }
}
