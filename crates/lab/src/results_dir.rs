//! The layout of a results directory, and whose it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use foretaste_files::locks::{self, Guard};
use foretaste_report::{Results, claims_csv};

use crate::provenance::{RunConfig, RunRecord};
use crate::reports::Output;
use crate::store::Store;
use crate::times::times_csv;

/// A directory of results that all belong to one configuration. Several processes may work in it.
pub struct ResultsDir {
    path: PathBuf,
    store: Store,
    /// Shared by all who work here.
    _present: Guard,
}

/// The file that says whose the directory is; written before all others.
const RECORD: &str = "run.json";

/// More than that file holds.
const LIMIT: u64 = 16 << 20;

/// More than any table holds.
const TABLE_LIMIT: u64 = 1 << 30;

/// The files that a run writes in addition to the cells and `run.json`.
const TABLES: [&str; 6] = [RESULTS, "curves.csv", "times.csv", CLAIMS, "summary.md", "report.html"];
const RESULTS: &str = "results.csv";
const CLAIMS: &str = "claims.csv";

/// The folder of the finished cells.
const CELLS: &str = "cells";

/// The folder of the plots.
const PLOTS: &str = "plots";

/// What those lock who work in the directory, and those who change its tables or `run.json`. The
/// files stay, so that no two runs lock different files of these names.
const PRESENT: &str = ".lock";
const WRITING: &str = ".writing";

impl ResultsDir {
    /// Opens, or creates, the directory for results of `record`, which becomes its last run. What
    /// killed runs left unfinished is removed, unless another run is at work here.
    ///
    /// # Errors
    /// Where the path is not a directory, holds something else than results, results of another
    /// configuration, or in the place of a table what is no regular file.
    pub fn open(path: &Path, record: &RunRecord) -> anyhow::Result<Self> {
        let shown = path.display();
        if path.exists() && !path.is_dir() {
            bail!("{shown} is a file, but results are written to a directory: name one with --out");
        }
        fs::create_dir_all(path).with_context(|| format!("cannot create {shown}"))?;
        refuse_strangers(path)?;
        let writing = locks::exclusive(&path.join(WRITING))?;
        if let Some(last) = last_run(path)? {
            refuse_other(path, &record.config, &last.config)?;
        }
        TABLES
            .iter()
            .chain([&RECORD])
            .try_for_each(|name| foretaste_files::check(&path.join(name)))?;
        let store = Store::open(path.join(CELLS))?;
        let alone = locks::try_exclusive(&path.join(PRESENT))?;
        if alone.is_some_and(|alone| alone.holds()) {
            foretaste_files::sweep(path);
            store.sweep();
        }
        let dir =
            Self { path: path.to_owned(), store, _present: locks::shared(&path.join(PRESENT))? };
        dir.write_record(record, &writing)?;
        Ok(dir)
    }

    /// The cells of a results directory that another run made, to be read.
    ///
    /// # Errors
    /// Where it is none, or one of another scale or device than `config`.
    pub fn cells_of(path: &Path, config: &RunConfig) -> anyhow::Result<Store> {
        let (last, store) = Self::left(path)?;
        // The same data may lie elsewhere on another machine: the cells hold digests of them.
        refuse_other(
            path,
            &RunConfig { data_dir: last.config.data_dir.clone(), ..config.clone() },
            &last.config,
        )?;
        Ok(store)
    }

    /// The record and the cells that the last run into `path` left, to be read.
    ///
    /// # Errors
    /// Where it is no results directory.
    pub fn left(path: &Path) -> anyhow::Result<(RunRecord, Store)> {
        let (shown, cells) = (path.display(), path.join(CELLS));
        let record = last_run(path)?.with_context(|| {
            format!(
                "{shown} has no run.json, so it is not a results directory; name one that `cargo \
                 xtask reproduce` wrote"
            )
        })?;
        if !cells.is_dir() {
            bail!(
                "{} is not a directory, but should contain the cells of {shown}; name another \
                 directory with --out",
                cells.display()
            );
        }
        Ok((record, Store::open(cells)?))
    }

    /// The tables of results and of claims that the last run into `path` wrote at its end.
    pub fn tables(path: &Path) -> anyhow::Result<(Results, Vec<u8>)> {
        let (results, claims) = (path.join(RESULTS), path.join(CLAIMS));
        let text = foretaste_files::read(&results, TABLE_LIMIT)?;
        let results = Results::read(text.as_slice(), &results.display().to_string())?;
        Ok((results, foretaste_files::read(&claims, TABLE_LIMIT)?))
    }

    /// Whether a run has begun in `path`.
    pub fn is_begun(path: &Path) -> bool {
        path.join(RECORD).exists()
    }

    /// The finished cells.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until no other process writes tables here.
    pub fn writing(&self) -> anyhow::Result<Guard> {
        Ok(locks::exclusive(&self.path.join(WRITING))?)
    }

    /// Replaces `run.json`.
    pub fn write_record(&self, record: &RunRecord, _writing: &Guard) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(record)?;
        text.push(b'\n');
        Ok(foretaste_files::write(&self.path.join(RECORD), &text)?)
    }

    /// Replaces the tables, the report and the plots; `known` are the names of the program's
    /// experiments, whose older plots go.
    pub fn write_output(
        &self,
        output: &Output,
        known: &[&str],
        _writing: &Guard,
    ) -> anyhow::Result<()> {
        let Output { results, curves, times, report } = output;
        let claims = claims_csv(report.ledger().findings())?;
        let (summary, page) = (report.summary().into_bytes(), report.html().into_bytes());
        let tables =
            [results.to_csv()?, curves.to_csv()?, times_csv(times)?, claims, summary, page];
        for (name, bytes) in TABLES.into_iter().zip(&tables) {
            foretaste_files::write(&self.path.join(name), bytes)?;
        }
        let folder = self.path.join(PLOTS);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let mut plots = BTreeSet::new();
        for plot in report.plots() {
            let [svg, png] =
                ["svg", "png"].map(|kind| folder.join(format!("{}.{kind}", plot.name)));
            foretaste_files::write(&svg, plot.svg.as_bytes())?;
            foretaste_files::write(&png, &plot.png()?)?;
            plots.extend([svg, png]);
        }
        // Those of experiments that these tables do not show.
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| !plots.contains(path))
        {
            if is_plot(&path, known) {
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a file is one that a run may have drawn: the name begins with that of an experiment.
fn is_plot(path: &Path, known: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let of = name.strip_prefix("learning-").unwrap_or(&name);
    let ours = known
        .iter()
        .any(|experiment| of.strip_prefix(experiment).is_some_and(|rest| rest.starts_with('-')));
    let drawn = path.extension().is_some_and(|kind| kind == "svg" || kind == "png");
    ours && drawn && path.symlink_metadata().is_ok_and(|found| found.is_file())
}

fn last_run(folder: &Path) -> anyhow::Result<Option<RunRecord>> {
    let path = folder.join(RECORD);
    if !path.exists() {
        return Ok(None);
    }
    let shown = path.display();
    let text =
        foretaste_files::read(&path, LIMIT).with_context(|| format!("cannot read {shown}"))?;
    let record = serde_json::from_slice(&text).with_context(|| {
        format!(
            "{shown} has no record of the run that {} belongs to: name another directory with \
             --out",
            folder.display()
        )
    })?;
    Ok(Some(record))
}

fn refuse_other(folder: &Path, config: &RunConfig, last: &RunConfig) -> anyhow::Result<()> {
    let differences = config.differences(last);
    if !differences.is_empty() {
        bail!(
            "{} contains the results of another run: this one has {}; name another directory with \
             --out, or repeat the options of that run to continue it",
            folder.display(),
            differences.join(", ")
        );
    }
    Ok(())
}

/// Refuses a directory that holds something and has no `run.json`; a run that was killed at its
/// start, or is just starting, has left no more than hidden files and folders of its own.
fn refuse_strangers(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let mut strangers = false;
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {shown}"))? {
        let entry = entry.with_context(|| format!("cannot read {shown}"))?.path();
        strangers |= !foretaste_files::is_unfinished(&entry)
            && ![PRESENT, WRITING].iter().any(|lock| locks::is_part_of(&entry, lock))
            && !entry.ends_with(CELLS);
    }
    // Another run may have written it meanwhile, before all else.
    if strangers && !path.join(RECORD).exists() {
        bail!(
            "{shown} is not empty and has no run.json, so it is not a results directory: name \
             another with --out"
        );
    }
    Ok(())
}
