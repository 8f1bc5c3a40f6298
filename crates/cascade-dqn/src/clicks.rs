use foretaste_data::{Choice, ItemId};

/// The last m clicked items of each of a batch of sessions, newest first: all that the recommenders
/// of this crate know of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clicks {
    window: usize,
    /// `[rows, window]`, zero behind the known ones.
    items: Vec<u32>,
    known: Vec<u32>,
}

impl Clicks {
    /// `rows` sessions that begin, of which the last `window` clicks are remembered.
    pub fn new(rows: usize, window: usize) -> Self {
        Self { window, items: vec![0; rows * window], known: vec![0; rows] }
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
    pub fn row(
        &self,
        row: usize,
    ) -> impl DoubleEndedIterator<Item = ItemId> + ExactSizeIterator + Clone + '_ {
        self.items[row * self.window..][..self.known[row] as usize].iter().map(|&item| ItemId(item))
    }

    /// Takes note of what the sessions did, one choice per session.
    pub fn observe(&mut self, choices: &[Choice]) {
        for (row, item) in
            choices.iter().enumerate().filter_map(|(row, choice)| Some((row, choice.item()?)))
        {
            self.push(row, item);
        }
    }

    /// Takes note of one click.
    pub fn push(&mut self, row: usize, item: ItemId) {
        if self.window > 0 {
            let items = &mut self.items[row * self.window..][..self.window];
            items.copy_within(..self.window - 1, 1);
            items[0] = item.0;
            self.known[row] = (self.known[row] + 1).min(self.window as u32);
        }
    }

    /// Copies rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let items = rows
            .iter()
            .flat_map(|&row| &self.items[row * self.window..][..self.window])
            .copied()
            .collect();
        Self {
            window: self.window,
            items,
            known: rows.iter().map(|&row| self.known[row]).collect(),
        }
    }

    /// Overwrites `row` by row `from` of `other`, whose window is the same.
    pub(crate) fn copy_row(&mut self, row: usize, other: &Self, from: usize) {
        let window = self.window;
        self.items[row * window..][..window]
            .copy_from_slice(&other.items[from * window..][..window]);
        self.known[row] = other.known[from];
    }

    /// The remembered items `[rows, window]`, zero where there is none, and how many there are in
    /// each row `[rows]`.
    pub(crate) fn padded(&self) -> (&[u32], &[u32]) {
        (&self.items, &self.known)
    }

    /// From what [`padded`](Self::padded) gave; `None` if it cannot have.
    pub(crate) fn from_padded(window: usize, items: Vec<u32>, known: Vec<u32>) -> Option<Self> {
        let fits = items.len() == known.len() * window
            && known.iter().all(|&known| known as usize <= window);
        fits.then_some(Self { window, items, known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_newest_clicks_are_remembered(window in 0usize..4, items in prop::collection::vec(0u32..9, 0..9)) {
            let mut clicks = Clicks::new(2, window);
            for &item in &items {
                clicks.observe(&[Choice::Skip, Choice::Item(ItemId(item))]);
            }
            let expected: Vec<ItemId> = items.iter().rev().take(window).map(|&item| ItemId(item)).collect();
            prop_assert_eq!(clicks.row(1).collect::<Vec<_>>(), expected);
            prop_assert_eq!(clicks.row(0).len(), 0);
            prop_assert_eq!(clicks.select(&[1, 0]).select(&[1, 0]), clicks);
        }
    }
}
