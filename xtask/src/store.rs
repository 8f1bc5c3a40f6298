//! The cells that are done, one file each, named by the cell's digest.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::experiment::{Cell, Outcome};
use crate::locks::{self, Guard};

/// The folder of finished cells. Several processes may work on one folder.
pub struct Store {
    folder: PathBuf,
}

/// The folder, in that of the cells, of a lock for every cell that was begun.
const BEGUN: &str = ".begun";

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
    /// Opens the store in `folder`, which is created where it is missing.
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Removes what killed runs left unfinished. Nobody else may be at work here.
    pub fn sweep(&self) {
        atomic::sweep(&self.folder);
        let _ = fs::remove_dir_all(self.folder.join(BEGUN));
    }

    /// Keeps a cell for the caller, who is to run it, until the guard is dropped; `None` while another process has it. A process that
    /// is killed leaves its cells to others.
    pub fn claim(&self, cell: &Cell) -> anyhow::Result<Option<Guard>> {
        locks::try_exclusive(&self.folder.join(BEGUN).join(cell.digest()))
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

    /// All finished cells, in no particular order; unusable files are passed over.
    pub fn all(&self) -> anyhow::Result<Vec<Finished>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(|| format!("cannot read {}", self.folder.display()))? {
            let path = entry.with_context(|| format!("cannot read {}", self.folder.display()))?.path();
            if path.is_file() {
                all.extend(fs::read(&path).map_err(anyhow::Error::from).and_then(|text| parse(&text)));
            }
        }
        Ok(all)
    }

    /// Takes over what another store has of these cells, and says how many were new here.
    ///
    /// # Errors
    /// Where a file of the other store is unusable, or holds another outcome than this one's of the same cell.
    pub fn merge<'a>(&self, other: &Self, cells: impl IntoIterator<Item = &'a Cell>) -> anyhow::Result<usize> {
        let mut new = 0;
        for cell in cells {
            let Some(theirs) = other.load(cell)? else { continue };
            match self.load(cell)? {
                None => {
                    self.save(&theirs)?;
                    new += 1;
                }
                Some(ours) if ours.outcome != theirs.outcome => bail!(
                    "{} and {} hold different outcomes of the same cell ({cell}): leave one of them out",
                    self.path(cell).display(),
                    other.path(cell).display()
                ),
                Some(_) => (),
            }
        }
        Ok(new)
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
    fn all_usable_cells_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let (one, mut two) = (finished(0.5), finished(0.25));
        two.cell.seed = 4;
        store.save(&one).unwrap();
        store.save(&two).unwrap();
        let _held = store.claim(&one.cell).unwrap();
        fs::write(folder.path().join("notes.json"), "{").unwrap();
        let mut all = store.all().unwrap();
        all.sort_by_key(|done| done.cell.seed);
        assert_eq!(all, [one, two]);
    }

    #[test]
    fn a_cell_has_one_taker_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) =
            (Store::open(folder.path().to_owned()).unwrap(), Store::open(folder.path().to_owned()).unwrap());
        let (one, mut two) = (finished(0.5).cell, finished(0.5).cell);
        two.seed = 4;
        let held = here.claim(&one).unwrap();
        assert!(held.is_some() && there.claim(&one).unwrap().is_none() && there.claim(&two).unwrap().is_some());
        drop(held);
        assert!(there.claim(&one).unwrap().is_some());
    }

    #[test]
    fn a_merge_takes_what_is_missing_and_refuses_what_contradicts() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [ours, theirs] = folders.each_ref().map(|folder| Store::open(folder.path().to_owned()).unwrap());
        let (one, mut two, mut three) = (finished(0.5), finished(0.25), finished(0.75));
        (two.cell.seed, three.cell.seed) = (4, 5);
        ours.save(&one).unwrap();
        for done in [&one, &two, &three] {
            theirs.save(done).unwrap();
        }
        assert_eq!(ours.merge(&theirs, [&one.cell, &two.cell]).unwrap(), 1);
        assert_eq!(ours.load(&two.cell).unwrap().unwrap(), two);
        assert_eq!(ours.load(&three.cell).unwrap(), None);
        ours.save(&Finished { outcome: finished(0.125).outcome, ..one.clone() }).unwrap();
        let error = ours.merge(&theirs, [&one.cell]).unwrap_err().to_string();
        assert!(error.contains("different outcomes of the same cell (toy d m seed 3)"), "{error}");
        fs::write(theirs.path(&one.cell), "{").unwrap();
        assert!(ours.merge(&theirs, [&one.cell]).is_err());
    }

    #[test]
    fn remains_of_a_killed_run_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let remains = folder.path().join(".unfinished-x1");
        fs::write(&remains, "half").unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        drop(store.claim(&finished(0.5).cell).unwrap());
        store.sweep();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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
