//! `foretaste describe`: what a log holds.

use foretaste_import::Format;

use crate::answer::Answer;
use crate::log::{LogArgs, answer};

/// Options of `describe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format of the file, if its first line does not tell: `foretaste list` names all.
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    log: LogArgs,
}

/// Counts what the log holds.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<Answer> {
    let (dataset, report) = args.log.read(args.format, quiet)?;
    answer(&dataset, report.as_ref())
}
