//! `foretaste import`: a log file, checked and kept as a cached log.

use std::path::PathBuf;

use foretaste_data::cache;
use foretaste_files::Target;
use foretaste_import::Format;

use crate::answer::Answer;
use crate::log::{LogArgs, answer, inputs};

/// Options of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format of the file, if its first line does not tell: gan-cdqn, irecgan, movielens-100k,
    /// movielens, lastfm, cikm, yoochoose, trivago, open-bandit, coat, csv, jsonl or parquet.
    #[arg(long)]
    pub format: Option<Format>,
    /// Cached log to write.
    #[arg(long, value_name = "LOG")]
    pub to: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub log: LogArgs,
}

/// Reads the log and writes the cached one.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<Answer> {
    let target = Target::new(&args.to, inputs(&args.log.path), args.force)?;
    let (dataset, report) = args.log.read(args.format, quiet)?;
    target.check()?;
    cache::save(&dataset, target.path())?;
    let mut answer = answer(&dataset, report.as_ref())?;
    answer.text += &format!("written to {}", args.to.display());
    answer.json["to"] = args.to.display().to_string().into();
    Ok(answer)
}
