//! The worlds of the experiments on recommenders: logs, and the users who are learned from them.

mod choice_users;
mod report;
mod users;

use anyhow::Context;
use foretaste_lab::Scale;
use foretaste_sim::ChoiceUsers;

use self::users::FittedUsers;
pub use self::users::{Simulator, Users, UsersConfig, planned_in};
use crate::Settings;
use crate::sources::{self, Source};

/// The logs of a run, and the users who were learned from them.
pub struct Worlds {
    /// The logs, in a fixed order.
    pub all: Vec<World>,
    /// The learned users, fitted when they are first asked for.
    pub users: FittedUsers,
    /// What is to be said of the logs that are not there.
    missing: Vec<String>,
    scale: Scale,
}

/// A log, and its users where they are known.
pub struct World {
    /// The log.
    pub source: Source,
    /// The simulated users who made it.
    pub truth: Option<ChoiceUsers>,
}

/// The log whose users take longest to fit.
const LONG: &str = "ml-latest";

impl Worlds {
    /// The logs of the data folder, if one is given, and that of simulated users.
    pub fn read(settings: &Settings) -> anyhow::Result<Self> {
        let (mut sources, mut missing) = match settings.data_dir {
            Some(_) => sources::read(settings)?,
            None => Default::default(),
        };
        if settings.scale != Scale::Paper {
            let left = sources.extract_if(.., |source| source.dataset.name == LONG);
            missing
                .extend(left.map(|_| format!("NOT RUN below scale paper, for its time: {LONG}.")));
        }
        let mut all: Vec<World> =
            sources.into_iter().map(|source| World { source, truth: None }).collect();
        let (source, users) = choice_users::log_and_users()?;
        all.push(World { source, truth: Some(users) });
        Ok(Self { all, users: FittedUsers::new(settings)?, missing, scale: settings.scale })
    }

    /// The world of this name.
    pub fn named(&self, name: &str) -> anyhow::Result<&World> {
        self.all
            .iter()
            .find(|world| world.source.dataset.name == name)
            .context("a data set of this run")
    }
}
