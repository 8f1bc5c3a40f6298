//! The error type of this crate. Environments and policies of other crates return it too, so theirs
//! is kept whole inside; a broken contract of a trait is an error and not a panic.

use foretaste_settings::Setting;

/// What can go wrong in a simulation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// A policy or an environment broke the contract of its trait.
    #[error("{0}")]
    Contract(String),
    /// A learned environment or policy failed.
    #[error("model: {0}")]
    Model(Box<dyn std::error::Error + Send + Sync>),
    /// The log of a rollout could not be built.
    #[error(transparent)]
    Log(#[from] foretaste_data::Error),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
