use foretaste_data::ItemId;

/// The last m clicked items of each session, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recent {
    m: usize,
    items: Vec<ItemId>,
    known: Vec<u32>,
}

impl Recent {
    pub(crate) fn new(rows: usize, m: usize) -> Self {
        Self { m, items: vec![ItemId(0); rows * m], known: vec![0; rows] }
    }

    /// At most m items; fewer while the session has fewer clicks.
    pub(crate) fn row(&self, row: usize) -> &[ItemId] {
        &self.items[row * self.m..][..self.known[row] as usize]
    }

    pub(crate) fn push(&mut self, row: usize, item: ItemId) {
        if self.m == 0 {
            return;
        }
        let items = &mut self.items[row * self.m..][..self.m];
        items.copy_within(..self.m - 1, 1);
        items[0] = item;
        self.known[row] = (self.known[row] + 1).min(self.m as u32);
    }

    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let items =
            rows.iter().flat_map(|&row| &self.items[row * self.m..][..self.m]).copied().collect();
        Self { m: self.m, items, known: rows.iter().map(|&row| self.known[row]).collect() }
    }
}
