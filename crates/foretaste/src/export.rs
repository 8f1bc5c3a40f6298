//! `foretaste export`: a log in a format that other programs read.

use std::path::{Path, PathBuf};

use foretaste_console::terminal::eprint_line;
use foretaste_data::Part;
use foretaste_files::Target;
use foretaste_import::{Format, Whose, export, export_features, replaced_ids};
use serde_json::json;

use crate::answer::Answer;
use crate::log::LogArgs;

/// Options of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to write.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
    /// Format to write: gan-cdqn, irecgan, csv, jsonl or parquet.
    #[arg(long)]
    pub format: Format,
    /// Parts to leave out because the format cannot hold them: split, users, timestamps,
    /// propensities, features, user-features, clicks, candidates, events, context.
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = part)]
    pub without: Vec<Part>,
    /// Also write the features of the items to this CSV file, for --item-features; no log format
    /// holds them.
    #[arg(long, value_name = "FILE")]
    pub item_features_to: Option<PathBuf>,
    /// Also write the features of the users to this CSV file, for --user-features.
    #[arg(long, value_name = "FILE")]
    pub user_features_to: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogArgs,
}

/// Reads the log and writes it.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<Answer> {
    let Args { to, force, format, without, log, item_features_to, user_features_to } = args;
    let target = |path: &Path| Target::new(path, log.inputs(), *force);
    let beside = [
        (item_features_to, Whose::Items, Part::Features),
        (user_features_to, Whose::Users, Part::UserFeatures),
    ];
    let beside = beside
        .into_iter()
        .filter_map(|(path, whose, part)| {
            path.as_ref().map(|path| Ok((target(path)?, whose, part)))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let target = target(to)?;
    let (dataset, report) = log.read(None, quiet)?;
    let mut dataset = without.iter().fold(dataset, |dataset, &part| dataset.without(part));
    for (target, whose, part) in beside {
        target.check()?;
        export_features(&dataset, whose, target.path())?;
        dataset = dataset.without(part);
    }
    target.check()?;
    export(&dataset, *format, target.path())?;
    let replaced = replaced_ids(&dataset, *format);
    if replaced > 0 {
        eprint_line(format_args!(
            "warning: the format {format} has whole numbers as session ids; the ids of {replaced} \
             sessions were replaced by their indices"
        ));
    }
    let read = report.map_or(String::new(), |report| report.to_string());
    let text = format!("{read}written to {}", to.display());
    let json = json!({
        "sessions": dataset.log.sessions(),
        "steps": dataset.log.steps(),
        "replaced_session_ids": replaced,
        "to": to.display().to_string(),
    });
    Ok(Answer { text, json })
}

fn part(name: &str) -> Result<Part, String> {
    Part::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| {
        let names = Part::ALL.map(Part::name).join(", ");
        format!("not a part of a log; expected one of {names}")
    })
}
