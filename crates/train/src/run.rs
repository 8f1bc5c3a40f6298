//! Checkpoints of a whole run: what a training needs to go on as if it had not stopped.
//!
//! `FOLDER/latest.json` holds the state of the run with its digest, the fingerprint of its seed,
//! and the name of a sub-folder with everything else, such as networks. It is renamed into place
//! once that sub-folder is complete: a save that is interrupted leaves the checkpoint before.

use std::fs;
use std::path::{Path, PathBuf};

use foretaste_random::Seed;
use rand::RngCore;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const FORMAT: u32 = 1;
/// More than the state of any run holds.
const LIMIT: u64 = 1 << 30;
const LATEST: &str = "latest.json";
/// How the sub-folders are called; the other two are of earlier versions.
const PREFIXES: [&str; 3] = ["run-", "networks-", "training-"];
/// The state of a run of cascading Q-networks in earlier versions, in its sub-folder.
const EARLIER_STATE: &str = "training.json";

/// What [`resume`] found.
#[derive(Clone, Debug)]
pub struct Resumed<T> {
    /// The state of the run.
    pub state: T,
    /// The sub-folder with everything else.
    pub folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Latest {
    format: u32,
    /// A [`Run`] as JSON.
    run: String,
    /// Of `run`.
    digest: String,
}

/// An earlier form of [`Latest`]. The seed is known to the networks alone.
#[derive(Deserialize)]
struct EarlierLatest {
    folder: String,
    /// Of [`EARLIER_STATE`].
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct Run<T> {
    /// The [`fingerprint`] of the seed.
    seed: u64,
    folder: String,
    #[serde(flatten)]
    state: T,
}

/// Saves a run in `folder`, which is created if need be, and removes the checkpoint that was there.
///
/// `write` writes everything but the state into the sub-folder that it is given, and returns the
/// state: a struct with named fields, none of them called `seed` or `folder`.
///
/// # Errors
/// [`Error::Checkpoint`] if it cannot be written; what `write` returns. The checkpoint before is
/// then still there.
pub fn save<T: Serialize, E: From<Error>>(
    folder: &Path,
    seed: Seed,
    write: impl FnOnce(&Path) -> std::result::Result<T, E>,
) -> std::result::Result<(), E> {
    let fail = |reason: std::io::Error| Error::checkpoint(folder, reason);
    fs::create_dir_all(folder).map_err(fail)?;
    let place = tempfile::Builder::new().prefix(PREFIXES[0]).tempdir_in(folder).map_err(fail)?;
    let state = write(place.path())?;
    sync(place.path());
    let name = place.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let run = Run { seed: fingerprint(seed), folder: name.clone(), state };
    let run = serde_json::to_string(&run).map_err(|reason| fail(reason.into()))?;
    let latest = Latest { format: FORMAT, digest: digest(run.as_bytes()), run };
    let latest = serde_json::to_vec(&latest).map_err(|reason| fail(reason.into()))?;
    foretaste_files::write(&folder.join(LATEST), &latest)
        .map_err(|reason| Error::checkpoint(folder, reason))?;
    // From here on it is the checkpoint, so it must not go with the guard.
    let _ = place.keep();
    remove_others(folder, &name).map_err(fail)?;
    Ok(())
}

/// Reads what [`save`] wrote. `seed` is the seed of the run.
///
/// # Errors
/// [`Error::Checkpoint`] that says what was found and expected: nothing there, another format or
/// seed, damage. In a checkpoint of cascading Q-networks by an earlier version the seed is for the
/// caller to check, by the [`fingerprint`] that the networks were saved with.
pub fn resume<T: DeserializeOwned>(folder: &Path, seed: Seed) -> Result<Resumed<T>> {
    let path = folder.join(LATEST);
    let bytes = read(&path)?;
    let content: serde_json::Value = parse(&path, &bytes)?;
    if content["format"] != FORMAT {
        let problem = format!("format {}, expected {FORMAT}", content["format"]);
        return Err(Error::checkpoint(&path, problem));
    }
    if content.get("run").is_none() {
        let EarlierLatest { folder: name, digest } = parse(&path, &bytes)?;
        let folder = sub_folder(folder, &name)?;
        let path = folder.join(EARLIER_STATE);
        let state = parse(&path, &whole(&path, read(&path)?, &digest)?)?;
        return Ok(Resumed { state, folder });
    }
    let Latest { run, digest, .. } = parse(&path, &bytes)?;
    let run: Run<T> = parse(&path, &whole(&path, run.into_bytes(), &digest)?)?;
    if run.seed != fingerprint(seed) {
        return Err(Error::checkpoint(&path, "the run had another seed"));
    }
    Ok(Resumed { state: run.state, folder: sub_folder(folder, &run.folder)? })
}

/// A word that tells seeds apart.
pub fn fingerprint(seed: Seed) -> u64 {
    seed.derive("fingerprint").stream(0).next_u64()
}

/// What tells whether bytes that were written are read again, as hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// These bytes, if they have the digest that they were written with.
///
/// # Errors
/// [`Error::Checkpoint`] that names `path` if they have another.
pub fn whole(path: &Path, bytes: Vec<u8>, expected: &str) -> Result<Vec<u8>> {
    if digest(&bytes) != expected {
        let problem = "the content is damaged: it has another digest than it was written with";
        return Err(Error::checkpoint(path, problem));
    }
    Ok(bytes)
}

fn remove_others(folder: &Path, name: &str) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let other = entry.file_name().to_string_lossy().into_owned();
        if other != name && PREFIXES.iter().any(|prefix| other.starts_with(prefix)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    foretaste_files::read(path, LIMIT).map_err(|reason| Error::checkpoint(path, reason))
}

/// The sub-folder of this name, which must be one that [`save`] makes: it leads nowhere else.
fn sub_folder(folder: &Path, name: &str) -> Result<PathBuf> {
    let rest = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    let plain = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let place = folder.join(name);
    if !rest.is_some_and(plain) || !place.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        let problem = format!("it names the sub-folder {name:?}, which is none of a run");
        return Err(Error::checkpoint(&folder.join(LATEST), problem));
    }
    Ok(place)
}

/// The names in a folder are safe once it is on disk; not every system can sync one.
fn sync(folder: &Path) {
    if let Ok(folder) = fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|reason| Error::checkpoint(path, reason))
}
