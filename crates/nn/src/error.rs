//! The error type of this crate. A training that diverges and a checkpoint that is damaged are
//! errors and never panics.

use std::path::PathBuf;

use foretaste_settings::Setting;

/// What can go wrong with a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// candle refused an operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The device that was asked for is not there.
    #[error("{0}")]
    Device(String),
    /// A setting is outside its range.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// A gradient holds a number that is not finite, or is too large to square.
    #[error("the gradient's norm is {norm}")]
    NotFinite {
        /// The norm.
        norm: f64,
    },
    /// A checkpoint cannot be written or read, or does not fit the model.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What was found and what was expected.
        problem: String,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
