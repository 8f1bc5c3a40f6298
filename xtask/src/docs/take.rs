//! From a directory of results to docs/results.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Parser;
use foretaste_lab::Kept;
use foretaste_report::Means;

use super::kept::{CLAIMS, FOLDER, SOURCE, Source, table_of};
use super::{names_in, pages, read};
use crate::date::date;
use crate::{Cli, Command};

/// Takes the means and claims of a run over into a folder, in place of what is there, and says what
/// it took. Without a name, it is the folder of the run's scale, `quick-data` for a run on real
/// logs at `quick`. The plots in that folder that documents show are replaced by those of the run.
///
/// # Errors
/// Where `out` is no results directory with finished cells or lacks a plot that a document shows,
/// the name is not plain, or a file cannot be written.
pub fn take(out: &Path, root: &Path, name: Option<&str>) -> anyhow::Result<String> {
    let kept = Kept::read(out)?;
    let mut experiments: Vec<&str> =
        kept.results.runs().map(|(key, _)| key.experiment.as_str()).collect();
    experiments.dedup();
    if experiments.is_empty() {
        bail!("{} has no finished cells, so there is nothing to take", out.display());
    }
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let plain = |name: &str| {
        !name.is_empty()
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    };
    for experiment in &experiments {
        if !plain(experiment) {
            bail!("`{experiment}` in {} is not the name of an experiment", out.display());
        }
        files.push((table_of(experiment), Means::of(experiment, &kept.results)?.to_csv()?));
    }
    files.extend(kept.claims.clone().map(|claims| (CLAIMS.into(), claims)));
    let source = source(&kept).with_context(|| out.display().to_string())?;
    let mut text = serde_json::to_vec_pretty(&source)?;
    text.push(b'\n');
    files.push((SOURCE.into(), text));

    let name = match (name, &kept.config.data_dir) {
        (Some(name), _) if plain(name) => name.to_owned(),
        (Some(name), _) => bail!("--name {name}: expected letters, digits and hyphens"),
        (None, Some(_)) => format!("{}-data", source.scale.as_str()),
        (None, None) => source.scale.as_str().to_owned(),
    };
    let folder = root.join(FOLDER).join(&name);
    for plot in plots_shown(root, &name)? {
        let path = out.join("plots").join(&plot);
        let shown = || format!("a document shows {FOLDER}/{name}/{plot}");
        files.push((plot.clone(), read(&path).with_context(shown)?.into_bytes()));
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (file, bytes) in &files {
        foretaste_files::write(&folder.join(file), bytes)?;
    }
    // What an earlier run had and this one has not: `run.json` does not speak of it.
    for old in names_in(&folder, "")? {
        if !files.iter().any(|(file, _)| *file == old) {
            let path = folder.join(old);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    let Source { cells, planned, complete, hours, .. } = &source;
    let state = match (complete, planned) {
        (true, _) => "all that were planned".into(),
        (false, Some(planned)) => format!("unfinished: {planned} were planned"),
        (false, None) => "unfinished: the run has not ended, so there are no claims yet".into(),
    };
    Ok(format!(
        "{FOLDER}/{name}: {}; {cells} cells in {hours} h of computing, {state}",
        experiments.join(", ")
    ))
}

/// The files of the plots in a folder of the kept results that documents show.
fn plots_shown(root: &Path, name: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut plots = BTreeSet::new();
    for page in pages(root)? {
        let text = read(&root.join(&page.name))?;
        for shown in text.split(&format!("results/{name}/")).skip(1) {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            let file = shown.split(|letter| !plain(letter)).next().unwrap_or_default();
            plots.extend(file.ends_with(".svg").then(|| file.to_owned()));
        }
        for block in text.split(&format!("<!-- plot {name} ")).skip(1) {
            plots.extend(block.split_whitespace().next().map(|plot| format!("{plot}.svg")));
        }
    }
    Ok(plots)
}

fn source(kept: &Kept) -> anyhow::Result<Source> {
    let cli = Cli::try_parse_from(&kept.command)
        .map(|cli| cli.command)
        .with_context(|| format!("cannot read the command `{}`", kept.command.join(" ")))?;
    let Command::Reproduce(args) = cli else {
        bail!("`{}` is not a run of experiments", kept.command.join(" "));
    };
    Ok(Source {
        command: args.anywhere(&kept.config),
        scale: kept.config.scale,
        device: kept.config.device.clone(),
        date: date(kept.started_unix_s),
        revisions: kept.revisions.clone(),
        cells: kept.cells(),
        planned: kept.planned,
        complete: kept.is_complete(),
        hours: (kept.seconds / 36.0).round() / 100.0,
    })
}
