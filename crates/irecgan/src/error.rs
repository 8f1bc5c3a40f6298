//! The error type of this crate, and its conversions to those of simulations and evaluations, which
//! the agent's policies and predictions must return.

use foretaste_settings::Setting;

/// What can go wrong with IRecGAN.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network part failed.
    #[error(transparent)]
    Network(#[from] foretaste_nn::Error),
    /// The user behaviour model U failed.
    #[error(transparent)]
    Users(#[from] foretaste_user_model::Error),
    /// The discriminator D failed.
    #[error(transparent)]
    Discriminator(#[from] foretaste_disc::Error),
    /// A simulation failed.
    #[error(transparent)]
    Simulation(#[from] foretaste_sim::Error),
    /// A log could not be built.
    #[error(transparent)]
    Log(#[from] foretaste_data::Error),
    /// A setting or an argument is outside its range.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// The training of the agent or its critic diverged, or the checkpoint of a run cannot be
    /// written or read, or does not fit.
    #[error(transparent)]
    Training(#[from] foretaste_train::Error),
}

impl From<candle_core::Error> for Error {
    fn from(reason: candle_core::Error) -> Self {
        Self::Network(reason.into())
    }
}

impl From<Error> for foretaste_eval::Error {
    fn from(reason: Error) -> Self {
        Self::Model(Box::new(reason))
    }
}

impl From<Error> for foretaste_sim::Error {
    fn from(reason: Error) -> Self {
        match reason {
            Error::Simulation(reason) => reason,
            reason => Self::Model(Box::new(reason)),
        }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
