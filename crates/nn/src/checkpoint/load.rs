//! Reading a checkpoint: a model is changed only after the digests, names, shapes and types of
//! everything that it needs have been found to fit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::manifest::Manifest;
use super::weights::{TensorFile, Weights, undamaged};
use super::{failed, found};
use crate::{Adam, Error, Params, Result};

/// More bytes than a file of a checkpoint holds: a million items of width 1,000 with the moments of
/// their optimizer are 12 GB.
const AT_MOST: u64 = 16 << 30;

/// A checkpoint whose manifest and files were read, and whose digests agreed. Its tensors are read
/// when they are asked for.
#[derive(Debug)]
pub struct Checkpoint<C> {
    /// The manifest.
    pub manifest: Manifest<C>,
    folder: PathBuf,
    tensors: Arc<TensorFile>,
    weights: Weights,
    files: BTreeMap<String, Vec<u8>>,
}

/// Reads a checkpoint of the given model kind, whose manifest has this name; of its tensors types
/// and shapes.
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
    let tensors = Arc::new(TensorFile::open(folder, &manifest.tensors, AT_MOST)?);
    let file = |(name, file): (&String, &String)| {
        let path = folder.join(file);
        let text = foretaste_files::read_text(&path, AT_MOST);
        Ok((name.clone(), undamaged(&path, name, text.map_err(|error| found(&path, error))?)?))
    };
    let files = manifest.files.iter().map(file).collect::<Result<_>>()?;
    let weights = tensors.parameters();
    Ok(Checkpoint { manifest, folder: folder.to_owned(), tensors, weights, files })
}

impl<C> Checkpoint<C> {
    /// The parameters as they were saved.
    pub fn weights(&self) -> &Weights {
        &self.weights
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
        self.check(params)?;
        params.restore(self.weights.tensors()?).map_err(|reason| self.failed(reason))
    }

    /// Whether [`restore`](Self::restore) would find what it needs; no tensor is read.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn check(&self, params: &Params) -> Result<()> {
        params.check(self.weights.shapes()).map_err(|reason| self.failed(reason))
    }

    /// Sets the optimizer so that training goes on as if it had not stopped.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the optimizer was not saved or does not fit.
    pub fn restore_optimiser(&self, adam: &mut Adam) -> Result<()> {
        let Some(steps) = self.manifest.optimiser_steps else {
            return Err(self.failed("it was saved without its optimizer"));
        };
        adam.check(&self.tensors.moments(), steps).map_err(|reason| self.failed(reason))?;
        let moments = &self.tensors.tensors()?.moments;
        adam.restore(moments, steps).map_err(|reason| self.failed(reason))
    }

    fn failed(&self, problem: impl ToString) -> Error {
        failed(&self.folder, problem)
    }
}
