//! The results in docs/results: where each file is, what `run.json` says, and what a block shows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use foretaste_lab::Scale;
use foretaste_report::{Choice, Decided, Excerpt, Means, Table};
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
/// The end of the name of a plot.
const PLOT: &str = ".svg";
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
    let (folder, source) = run(root, &block.run)?;
    let (file, Excerpt { table, seeds }) = shown(&folder, block)?;
    let origin = source.of(&link(to_root, &block.run, &file), Some(&seeds));
    Ok(format!("{}\n{}", table.markdown(), wrapped(&origin)))
}

/// A plot of a run, and where it comes from.
pub fn plot(root: &Path, to_root: &str, block: &Block) -> anyhow::Result<String> {
    let mut options = block.options.clone();
    let Some(says) = options.remove("says") else { bail!("expected says=\"what the plot shows\"") };
    if let Some(name) = options.keys().next() {
        bail!("there is no option `{name}`, expected `says`");
    }
    let (folder, source) = run(root, &block.run)?;
    one_of("plot", &block.experiment, &names_in(&folder, PLOT)?)?;
    let file = format!("{}{PLOT}", block.experiment);
    let says: Vec<&str> = says.split_whitespace().collect();
    let image = format!("![{}]({})", says.join(" "), place(to_root, &block.run, &file));
    let origin = source.of(&link(to_root, &block.run, &file), None);
    Ok(format!("{}\n{}", wrapped(&image), wrapped(&origin)))
}

/// How many claims have which verdict, for each of the named experiments, `RUN/EXPERIMENT`; of
/// papers alone, or ours too. Each experiment is a link to its page.
pub fn verdicts(root: &Path, to_root: &str, block: &Block) -> anyhow::Result<String> {
    let of_papers = match (block.experiment.as_str(), block.options.keys().next()) {
        (_, Some(name)) => bail!("there is no option `{name}`: blocks of verdicts have no options"),
        ("papers", None) => true,
        ("all", None) => false,
        (other, None) => bail!("there are no claims `{other}`, expected `papers` or `all`"),
    };
    let (mut rows, mut origins) = (Vec::new(), BTreeMap::new());
    for named in block.run.split_whitespace() {
        let (name, experiment) =
            named.split_once('/').with_context(|| format!("`{named}` is not RUN/EXPERIMENT"))?;
        let (folder, source) = run(root, name)?;
        let tallies = decided(&folder)?.tallies(experiment)?;
        let page = in_docs(to_root, &format!("docs/experiments/{experiment}.md"));
        for tally in tallies {
            if of_papers && !tally.of_paper() {
                continue;
            }
            let seeds = tally.seeds.as_ref().map(counted).unwrap_or_default();
            rows.push(vec![
                tally.source.join(", "),
                format!("[{experiment}]({page})"),
                tally.to_string(),
                seeds,
                format!("`{name}`"),
            ]);
        }
        origins.entry(name.to_owned()).or_insert(source.of(&link(to_root, name, CLAIMS), None));
    }
    let header = ["claims of", "experiment", "verdicts", "seeds", "run"].map(str::to_owned).into();
    let table = Table { title: String::new(), header, rows };
    let origins: Vec<String> = origins.into_values().collect();
    Ok(format!("{}\n{}", table.markdown(), wrapped(&origins.join(" "))))
}

/// The folder of a run, and where its results come from.
fn run(root: &Path, name: &str) -> anyhow::Result<(PathBuf, Source)> {
    let folder = root.join(FOLDER);
    let runs = if folder.is_dir() { names_in(&folder, "")? } else { Vec::new() };
    one_of("run in docs/results", name, &runs)?;
    let folder = folder.join(name);
    let source = folder.join(SOURCE);
    let source: Source = serde_json::from_str(&read(&source)?)
        .with_context(|| format!("{} is not the record of a run", source.display()))?;
    Ok((folder, source))
}

/// The path of a file below the root, from a document. A document in docs is in the same folder as
/// the results: `../docs/` is left out.
fn in_docs(to_root: &str, place: &str) -> String {
    match to_root.strip_suffix("../") {
        None => place.to_owned(),
        Some(to_docs) => format!("{to_docs}{}", place.trim_start_matches("docs/")),
    }
}

fn place(to_root: &str, run: &str, file: &str) -> String {
    in_docs(to_root, &format!("{FOLDER}/{run}/{file}"))
}

/// A link to a file of a run, which names its path from the root.
fn link(to_root: &str, run: &str, file: &str) -> String {
    format!("[{FOLDER}/{run}/{file}]({})", place(to_root, run, file))
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
    Ok((CLAIMS.into(), decided(folder)?.table(&block.experiment)?))
}

fn decided(folder: &Path) -> anyhow::Result<Decided> {
    if !folder.join(CLAIMS).exists() {
        bail!(
            "{} has no {CLAIMS}: the run had not ended when it was taken; take it again after its \
             end",
            folder.display()
        );
    }
    let (text, shown) = text_of(folder, CLAIMS)?;
    Ok(Decided::read(text.as_bytes(), &shown)?)
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
    fn of(&self, file: &str, seeds: Option<&RangeInclusive<usize>>) -> String {
        let revisions: Vec<_> = self.revisions.keys().map(|revision| short(revision)).collect();
        let word = if revisions.len() == 1 { "revision" } else { "revisions" };
        let seeds = seeds.map_or(String::new(), |seeds| format!("{}, ", counted(seeds)));
        let unfinished = match (self.complete, self.planned) {
            (true, _) => String::new(),
            (false, None) => format!(", unfinished: {} cells so far", self.cells),
            (false, Some(planned)) => {
                format!(", unfinished: {} of {planned} cells", self.cells)
            }
        };
        format!(
            "{file}, {word} {}, {}, {seeds}by `{}`{unfinished}.",
            revisions.join(", "),
            self.date,
            self.command
        )
    }
}

/// `5 seeds`, `1 to 5 seeds`.
fn counted(seeds: &RangeInclusive<usize>) -> String {
    match (seeds.start(), seeds.end()) {
        (1, 1) => "1 seed".into(),
        (fewest, most) if fewest == most => format!("{most} seeds"),
        (fewest, most) => format!("{fewest} to {most} seeds"),
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
