//! The folder of a recommender or of learned users: a manifest, the weights, the items, the origin.

use std::path::Path;

use foretaste_data::{Catalogue, Provenance, Saved};
use foretaste_nn::checkpoint::{self, Description, MANIFEST, Weights};
use serde_json::Value;

use crate::{Error, Result};

/// The manifest of a recommender.
pub const RECOMMENDER: &str = "recommender.json";
/// The manifest of learned users.
pub const USERS: &str = "users.json";

/// What a folder holds.
pub(crate) struct Read {
    pub settings: Value,
    pub weights: Weights,
    pub saved: Saved,
    pub iterations: u64,
}

/// What is written under the name of a manifest.
pub(crate) struct Written<'a> {
    pub manifest: &'a str,
    /// Kind and version.
    pub model: &'a str,
    pub settings: &'a Value,
    pub weights: &'a Weights,
    pub iterations: u64,
}

/// Which manifest is in a folder, the one of this name or else that of a network that was saved for
/// itself, and the kind and version that it names.
///
/// # Errors
/// [`Error::Missing`] if there is neither.
pub(crate) fn find(
    folder: &Path,
    manifest: &'static str,
    expected: &'static str,
) -> Result<(&'static str, String)> {
    for manifest in [manifest, MANIFEST] {
        if let Some(model) = checkpoint::model_in(folder, manifest)? {
            return Ok((manifest, model));
        }
    }
    let shown = folder.display();
    let other = |manifest: &str| folder.join(manifest).exists();
    let problem = if !folder.exists() {
        format!("there is no folder {shown}, expected one with {expected}")
    } else if other(USERS) {
        format!("{shown} contains learned users, expected {expected}")
    } else if other(RECOMMENDER) {
        format!("{shown} contains a recommender, expected {expected}")
    } else {
        format!("{shown} contains no {}", expected.trim_start_matches("a "))
    };
    Err(Error::Missing { path: folder.to_owned(), problem })
}

/// Writes what a manifest names, in place of what it named before.
///
/// # Errors
/// Where the folder is that of learned users and a recommender is to be written, or the reverse:
/// each would remove the other's files.
pub(crate) fn write(
    folder: &Path,
    written: &Written<'_>,
    provenance: Provenance<'_>,
) -> Result<()> {
    let other = [RECOMMENDER, USERS].into_iter().find(|&other| other != written.manifest);
    if let Some(other) = other.filter(|other| folder.join(other).exists()) {
        let problem = format!(
            "{} contains {other}, which is not replaced; name another folder",
            folder.display()
        );
        return Err(Error::setting("folder", problem));
    }
    let description = Description {
        manifest: written.manifest,
        model: written.model,
        config: written.settings,
        vocabulary: &provenance.catalogue.names().digest(),
        iteration: written.iterations,
        seed: provenance.origin.map_or(0, |origin| origin.seed),
        files: &provenance.files(),
    };
    Ok(checkpoint::save(folder, description, written.weights.tensors()?, None)?)
}

/// Reads what is there of a kind. `known` are the items of the caller, for a folder of an earlier
/// version, which does not hold its own.
pub(crate) fn read(folder: &Path, manifest: &str, model: &str, known: &Catalogue) -> Result<Read> {
    let checkpoint = checkpoint::load::<Value>(folder, manifest, model)?;
    let is_known = || checkpoint.manifest.vocabulary == known.names().digest();
    let saved = Saved::read(|name| checkpoint.file(name), known, is_known)?;
    Ok(Read {
        weights: checkpoint.weights().clone(),
        saved,
        iterations: checkpoint.manifest.iteration,
        settings: checkpoint.manifest.config,
    })
}
