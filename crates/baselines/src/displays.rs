use std::ops::Range;

use foretaste_data::{ItemId, Log};
use foretaste_settings::Setting;

use crate::Result;

/// The displays of some sessions in order, each with what the user had clicked before it in the
/// session.
#[derive(Clone, Debug)]
pub struct Displays<'a> {
    /// All clicks of each session.
    clicks: Vec<Vec<ItemId>>,
    displays: Vec<Display<'a>>,
}

/// One display.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Display<'a> {
    /// The items shown, in the order shown.
    pub slate: &'a [ItemId],
    /// Place of the clicked item; `None` if the user chose nothing, whether they stayed or left.
    pub clicked: Option<usize>,
    /// Its session, as the position among the sessions asked for.
    pub session: usize,
    /// Number of clicks of the session that come before.
    pub before: usize,
}

impl<'a> Displays<'a> {
    /// The displays of the given sessions of `log`.
    ///
    /// Panics if a session number is not of this log.
    pub fn new(log: &'a Log, sessions: &[usize]) -> Self {
        let (mut clicks, mut displays) = (Vec::with_capacity(sessions.len()), Vec::new());
        for (session, &index) in sessions.iter().enumerate() {
            let mut clicked_items = Vec::new();
            for step in log.session(index).steps() {
                let clicked = step.slate.iter().position(|item| step.choice.item() == Some(*item));
                displays.push(Display {
                    slate: step.slate,
                    clicked,
                    session,
                    before: clicked_items.len(),
                });
                clicked_items.extend(step.choice.item());
            }
            clicks.push(clicked_items);
        }
        Self { clicks, displays }
    }

    /// Number of displays.
    pub fn len(&self) -> usize {
        self.displays.len()
    }

    /// Whether there is no display.
    pub fn is_empty(&self) -> bool {
        self.displays.is_empty()
    }

    /// The items of each display, in the order shown, and the place of the clicked one; `None`
    /// where nothing was clicked.
    pub fn slates(&self) -> impl ExactSizeIterator<Item = (&'a [ItemId], Option<usize>)> {
        self.displays.iter().map(|display| (display.slate, display.clicked))
    }

    pub(crate) fn get(&self, index: usize) -> &Display<'a> {
        &self.displays[index]
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Display<'a>> {
        self.displays.iter()
    }

    /// The clicks before a display, oldest first.
    pub(crate) fn history(&self, display: &Display<'_>) -> &[ItemId] {
        &self.clicks[display.session][..display.before]
    }

    /// All clicks of each session, in the order of the sessions.
    pub(crate) fn clicks(&self) -> &[Vec<ItemId>] {
        &self.clicks
    }

    /// The clicks before `display` that were not yet before `previous`, one earlier in the same
    /// session if there is one, each item on its first click alone.
    pub(crate) fn new_clicks(
        &self,
        previous: Option<&Display<'_>>,
        display: &Display<'_>,
    ) -> impl Iterator<Item = ItemId> {
        let clicks = self.history(display);
        let seen = previous.map_or(0, |previous| previous.before);
        (seen..clicks.len())
            .map(move |at| (&clicks[..at], clicks[at]))
            .filter(|(before, item)| !before.contains(item))
            .map(|(_, item)| item)
    }

    /// The numbers of the displays of each session, in the order of the sessions.
    pub(crate) fn of_sessions(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let range = |session| {
            let start = end;
            end += self.displays[start..]
                .iter()
                .take_while(|display| display.session == session)
                .count();
            start..end
        };
        (0..self.clicks.len()).map(range).collect()
    }

    /// The numbers of the displays with a click.
    pub(crate) fn with_click(&self) -> Vec<usize> {
        (0..self.len()).filter(|&index| self.displays[index].clicked.is_some()).collect()
    }

    /// The displays of the given numbers, which rise. What was clicked before each stays what it
    /// was.
    pub(crate) fn pick(mut self, wanted: &[usize]) -> Self {
        self.displays = wanted.iter().map(|&index| self.displays[index]).collect();
        self
    }

    /// Refuses items that a model of `items` items does not know.
    pub(crate) fn check(&self, items: usize) -> Result<()> {
        match self
            .displays
            .iter()
            .flat_map(|display| display.slate)
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
