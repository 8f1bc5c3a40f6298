//! Rows of one item become slates.

use foretaste_data::Fault;

use super::sessions::Sessions;
use crate::limits::beyond;
use crate::reader::record::{List, Record, Strings};
use crate::reader::{Collector, Place};
use crate::{Error, Result};

/// Joins rows of one item into the slates that they were: rows of a session with the same slate,
/// step or time.
#[derive(Default)]
pub(super) struct Joiner {
    pub(super) open: bool,
    pub(super) session: String,
    slate: Option<String>,
    number: Option<i64>,
    time: Option<i64>,
    place: Option<Place>,
    items: Vec<Shown>,
    propensities: bool,
    left: Option<bool>,
    context: Option<Strings>,
    /// Why the slate cannot be used: one of its rows cannot.
    spoiled: Option<Fault>,
}

struct Shown {
    item: String,
    clicked: bool,
    reward: Option<f32>,
    propensity: f32,
    position: Option<i64>,
}

impl Joiner {
    pub(super) fn take(
        &mut self,
        sessions: &mut Sessions<'_>,
        collector: &mut Collector,
        session: &str,
        place: Place,
        record: &Record<'_>,
    ) -> Result<()> {
        let organic = is_organic(record);
        let Some(item) = record.item.filter(|_| record.shown.is_empty() && !organic) else {
            self.flush(sessions, collector)?;
            let taken = match record.event.filter(|_| organic) {
                Some(event) => sessions.event(collector, event, record),
                None => sessions.step(collector, record),
            };
            return match taken {
                Ok(()) => {
                    sessions.entered = false;
                    Ok(())
                }
                Err(fault) => sessions.reject(collector, place, Some(session), fault),
            };
        };
        let same = self.open
            && self.session == session
            && match (&self.slate, record.slate) {
                (None, None) => (self.number, self.time) == (record.number, record.time),
                (ours, theirs) => ours.as_deref() == theirs,
            };
        if !same {
            self.flush(sessions, collector)?;
            session.clone_into(&mut self.session);
            self.slate = record.slate.map(str::to_owned);
            (self.number, self.time, self.place) = (record.number, record.time, Some(place));
            (self.open, self.propensities, self.left) = (true, false, None);
            self.context = record.context.cloned();
        }
        let most = collector.limits().slate_items;
        if self.items.len() >= most {
            let found = format!("item {}", self.items.len() + 1);
            let fault = beyond("item", found, most, "--max-slate-items");
            return Err(Error::file(collector.path(), fault.to_string()));
        }
        self.propensities |= record.propensity.is_some();
        self.left = self.left.or(record.left);
        self.items.push(Shown {
            item: item.to_owned(),
            clicked: match record.clicked {
                Some(flags) => flags.first() == Some(&true),
                None => !record.chosen.is_empty(),
            },
            reward: record.reward.first().copied(),
            propensity: record.propensity.and_then(|p| p.first()).copied().unwrap_or(f32::NAN),
            position: record.position,
        });
        sessions.entered = false;
        Ok(())
    }

    /// Gives the open slate up, of which a row cannot be used.
    pub(super) fn spoil(&mut self, fault: &Fault) {
        if self.open {
            self.spoiled = Some(fault.clone());
        }
    }

    /// Collects the slate that is open.
    pub(super) fn flush(
        &mut self,
        sessions: &mut Sessions<'_>,
        collector: &mut Collector,
    ) -> Result<()> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        if let (Some(fault), Some(place)) = (self.spoiled.take(), self.place) {
            let rows = self.items.drain(..).count() as u64;
            return sessions.reject_rows(collector, place, rows, Some(&self.session), fault);
        }
        if self.items.iter().all(|shown| shown.position.is_some()) {
            self.items.sort_by_key(|shown| shown.position);
        }
        let mut ids = Strings::default();
        self.items.iter().for_each(|shown| ids.push(&shown.item));
        let clicked: Vec<bool> = self.items.iter().map(|shown| shown.clicked).collect();
        let own = |shown: &Shown| shown.reward.unwrap_or(f32::from(u8::from(shown.clicked)));
        let reward: Vec<f32> = self.items.iter().map(own).collect();
        let propensity: Vec<f32> = self.items.iter().map(|shown| shown.propensity).collect();
        let record = Record {
            number: self.number,
            time: self.time,
            shown: List::Owned(&ids),
            clicked: Some(&clicked),
            reward: &reward,
            propensity: self.propensities.then_some(&propensity),
            left: self.left,
            context: self.context.as_ref(),
            ..Record::default()
        };
        let taken = sessions.step(collector, &record);
        let rows = self.items.drain(..).count() as u64;
        match (taken, self.place) {
            (Err(fault), Some(place)) => {
                sessions.reject_rows(collector, place, rows, Some(&self.session), fault)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a row is an event without a slate.
pub(super) fn is_organic(record: &Record<'_>) -> bool {
    let event = |name: &str| !IMPRESSIONS.contains(&name.to_ascii_lowercase().as_str());
    record.shown.is_empty() && record.event.is_some_and(event)
}

/// What a column of events calls a slate.
const IMPRESSIONS: [&str; 7] = ["", "slate", "step", "impression", "display", "bandit", "shown"];
