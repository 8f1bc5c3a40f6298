//! The memory that policies, simulated users and models share: the last clicks of each session, in
//! a window of fixed size. Its size is bounded because settings from files can ask for any window.

use foretaste_settings::Setting;

use crate::{Choice, ItemId};

/// The click histories of a batch of sessions, as far back as a model or a user looks: the last m
/// clicked items of each session, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentClicks {
    window: usize,
    /// `[rows, window]`, item 0 behind the known ones.
    items: Vec<ItemId>,
    known: Vec<u32>,
}

impl RecentClicks {
    /// The longest window: memory is taken for all of it before anything is clicked.
    pub const LONGEST: usize = 10_000;

    /// Checks a window that settings ask for.
    ///
    /// # Errors
    /// Where it is longer than [`LONGEST`](Self::LONGEST).
    pub fn check_window(window: usize) -> Result<(), Setting> {
        match window {
            0..=Self::LONGEST => Ok(()),
            _ => {
                let problem = format!("{window} clicks, expected at most {}", Self::LONGEST);
                Err(Setting::new("history", problem))
            }
        }
    }

    /// `rows` sessions that begin, of which the last `window` clicks are remembered.
    pub fn new(rows: usize, window: usize) -> Self {
        Self { window, items: vec![ItemId(0); rows * window], known: vec![0; rows] }
    }

    /// From what [`padded`](Self::padded) gave; `None` if it cannot have.
    pub fn from_padded(window: usize, items: Vec<ItemId>, known: Vec<u32>) -> Option<Self> {
        let fits = items.len() == known.len() * window
            && known.iter().all(|&known| known as usize <= window);
        fits.then_some(Self { window, items, known })
    }

    /// m: how many clicks are remembered.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Number of sessions.
    pub fn rows(&self) -> usize {
        self.known.len()
    }

    /// The clicks of session `row` that are remembered, newest first.
    pub fn row(&self, row: usize) -> &[ItemId] {
        &self.items[row * self.window..][..self.known[row] as usize]
    }

    /// The remembered items `[rows, window]`, item 0 where there is none, and how many there are in
    /// each row `[rows]`.
    pub fn padded(&self) -> (&[ItemId], &[u32]) {
        (&self.items, &self.known)
    }

    /// Takes note of one choice per session; a choice that is no click changes nothing.
    pub fn observe(&mut self, choices: &[Choice]) {
        for (row, choice) in choices.iter().enumerate() {
            if let Some(item) = choice.item() {
                self.push(row, item);
            }
        }
    }

    /// Takes note of one click.
    pub fn push(&mut self, row: usize, item: ItemId) {
        if self.window > 0 {
            let items = &mut self.items[row * self.window..][..self.window];
            items.copy_within(..self.window - 1, 1);
            items[0] = item;
            self.known[row] = (self.known[row] + 1).min(self.window as u32);
        }
    }

    /// Forgets the clicks of a session.
    pub fn clear(&mut self, row: usize) {
        self.items[row * self.window..][..self.window].fill(ItemId(0));
        self.known[row] = 0;
    }

    /// Copies rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let padded = rows.iter().flat_map(|&row| &self.items[row * self.window..][..self.window]);
        Self {
            window: self.window,
            items: padded.copied().collect(),
            known: rows.iter().map(|&row| self.known[row]).collect(),
        }
    }

    /// Overwrites `row` by row `from` of `other`, whose window is the same.
    pub fn copy_row(&mut self, row: usize, other: &Self, from: usize) {
        let window = self.window;
        self.items[row * window..][..window]
            .copy_from_slice(&other.items[from * window..][..window]);
        self.known[row] = other.known[from];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_newest_clicks_are_remembered(window in 0usize..4, items in prop::collection::vec(0u32..9, 0..9)) {
            let mut clicks = RecentClicks::new(2, window);
            for &item in &items {
                clicks.observe(&[Choice::Skip, Choice::Item(ItemId(item))]);
            }
            let expected: Vec<ItemId> = items.iter().rev().take(window).map(|&item| ItemId(item)).collect();
            prop_assert_eq!(clicks.row(1), expected);
            prop_assert_eq!(clicks.row(0).len(), 0);
            prop_assert_eq!(clicks.select(&[1, 0]).select(&[1, 0]), clicks.clone());
            let (padded, known) = clicks.padded();
            let read = RecentClicks::from_padded(window, padded.to_vec(), known.to_vec());
            prop_assert_eq!(read, Some(clicks.clone()));
            let mut copy = RecentClicks::new(1, window);
            copy.copy_row(0, &clicks, 1);
            prop_assert_eq!(copy.row(0), clicks.row(1));
            clicks.clear(1);
            prop_assert_eq!(clicks, RecentClicks::new(2, window));
        }
    }

    #[test]
    fn columns_that_do_not_fit_are_refused() {
        assert_eq!(RecentClicks::from_padded(2, vec![ItemId(1); 3], vec![1, 1]), None);
        assert_eq!(RecentClicks::from_padded(2, vec![ItemId(1); 2], vec![3]), None);
    }
}
