//! The cells that are done, one file each, named by the cell's digest.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use foretaste_files::locks::{self, Guard};
use serde::{Deserialize, Serialize};

use crate::{Cell, Outcome};
use foretaste_console::terminal::reasons;

/// The folder of finished cells. Several processes may work on one folder.
pub struct Store {
    folder: PathBuf,
}

/// The folder, in that of the cells, of a lock for every cell that was begun.
const BEGUN: &str = ".begun";

/// More than the file of any cell holds.
const LIMIT: u64 = 256 << 20;

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
    /// Digest of the outcome and the seconds: the rest is compared with what it should be, or
    /// decides nothing.
    digest: String,
    finished: Finished,
}

impl Store {
    /// Opens the store in `folder`, which is created where it is missing.
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Removes what killed runs left unfinished. No other process may be at work here.
    pub fn sweep(&self) {
        foretaste_files::sweep(&self.folder);
        let _ = fs::remove_dir_all(self.folder.join(BEGUN));
    }

    /// Keeps a cell for the caller, who is to run it, until the guard is dropped; `None` while
    /// another process has it. A process that is killed leaves its cells to others.
    pub fn claim(&self, cell: &Cell) -> anyhow::Result<Option<Guard>> {
        Ok(locks::try_exclusive(&self.folder.join(BEGUN).join(cell.digest()))?)
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
        if foretaste_files::what_is_at(&path)?.is_none() {
            return Ok(None);
        }
        let text = foretaste_files::read(&path, LIMIT)?;
        let finished = parse(&text).and_then(|finished| {
            if finished.cell != *cell {
                bail!("contains the result of another cell ({})", finished.cell);
            }
            Ok(finished)
        });
        finished.with_context(|| path.display().to_string()).map(Some)
    }

    /// The same; a result that is unusable is none, with a warning.
    pub fn usable(&self, cell: &Cell) -> Option<Finished> {
        self.load(cell).unwrap_or_else(|error| {
            tracing::warn!("unusable result, the cell runs again: {}", reasons(&error));
            None
        })
    }

    /// All finished cells, in no particular order; unusable files are passed over.
    pub fn all(&self) -> anyhow::Result<Vec<Finished>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)
            .with_context(|| format!("cannot read {}", self.folder.display()))?
        {
            let path =
                entry.with_context(|| format!("cannot read {}", self.folder.display()))?.path();
            if path.is_file() {
                all.extend(
                    foretaste_files::read(&path, LIMIT)
                        .map_err(anyhow::Error::from)
                        .and_then(|text| parse(&text)),
                );
            }
        }
        Ok(all)
    }

    /// Keeps those of these results that are not here yet, and says how many were new.
    ///
    /// # Errors
    /// Where another outcome of the same cell is here; then nothing is changed.
    pub fn take_over(&self, found: &[Finished]) -> anyhow::Result<usize> {
        let mut new = Vec::new();
        for theirs in found {
            match self.load(&theirs.cell) {
                Ok(Some(ours)) if ours.outcome != theirs.outcome => bail!(
                    "{} has another outcome of the cell {} than the directories to be merged: \
                     merge them into a new directory",
                    self.path(&ours.cell).display(),
                    ours.cell
                ),
                Ok(Some(_)) => (),
                // What is unusable here is replaced.
                Ok(None) | Err(_) => new.push(theirs),
            }
        }
        new.iter().try_for_each(|finished| self.save(finished))?;
        Ok(new.len())
    }

    /// Keeps a result.
    pub fn save(&self, finished: &Finished) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(&Stored {
            digest: digest(finished)?,
            finished: finished.clone(),
        })?;
        text.push(b'\n');
        Ok(foretaste_files::write(&self.path(&finished.cell), &text)?)
    }
}

/// What these stores have of the cells.
///
/// # Errors
/// Where a file is unusable, or two stores hold different outcomes of one cell.
pub fn union<'a>(
    stores: &[Store],
    cells: impl IntoIterator<Item = &'a Cell>,
) -> anyhow::Result<Vec<Finished>> {
    let mut union = Vec::new();
    for cell in cells {
        let mut first: Option<(&Store, Finished)> = None;
        for store in stores {
            let Some(finished) = store.load(cell)? else { continue };
            match &first {
                Some((other, one)) if one.outcome != finished.outcome => bail!(
                    "{} and {} have different outcomes of the same cell ({cell}): leave one of \
                     them out",
                    other.path(cell).display(),
                    store.path(cell).display()
                ),
                Some(_) => (),
                None => first = Some((store, finished)),
            }
        }
        union.extend(first.map(|(_, finished)| finished));
    }
    Ok(union)
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
    use foretaste_eval::Metric;
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
        let outcome = Outcome {
            metrics: [(Metric::Nll, value)].into(),
            curve: vec![[("nll".to_owned(), value)].into()],
        };
        Finished { cell, outcome, seconds: 0.25, revision: "abc".into() }
    }

    #[test]
    fn a_result_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("cells")).unwrap();
        for value in
            [0.1 + 0.2, 1.0 / 3.0, f64::MIN_POSITIVE, 6.02214076e23, -0.0, 0.861_234_567_890_123_4]
        {
            let saved = finished(value);
            store.save(&saved).unwrap();
            let loaded = store.load(&saved.cell).unwrap().unwrap();
            assert_eq!(loaded.outcome.metrics[&Metric::Nll].to_bits(), value.to_bits());
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
        // The last byte is the newline after the closing brace: without it the result is still
        // whole.
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
        let digits: Vec<_> =
            (from..to).filter(|&at| whole.as_bytes()[at].is_ascii_digit()).collect();
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
        let (here, there) = (
            Store::open(folder.path().to_owned()).unwrap(),
            Store::open(folder.path().to_owned()).unwrap(),
        );
        let (one, mut two) = (finished(0.5).cell, finished(0.5).cell);
        two.seed = 4;
        let held = here.claim(&one).unwrap();
        assert!(
            held.is_some()
                && there.claim(&one).unwrap().is_none()
                && there.claim(&two).unwrap().is_some()
        );
        drop(held);
        assert!(there.claim(&one).unwrap().is_some());
    }

    #[test]
    fn a_merge_takes_what_is_missing_and_refuses_what_contradicts() {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [ours, theirs, others] =
            folders.each_ref().map(|folder| Store::open(folder.path().to_owned()).unwrap());
        let (one, mut two, mut three) = (finished(0.5), finished(0.25), finished(0.75));
        (two.cell.seed, three.cell.seed) = (4, 5);
        ours.save(&one).unwrap();
        for done in [&one, &two, &three] {
            theirs.save(done).unwrap();
        }
        others.save(&two).unwrap();
        let stores = [theirs, others];
        let found = union(&stores, [&one.cell, &two.cell]).unwrap();
        assert_eq!(found, [one.clone(), two.clone()]);
        fs::write(ours.path(&two.cell), "{").unwrap();
        assert_eq!(ours.take_over(&found).unwrap(), 1);
        assert_eq!(ours.load(&two.cell).unwrap().unwrap(), two);
        assert_eq!(ours.load(&three.cell).unwrap(), None);

        let changed = Finished { outcome: finished(0.125).outcome, ..one.clone() };
        stores[1].save(&changed).unwrap();
        let error = union(&stores, [&one.cell]).unwrap_err().to_string();
        assert!(error.contains("different outcomes of the same cell (toy d m seed 3)"), "{error}");
        assert!(
            stores.iter().all(|store| error.contains(store.path(&one.cell).to_str().unwrap())),
            "{error}"
        );
        let error = ours.take_over(&[three.clone(), changed]).unwrap_err().to_string();
        assert!(error.contains(ours.path(&one.cell).to_str().unwrap()), "{error}");
        assert_eq!(ours.load(&three.cell).unwrap(), None, "nothing is changed");
        fs::write(stores[0].path(&two.cell), "{").unwrap();
        assert!(union(&stores, [&two.cell]).is_err());
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
        assert!(
            format!("{:#}", store.load(&other).unwrap_err())
                .contains("another cell (toy d m seed 3)")
        );
        fs::create_dir(store.path(&saved.cell)).unwrap();
        assert!(store.load(&saved.cell).is_err());
        assert!(format!("{:#}", store.save(&saved).unwrap_err()).contains("is a directory"));
    }
}
