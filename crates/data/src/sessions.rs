//! The raw ids of sessions, stored compactly: a log can have millions of sessions, and unlike item
//! ids no session id occurs twice, so a vocabulary would only cost memory.

use serde::{Deserialize, Serialize};

use crate::vocabulary::Names;
use crate::{Error, Result};

/// The raw ids of a log's sessions: strings, integers as their decimal digits, each once.
///
/// Ids that are the sessions' indices, from session 0 to the last of that kind in a row, are not
/// stored; the others take their bytes and 8 more. So a simulated log has an empty list.
///
/// ```
/// use foretaste_data::SessionIds;
///
/// let ids: SessionIds = ["0", "1", "monday-7"].into_iter().collect();
/// assert_eq!((ids.get(1), ids.get(2)), (None, Some("monday-7")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionIds {
    /// The first session whose id is stored; 0 if none is.
    first: u64,
    names: Names,
}

impl SessionIds {
    /// The id of a session, from 0; `None` where it is the session's index.
    pub fn get(&self, session: usize) -> Option<&str> {
        let place = (session as u64).checked_sub(self.first)? as usize;
        (place < self.names.len()).then(|| self.names.name(place))
    }

    /// Whether every id is its session's index.
    pub fn is_empty(&self) -> bool {
        self.names.len() == 0
    }

    /// Whether all ids are whole numbers below 2^64, written without sign or leading zeros.
    pub fn are_numbers(&self) -> bool {
        (0..self.names.len()).all(|place| number(self.names.name(place)).is_some())
    }

    /// Appends the id of session `session`, which is the next: all before it have theirs.
    pub fn push(&mut self, session: usize, id: &str) {
        if self.is_empty() {
            if number(id) == Some(session as u64) {
                return;
            }
            self.first = session as u64;
        }
        self.names.push(id);
    }

    /// Checks ids that were read from a file.
    pub(crate) fn check(&self, sessions: usize) -> Result<()> {
        let fail = |problem: &str| Err(Error::Log(format!("the ids of the sessions {problem}")));
        if self.is_empty() {
            return if *self == Self::default() { Ok(()) } else { fail("hold text of no session") };
        }
        if self.first.checked_add(self.names.len() as u64) != Some(sessions as u64) {
            return fail(&format!(
                "are {} from session {} on, of {sessions}",
                self.names.len(),
                self.first
            ));
        }
        if !self.names.fit() {
            return fail("do not fit their text");
        }
        match (0..self.names.len()).any(|place| self.names.name(place).is_empty()) {
            true => fail("hold an empty one"),
            false => Ok(()),
        }
    }
}

impl<'a> FromIterator<&'a str> for SessionIds {
    fn from_iter<I: IntoIterator<Item = &'a str>>(ids: I) -> Self {
        let mut all = Self::default();
        ids.into_iter().enumerate().for_each(|(session, id)| all.push(session, id));
        all
    }
}

/// The value of a whole number, written as Rust would write it.
fn number(id: &str) -> Option<u64> {
    let canonical = id == "0" || !id.starts_with(['0', '+']);
    id.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(ids: &SessionIds, count: usize) -> Vec<String> {
        (0..count)
            .map(|session| ids.get(session).map_or_else(|| session.to_string(), str::to_owned))
            .collect()
    }

    proptest! {
        #[test]
        fn every_session_keeps_its_id(ids in proptest::collection::vec("[0-3]|0[0-3]|[a-c]{1,3}|ü", 0..12)) {
            let kept: SessionIds = ids.iter().map(String::as_str).collect();
            prop_assert_eq!(names(&kept, ids.len()), ids.clone());
            prop_assert!(kept.check(ids.len()).is_ok());
            let number = |id: &String| id.parse::<u64>().is_ok_and(|number| number.to_string() == *id);
            prop_assert_eq!(kept.are_numbers(), ids.iter().all(number));
        }
    }

    #[test]
    fn ids_that_are_indices_take_nothing() {
        let ids: SessionIds = ["0", "1", "2"].into_iter().collect();
        assert_eq!(ids, SessionIds::default());
        let ids: SessionIds = ["0", "1", "x", "3"].into_iter().collect();
        assert_eq!((ids.first, ids.names.len()), (2, 2));
    }

    #[test]
    fn ids_that_are_damaged_are_refused() {
        let good: SessionIds = ["0", "é", "b"].into_iter().collect();
        assert!(good.check(3).is_ok() && good.check(2).is_err() && good.check(4).is_err());
        let far = SessionIds { first: u64::MAX, ..good.clone() };
        assert!(far.check(3).is_err() && far.check(1).is_err());
        let empty: SessionIds = ["a", ""].into_iter().collect();
        assert!(empty.check(2).is_err());
        assert!(SessionIds { first: 2, ..SessionIds::default() }.check(2).is_err());
    }
}
