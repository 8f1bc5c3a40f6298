//! The error type of this crate. Errors of the crates below keep their own text, since a setting or
//! a network can be at fault in any of the models.

use foretaste_settings::Setting;

/// What can go wrong with a baseline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network part failed.
    #[error(transparent)]
    Network(#[from] foretaste_nn::Error),
    /// A metric could not be computed.
    #[error(transparent)]
    Metric(#[from] foretaste_eval::Error),
    /// The boosted trees could not be grown.
    #[error("gradient-boosted trees: {0}")]
    Trees(#[from] forust_ml::errors::ForustError),
    /// A setting is outside its range, or does not fit the data.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// Training diverged, or the callback stopped it.
    #[error(transparent)]
    Training(#[from] foretaste_train::Error),
}

impl From<candle_core::Error> for Error {
    fn from(reason: candle_core::Error) -> Self {
        Self::Network(reason.into())
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
