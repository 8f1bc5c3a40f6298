use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Catalogue, Error, Expected, Log, Result, SessionIds, Split, Vocabulary};

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
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 5] =
        [Self::Split, Self::Users, Self::Timestamps, Self::Propensities, Self::Features];

    /// The part's name: `split`, `users`, `timestamps`, `propensities` or `features`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Users => "users",
            Self::Timestamps => "timestamps",
            Self::Propensities => "propensities",
            Self::Features => "features",
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

    /// The data set of the given sessions, in the given order: with their raw ids, on their sides
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
                    return Err(Error::Setting(format!(
                        "the selection names session {name:?} twice"
                    )));
                }
                None => {
                    let problem =
                        format!("the selection names session number {session} of {}", named.len());
                    return Err(Error::Setting(problem));
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

/// What a data set holds, and what an import dropped on the way: a table for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the data set.
    pub name: String,
    /// Number of sessions.
    pub sessions: usize,
    /// Number of steps.
    pub steps: usize,
    /// Number of items of the catalogue.
    pub items: usize,
    /// Number of users with at least one session; `None` when the log names none.
    pub users: Option<usize>,
    /// The parts that some sessions have and others lack, with the number of sessions that have
    /// them: of users, timestamps and propensities.
    pub of_some: Vec<(Part, usize)>,
    /// Mean number of steps of a session.
    pub mean_length: f64,
    /// Mean number of items of a slate.
    pub mean_slate: f64,
    /// Share of steps on which an item was chosen.
    pub click_rate: f64,
    /// Mean reward of a step.
    pub reward_rate: f64,
    /// Sessions that end with the observed leaving of the user.
    pub left: usize,
    /// Sessions for training, validation and test, if a split came with the data.
    pub split: Option<[usize; 3]>,
    /// What was read, if the data set was just imported.
    pub reading: Option<Reading>,
    /// What the file is known to hold, if it was just imported as its recipe says.
    pub expected: Option<Expected>,
}

/// What an import read and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Rows read, without the header.
    pub rows: u64,
    /// Rows dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Sessions dropped because no step of theirs was left.
    pub empty_sessions: u64,
    /// Sessions refused because their id stood before, with other sessions between: parts of
    /// sessions.
    pub refused_sessions: u64,
    /// What else there is to know of how the log was made, for people.
    pub notes: Vec<String>,
}

impl Summary {
    /// Counts a data set.
    pub fn new(dataset: &Dataset) -> Self {
        let Dataset { name, log, catalogue, split, .. } = dataset;
        let (sessions, steps) = (log.sessions(), log.steps());
        let ratio = |count: f64, of: usize| if of == 0 { 0.0 } else { count / of as f64 };
        let (mut clicks, mut reward) = (0, 0.0);
        for step in log.iter().flat_map(|session| session.steps()) {
            clicks += usize::from(step.choice.item().is_some());
            reward += f64::from(step.reward);
        }
        let mut users: Vec<u32> = log.iter().filter_map(|session| session.user()).collect();
        users.sort_unstable();
        users.dedup();
        let parts = [
            (Part::Users, log.sessions_with_users()),
            (Part::Timestamps, log.sessions_with_timestamps()),
            (Part::Propensities, log.sessions_with_propensities()),
        ];
        Self {
            name: name.clone(),
            sessions,
            steps,
            items: catalogue.len(),
            users: (!users.is_empty()).then_some(users.len()),
            of_some: parts
                .into_iter()
                .filter(|&(_, count)| count > 0 && count < sessions)
                .collect(),
            mean_length: ratio(steps as f64, sessions),
            mean_slate: ratio(log.impressions() as f64, steps),
            click_rate: ratio(clicks as f64, steps),
            reward_rate: ratio(reward, steps),
            left: log.iter().filter(|session| session.left()).count(),
            split: split
                .as_ref()
                .map(|split| [split.train.len(), split.validation.len(), split.test.len()]),
            reading: None,
            expected: None,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = self.expected.as_ref();
        let mut rows = vec![
            ("data set", self.name.clone()),
            ("sessions", beside(self.sessions, expected.and_then(|known| known.sessions))),
            ("steps", beside(self.steps, expected.and_then(|known| known.steps))),
            ("items", beside(self.items, expected.and_then(|known| known.items))),
            ("users", self.users.map_or("unknown".into(), |users| users.to_string())),
            (
                "mean session length",
                beside_rounded(self.mean_length, expected.and_then(|known| known.mean_length)),
            ),
            ("mean slate size", format!("{:.3}", self.mean_slate)),
            ("click rate", figure(self.click_rate)),
            ("mean reward per step", figure(self.reward_rate)),
            ("leaving observed", format!("{} of {} sessions", self.left, self.sessions)),
        ];
        rows.extend(self.of_some.iter().map(|&(part, count)| {
            let label = match part {
                Part::Users => "sessions with users",
                Part::Timestamps => "sessions with times",
                _ => "with propensities",
            };
            (label, format!("{count} of {}", self.sessions))
        }));
        if let Some(split) = self.split {
            let text = |[train, validation, test]: [usize; 3]| {
                format!("{train} / {validation} / {test} sessions")
            };
            rows.push((
                "split",
                beside(text(split), expected.and_then(|known| known.split).map(text)),
            ));
        }
        if let Some(reading) = &self.reading {
            rows.push(("rows read", beside(reading.rows, expected.and_then(|known| known.rows))));
            rows.push(("rows dropped", reading.dropped.values().sum::<u64>().to_string()));
            rows.extend(
                reading.dropped.iter().map(|(reason, count)| ("", format!("{count} × {reason}"))),
            );
            let dropped = [
                (reading.empty_sessions, "without a step left"),
                (
                    reading.refused_sessions,
                    "as the rest of a session whose rows do not stand together",
                ),
            ];
            let dropped = dropped.into_iter().filter(|&(count, _)| count > 0);
            rows.extend(dropped.map(|(count, why)| ("sessions dropped", format!("{count} {why}"))));
            rows.extend(reading.notes.iter().map(|note| ("note", note.clone())));
        }
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        rows.iter().try_for_each(|(label, value)| writeln!(f, "{label:width$}  {value}"))
    }
}

/// A figure to four places, or to two digits where it would look like 0.
fn figure(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.00005 {
        format!("{value:.1e}")
    } else {
        format!("{value:.4}")
    }
}

/// A figure beside the one that was expected.
fn beside<T: fmt::Display + PartialEq>(found: T, expected: Option<T>) -> String {
    match expected {
        Some(expected) if expected == found => format!("{found}  (as expected)"),
        Some(expected) => format!("{found}  (expected {expected})"),
        None => found.to_string(),
    }
}

/// The same where the expected figure was rounded to two places.
fn beside_rounded(found: f64, expected: Option<f64>) -> String {
    match expected {
        Some(expected) if (found - expected).abs() < 0.005 => format!("{found:.3}  (as expected)"),
        Some(expected) => format!("{found:.3}  (expected {expected:.2})"),
        None => format!("{found:.3}"),
    }
}
