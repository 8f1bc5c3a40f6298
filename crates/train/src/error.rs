//! The error type of this crate, and so of all trainings: it says at which iteration a training
//! diverged, or why its checkpoint does not fit.

use std::path::{Path, PathBuf};

use foretaste_settings::Setting;

/// Why a training ended early, or a run cannot be saved or resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network part failed.
    #[error(transparent)]
    Network(#[from] foretaste_nn::Error),
    /// A loss, a gradient or a parameter is not finite.
    #[error(
        "training diverged at iteration {iteration}: {problem}; train at a lower learning rate, or \
         with rewards and features whose sizes are nearer to 1"
    )]
    Diverged {
        /// For a loss or gradient of training the update of the optimizer, counted from 1, unless
        /// it was said to be another ([`Error::at`]); for a validation loss the iteration of the
        /// fit after which it was computed.
        iteration: u64,
        /// What was found.
        problem: String,
    },
    /// The callback stopped the fit.
    #[error("training was interrupted")]
    Interrupted,
    /// A setting is outside its range.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// The checkpoint of a run cannot be written or read, or does not fit.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What was found and what was expected.
        problem: String,
    },
}

impl Error {
    /// The same, but that a divergence is one of this iteration: for a fit in which an iteration is
    /// more than one update of one optimizer.
    #[must_use]
    pub fn at(self, iteration: u64) -> Self {
        match self {
            Self::Diverged { problem, .. } => Self::Diverged { iteration, problem },
            other => other,
        }
    }

    /// [`Error::Checkpoint`], also for what a run keeps with the state of its training.
    pub fn checkpoint(path: &Path, problem: impl ToString) -> Self {
        Self::Checkpoint { path: path.to_owned(), problem: problem.to_string() }
    }
}

impl From<candle_core::Error> for Error {
    fn from(reason: candle_core::Error) -> Self {
        Self::Network(reason.into())
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
