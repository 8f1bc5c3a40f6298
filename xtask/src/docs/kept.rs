//! The results in docs/results: where each file is, what `run.json` says, and what a block shows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use foretaste_lab::Scale;
use foretaste_report::{Choice, Decided, Excerpt, Means};
use serde::{Deserialize, Serialize};

use super::blocks::Block;
use super::{names_in, read};

/// `run.json`: what repeats a run, and what it took.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The command that runs the same cells on any machine.
    pub command: String,
    /// How large it ran.
    pub scale: Scale,
    /// Where networks ran.
    pub device: String,
    /// The day on which the last part of it began, in UTC.
    pub date: String,
    /// The revisions of the program that ran the cells, with the number of cells of each.
    pub revisions: BTreeMap<String, usize>,
    /// Finished cells.
    pub cells: usize,
    /// All cells that were planned; unknown before a run has ended.
    pub planned: Option<usize>,
    /// Whether all of them are finished.
    pub complete: bool,
    /// Sum of the times of the cells.
    pub hours: f64,
}

/// The folder of the kept results, from the root.
pub const FOLDER: &str = "docs/results";
/// Where a folder's results come from.
pub const SOURCE: &str = "run.json";
/// The claims.
pub const CLAIMS: &str = "claims.csv";

/// The end of the name of an experiment's means.
const TABLE: &str = ".csv";
/// Letters of a revision that are shown.
const SHORT: usize = 7;
/// Columns of the text.
const WIDTH: usize = 100;

/// The name of the file of an experiment's means.
pub fn table_of(experiment: &str) -> String {
    format!("{experiment}{TABLE}")
}

/// The file of a run's folder from which a block is, and the part of it that the block shows.
pub type Shown = fn(&Path, &Block) -> anyhow::Result<(String, Excerpt)>;

/// What the block shows: a table, and where it comes from. `to_root` is the way from the document's
/// folder to the root.
pub fn content(root: &Path, to_root: &str, block: &Block, shown: Shown) -> anyhow::Result<String> {
    let folder = root.join(FOLDER);
    let runs = if folder.is_dir() { names_in(&folder, "")? } else { Vec::new() };
    one_of("run in docs/results", &block.run, &runs)?;
    let folder = folder.join(&block.run);
    let (file, excerpt) = shown(&folder, block)?;
    let source = folder.join(SOURCE);
    let source: Source = serde_json::from_str(&read(&source)?)
        .with_context(|| format!("{} is not the record of a run", source.display()))?;
    let place = format!("{FOLDER}/{}/{file}", block.run);
    // A document in docs is in the same folder as the results: `../docs/` is left out.
    let link = match to_root.strip_suffix("../") {
        None => place.clone(),
        Some(to_docs) => format!("{to_docs}{}", place.trim_start_matches("docs/")),
    };
    let Excerpt { table, seeds } = excerpt;
    let origin = source.of(&format!("[{place}]({link})"), &seeds);
    Ok(format!("{}\n{}", table.markdown(), wrapped(&origin)))
}

/// Means of an experiment.
pub fn results(folder: &Path, block: &Block) -> anyhow::Result<(String, Excerpt)> {
    let mut choice = Choice::default();
    for (name, value) in &block.options {
        *match name.as_str() {
            "metric" => &mut choice.metrics,
            "dataset" => &mut choice.datasets,
            "methods" => &mut choice.methods,
            "settings" => &mut choice.settings,
            "rows" => &mut choice.rows,
            _ => bail!(
                "there is no option `{name}`, expected one of `metric`, `dataset`, `methods`, \
                 `settings`, `rows`"
            ),
        } = value.clone();
    }
    let mut known = names_in(folder, TABLE)?;
    known.retain(|name| table_of(name) != CLAIMS);
    one_of("experiment", &block.experiment, &known)?;
    let file = table_of(&block.experiment);
    let (text, shown) = text_of(folder, &file)?;
    Ok((file, Means::read(text.as_bytes(), &shown)?.table(&choice)?))
}

/// The claims that an experiment decides.
pub fn claims(folder: &Path, block: &Block) -> anyhow::Result<(String, Excerpt)> {
    if let Some(name) = block.options.keys().next() {
        bail!("there is no option `{name}`: blocks of claims have no options");
    }
    if !folder.join(CLAIMS).exists() {
        bail!(
            "docs/results/{} has no {CLAIMS}: the run had not ended when it was taken; take it \
             again after its end",
            block.run
        );
    }
    let (text, shown) = text_of(folder, CLAIMS)?;
    Ok((CLAIMS.into(), Decided::read(text.as_bytes(), &shown)?.table(&block.experiment)?))
}

/// A file's text, and its name in errors.
fn text_of(folder: &Path, file: &str) -> anyhow::Result<(String, String)> {
    let path: PathBuf = folder.join(file);
    Ok((read(&path)?, path.display().to_string()))
}

fn one_of(kind: &str, name: &str, known: &[String]) -> anyhow::Result<()> {
    if known.iter().any(|other| other == name) {
        return Ok(());
    }
    let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    match known.is_empty() {
        true => bail!("there is no {kind} `{name}`, nor any other"),
        false => bail!("there is no {kind} `{name}`, expected one of {}", known.join(", ")),
    }
}

impl Source {
    /// Where what a block shows comes from: its file, in this form, and figures over so many seeds.
    fn of(&self, file: &str, seeds: &RangeInclusive<usize>) -> String {
        let revisions: Vec<_> = self.revisions.keys().map(|revision| short(revision)).collect();
        let word = if revisions.len() == 1 { "revision" } else { "revisions" };
        let seeds = match (seeds.start(), seeds.end()) {
            (1, 1) => "1 seed".into(),
            (fewest, most) if fewest == most => format!("{most} seeds"),
            (fewest, most) => format!("{fewest} to {most} seeds"),
        };
        let unfinished = match (self.complete, self.planned) {
            (true, _) => String::new(),
            (false, None) => format!(", unfinished: {} cells so far", self.cells),
            (false, Some(planned)) => {
                format!(", unfinished: {} of {planned} cells", self.cells)
            }
        };
        format!(
            "{file}, {word} {}, {seeds}, by `{}`{unfinished}.",
            revisions.join(", "),
            self.command
        )
    }
}

/// The first letters of a revision, and whether it was changed.
pub fn short(revision: &str) -> String {
    let (commit, dirty) = revision.split_once('-').unwrap_or((revision, ""));
    let commit: String = commit.chars().take(SHORT).collect();
    if dirty.is_empty() { commit } else { format!("{commit}-{dirty}") }
}

/// A paragraph in lines of at most [`WIDTH`] columns, as far as its words allow.
pub fn wrapped(text: &str) -> String {
    let (mut lines, mut width) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines + "\n"
}
