//! A log together with everything that gives its numbers a meaning outside the program: raw ids,
//! features and the split. Importers, exporters and the cache exchange data in this form.

use std::borrow::Cow;

use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::{Catalogue, Category, Error, Features, Log, Result, SessionIds, Split, Vocabulary};

/// A log with what its numbers stand for: what an import returns and what a cache file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// A name for tables and file names.
    pub name: String,
    /// The sessions.
    pub log: Log,
    /// The items.
    pub catalogue: Catalogue,
    /// The users' raw ids; empty when they are not known.
    pub users: Vocabulary,
    /// The split that came with the data, if one did.
    pub split: Option<Split>,
    /// The sessions' raw ids; empty where they are the sessions' indices, as in a simulated log.
    pub sessions: SessionIds,
    /// Features of the users, in the order of their numbers, where they are known.
    pub user_features: Option<Features>,
    /// The columns of the steps' context ([`Extras::context`](crate::Extras::context)).
    pub contexts: Vec<Context>,
}

/// A column of what slates were shown in, such as the device: its name and its values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The column's name.
    pub name: String,
    /// Its values, of which none is empty.
    pub values: Vocabulary,
}

impl Context {
    /// A value's text; `None` where it is not known.
    pub fn text(&self, category: Category) -> Option<&str> {
        category.number().map(|number| self.values.name(number))
    }
}

/// A part of a [`Dataset`] that not every format can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The split into training, validation and test.
    Split,
    /// The users of the sessions.
    Users,
    /// The times of the steps.
    Timestamps,
    /// The probabilities of the logging policy.
    Propensities,
    /// The item features.
    Features,
    /// The user features.
    #[serde(rename = "user-features")]
    UserFeatures,
    /// The clicks of a slate beyond the first.
    Clicks,
    /// The items that slates were drawn from.
    Candidates,
    /// The organic events.
    Events,
    /// What slates were shown in.
    Context,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 10] = [
        Self::Split,
        Self::Users,
        Self::Timestamps,
        Self::Propensities,
        Self::Features,
        Self::UserFeatures,
        Self::Clicks,
        Self::Candidates,
        Self::Events,
        Self::Context,
    ];

    /// The part's name: `split`, `users`, `timestamps`, `propensities`, `features`,
    /// `user-features`, `clicks`, `candidates`, `events` or `context`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Users => "users",
            Self::Timestamps => "timestamps",
            Self::Propensities => "propensities",
            Self::Features => "features",
            Self::UserFeatures => "user-features",
            Self::Clicks => "clicks",
            Self::Candidates => "candidates",
            Self::Events => "events",
            Self::Context => "context",
        }
    }
}

impl Dataset {
    /// Whether the data set has this part, be it for some sessions only.
    pub fn has(&self, part: Part) -> bool {
        match part {
            Part::Split => self.split.is_some(),
            Part::Users => self.log.sessions_with_users() > 0,
            Part::Timestamps => self.log.sessions_with_timestamps() > 0,
            Part::Propensities => self.log.sessions_with_propensities() > 0,
            Part::Features => self.catalogue.features().is_some(),
            Part::Clicks => self.log.several_clicks().0 > 0,
            Part::Candidates => self.log.steps_with_candidates() > 0,
            Part::UserFeatures => self.user_features.is_some(),
            Part::Events => self.log.events() > 0,
            Part::Context => !self.contexts.is_empty(),
        }
    }

    /// The data set without a part: what an export to a format that cannot hold the part needs.
    pub fn without(mut self, part: Part) -> Self {
        match part {
            Part::Split => self.split = None,
            Part::Users => {
                self.log.forget_users();
                self.users = Vocabulary::default();
                self.user_features = None;
            }
            Part::Timestamps => self.log.forget_timestamps(),
            Part::Propensities => self.log.forget_propensities(),
            Part::Features => self.catalogue = self.catalogue.without_features(),
            Part::UserFeatures => self.user_features = None,
            Part::Clicks => self.log.forget_clicks(),
            Part::Candidates => self.log.forget_candidates(),
            Part::Events => self.log.forget_events(),
            Part::Context => {
                self.log.forget_context();
                self.contexts.clear();
            }
        }
        self
    }

    /// The raw id of a session's user, or the user's number where raw ids are not known.
    pub fn user_name(&self, user: u32) -> String {
        if (user as usize) < self.users.len() {
            self.users.name(user).to_owned()
        } else {
            user.to_string()
        }
    }

    /// The raw id of a session, or its index where raw ids are not known.
    pub fn session_name(&self, session: usize) -> Cow<'_, str> {
        self.sessions.get(session).map_or_else(|| Cow::Owned(session.to_string()), Cow::Borrowed)
    }

    /// The data set of the given sessions, in the given order: with their raw ids, in their parts
    /// of the split, and with the whole catalogue, all users and all categories, whose numbers
    /// stay.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such session, or one is named twice: its id would be no id
    /// any more.
    pub fn select(&self, sessions: &[usize]) -> Result<Self> {
        let mut named = vec![false; self.log.sessions()];
        for &session in sessions {
            match named.get_mut(session) {
                Some(named) if !*named => *named = true,
                Some(_) => {
                    let name = self.session_name(session);
                    let problem = format!("names session {name:?} twice");
                    return Err(Setting::new("selection", problem).into());
                }
                None => {
                    let problem = format!("names session number {session} of {}", named.len());
                    return Err(Setting::new("selection", problem).into());
                }
            }
        }
        let mut ids = SessionIds::default();
        for (place, &session) in sessions.iter().enumerate() {
            ids.push(place, &self.session_name(session));
        }
        Ok(Self {
            name: self.name.clone(),
            log: self.log.select(sessions),
            catalogue: self.catalogue.clone(),
            users: self.users.clone(),
            sessions: ids,
            user_features: self.user_features.clone(),
            contexts: self.contexts.clone(),
            split: self.split.as_ref().map(|split| split.select(sessions)),
        })
    }

    /// Checks what a builder would have guaranteed, for a data set that was read from a file.
    pub(crate) fn check(&self) -> Result<()> {
        let users = (!self.users.is_empty()).then_some(self.users.len());
        self.sessions.check(self.log.sessions())?;
        let categories: Vec<usize> =
            self.contexts.iter().map(|context| context.values.len()).collect();
        self.log.check(self.catalogue.len(), users, &categories, |session| {
            self.session_name(session)
        })?;
        if users.is_some() && self.log.sessions_with_users() == 0 {
            return Err(Error::Log("a vocabulary of users, but no user of a session".into()));
        }
        self.catalogue.check()?;
        if let Some(features) = &self.user_features {
            features.check(self.users.len(), "user")?;
        }
        self.split.as_ref().map_or(Ok(()), |split| split.check(self.log.sessions()))
    }
}
