//! Checkpoints: a folder with the tensors (safetensors, readable from Python) and a manifest (JSON)
//! next to them.
//!
//! The manifest names the tensor file by its digest and is renamed into place last, so a save that
//! is interrupted leaves the previous checkpoint whole. A checkpoint may come from anywhere: before
//! a file is opened, its name must be one that [`save()`] gives, and no more of it is read than a
//! checkpoint can hold. Tensors are read last: their [`Shapes`] are known before that, from the
//! header of their file, and are compared with what the configuration asks for.

mod load;
mod manifest;
mod save;
mod shapes;
mod tensors;
#[cfg(test)]
mod tests;
mod weights;

use std::path::Path;

pub use self::load::{Checkpoint, load};
pub use self::manifest::{Description, Manifest, is_saved_as, model_in};
pub use self::save::save;
pub use self::shapes::Shapes;
pub use self::weights::Weights;
use crate::{Error, Result};

/// The name of the manifest of a network that is saved for itself.
pub const MANIFEST: &str = "manifest.json";
const TENSORS: &str = "tensors.safetensors";

/// The content of a regular file of at most so many bytes.
fn read(path: &Path, at_most: u64) -> Result<Vec<u8>> {
    foretaste_files::read(path, at_most).map_err(|error| found(path, error))
}

/// What was found at a path; a system's reason does not name it.
fn found(path: &Path, error: foretaste_files::Error) -> Error {
    match error {
        foretaste_files::Error::Io { source, .. } => failed(path, source),
        other => failed(path, other),
    }
}

fn failed(path: &Path, problem: impl ToString) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem: problem.to_string() }
}
