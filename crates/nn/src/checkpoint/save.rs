//! Writing a checkpoint over an earlier one: the manifest is replaced last, and only then are files
//! of the earlier checkpoint removed, so a crash leaves the one or the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::Tensor;
use serde::Serialize;

use super::failed;
use super::manifest::{Description, Manifest, files_of, is_saved_as};
use super::tensors::Tensors;
use crate::{Adam, Result};

/// Writes `folder`, which is created if need be, with the parameters and, for training to go on,
/// the optimizer. The files of the checkpoint that was there before go: a folder holds one.
///
/// # Errors
/// [`Error::Checkpoint`](crate::Error::Checkpoint) if the folder cannot be written.
pub fn save<C: Serialize>(
    folder: &Path,
    description: Description<'_, C>,
    parameters: &BTreeMap<String, Tensor>,
    optimiser: Option<&Adam>,
) -> Result<()> {
    let tensors = Tensors::of(parameters, optimiser)?.to_bytes();
    let tensors = tensors.map_err(|reason| failed(folder, reason))?;
    let manifest = Manifest::new(&description, optimiser.map(Adam::steps), &tensors);
    manifest.check_names(folder)?;
    let text = manifest.to_json().map_err(|reason| failed(folder, reason))?;

    fs::create_dir_all(folder).map_err(|reason| failed(folder, reason))?;
    let before = files_of(&folder.join(description.manifest));
    write(folder, &manifest.tensors, &tensors)?;
    for (name, bytes) in description.files {
        write(folder, &manifest.files[*name], bytes)?;
    }
    write(folder, description.manifest, &text)?;
    remove_others(folder, &manifest, &before)
}

/// Removes the files of the checkpoint that was there before, and what a save that was interrupted
/// left: files of ours that no manifest names.
fn remove_others<C>(folder: &Path, manifest: &Manifest<C>, before: &[String]) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|reason| failed(folder, reason))?.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let is_kept = manifest.all_files().any(|(_, file)| file == found);
        let is_ours = || manifest.all_files().any(|(name, _)| is_saved_as(&found, name));
        if !is_kept && (before.contains(&found) || is_ours()) {
            fs::remove_file(entry.path()).map_err(|reason| failed(folder, reason))?;
        }
    }
    Ok(())
}

fn write(folder: &Path, file: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(file);
    foretaste_files::write(&path, bytes).map_err(|error| failed(&path, error))
}
