use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Catalogue, Error, Expected, Log, Result, Split, Vocabulary};

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
}

/// A part of a [`Dataset`] that not every format can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub const ALL: [Self; 5] = [Self::Split, Self::Users, Self::Timestamps, Self::Propensities, Self::Features];

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
    /// Whether the data set has this part.
    pub fn has(&self, part: Part) -> bool {
        match part {
            Part::Split => self.split.is_some(),
            Part::Users => self.log.has_users(),
            Part::Timestamps => self.log.has_timestamps(),
            Part::Propensities => self.log.has_propensities(),
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

    /// The data set of the given sessions, in the given order, without its split.
    pub fn select(&self, sessions: &[usize]) -> Self {
        let Self { name, log, catalogue, users, .. } = self;
        let (name, catalogue, users) = (name.clone(), catalogue.clone(), users.clone());
        Self { name, log: log.select(sessions), catalogue, users, split: None }
    }

    /// STUB
    pub fn session_id(&self, session: usize) -> Option<String> {
        let _ = session;
        None
    }

    /// The raw id of a session's user, or the user's number where raw ids are not known.
    pub fn user_name(&self, user: u32) -> String {
        if (user as usize) < self.users.len() { self.users.name(user).to_owned() } else { user.to_string() }
    }

    /// Checks what a builder would have guaranteed, for a data set that was read from a file.
    pub(crate) fn check(&self) -> Result<()> {
        let users = (!self.users.is_empty()).then_some(self.users.len());
        self.log.check(self.catalogue.len(), users)?;
        if users.is_some() && !self.log.has_users() {
            return Err(Error::Log("a vocabulary of users, but no user of a session".into()));
        }
        self.catalogue.check()?;
        self.split.as_ref().map_or(Ok(()), |split| split.check(self.log.sessions()))
    }
}

/// What a data set holds, and what an import dropped on the way: a table for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Name of the data set.
    pub name: String,
    /// Number of sessions.
    pub sessions: usize,
    /// Number of steps.
    pub steps: usize,
    /// Number of items of the catalogue.
    pub items: usize,
    /// Number of users with at least one session; `None` when the log does not name them.
    pub users: Option<usize>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Rows read, without the header.
    pub rows: u64,
    /// Rows dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Sessions dropped because no step of theirs was left.
    pub empty_sessions: u64,
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
        Self {
            name: name.clone(),
            sessions,
            steps,
            items: catalogue.len(),
            users: log.has_users().then_some(users.len()),
            mean_length: ratio(steps as f64, sessions),
            mean_slate: ratio(log.impressions() as f64, steps),
            click_rate: ratio(clicks as f64, steps),
            reward_rate: ratio(reward, steps),
            left: log.iter().filter(|session| session.left()).count(),
            split: split.as_ref().map(|split| [split.train.len(), split.validation.len(), split.test.len()]),
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
            ("mean session length", beside_rounded(self.mean_length, expected.and_then(|known| known.mean_length))),
            ("mean slate size", format!("{:.3}", self.mean_slate)),
            ("click rate", format!("{:.4}", self.click_rate)),
            ("mean reward per step", format!("{:.4}", self.reward_rate)),
            ("leaving observed", format!("{} of {} sessions", self.left, self.sessions)),
        ];
        if let Some(split) = self.split {
            let text = |[train, validation, test]: [usize; 3]| format!("{train} / {validation} / {test} sessions");
            rows.push(("split", beside(text(split), expected.and_then(|known| known.split).map(text))));
        }
        if let Some(reading) = &self.reading {
            rows.push(("rows read", beside(reading.rows, expected.and_then(|known| known.rows))));
            rows.push(("rows dropped", reading.dropped.values().sum::<u64>().to_string()));
            rows.extend(reading.dropped.iter().map(|(reason, count)| ("", format!("{count} × {reason}"))));
            if reading.empty_sessions > 0 {
                rows.push(("sessions dropped", format!("{} without a step left", reading.empty_sessions)));
            }
            rows.extend(reading.notes.iter().map(|note| ("note", note.clone())));
        }
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        rows.iter().try_for_each(|(label, value)| writeln!(f, "{label:width$}  {value}"))
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
