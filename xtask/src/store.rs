//! The cells that are done, one file each, named by the cell's digest.

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
}

impl Store {
    /// Opens the store in `folder`, which is created where it is missing.
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
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
        parse(&text, cell).with_context(|| path.display().to_string()).map(Some)
    }

    /// Keeps a result.
    pub fn save(&self, finished: &Finished) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(finished)?;
        text.push(b'\n');
        atomic::write(&self.path(&finished.cell), &text)
    }
}

fn parse(text: &[u8], cell: &Cell) -> anyhow::Result<Finished> {
    let finished: Finished = serde_json::from_slice(text)?;
    if finished.cell != *cell {
        bail!("holds the result of another cell ({})", finished.cell);
    }
    Ok(finished)
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
        Finished { cell, outcome: Outcome { metrics: row(), curve: vec![row()] }, seconds: 0.25 }
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
