//! `foretaste describe`: what a log holds.

use foretaste_data::Format;

use crate::answer::Answer;
use crate::log::{LogArgs, json};

/// Options of `describe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format of the file, if its first line does not tell: gan-cdqn, irecgan, movielens-100k,
    /// movielens, lastfm, cikm, yoochoose, trivago, open-bandit, coat, csv, jsonl or parquet.
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    log: LogArgs,
}

/// Counts what the log holds.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<Answer> {
    let (_, summary) = args.log.read(args.format, quiet)?;
    Ok(Answer { text: summary.to_string(), json: json(&summary) })
}
