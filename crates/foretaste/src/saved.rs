//! What a saved recommender and saved users consist of, and may therefore be replaced with.

use std::path::Path;

use foretaste_files::is_unfinished;
use foretaste_nn::checkpoint::is_saved_as;
use serde_json::{Map, Value};

/// More than any manifest that we wrote holds.
pub const LIMIT: u64 = 64 << 20;

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
