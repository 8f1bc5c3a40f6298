//! The error type of this crate, and its conversion to that of environments, which policies must
//! return.

use foretaste_settings::Setting;

/// What can go wrong with cascading Q-networks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network part failed.
    #[error(transparent)]
    Network(#[from] foretaste_nn::Error),
    /// The environment failed.
    #[error(transparent)]
    Environment(#[from] foretaste_sim::Error),
    /// What is saved with networks cannot be read, or does not fit.
    #[error(transparent)]
    Log(#[from] foretaste_data::Error),
    /// A setting or an argument is outside its range.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// Training diverged, or its checkpoint cannot be written or read, or does not fit.
    #[error(transparent)]
    Training(#[from] foretaste_train::Error),
}

impl From<candle_core::Error> for Error {
    fn from(reason: candle_core::Error) -> Self {
        Self::Network(reason.into())
    }
}

impl From<Error> for foretaste_sim::Error {
    fn from(reason: Error) -> Self {
        match reason {
            Error::Environment(reason) => reason,
            reason => Self::Model(Box::new(reason)),
        }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
