//! `foretaste import`: a log file, checked and kept as a cached log.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use foretaste_data::cache;
use foretaste_files::Target;
use foretaste_import::{Format, guess};
use serde_json::json;

use crate::answer::Answer;
use crate::describe::of_import;
use crate::log::LogArgs;

/// Options of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format of the file, if it cannot be recognized by its first line; `foretaste list` names all
    /// formats.
    #[arg(long)]
    pub format: Option<Format>,
    /// Cached log to write.
    #[arg(long, value_name = "LOG", required_unless_present = "guess")]
    pub to: Option<PathBuf>,
    /// Do not import; guess a layout from the header and the first rows, and write it to a file for
    /// you to check and pass to --layout [default: the log's name with .toml, in this folder].
    #[arg(
        long,
        value_name = "TOML",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with = "to"
    )]
    pub guess: Option<Option<PathBuf>>,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub log: LogArgs,
}

/// Reads the log and writes the cached one, or a layout for reading it.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<Answer> {
    if let Some(to) = &args.guess {
        return propose(args, to.as_deref());
    }
    let Some(to) = &args.to else { bail!("name the cached log to write with --to FILE") };
    let target = Target::new(to, args.log.inputs(), args.force)?;
    let (dataset, report) = args.log.read(args.format, quiet)?;
    target.check()?;
    cache::save(&dataset, target.path())?;
    let mut answer = of_import(&dataset, report.as_ref())?;
    answer.text += &format!("written to {}", to.display());
    answer.json["to"] = to.display().to_string().into();
    Ok(answer)
}

fn propose(args: &Args, to: Option<&Path>) -> anyhow::Result<Answer> {
    let input = args.log.open()?;
    let layout = guess(&input, &args.log.layout.settle()?)?;
    let name = input
        .given()
        .file_name()
        .context("the log has no file name: name the layout with --guess=FILE")?;
    let beside = Path::new(name).with_extension("toml");
    let to = to.unwrap_or(&beside);
    let target = Target::new(to, args.log.inputs(), args.force)?;
    target.check()?;
    foretaste_files::write(target.path(), layout.as_bytes())?;
    let text =
        format!("{layout}\nwritten to {}: check it, then import with --layout {0}", to.display());
    let json = json!({ "layout": layout, "to": to.display().to_string() });
    Ok(Answer { text, json })
}
