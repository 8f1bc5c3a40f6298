//! Saved recommenders and users: how they are loaded, and what they consist of.

use std::path::Path;

use candle_core::Device;
use foretaste_data::Catalogue;
use foretaste_files::is_unfinished;
use foretaste_nn::checkpoint::is_saved_as;
use foretaste_recommender::{Error, Recommender, Users};
use serde_json::{Map, Value};

use crate::folder::is_unfinished_training;

/// More than any manifest that we wrote holds.
pub const LIMIT: u64 = 64 << 20;

/// What `foretaste train` wrote. A folder of an early version does not hold its items.
///
/// # Errors
/// Where it is not there, unfinished, damaged or of another version: each says what to do.
pub fn recommender(path: &Path, items: &Catalogue, device: &Device) -> anyhow::Result<Recommender> {
    Recommender::load_knowing(path, items, device).map_err(|error| {
        let advice = match &error {
            Error::Missing { path, .. } if is_unfinished_training(path) => {
                "its training is not finished: run the command that began it again"
            }
            Error::Missing { path, .. } if path.join("recommenders").is_dir() => {
                "it is the folder of a run: name a folder in its folder recommenders"
            }
            Error::Missing { .. } => "`foretaste train` writes one",
            _ => "if it was changed or damaged, train it again with --force",
        };
        anyhow::anyhow!("cannot load the recommender {}: {error}; {advice}", path.display())
    })
}

/// What `foretaste fit` wrote.
///
/// # Errors
/// As [`recommender`].
pub fn users(path: &Path, device: &Device) -> anyhow::Result<Users> {
    Users::load(path, device).map_err(|error| {
        let advice = match &error {
            Error::Missing { path, .. } if is_unfinished_training(path) => {
                "their fit is not finished: run the command that began it again"
            }
            Error::Missing { .. } => "`foretaste fit` writes them",
            _ => "if they were changed or damaged, fit them again with --force",
        };
        anyhow::anyhow!("cannot load the users {}: {error}; {advice}", path.display())
    })
}

/// Whether a path is a manifest of one of these names, a file that a manifest names by its digest,
/// or one that was left half-written.
pub fn is_part_of_saved(path: &Path, manifests: &[&str]) -> bool {
    const FILES: [&str; 4] =
        ["tensors.safetensors", "vocabulary.jsonl", "features.jsonl", "origin.jsonl"];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = || FILES.iter().any(|file| is_saved_as(&name, file));
    let ours = match manifests.contains(&name.as_ref()) {
        true => is_manifest(path),
        false => named() || is_unfinished(path),
    };
    ours && is_regular(path)
}

/// Whether a path is a file, and no link to one.
pub fn is_regular(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file())
}

fn is_manifest(path: &Path) -> bool {
    let read = || -> Option<Map<String, Value>> {
        serde_json::from_slice(&foretaste_files::read(path, LIMIT).ok()?).ok()
    };
    is_regular(path)
        && read()
            .is_some_and(|content| ["model", "digest"].iter().all(|key| content.contains_key(*key)))
}
