//! The rules of our own schema that hold in every file format: one row per step, a session's rows
//! together, steps rising.

use std::borrow::Borrow;
use std::path::Path;

use foretaste_data::{Choice, Fault};

use crate::reader::{Answer, Checked, Collector, Place, column};
use crate::{Error, Result};

/// The schema's columns, the required ones first.
pub(super) const COLUMNS: [&str; 9] =
    ["session", "step", "shown", "chosen", "reward", "timestamp", "user", "propensity", "left"];
/// How many of the columns are required.
const REQUIRED: usize = 5;

/// Checks the names of a file's columns: all are the schema's, none is there twice, and the
/// required ones are there.
pub(super) fn check_columns(path: &Path, found: &[impl Borrow<str>]) -> Result<()> {
    if let Some(unknown) = found.iter().find(|name| !COLUMNS.contains(&(*name).borrow())) {
        let (unknown, known) = (unknown.borrow(), COLUMNS.join(", "));
        let problem = format!("has the unknown column {unknown:?}; the columns are {known}");
        return Err(Error::file(path, problem));
    }
    let times = |name: &str| found.iter().filter(|field| (*field).borrow() == name).count();
    if let Some(twice) = COLUMNS.iter().find(|name| times(name) > 1) {
        return Err(Error::file(path, format!("has the column {twice:?} twice")));
    }
    COLUMNS[..REQUIRED].iter().try_for_each(|name| column(path, found, name).map(drop))
}

/// What a row says beyond its session and its slate.
pub(super) struct Step<'a> {
    pub(super) number: i64,
    pub(super) chosen: Option<&'a str>,
    pub(super) reward: f32,
    pub(super) timestamp: Option<i64>,
    pub(super) propensity: Option<&'a [f32]>,
    pub(super) left: Option<bool>,
}

/// Collects rows into sessions: for every row [`Steps::enter`], then the slate into the collector,
/// then [`Steps::take`]; [`Steps::reject`] when any of it, or reading the row, is at fault.
#[derive(Default)]
pub(super) struct Steps {
    session: String,
    user: Option<String>,
    open: Option<Open>,
    /// Whether the row being read has named the open session.
    entered: bool,
}

#[derive(Default)]
struct Open {
    last_step: Option<i64>,
    /// Whether the session says on which step its user left, as its first step decides.
    says_left: Option<bool>,
    /// Why the session as a whole was refused: its rows go by, each with this fault.
    refused: Option<Fault>,
    /// Whether the session's last row so far was dropped: whether the user left is then unknown.
    lost_last: bool,
}

impl Steps {
    /// Goes to the session that the next row names. A user without a name is none, as in CSV.
    pub(super) fn enter(
        &mut self,
        collector: &mut Collector,
        session: &str,
        user: Option<&str>,
    ) -> Result<Checked> {
        let user = user.filter(|user| !user.is_empty());
        if let Some(open) = self.open.as_mut().filter(|_| self.session == session) {
            self.entered = true;
            if let Some(fault) = &open.refused {
                return Ok(Err(fault.clone()));
            }
            if self.user.as_deref() != user {
                let found = user.unwrap_or_default();
                return Ok(Err(Fault::value(
                    "user",
                    "the same user throughout the session",
                    found,
                )));
            }
            return Ok(Ok(()));
        }
        if session.is_empty() {
            return Ok(Err(Fault::value("session", "an id", session)));
        }
        self.close(collector)?;
        self.session.clear();
        self.session.push_str(session);
        self.user = user.map(str::to_owned);
        self.entered = true;
        let entered = collector.open(session);
        self.open = Some(Open { refused: entered.as_ref().err().cloned(), ..Open::default() });
        Ok(entered)
    }

    /// Takes a row of the session entered.
    pub(super) fn take(&mut self, collector: &mut Collector, step: &Step<'_>) -> Checked {
        self.take_step(collector, step)?;
        self.entered = false;
        Ok(())
    }

    fn take_step(&mut self, collector: &mut Collector, step: &Step<'_>) -> Checked {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.last_step.is_some_and(|last| step.number <= last) {
            return Err(Fault::new(
                "step",
                "a number above the one before it",
                step.number.to_string(),
            ));
        }
        if open.says_left.is_some_and(|says| says != step.left.is_some()) {
            return Err(Fault::all_or_none("left", step.left.is_some()));
        }
        let choice = match (step.chosen, step.left) {
            (Some(_), Some(true)) => {
                return Err(Fault::new("left", "false where an item was chosen", "true"));
            }
            (Some(chosen), _) => Ok(chosen),
            (None, Some(true)) => Err(Choice::Leave),
            (None, _) => Err(Choice::Skip),
        };
        let (reward, propensity, timestamp) = (step.reward, step.propensity, step.timestamp);
        collector.push(&Answer { choice, reward, propensity, timestamp })?;
        open.says_left = Some(step.left.is_some());
        open.last_step = Some(step.number);
        open.lost_last = false;
        Ok(())
    }

    /// Drops the row that was being read. `named` is the session that it names, if it could not be
    /// entered.
    pub(super) fn reject(
        &mut self,
        collector: &mut Collector,
        place: Place,
        named: Option<&str>,
        fault: Fault,
    ) -> Result<()> {
        if let Some(open) = &mut self.open {
            open.lost_last = true;
        }
        let session =
            if std::mem::take(&mut self.entered) { Some(&self.session[..]) } else { named };
        collector.reject(place, 1, session, fault)
    }

    /// Closes the last session.
    pub(super) fn finish(mut self, collector: &mut Collector) -> Result<()> {
        self.close(collector)
    }

    fn close(&mut self, collector: &mut Collector) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if open.says_left == Some(false) && !open.lost_last {
            collector.leave_on_last_step();
        }
        // The rows of a session that reappears belong to one that was closed already: no session is
        // lost here.
        if open.refused.is_none() {
            collector.close(self.user.as_deref())?;
        }
        Ok(())
    }
}

/// Shows an item; an empty id is a fault, as in CSV, where there is none.
pub(super) fn show(collector: &mut Collector, item: &str) -> Checked {
    if item.is_empty() {
        return Err(Fault::new("shown", "ids that are not empty", "an empty one"));
    }
    collector.show(item);
    Ok(())
}
