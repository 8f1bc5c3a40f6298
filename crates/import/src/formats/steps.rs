//! Rows of our schema become steps: whatever file they stand in, one row per step or per item.

mod joiner;
mod rules;
mod sessions;

use foretaste_data::{Fault, TimeUnit};

use self::joiner::{Joiner, is_organic};
use self::sessions::Sessions;
use crate::joins::Joins;
use crate::layout::{Layout, Propensities};
use crate::reader::record::{List, Record, Strings, whole};
use crate::reader::sort::{Sorted, Sorter};
use crate::reader::{Checked, Collector, Place};
use crate::{Error, Result};

/// Collects rows into sessions. Each row goes to [`Steps::row`], the end to [`Steps::finish`].
///
/// A session's rows stand together and its steps rise, or else the layout has the rows sorted.
pub(crate) struct Steps<'l> {
    layout: &'l Layout,
    /// The unit of the times, known once one was read.
    unit: Option<TimeUnit>,
    /// What the propensities are, known once a file with some was found.
    propensities: Option<Propensities>,
    sorter: Option<Sorter>,
    joins: Option<Joins>,
    joiner: Joiner,
    sessions: Sessions<'l>,
}

/// What a row says of where it belongs.
pub(crate) struct Key<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
}

impl<'l> Steps<'l> {
    pub(crate) fn new(layout: &'l Layout) -> Self {
        Self {
            joins: None,
            layout,
            unit: None,
            propensities: None,
            sorter: layout.sorts().then(|| Sorter::new(Sorter::LIMIT)),
            joiner: Joiner::default(),
            sessions: Sessions::new(layout),
        }
    }

    /// Has clicks joined that lie in a file of their own.
    pub(crate) fn join(&mut self, joins: Option<Joins>) {
        self.joins = joins;
    }

    /// The unit of the times of the rows that follow.
    pub(crate) fn set_unit(&mut self, unit: Option<TimeUnit>) {
        self.unit = unit;
    }

    /// Says what the propensities of the rows that follow are. A log has one kind.
    pub(crate) fn declare(&mut self, kind: Propensities) -> Checked {
        match self.propensities.replace(kind) {
            Some(before) if before != kind => {
                self.propensities = Some(before);
                let fault = Fault::new("propensity", "one kind of propensities in a log", {
                    format!("{kind} ones after {before} ones")
                });
                Err(fault.advise(
                    "name their meaning and column with --propensities and --column \
                     propensity=NAME",
                ))
            }
            _ => {
                self.sessions.propensities = kind;
                Ok(())
            }
        }
    }

    /// What the propensities are, where there are any.
    pub(crate) fn propensities(&self) -> Option<Propensities> {
        self.propensities
    }

    /// Takes a row: its key, and then the rest of it, which `rest` fills in. `named` is the session
    /// that a row names whose key cannot be read.
    pub(crate) fn row<'a>(
        &mut self,
        collector: &mut Collector,
        place: Place,
        key: Checked<Key<'a>>,
        named: Option<&str>,
        rest: impl FnOnce(&mut Record<'a>) -> Checked,
    ) -> Result<()> {
        let (session, user) = match key.and_then(|key| self.owner(key)) {
            Ok(key) => key,
            Err(fault) => return self.sessions.reject(collector, place, named, fault),
        };
        let mut record = Record::default();
        if self.joins.is_some() || self.sorter.is_some() {
            let part = collector.part();
            let pushed = match (rest(&mut record), &mut self.joins, &mut self.sorter) {
                (Ok(()), Some(joins), _) => joins.push(session, user, part, place, &record)?,
                (Ok(()), None, Some(sorter)) => sorter.push(session, user, part, place, &record)?,
                (checked, ..) => checked,
            };
            return match pushed {
                Ok(()) => Ok(()),
                Err(fault) => collector.reject(place, 1, Some(session), fault),
            };
        }
        if self.joiner.open && self.joiner.session != session {
            self.joiner.flush(&mut self.sessions, collector)?;
        }
        match self.sessions.enter(collector, session, user)? {
            Ok(()) => match rest(&mut record) {
                Ok(()) => {
                    let (joiner, sessions) = (&mut self.joiner, &mut self.sessions);
                    joiner.take(sessions, collector, session, place, &record)
                }
                Err(fault) => {
                    self.joiner.spoil(&fault);
                    self.sessions.reject(collector, place, Some(session), fault)
                }
            },
            Err(fault) => self.sessions.reject(collector, place, Some(session), fault),
        }
    }

    /// Takes a row with what was clicked on its slate.
    fn joined(
        &mut self,
        collector: &mut Collector,
        row: Sorted<'_>,
        chosen: &Strings,
        rewards: &[f32],
    ) -> Result<()> {
        let Sorted { session, user, part, place, mut record } = row;
        collector.set_part(part);
        if !is_organic(&record) {
            let reward = if rewards.is_empty() { &[0.0] } else { rewards };
            record = Record { chosen: List::Owned(chosen), clicked: None, reward, ..record };
        }
        let key = Ok(Key { session: Some(session), user });
        self.row(collector, place, key, None, |to| {
            *to = record;
            Ok(())
        })
    }

    /// The session and the user of a row. A user without a name is none.
    fn owner<'a>(&self, key: Key<'a>) -> Checked<(&'a str, Option<&'a str>)> {
        let user = key.user.filter(|user| !user.is_empty()).map(whole);
        let session = key.session.filter(|session| !session.is_empty());
        match (session.or(user.filter(|_| self.layout.session_gap.is_some())), user) {
            (Some(session), user) => Ok((session, user)),
            (None, _) => Err(Fault::value("session", "an id", "")),
        }
    }

    /// Puts rows into order that were collected for it, and closes the last session.
    pub(crate) fn finish(mut self, collector: &mut Collector) -> Result<()> {
        if let Some(joins) = self.joins.take() {
            let note = joins
                .replay(|row, chosen, rewards| self.joined(collector, row, chosen, rewards))?;
            collector.note(note);
        }
        if let Some(sorter) = self.sorter.take() {
            let gap = self.layout.session_gap.map(|gap| self.gap(gap.seconds)).transpose()?;
            let mut cut = Cut { gap, ..Cut::default() };
            sorter.replay(|row| self.sorted(collector, row, &mut cut))?;
        }
        self.joiner.flush(&mut self.sessions, collector)?;
        self.sessions.close(collector)?;
        self.sessions.note(collector);
        Ok(())
    }

    fn gap(&self, seconds: i64) -> Result<i64> {
        let unit = self.unit.ok_or_else(|| {
            let problem = "needs times and their unit: name them with --column timestamp=NAME and \
                           --time-unit s, ms, us or ns";
            Error::from(foretaste_settings::Setting::new("session gap", problem))
        })?;
        Ok(seconds.saturating_mul(unit.per_second()))
    }

    fn sorted(&mut self, collector: &mut Collector, row: Sorted<'_>, cut: &mut Cut) -> Result<()> {
        collector.set_part(row.part);
        let Sorted { session, user, place, record, .. } = row;
        let session = cut.session(session, record.time);
        if self.joiner.open && self.joiner.session != session {
            self.joiner.flush(&mut self.sessions, collector)?;
        }
        match self.sessions.enter(collector, session, user)? {
            Ok(()) => self.joiner.take(&mut self.sessions, collector, session, place, &record),
            Err(fault) => self.sessions.reject(collector, place, Some(session), fault),
        }
    }
}

/// Cuts the rows of a session, or a user, at long pauses.
#[derive(Default)]
struct Cut {
    /// In the unit of the times.
    gap: Option<i64>,
    of: String,
    last: Option<i64>,
    count: usize,
    name: String,
}

impl Cut {
    /// The session of a row: of the same rows without a pause, the same.
    fn session<'a>(&'a mut self, session: &'a str, time: Option<i64>) -> &'a str {
        let Some(gap) = self.gap else { return session };
        let same = self.count > 0 && self.of == session;
        let pause = match (self.last, time) {
            (Some(last), Some(time)) => time.saturating_sub(last) > gap,
            _ => false,
        };
        if !same || pause {
            self.count = if same { self.count + 1 } else { 1 };
            session.clone_into(&mut self.of);
            self.name = format!("{session}#{}", self.count);
        }
        self.last = time;
        &self.name
    }
}
