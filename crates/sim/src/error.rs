/// What can go wrong in a simulation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error("{what}: {problem}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What was found and what was expected.
        problem: String,
    },
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

impl Error {
    pub(crate) fn setting(what: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting { what, problem: problem.into() }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
