//! The error type of this crate. Errors of logs, networks and trainings keep their own text.

use foretaste_settings::Setting;

/// What can go wrong with a discriminator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network part failed.
    #[error(transparent)]
    Network(#[from] foretaste_nn::Error),
    /// What is saved with a model cannot be read, or does not fit.
    #[error(transparent)]
    Log(#[from] foretaste_data::Error),
    /// A setting or an argument is outside its range.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// Training diverged.
    #[error("discriminator: {0}")]
    Training(#[from] foretaste_train::Error),
}

impl From<candle_core::Error> for Error {
    fn from(reason: candle_core::Error) -> Self {
        Self::Network(reason.into())
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
