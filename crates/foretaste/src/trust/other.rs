//! Compares users with the log of another policy, or with what replaces it.

use foretaste_data::Log;
use foretaste_eval::choice::ChoiceModel;
use foretaste_user_model::trust::{Effort, ItemRates, OtherLog, Replay};

use super::case::Case;
use super::{Known, known};

/// What users predict for slates that another policy showed, and what happened.
pub struct Other {
    /// Where the slates come from.
    pub source: Source,
    /// The sessions, replayed.
    pub replay: Known<Replay>,
    /// The click rates of items.
    pub items: Known<ItemRates>,
}

/// A log that users are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// One that was named.
    Log,
    /// The last fifth of the sessions by time.
    LastByTime,
    /// The last fifth of them in the order of the log.
    LastInOrder,
}

impl Source {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "the other log",
            Self::LastByTime => "the last fifth of the log by time",
            Self::LastInOrder => "the last fifth of the log in its order",
        }
    }
}

impl Other {
    /// Of the log that was named, or of the last fifth of the users' own, without the sessions that
    /// they learned from.
    ///
    /// # Errors
    /// [`Interrupted`](foretaste_console::Interrupted).
    pub fn new(case: &Case) -> anyhow::Result<Self> {
        let ((log, sessions), source) = match &case.against {
            Some((other, sessions)) => ((&other.log, sessions.clone()), Source::Log),
            None => {
                let (sessions, source) = last(case);
                ((&case.dataset.log, sessions), source)
            }
        };
        let longest = sessions.iter().map(|&session| log.session(session).len()).max();
        let Some(longest) = longest else {
            let why = "the users learned from all of its sessions".to_owned();
            return Ok(Self { source, replay: Err(why.clone()), items: Err(why) });
        };
        let effort = Effort::new(longest);
        let seed = case.seed.derive("other log");
        let replay = Replay::new(&case.users, log, &sessions, &effort, seed);
        Ok(Self {
            source,
            replay: known(replay.map_err(Into::into))?,
            items: items(case, log, &sessions)?,
        })
    }

    /// For the rule, which reads the log of another policy alone.
    pub fn evidence(&self) -> Option<OtherLog> {
        let (Source::Log, Ok(replay)) = (self.source, &self.replay) else { return None };
        let items = self.items.as_ref().ok().and_then(|items| items.correlation);
        let rate = &replay.click_rate;
        // The least that the difference may be: 0 where its interval holds 0, or there is none.
        let least = rate
            .difference
            .interval
            .map_or(0.0, |interval| interval.low.max(-interval.high).max(0.0));
        Some(OtherLog {
            click_rate_error: if rate.log > 0.0 { least / rate.log } else { 0.0 },
            items_agree: items.map(|correlation| correlation.mean),
        })
    }
}

fn items(case: &Case, log: &Log, sessions: &[usize]) -> anyhow::Result<Known<ItemRates>> {
    let count = case.dataset.catalogue.len();
    let said = known(case.users.predict(log, sessions).map_err(Into::into))?;
    Ok(said.map(|said| ItemRates::new(log, sessions, &said, count)))
}

/// The last fifth of the log's sessions, of which the users learned from none.
fn last(case: &Case) -> (Vec<usize>, Source) {
    let log = &case.dataset.log;
    let mut order: Vec<usize> = (0..log.sessions()).collect();
    let source = if log.has_timestamps() {
        order.sort_by_key(|&session| log.session(session).start());
        Source::LastByTime
    } else {
        Source::LastInOrder
    };
    let mut last = order.split_off(order.len() - order.len().div_ceil(5));
    last.retain(|session| case.held_out.binary_search(session).is_ok());
    last.sort_unstable();
    (last, source)
}
