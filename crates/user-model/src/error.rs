//! The error type of this crate. Errors of the crates below keep their own text.

use foretaste_settings::Setting;

/// What can go wrong with a learned user model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network part failed.
    #[error(transparent)]
    Network(#[from] foretaste_nn::Error),
    /// A log could not be built.
    #[error(transparent)]
    Log(#[from] foretaste_data::Error),
    /// A setting is outside its range, or does not fit the data.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// An environment or a policy failed.
    #[error(transparent)]
    Simulation(#[from] foretaste_sim::Error),
    /// A figure could not be computed.
    #[error(transparent)]
    Figure(#[from] foretaste_eval::Error),
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
