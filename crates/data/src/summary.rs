//! The counts that `foretaste describe` and the report of an import print: what a data set
//! contains, in a form for people and for JSON.

use std::fmt;

use serde::Serialize;

use crate::{Dataset, Features, Part};

/// What a data set holds: counts and means, and as text a table for people.
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
    /// Slates with several clicks, and the clicks on them.
    pub several_clicks: (usize, usize),
    /// Steps whose candidates are known.
    pub candidates: usize,
    /// Organic events.
    pub events: usize,
    /// Features of every item; 0 where there are none.
    pub item_features: usize,
    /// Features of every user; 0 where there are none.
    pub user_features: usize,
    /// The columns of the context.
    pub contexts: Vec<ContextSummary>,
}

/// Columns of the context that a table shows.
const CONTEXTS_SHOWN: usize = 12;

/// What a column of the context holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContextSummary {
    /// The column's name.
    pub name: String,
    /// Number of different values.
    pub values: usize,
    /// Steps of which the value is known.
    pub steps: usize,
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
            several_clicks: log.several_clicks(),
            candidates: log.steps_with_candidates(),
            events: log.events(),
            item_features: catalogue.features().map_or(0, |(_, dim)| dim),
            user_features: dataset.user_features.as_ref().map_or(0, Features::dim),
            contexts: dataset
                .contexts
                .iter()
                .enumerate()
                .map(|(column, context)| ContextSummary {
                    name: context.name.clone(),
                    values: context.values.len(),
                    steps: log.steps_with_context(column),
                })
                .collect(),
        }
    }
}

impl Summary {
    /// The rows of its table: a label, and what is said of it.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("data set", self.name.clone()),
            ("sessions", self.sessions.to_string()),
            ("steps", self.steps.to_string()),
            ("items", self.items.to_string()),
            ("users", self.users.map_or("unknown".into(), |users| users.to_string())),
            ("mean session length", format!("{:.3}", self.mean_length)),
            ("mean slate size", format!("{:.3}", self.mean_slate)),
            ("click rate", figure(self.click_rate)),
            ("mean reward per step", figure(self.reward_rate)),
            ("ended by leaving", format!("{} of {} sessions", self.left, self.sessions)),
        ];
        rows.extend(self.of_some.iter().map(|&(part, count)| {
            let label = match part {
                Part::Users => "sessions with users",
                Part::Timestamps => "sessions with times",
                _ => "with propensities",
            };
            (label, format!("{count} of {}", self.sessions))
        }));
        let (slates, clicks) = self.several_clicks;
        if slates > 0 {
            rows.push(("several clicks", format!("{clicks} on {slates} slates")));
        }
        if self.candidates > 0 {
            rows.push((
                "candidates known",
                format!("of {} of {} steps", self.candidates, self.steps),
            ));
        }
        if self.events > 0 {
            rows.push(("organic events", self.events.to_string()));
        }
        let features =
            [("item features", self.item_features), ("user features", self.user_features)];
        let features = features.into_iter().filter(|(_, dim)| *dim > 0);
        rows.extend(features.map(|(label, dim)| (label, dim.to_string())));
        let contexts = self.contexts.iter().take(CONTEXTS_SHOWN);
        rows.extend(contexts.map(|ContextSummary { name, values, steps }| {
            let known = match *steps == self.steps {
                true => String::new(),
                false => format!(", known of {steps} of {} steps", self.steps),
            };
            let noun = if *values == 1 { "value" } else { "values" };
            ("context", format!("{name}: {values} {noun}{known}"))
        }));
        let more = self.contexts.len().saturating_sub(CONTEXTS_SHOWN);
        if more > 0 {
            rows.push(("context", format!("and {more} more")));
        }
        if let Some([train, validation, test]) = self.split {
            rows.push(("split", format!("{train} / {validation} / {test} sessions")));
        }
        rows
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
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
