/// What can go wrong in a simulation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is outside its range.
    #[error("{what}: {problem}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What was found and what was expected.
        problem: String,
    },
    /// A learned environment or policy failed.
    #[error("model: {0}")]
    Model(Box<dyn std::error::Error + Send + Sync>),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
