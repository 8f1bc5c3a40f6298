//! Tensors whose types and shapes are known before their numbers are read. Models are built and
//! checked by the shapes first, so tensors that do not fit are never read into memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use candle_core::Tensor;

use super::manifest::with_digest;
use super::shapes::Shapes;
use super::tensors::{MOMENTS, PARAMETER, Tensors};
use super::{TENSORS, failed, read};
use crate::Result;

/// Tensors by name, with types and shapes that can be looked at first: those of a file are read
/// when they are asked for.
#[derive(Clone, Debug)]
pub struct Weights {
    shapes: Shapes,
    tensors: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Memory(BTreeMap<String, Tensor>),
    File(Arc<TensorFile>),
}

impl Weights {
    /// Types and shapes.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// The tensors, on the CPU if they are those of a file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`](crate::Error::Checkpoint) if the file cannot be read or is damaged.
    pub fn tensors(&self) -> Result<&BTreeMap<String, Tensor>> {
        match &self.tensors {
            Source::Memory(tensors) => Ok(tensors),
            Source::File(file) => Ok(&file.tensors()?.parameters),
        }
    }
}

impl From<BTreeMap<String, Tensor>> for Weights {
    fn from(tensors: BTreeMap<String, Tensor>) -> Self {
        Self { shapes: Shapes::of(&tensors), tensors: Source::Memory(tensors) }
    }
}

/// The tensors of a checkpoint, which are read at most once.
#[derive(Debug)]
pub(super) struct TensorFile {
    path: PathBuf,
    at_most: u64,
    shapes: Shapes,
    read: OnceLock<Tensors>,
}

impl TensorFile {
    /// The file of this name, of which the header is read.
    pub(super) fn open(folder: &Path, name: &str, at_most: u64) -> Result<Self> {
        let path = folder.join(name);
        let shapes = Shapes::read(&path, at_most)?;
        Ok(Self { path, at_most, shapes, read: OnceLock::new() })
    }

    /// The parameters.
    pub(super) fn parameters(self: &Arc<Self>) -> Weights {
        Weights { shapes: self.shapes.below(PARAMETER), tensors: Source::File(Arc::clone(self)) }
    }

    /// Types and shapes of the moments of the optimizer.
    pub(super) fn moments(&self) -> Shapes {
        self.shapes.below(MOMENTS)
    }

    pub(super) fn tensors(&self) -> Result<&Tensors> {
        if let Some(tensors) = self.read.get() {
            return Ok(tensors);
        }
        let bytes = undamaged(&self.path, TENSORS, read(&self.path, self.at_most)?)?;
        let tensors = Tensors::from_bytes(&self.path, &bytes)?;
        Ok(self.read.get_or_init(|| tensors))
    }
}

/// The content of what was saved as `name` in this file, whose own name carries its digest.
pub(super) fn undamaged(path: &Path, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let found = with_digest(name, &bytes);
    if path.file_name().is_none_or(|file| file != found.as_str()) {
        return Err(failed(path, format!("the content is damaged: its digest gives {found}")));
    }
    Ok(bytes)
}
