//! What some logs hold beyond one choice a slate: further clicks, candidates, context, organic
//! events.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::ItemId;

/// An interaction with an item that no slate of the log showed: a view, a cart, an order.
///
/// It is the user's history, and counts as no slate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The item.
    pub item: ItemId,
    /// What happened.
    pub kind: EventKind,
    /// How many steps of the session came before.
    pub after: u32,
    /// When, in the unit of the log's times.
    pub timestamp: Option<i64>,
}

/// What happened in an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// The item was looked at, or clicked elsewhere.
    View,
    /// It was put into a cart, or on a list.
    Cart,
    /// It was bought.
    Order,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::View, Self::Cart, Self::Order];

    /// Its name: `view`, `cart` or `order`.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Cart => "cart",
            Self::Order => "order",
        }
    }

    /// The kind that is called so in the logs of shops, in upper or lower case: `view`, `views`,
    /// `pageview`, `click`, `clicks`, `organic`, `detail`, `history`; `cart`, `carts`, `addtocart`,
    /// `add_to_cart`, `add`, `wishlist`; `order`, `orders`, `buy`, `sale`, `purchase`, `purchases`,
    /// `transaction`.
    pub fn of(name: &str) -> Option<Self> {
        const NAMES: [(EventKind, &[&str]); 3] = [
            (
                EventKind::View,
                &["view", "views", "pageview", "click", "clicks", "organic", "detail", "history"],
            ),
            (EventKind::Cart, &["cart", "carts", "addtocart", "add_to_cart", "add", "wishlist"]),
            (
                EventKind::Order,
                &["order", "orders", "buy", "sale", "purchase", "purchases", "transaction"],
            ),
        ];
        let named = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        NAMES.iter().find(|(_, names)| named(names)).map(|(kind, _)| *kind)
    }
}

/// What a step may have beyond its [`Step`](super::Step).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Extras<'a> {
    /// All clicks of the slate, in their order, each with its own reward; empty where there is
    /// none or one. The first is the step's choice, and the step's reward is that of the slate.
    pub clicks: &'a [(ItemId, f32)],
    /// The items that the slate was drawn from, each once; empty where they are not known.
    pub candidates: &'a [ItemId],
    /// What the slate was shown in, such as the query and the device: a category for each column
    /// of [`Dataset::contexts`](crate::Dataset::contexts); those that are missing at the end, or
    /// [unknown](Category::UNKNOWN), are not known.
    pub context: &'a [Category],
}

/// A value of a column of the context, as its number in the column's vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(transparent)]
pub struct Category(u32);

impl Category {
    /// The value of a step of which none is known.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// The value with this number, below 2^32 - 1, in its vocabulary.
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number of the value in its vocabulary; `None` where it is not known.
    pub fn number(self) -> Option<u32> {
        (self != Self::UNKNOWN).then_some(self.0)
    }
}

/// The slates with several clicks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clicks {
    /// The steps that have them, rising.
    steps: Vec<u64>,
    ends: Vec<u64>,
    clicks: Vec<(ItemId, f32)>,
}

impl Clicks {
    pub(super) fn push(&mut self, step: usize, clicks: &[(ItemId, f32)]) {
        self.steps.push(step as u64);
        self.clicks.extend_from_slice(clicks);
        self.ends.push(self.clicks.len() as u64);
    }

    pub(super) fn of_step(&self, step: usize) -> &[(ItemId, f32)] {
        let Ok(place) = self.steps.binary_search(&(step as u64)) else { return &[] };
        &self.clicks[range(&self.ends, place)]
    }

    pub(super) fn slates(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn clicks(&self) -> usize {
        self.clicks.len()
    }

    /// Forgets the steps from this one on; whether any is left.
    pub(super) fn truncate(&mut self, steps: usize) -> bool {
        let kept = self.steps.partition_point(|&step| step < steps as u64);
        self.steps.truncate(kept);
        self.ends.truncate(kept);
        self.clicks.truncate(self.ends.last().map_or(0, |&end| end as usize));
        kept > 0
    }

    pub(super) fn fits(&self, steps: usize) -> bool {
        rising(&self.ends, self.clicks.len())
            && self.ends.len() == self.steps.len()
            && self.steps.windows(2).all(|pair| pair[0] < pair[1])
            && self.steps.last().is_none_or(|&last| last < steps as u64)
    }

    pub(super) fn bytes(&self) -> usize {
        8 * (self.steps.len() + self.ends.len() + self.clicks.len())
    }
}

/// The candidates of the steps. Sets that stand more than once are kept once: a stock changes
/// slowly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CandidateSets {
    /// Per step.
    set: Vec<u32>,
    ends: Vec<u64>,
    items: Vec<ItemId>,
}

const NO_SET: u32 = u32::MAX;

impl CandidateSets {
    pub(super) fn of_step(&self, step: usize) -> Option<&[ItemId]> {
        let set = *self.set.get(step).filter(|&&set| set != NO_SET)?;
        Some(&self.items[range(&self.ends, set as usize)])
    }

    pub(super) fn steps(&self) -> usize {
        self.set.iter().filter(|&&set| set != NO_SET).count()
    }

    pub(super) fn truncate(&mut self, steps: usize) -> bool {
        self.set.truncate(steps);
        self.steps() > 0
    }

    pub(super) fn fits(&self, steps: usize, items: usize) -> bool {
        rising(&self.ends, self.items.len())
            && self.set.len() == steps
            && self.set.iter().all(|&set| set == NO_SET || (set as usize) < self.ends.len())
            && self.items.iter().all(|item| item.index() < items)
    }

    pub(super) fn bytes(&self) -> usize {
        4 * (self.set.len() + self.items.len()) + 8 * self.ends.len()
    }
}

/// Which sets of candidates stand where, while a log is built.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownSets(HashMap<Vec<ItemId>, u32>);

impl KnownSets {
    /// Appends the candidates of the next step, after `steps` of them; none where they are empty.
    pub(super) fn push(&mut self, sets: &mut CandidateSets, steps: usize, candidates: &[ItemId]) {
        sets.set.resize(steps, NO_SET);
        if candidates.is_empty() {
            sets.set.push(NO_SET);
            return;
        }
        let number = self.0.get(candidates).copied().unwrap_or_else(|| {
            let number = sets.ends.len() as u32;
            sets.items.extend_from_slice(candidates);
            sets.ends.push(sets.items.len() as u64);
            self.0.insert(candidates.to_vec(), number);
            number
        });
        sets.set.push(number);
    }
}

/// The context of all steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Categories {
    columns: usize,
    /// Row-major `[steps, columns]`.
    values: Vec<Category>,
}

impl Categories {
    /// Appends the context of the next step, after `steps` of them.
    pub(super) fn push(&mut self, steps: usize, context: &[Category]) {
        if context.len() > self.columns {
            self.widen(steps, context.len());
        }
        self.values.extend_from_slice(context);
        self.values.resize((steps + 1) * self.columns, Category::UNKNOWN);
    }

    fn widen(&mut self, steps: usize, columns: usize) {
        let mut values = Vec::with_capacity((steps + 1) * columns);
        for step in 0..steps {
            values.extend_from_slice(self.of_step(step));
            values.resize((step + 1) * columns, Category::UNKNOWN);
        }
        *self = Self { columns, values };
    }

    pub(super) fn of_step(&self, step: usize) -> &[Category] {
        let start = step * self.columns;
        self.values.get(start..start + self.columns).unwrap_or_default()
    }

    pub(super) fn known(&self, column: usize) -> usize {
        let values = self.values.iter().skip(column).step_by(self.columns.max(1));
        match column < self.columns {
            true => values.filter(|&&value| value != Category::UNKNOWN).count(),
            false => 0,
        }
    }

    /// Forgets the steps from this one on; whether anything is left.
    pub(super) fn truncate(&mut self, steps: usize) -> bool {
        self.values.truncate(steps * self.columns);
        self.values.iter().any(|&value| value != Category::UNKNOWN)
    }

    /// Whether it is the context of `steps` steps in columns of so many categories.
    pub(super) fn fits(&self, steps: usize, categories: &[usize]) -> bool {
        let Self { columns, values } = self;
        let known = |(at, value): (usize, &Category)| {
            let number = value.number();
            number.is_none_or(|number| (number as usize) < categories[at % columns])
        };
        (1..=categories.len()).contains(columns)
            && steps.checked_mul(*columns) == Some(values.len())
            && values.iter().enumerate().all(known)
    }

    pub(super) fn bytes(&self) -> usize {
        4 * self.values.len()
    }
}

/// The organic events of all sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Events {
    /// Where the events of each session end; those behind the last end are of the open session.
    ends: Vec<u64>,
    item: Vec<ItemId>,
    kind: Vec<EventKind>,
    after: Vec<u32>,
    timestamp: Vec<Option<i64>>,
}

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        self.item.push(event.item);
        self.kind.push(event.kind);
        self.after.push(event.after);
        self.timestamp.push(event.timestamp);
    }

    /// Closes the sessions up to `sessions`.
    pub(super) fn close(&mut self, sessions: usize) {
        let before = self.ends.last().copied().unwrap_or(0);
        self.ends.resize(sessions - 1, before);
        self.ends.push(self.item.len() as u64);
    }

    /// Forgets the events of the open session; whether any is left.
    pub(super) fn abandon(&mut self) -> bool {
        let kept = self.ends.last().map_or(0, |&end| end as usize);
        self.item.truncate(kept);
        self.kind.truncate(kept);
        self.after.truncate(kept);
        self.timestamp.truncate(kept);
        kept > 0
    }

    pub(super) fn of_session(&self, session: usize) -> impl ExactSizeIterator<Item = Event> + '_ {
        let range = if session < self.ends.len() { range(&self.ends, session) } else { 0..0 };
        range.map(|at| Event {
            item: self.item[at],
            kind: self.kind[at],
            after: self.after[at],
            timestamp: self.timestamp[at],
        })
    }

    pub(super) fn len(&self) -> usize {
        self.item.len()
    }

    pub(super) fn fits(&self, sessions: usize, items: usize) -> bool {
        let events = self.item.len();
        self.ends.len() == sessions
            && self.ends.windows(2).all(|pair| pair[0] <= pair[1])
            && self.ends.last().is_none_or(|&end| end == events as u64)
            && [self.kind.len(), self.after.len(), self.timestamp.len()] == [events; 3]
            && self.item.iter().all(|item| item.index() < items)
    }

    pub(super) fn bytes(&self) -> usize {
        8 * self.ends.len() + 25 * self.item.len()
    }
}

fn range(ends: &[u64], place: usize) -> Range<usize> {
    let start = if place == 0 { 0 } else { ends[place - 1] as usize };
    start..ends[place] as usize
}

fn rising(ends: &[u64], last: usize) -> bool {
    ends.windows(2).all(|pair| pair[0] < pair[1])
        && ends.first().is_none_or(|&first| first > 0)
        && ends.last().copied().unwrap_or(0) == last as u64
}
