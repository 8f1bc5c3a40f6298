//! The layout of a results directory, and whose it is.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::atomic;
use crate::plots::Plot;
use crate::provenance::{RunConfig, RunRecord};
use crate::store::Store;

/// A directory of results that all belong to one configuration.
pub struct ResultsDir {
    path: PathBuf,
    /// Locked as long as this lives.
    _lock: File,
}

/// The file that says whose the directory is; written before all others.
const RECORD: &str = "run.json";

/// The files that a run writes beside the cells and `run.json`.
const TABLES: [&str; 4] = ["results.csv", "curves.csv", "claims.csv", "summary.md"];

/// The folder of the plots.
const PLOTS: &str = "plots";

/// The file that a run locks; it stays, so that no two runs lock different files of this name.
const LOCK: &str = ".lock";

impl ResultsDir {
    /// Opens, or creates, the directory for results of `config`, and keeps other runs out of it until this is dropped.
    /// What a killed run left unfinished is removed.
    ///
    /// # Errors
    /// Where the path is not a directory, holds something else than results, or results of another configuration; and where
    /// another run is at work in it.
    pub fn open(path: &Path, config: &RunConfig) -> anyhow::Result<Self> {
        let shown = path.display();
        if path.exists() && !path.is_dir() {
            bail!("{shown} is a file, but results go into a directory: name one with --out");
        }
        fs::create_dir_all(path).with_context(|| format!("cannot create {shown}"))?;
        refuse_strangers(path)?;
        let dir = Self { path: path.to_owned(), _lock: lock(path)? };
        if let Some(last) = dir.last_run()? {
            dir.refuse_other(config, &last.config)?;
        }
        atomic::sweep(path);
        if let Some(table) = TABLES.iter().find(|table| path.join(table).is_dir()) {
            bail!("{} is a directory, but a file is to be written there", path.join(table).display());
        }
        Ok(dir)
    }

    /// The finished cells.
    pub fn store(&self) -> anyhow::Result<Store> {
        Store::open(self.path.join("cells"))
    }

    /// Replaces `run.json`.
    pub fn write_record(&self, record: &RunRecord) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(record)?;
        text.push(b'\n');
        atomic::write(&self.record_path(), &text)
    }

    /// Replaces `results.csv`, `curves.csv`, `claims.csv` and `summary.md`.
    pub fn write_tables(&self, results: &[u8], curves: &[u8], claims: &[u8], summary: &[u8]) -> anyhow::Result<()> {
        for (name, bytes) in TABLES.into_iter().zip([results, curves, claims, summary]) {
            atomic::write(&self.path.join(name), bytes)?;
        }
        Ok(())
    }

    /// Writes plots into the folder `plots`, over those of the same names.
    pub fn write_plots(&self, plots: &[Plot]) -> anyhow::Result<()> {
        let folder = self.path.join(PLOTS);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for plot in plots {
            atomic::write(&folder.join(&plot.file), plot.svg.as_bytes())?;
        }
        Ok(())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn record_path(&self) -> PathBuf {
        self.path.join(RECORD)
    }

    fn last_run(&self) -> anyhow::Result<Option<RunRecord>> {
        let path = self.record_path();
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display();
        let text = fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
        let record = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{shown} does not say which run {} belongs to: name another directory with --out",
                self.path.display()
            )
        })?;
        Ok(Some(record))
    }

    fn refuse_other(&self, config: &RunConfig, last: &RunConfig) -> anyhow::Result<()> {
        let differences = config.differences(last);
        if !differences.is_empty() {
            bail!(
                "{} holds the results of another run: this one has {}; name another directory with --out, or repeat the \
                 options of that run to continue it",
                self.path.display(),
                differences.join(", ")
            );
        }
        Ok(())
    }
}

/// Refuses a directory that holds something and has no `run.json`; a run that was killed at its start, or is just
/// starting, has left no more than hidden files of its own.
fn refuse_strangers(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    if path.join(RECORD).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {shown}"))? {
        let entry = entry.with_context(|| format!("cannot read {shown}"))?.path();
        if !atomic::is_unfinished(&entry) && !entry.ends_with(LOCK) {
            bail!("{shown} is not empty and has no run.json, so it is no results directory: name another with --out");
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(LOCK);
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another run is at work in {}: wait for its end, or name another directory with --out",
                folder.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
