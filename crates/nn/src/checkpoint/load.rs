use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::de::DeserializeOwned;

use super::manifest::{Manifest, with_digest};
use super::tensors::Tensors;
use super::{TENSORS, failed, read};
use crate::{Adam, Error, Params, Result};

/// More bytes than a file of a checkpoint holds: a million items of width 1,000 with the moments of
/// their optimizer are 12 GB.
const AT_MOST: u64 = 16 << 30;

/// A checkpoint that was read and whose digest agreed.
#[derive(Debug)]
pub struct Checkpoint<C> {
    /// The manifest.
    pub manifest: Manifest<C>,
    folder: PathBuf,
    tensors: Tensors,
    files: BTreeMap<String, Vec<u8>>,
}

/// Reads a checkpoint of the given model kind, whose manifest has this name.
///
/// # Errors
/// [`Error::Checkpoint`] that says what was found and expected: no checkpoint there, another format
/// or model, a manifest that cannot be read or names files elsewhere, or files that are damaged.
pub fn load<C: DeserializeOwned>(
    folder: &Path,
    manifest: &str,
    model: &str,
) -> Result<Checkpoint<C>> {
    let manifest: Manifest<C> = Manifest::read(&folder.join(manifest), model)?;
    let files = manifest.files.iter();
    let files = files.map(|(name, file)| Ok((name.clone(), content(folder, name, file)?)));
    let files = files.collect::<Result<_>>()?;
    let tensors = content(folder, TENSORS, &manifest.tensors)?;
    let tensors = Tensors::from_bytes(&folder.join(&manifest.tensors), &tensors)?;
    Ok(Checkpoint { manifest, folder: folder.to_owned(), tensors, files })
}

impl<C> Checkpoint<C> {
    /// The parameters as they were saved, on the CPU.
    pub fn parameters(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors.parameters
    }

    /// What was saved with the tensors under this name.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Checks that the model was trained with the item vocabulary of this digest.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with both digests.
    pub fn check_vocabulary(&self, expected: &str) -> Result<()> {
        let found = &self.manifest.vocabulary;
        if found != expected {
            let problem = format!("trained with item vocabulary {found}, the data has {expected}");
            return Err(self.failed(problem));
        }
        Ok(())
    }

    /// Sets the parameters of a model built from the manifest's configuration.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming every parameter that differs in name, shape or type; nothing is
    /// then changed.
    pub fn restore(&self, params: &Params) -> Result<()> {
        params.restore(&self.tensors.parameters).map_err(|reason| self.failed(reason))
    }

    /// Sets the optimizer so that training goes on as if it had not stopped.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the optimizer was not saved or does not fit.
    pub fn restore_optimiser(&self, adam: &mut Adam) -> Result<()> {
        let Some(steps) = self.manifest.optimiser_steps else {
            return Err(self.failed("it was saved without its optimizer"));
        };
        adam.restore(&self.tensors.moments, steps).map_err(|reason| self.failed(reason))
    }

    fn failed(&self, problem: impl ToString) -> Error {
        failed(&self.folder, problem)
    }
}

/// The content of what was saved as `name` in this file, whose name carries its digest.
fn content(folder: &Path, name: &str, file: &str) -> Result<Vec<u8>> {
    let path = folder.join(file);
    let bytes = read(&path, AT_MOST)?;
    let found = with_digest(name, &bytes);
    if file != found {
        return Err(failed(&path, format!("the content is damaged: its digest gives {found}")));
    }
    Ok(bytes)
}
