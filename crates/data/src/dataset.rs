use std::borrow::Cow;

use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::{Catalogue, Error, Log, Result, SessionIds, Split, Vocabulary};

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
    /// The clicks of a slate beyond the first.
    Clicks,
    /// The items that slates were drawn from.
    Candidates,
    /// The organic events.
    Events,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 8] = [
        Self::Split,
        Self::Users,
        Self::Timestamps,
        Self::Propensities,
        Self::Features,
        Self::Clicks,
        Self::Candidates,
        Self::Events,
    ];

    /// The part's name: `split`, `users`, `timestamps`, `propensities`, `features`, `clicks`,
    /// `candidates` or `events`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Users => "users",
            Self::Timestamps => "timestamps",
            Self::Propensities => "propensities",
            Self::Features => "features",
            Self::Clicks => "clicks",
            Self::Candidates => "candidates",
            Self::Events => "events",
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
            Part::Events => self.log.events() > 0,
        }
    }

    /// The data set without a part: what an export to a format that cannot hold the part needs.
    pub fn without(mut self, part: Part) -> Self {
        match part {
            Part::Split => self.split = None,
            Part::Users => {
                self.log.forget_users();
                self.users = Vocabulary::default();
            }
            Part::Timestamps => self.log.forget_timestamps(),
            Part::Propensities => self.log.forget_propensities(),
            Part::Features => self.catalogue = self.catalogue.without_features(),
            Part::Clicks => self.log.forget_clicks(),
            Part::Candidates => self.log.forget_candidates(),
            Part::Events => self.log.forget_events(),
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
    /// of the split, and with the whole catalogue and all users, whose numbers stay.
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
            split: self.split.as_ref().map(|split| split.select(sessions)),
        })
    }

    /// Checks what a builder would have guaranteed, for a data set that was read from a file.
    pub(crate) fn check(&self) -> Result<()> {
        let users = (!self.users.is_empty()).then_some(self.users.len());
        self.sessions.check(self.log.sessions())?;
        self.log.check(self.catalogue.len(), users, |session| self.session_name(session))?;
        if users.is_some() && self.log.sessions_with_users() == 0 {
            return Err(Error::Log("a vocabulary of users, but no user of a session".into()));
        }
        self.catalogue.check()?;
        self.split.as_ref().map_or(Ok(()), |split| split.check(self.log.sessions()))
    }
}
