//! Part of a log without a copy: splits and experiments work on ranges of sessions whose numbers,
//! and hence raw ids, stay those of the whole log.

use std::ops::Range;

use super::{Log, Session};

/// Consecutive sessions of a [`Log`]: a view, cheap to copy.
///
/// A session keeps its index in the log, as its raw id goes by it.
///
/// ```
/// # use foretaste_data::{Choice, ItemId, LogBuilder, Step};
/// # let mut log = LogBuilder::default();
/// # for _ in 0..5 {
/// #     log.push(Step::new(&[ItemId(0)], Choice::Skip, 0.0))?;
/// #     log.end_session(None)?;
/// # }
/// # let log = log.build();
/// let last = log.slice(3..5);
/// assert_eq!((last.sessions(), last.steps()), (2, 2));
/// assert_eq!(last.session(0).index(), 3);
/// # Ok::<(), foretaste_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogSlice<'a> {
    log: &'a Log,
    first: usize,
    last: usize,
}

impl Log {
    /// The sessions of this range, without a copy.
    ///
    /// Panics if the range does not lie within the log.
    pub fn slice(&self, sessions: Range<usize>) -> LogSlice<'_> {
        let Range { start: first, end: last } = sessions;
        assert!(
            first <= last && last <= self.sessions(),
            "sessions {first} to {last} of a log of {}",
            self.sessions()
        );
        LogSlice { log: self, first, last }
    }
}

impl<'a> LogSlice<'a> {
    /// Number of sessions.
    pub fn sessions(self) -> usize {
        self.last - self.first
    }

    /// Number of steps of all sessions.
    pub fn steps(self) -> usize {
        let offset = |session: usize| self.log.session_offsets[session] as usize;
        offset(self.last) - offset(self.first)
    }

    /// Session `place` of the slice, from 0; panics if there is no such session.
    pub fn session(self, place: usize) -> Session<'a> {
        assert!(place < self.sessions(), "session {place} of a slice of {}", self.sessions());
        self.log.session(self.first + place)
    }

    /// All sessions in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Session<'a>> {
        (self.first..self.last).map(move |index| self.log.session(index))
    }

    /// A log of these sessions alone.
    pub fn to_log(self) -> Log {
        self.log.select(&(self.first..self.last).collect::<Vec<_>>())
    }
}

impl<'a> From<&'a Log> for LogSlice<'a> {
    fn from(log: &'a Log) -> Self {
        log.slice(0..log.sessions())
    }
}
