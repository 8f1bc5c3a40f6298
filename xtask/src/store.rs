//! The cells that are done, one file each, named by the cell's digest.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::experiment::{Cell, Outcome};

/// The folder of finished cells.
pub struct Store {
    folder: PathBuf,
}

/// A finished cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// What was run.
    pub cell: Cell,
    /// What it found.
    pub outcome: Outcome,
    /// Wall time that it took.
    pub seconds: f64,
    /// Revision of the program that ran it.
    pub revision: String,
}

/// What the file of a cell holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Digest of the outcome and the seconds: the rest is compared with what it should be, or decides nothing.
    digest: String,
    finished: Finished,
}

impl Store {
    /// Opens the store in `folder`, which is created where it is missing; what a killed run left unfinished
    /// is removed.
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        atomic::sweep(&folder);
        Ok(Self { folder })
    }

    /// The file of a cell.
    pub fn path(&self, cell: &Cell) -> PathBuf {
        self.folder.join(format!("{}.json", cell.digest()))
    }

    /// The cell's result, if it is there.
    ///
    /// # Errors
    /// Where a file is there that does not hold this cell's result, whole.
    pub fn load(&self, cell: &Cell) -> anyhow::Result<Option<Finished>> {
        let path = self.path(cell);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let finished = parse(&text).and_then(|finished| {
            if finished.cell != *cell {
                bail!("holds the result of another cell ({})", finished.cell);
            }
            Ok(finished)
        });
        finished.with_context(|| path.display().to_string()).map(Some)
    }

    /// The finished cells that are not among `cells`, in no particular order; unusable files are passed over.
    pub fn others<'a>(&self, cells: impl IntoIterator<Item = &'a Cell>) -> anyhow::Result<Vec<Cell>> {
        let known: BTreeSet<_> = cells.into_iter().map(|cell| self.path(cell)).collect();
        let mut others = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(|| format!("cannot read {}", self.folder.display()))? {
            let path = entry.with_context(|| format!("cannot read {}", self.folder.display()))?.path();
            if !known.contains(&path) {
                let finished = fs::read(&path).map_err(anyhow::Error::from).and_then(|text| parse(&text));
                others.extend(finished.map(|finished| finished.cell));
            }
        }
        Ok(others)
    }

    /// Keeps a result.
    pub fn save(&self, finished: &Finished) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(&Stored { digest: digest(finished)?, finished: finished.clone() })?;
        text.push(b'\n');
        atomic::write(&self.path(&finished.cell), &text)
    }
}

fn parse(text: &[u8]) -> anyhow::Result<Finished> {
    let Stored { digest: stored, finished } = serde_json::from_slice(text)?;
    if stored != digest(&finished)? {
        bail!("was changed since it was written: its digest does not match");
    }
    Ok(finished)
}

fn digest(finished: &Finished) -> anyhow::Result<String> {
    let text = serde_json::to_vec(&(&finished.outcome, finished.seconds))?;
    Ok(blake3::hash(&text).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finished(value: f64) -> Finished {
        let cell = Cell {
            experiment: "toy".into(),
            dataset: "d".into(),
            method: "m".into(),
            setting: String::new(),
            seed: 3,
            config: json!({"rate": 0.1}),
        };
        let row = || [("nll".to_owned(), value)].into();
        let outcome = Outcome { metrics: row(), curve: vec![row()] };
        Finished { cell, outcome, seconds: 0.25, revision: "abc".into() }
    }

    #[test]
    fn a_result_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("cells")).unwrap();
        for value in [0.1 + 0.2, 1.0 / 3.0, f64::MIN_POSITIVE, 6.02214076e23, -0.0, 0.861_234_567_890_123_4] {
            let saved = finished(value);
            store.save(&saved).unwrap();
            let loaded = store.load(&saved.cell).unwrap().unwrap();
            assert_eq!(loaded.outcome.metrics["nll"].to_bits(), value.to_bits());
            assert_eq!(loaded, saved);
        }
    }

    #[test]
    fn an_absent_cell_is_not_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        assert_eq!(store.load(&finished(1.0).cell).unwrap(), None);
    }

    #[test]
    fn every_truncation_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let saved = finished(0.5);
        store.save(&saved).unwrap();
        let path = store.path(&saved.cell);
        let whole = fs::read(&path).unwrap();
        // The last byte is the newline after the closing brace: without it the result is still whole.
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).unwrap();
            let error = store.load(&saved.cell).unwrap_err();
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn every_changed_digit_of_a_result_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let saved = finished(0.125);
        store.save(&saved).unwrap();
        let path = store.path(&saved.cell);
        let whole = fs::read_to_string(&path).unwrap();
        let (from, to) = (whole.find("\"outcome\"").unwrap(), whole.find("\"revision\"").unwrap());
        let digits: Vec<_> = (from..to).filter(|&at| whole.as_bytes()[at].is_ascii_digit()).collect();
        assert_eq!(digits.len(), 4 + 4 + 3);
        for at in digits {
            let mut changed = whole.clone().into_bytes();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(format!("{:#}", store.load(&saved.cell).unwrap_err()).contains("digest"));
        }
    }

    #[test]
    fn cells_that_were_not_asked_for_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let (one, mut two) = (finished(0.5), finished(0.5));
        two.cell.seed = 4;
        store.save(&one).unwrap();
        store.save(&two).unwrap();
        fs::write(folder.path().join("notes.json"), "{").unwrap();
        assert_eq!(store.others([&one.cell]).unwrap(), [two.cell.clone()]);
        assert_eq!(store.others([&one.cell, &two.cell]).unwrap(), []);
    }

    #[test]
    fn remains_of_a_killed_run_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let remains = folder.path().join(".unfinished-x1");
        fs::write(&remains, "half").unwrap();
        Store::open(folder.path().to_owned()).unwrap();
        assert!(!remains.exists());
    }

    #[test]
    fn another_cells_file_and_a_directory_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let saved = finished(0.5);
        let mut other = saved.cell.clone();
        other.seed = 4;
        store.save(&saved).unwrap();
        fs::rename(store.path(&saved.cell), store.path(&other)).unwrap();
        assert!(format!("{:#}", store.load(&other).unwrap_err()).contains("another cell (toy d m seed 3)"));
        fs::create_dir(store.path(&saved.cell)).unwrap();
        assert!(store.load(&saved.cell).is_err());
        assert!(format!("{:#}", store.save(&saved).unwrap_err()).contains("is a directory"));
    }
}
