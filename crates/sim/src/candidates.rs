//! Restrictions of what may be shown, such as to items in stock. They are an argument of every
//! policy, so no policy needs a way of its own to exclude items.

use std::borrow::Cow;

use foretaste_data::ItemId;
use foretaste_settings::Setting;

use crate::Result;

/// Which items may be shown to each row of a batch. By default all of them.
///
/// ```
/// use foretaste_data::ItemId;
/// use foretaste_sim::Candidates;
///
/// // Two users, of whom the second has bought item 2 already.
/// let in_stock = [4, 2, 7].map(ItemId);
/// let allowed = Candidates::only(in_stock.to_vec()).without_by_row(vec![vec![], vec![ItemId(2)]]);
/// assert!(allowed.admits(0, ItemId(2)) && !allowed.admits(1, ItemId(2)));
/// assert_eq!(*allowed.of_row(1, 10), [4, 7].map(ItemId));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    only: Option<Sets>,
    without: Option<Sets>,
}

/// Sets of items, each in the order of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sets {
    Shared(Vec<ItemId>),
    ByRow(Vec<Vec<ItemId>>),
}

impl Candidates {
    /// These items, for every row.
    pub fn only(items: Vec<ItemId>) -> Self {
        Self { only: Some(Sets::Shared(set(items))), without: None }
    }

    /// The items of set `i` for row `i`.
    pub fn only_by_row(rows: Vec<Vec<ItemId>>) -> Self {
        Self { only: Some(Sets::by_row(rows)), without: None }
    }

    /// The same but for these items, for every row.
    #[must_use]
    pub fn without(self, items: Vec<ItemId>) -> Self {
        Self { without: Some(Sets::Shared(set(items))), ..self }
    }

    /// The same but for the items of set `i` for row `i`.
    #[must_use]
    pub fn without_by_row(self, rows: Vec<Vec<ItemId>>) -> Self {
        Self { without: Some(Sets::by_row(rows)), ..self }
    }

    /// Whether `item` may be shown to `row`.
    pub fn admits(&self, row: usize, item: ItemId) -> bool {
        let holds = |sets: &Sets| sets.of(row).binary_search(&item).is_ok();
        self.only.as_ref().is_none_or(holds) && !self.without.as_ref().is_some_and(holds)
    }

    /// The items that may be shown to `row` out of a catalogue of `items`, in its order.
    pub fn of_row(&self, row: usize, items: usize) -> Cow<'_, [ItemId]> {
        match (&self.only, &self.without) {
            (Some(only), None) => Cow::Borrowed(only.of(row)),
            (Some(only), Some(_)) => {
                let admitted = only.of(row).iter().copied().filter(|&item| self.admits(row, item));
                Cow::Owned(admitted.collect())
            }
            (None, _) => Cow::Owned(
                (0..items as u32).map(ItemId).filter(|&item| self.admits(row, item)).collect(),
            ),
        }
    }

    /// Whether there are lists to choose from, not only items to leave out.
    pub fn lists(&self) -> bool {
        self.only.is_some()
    }

    /// The list to choose from for `row`, excluded items among it, in the order of the catalogue.
    pub fn listed(&self, row: usize) -> Option<&[ItemId]> {
        self.only.as_ref().map(|only| only.of(row))
    }

    /// The items to leave out for `row`, in the order of the catalogue.
    pub fn excluded(&self, row: usize) -> Option<&[ItemId]> {
        self.without.as_ref().map(|without| without.of(row))
    }

    /// Refuses sets that do not fit a batch.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is not one set for each of `rows`, or a
    /// set names an item that is not in a catalogue of `items`.
    pub fn check(&self, rows: usize, items: usize) -> Result<()> {
        for sets in self.only.iter().chain(&self.without) {
            if let Sets::ByRow(sets) = sets
                && sets.len() != rows
            {
                let problem = format!("{} lists for {rows} rows", sets.len());
                return Err(Setting::new("candidates", problem).into());
            }
            let largest = sets.iter().filter_map(|set| set.last()).max();
            if let Some(item) = largest.filter(|item| item.index() >= items) {
                let problem = format!("item {} of a catalogue of {items}", item.0);
                return Err(Setting::new("candidates", problem).into());
            }
        }
        Ok(())
    }
}

impl Sets {
    fn by_row(rows: Vec<Vec<ItemId>>) -> Self {
        Self::ByRow(rows.into_iter().map(set).collect())
    }

    fn of(&self, row: usize) -> &[ItemId] {
        match self {
            Self::Shared(set) => set,
            Self::ByRow(sets) => &sets[row],
        }
    }

    fn iter(&self) -> impl Iterator<Item = &[ItemId]> {
        match self {
            Self::Shared(set) => std::slice::from_ref(set),
            Self::ByRow(sets) => sets,
        }
        .iter()
        .map(Vec::as_slice)
    }
}

fn set(mut items: Vec<ItemId>) -> Vec<ItemId> {
    items.sort_unstable();
    items.dedup();
    items
}
