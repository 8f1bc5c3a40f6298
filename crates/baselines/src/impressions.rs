//! The view of a log that all click models share: one slate at a time, with the clicks that came
//! before it. A model sees nothing that happened after the slate that it scores.

use std::ops::Range;

use foretaste_data::{Entry, ItemId, Log};
use foretaste_settings::Setting;

use crate::Result;

/// The slates that the users of some sessions were shown, in order, each with what its user had
/// clicked before it in the session. An organic event is a click of the history, and on no slate.
#[derive(Clone, Debug)]
pub struct Impressions<'a> {
    /// All clicks of each session, on slates and elsewhere.
    clicks: Vec<Vec<ItemId>>,
    impressions: Vec<Impression<'a>>,
}

/// A slate that a user was shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Impression<'a> {
    /// The items shown, in the order shown.
    pub slate: &'a [ItemId],
    /// Place of the clicked item; `None` if the user chose nothing, whether they stayed or left.
    pub clicked: Option<usize>,
    /// Its session, as the position among the sessions asked for.
    pub session: usize,
    /// Number of clicks of the session that come before.
    pub before: usize,
}

impl<'a> Impressions<'a> {
    /// The slates of the given sessions of `log`.
    ///
    /// Panics if a session number is not of this log.
    pub fn new(log: &'a Log, sessions: &[usize]) -> Self {
        let (mut clicks, mut impressions) = (Vec::with_capacity(sessions.len()), Vec::new());
        for (session, &index) in sessions.iter().enumerate() {
            let mut clicked_items = Vec::new();
            for entry in log.session(index).entries() {
                let step = match entry {
                    Entry::Event(event) => {
                        clicked_items.push(event.item);
                        continue;
                    }
                    Entry::Step(_, step) => step,
                };
                let clicked = step.slate.iter().position(|item| step.choice.item() == Some(*item));
                impressions.push(Impression {
                    slate: step.slate,
                    clicked,
                    session,
                    before: clicked_items.len(),
                });
                clicked_items.extend(step.choice.item());
            }
            clicks.push(clicked_items);
        }
        Self { clicks, impressions }
    }

    /// Number of slates.
    pub fn len(&self) -> usize {
        self.impressions.len()
    }

    /// Whether there is no slate.
    pub fn is_empty(&self) -> bool {
        self.impressions.is_empty()
    }

    /// The items of each slate, in the order shown, and the place of the clicked one; `None`
    /// where nothing was clicked.
    pub fn slates(&self) -> impl ExactSizeIterator<Item = (&'a [ItemId], Option<usize>)> {
        self.impressions.iter().map(|impression| (impression.slate, impression.clicked))
    }

    pub(crate) fn get(&self, index: usize) -> &Impression<'a> {
        &self.impressions[index]
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Impression<'a>> {
        self.impressions.iter()
    }

    /// The clicks before a slate, oldest first.
    pub(crate) fn history(&self, impression: &Impression<'_>) -> &[ItemId] {
        &self.clicks[impression.session][..impression.before]
    }

    /// All clicks of each session, in the order of the sessions.
    pub(crate) fn clicks(&self) -> &[Vec<ItemId>] {
        &self.clicks
    }

    /// The clicks before `impression` that were not yet before `previous`, one earlier in the same
    /// session if there is one, each item on its first click alone.
    pub(crate) fn new_clicks(
        &self,
        previous: Option<&Impression<'_>>,
        impression: &Impression<'_>,
    ) -> impl Iterator<Item = ItemId> {
        let clicks = self.history(impression);
        let seen = previous.map_or(0, |previous| previous.before);
        (seen..clicks.len())
            .map(move |at| (&clicks[..at], clicks[at]))
            .filter(|(before, item)| !before.contains(item))
            .map(|(_, item)| item)
    }

    /// The numbers of the slates of each session, in the order of the sessions.
    pub(crate) fn of_sessions(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let range = |session| {
            let start = end;
            end += self.impressions[start..]
                .iter()
                .take_while(|impression| impression.session == session)
                .count();
            start..end
        };
        (0..self.clicks.len()).map(range).collect()
    }

    /// The numbers of the slates with a click.
    pub(crate) fn with_click(&self) -> Vec<usize> {
        (0..self.len()).filter(|&index| self.impressions[index].clicked.is_some()).collect()
    }

    /// The slates of the given numbers, which rise. What was clicked before each stays what it
    /// was.
    pub(crate) fn pick(mut self, wanted: &[usize]) -> Self {
        self.impressions = wanted.iter().map(|&index| self.impressions[index]).collect();
        self
    }

    /// Whether each shown item of the slates of the given numbers was clicked, 1 or 0.
    pub(crate) fn labels(&self, wanted: &[usize]) -> Vec<f64> {
        let of_impression = |&index: &usize| {
            let Impression { slate, clicked, .. } = self.get(index);
            (0..slate.len()).map(|place| f64::from(u8::from(*clicked == Some(place))))
        };
        wanted.iter().flat_map(of_impression).collect()
    }

    /// Refuses items that a model of `items` items does not know.
    pub(crate) fn check(&self, items: usize) -> Result<()> {
        match self
            .impressions
            .iter()
            .flat_map(|impression| impression.slate)
            .chain(self.clicks.iter().flatten())
            .find(|item| item.index() >= items)
        {
            Some(item) => {
                let problem = format!("{items}, but the log shows item {}", item.0);
                Err(Setting::new("items", problem).into())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, Event, EventKind, LogBuilder, Step};

    use super::*;
    use crate::counts::counts;

    #[test]
    fn events_are_history_of_the_slates_after_them_and_count_on_no_slate() {
        let mut log = LogBuilder::default();
        let event =
            |item| Event { item: ItemId(item), kind: EventKind::View, after: 0, timestamp: None };
        log.event(event(3));
        log.push(Step::new(&[ItemId(0), ItemId(1)], Choice::Item(ItemId(1)), 1.0)).unwrap();
        log.event(event(2));
        log.push(Step::new(&[ItemId(0)], Choice::Skip, 0.0)).unwrap();
        log.event(event(0));
        log.end_session(None).unwrap();
        let log = log.build();
        let impressions = Impressions::new(&log, &[0]);
        let histories: Vec<&[ItemId]> =
            impressions.iter().map(|shown| impressions.history(shown)).collect();
        let items = [3, 1, 2, 0].map(ItemId);
        assert_eq!(histories, [&items[..1], &items[..3]]);
        assert_eq!(impressions.clicks(), [items]);
        let counts = counts(&impressions, 4).unwrap();
        assert_eq!((counts.clicks, counts.shown), (vec![0, 1, 0, 0], vec![2, 1, 0, 0]));
        assert_eq!(counts.rate, 1.0 / 3.0);
        assert!(impressions.check(3).unwrap_err().to_string().contains("item 3"));
    }
}
