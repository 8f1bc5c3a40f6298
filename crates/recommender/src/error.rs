//! The error type of this crate. Errors of the crates whose recommenders it holds keep their own
//! text; its own cases concern folders of a kind that is missing or not known.

use std::path::{Path, PathBuf};

use foretaste_settings::Setting;

/// What can go wrong with a recommender or with learned users.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network part failed, or the folder is damaged.
    #[error(transparent)]
    Network(#[from] foretaste_nn::Error),
    /// A log, or a file saved with the weights, cannot be read or does not fit.
    #[error(transparent)]
    Log(#[from] foretaste_data::Error),
    /// A policy or an environment failed.
    #[error(transparent)]
    Simulation(#[from] foretaste_sim::Error),
    /// Learned users failed.
    #[error(transparent)]
    Users(#[from] foretaste_user_model::Error),
    /// IRecGAN failed.
    #[error(transparent)]
    Agent(#[from] foretaste_irecgan::Error),
    /// Q-networks, LinUCB or a greedy policy failed.
    #[error(transparent)]
    Networks(#[from] foretaste_cascade_dqn::Error),
    /// A click model failed.
    #[error(transparent)]
    ClickModels(#[from] foretaste_baselines::Error),
    /// What a recommender earned is no number.
    #[error(transparent)]
    Estimate(#[from] foretaste_eval::Error),
    /// A training diverged, or what is kept of it cannot be written or read.
    #[error(transparent)]
    Training(#[from] foretaste_train::Error),
    /// There is no such folder, or it holds nothing of what was asked for.
    #[error("{problem}")]
    Missing {
        /// The folder.
        path: PathBuf,
        /// What was asked for, and what is there.
        problem: String,
    },
    /// A folder holds a kind that this version does not know.
    #[error("{}: it is of the kind {found:?}, but this version knows {known}", path.display())]
    Kind {
        /// The manifest.
        path: PathBuf,
        /// What it names.
        found: String,
        /// The kinds that are known.
        known: String,
    },
    /// A setting or an argument is outside its range, or does not fit.
    #[error(transparent)]
    Setting(#[from] Setting),
    /// The caller that watched the training stopped it.
    #[error("training was interrupted")]
    Interrupted,
}

impl Error {
    pub(crate) fn setting(what: &'static str, problem: impl ToString) -> Self {
        Setting::new(what, problem.to_string()).into()
    }

    pub(crate) fn kind<'a>(
        path: &Path,
        found: String,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let known = known.collect::<Vec<_>>().join(", ");
        Self::Kind { path: path.to_owned(), found, known }
    }
}

impl From<candle_core::Error> for Error {
    fn from(reason: candle_core::Error) -> Self {
        Self::Network(reason.into())
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
