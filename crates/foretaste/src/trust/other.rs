//! Compares users with the log of another policy, or with what replaces it.

use foretaste_eval::choice::ChoiceModel;
use foretaste_user_model::trust::{Compared, Effort, ItemRates, OtherLog, Replay};

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
    /// What showing an item pays, where clicks pay differently and the users know it.
    pub rewards: Option<ItemRates>,
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
            return Ok(Self { source, replay: Err(why.clone()), items: Err(why), rewards: None });
        };
        let effort = Effort::new(longest);
        let seed = case.seed.derive("other log");
        let replay = Replay::new(&case.users, log, &sessions, &effort, seed);
        let count = case.dataset.catalogue.len();
        let said = known(case.users.predict(log, &sessions).map_err(Into::into))?;
        let pays = |&session: &usize| {
            let clicks = log.session(session).steps().filter(|step| step.choice.item().is_some());
            clicks.map(|step| step.reward).any(|reward| reward != 1.0)
        };
        let head = case.rewards.as_ref().filter(|_| sessions.iter().any(pays));
        let rewards = head.zip(said.as_ref().ok());
        Ok(Self {
            source,
            replay: known(replay.map_err(Into::into))?,
            rewards: rewards
                .map(|(head, said)| ItemRates::rewards(log, &sessions, said, count, head)),
            items: said.map(|said| ItemRates::clicks(log, &sessions, &said, count)),
        })
    }

    /// For the rule, which reads the log of another policy alone.
    pub fn evidence(&self) -> Option<OtherLog> {
        let (Source::Log, Ok(replay)) = (self.source, &self.replay) else { return None };
        // The least that the difference may be: 0 where its interval holds 0, or there is none.
        let least = |compared: &Compared| {
            let interval = compared.difference.interval;
            let least = interval.map_or(0.0, |interval| interval.low.max(-interval.high).max(0.0));
            if compared.log == 0.0 { 0.0 } else { least / compared.log.abs() }
        };
        let agree = [self.items.as_ref().ok(), self.rewards.as_ref()];
        let agree = agree.into_iter().flatten().filter_map(|rates| rates.correlation);
        Some(OtherLog {
            click_rate_error: least(&replay.click_rate),
            reward_error: least(&replay.reward),
            items_agree: agree.map(|correlation| correlation.mean).min_by(f64::total_cmp),
        })
    }
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
