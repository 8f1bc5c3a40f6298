//! What passes between policies and environments: slates and answers of a whole batch, in memory
//! that is used again at every step.

use foretaste_data::{Choice, ItemId};

/// Slates for a batch of sessions: row-major `[rows, k]`, with the probability of each place where
/// the policy knows it.
///
/// The propensity of a place is conditional on the places before it, so a slate's own is the
/// product of its row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slates {
    k: usize,
    items: Vec<ItemId>,
    propensity: Vec<f32>,
}

impl Slates {
    /// No slates yet, of `k` items each.
    pub fn with_k(k: usize) -> Self {
        Self { k, ..Self::default() }
    }

    /// Forgets all rows; those that follow hold `k` items each. Memory is kept.
    pub fn clear(&mut self, k: usize) {
        self.k = k;
        self.items.clear();
        self.propensity.clear();
    }

    /// Appends one slate, `[k]`, and the probability of each of its places, `[k]`.
    ///
    /// # Panics
    /// If a length is not `k`, or if some rows have propensities and others do not.
    pub fn push(&mut self, slate: &[ItemId], propensity: Option<&[f32]>) {
        assert_eq!(slate.len(), self.k, "a slate of the wrong size");
        self.push_with(propensity, |places| places.copy_from_slice(slate));
    }

    /// Appends one slate, `[k]`, that was sure to be shown: every place has probability 1.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn push_certain(&mut self, slate: &[ItemId]) {
        let certain = self.propensity.len() + slate.len();
        self.propensity.resize(certain, 1.0);
        self.items.extend_from_slice(slate);
        assert_eq!(slate.len(), self.k, "a slate of the wrong size");
        assert_eq!(self.items.len(), certain, "propensities: all rows or none");
    }

    /// As [`push`](Self::push), for a slate that is written in place, `[k]`.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub(crate) fn push_with(
        &mut self,
        propensity: Option<&[f32]>,
        write: impl FnOnce(&mut [ItemId]),
    ) {
        assert!(
            self.items.is_empty() || propensity.is_some() == self.has_propensities(),
            "propensities: all rows or none"
        );
        let first = self.items.len();
        self.items.resize(first + self.k, ItemId(0));
        write(&mut self.items[first..]);
        if let Some(propensity) = propensity {
            assert_eq!(propensity.len(), self.k, "one propensity per place");
            self.propensity.extend_from_slice(propensity);
        }
    }

    /// Number of items on each slate.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of slates.
    pub fn rows(&self) -> usize {
        self.items.len().checked_div(self.k).unwrap_or(0)
    }

    /// Slate `row`, `[k]`; panics if there is no such row.
    pub fn row(&self, row: usize) -> &[ItemId] {
        &self.items[row * self.k..(row + 1) * self.k]
    }

    /// All slates, `[rows · k]`.
    pub fn items(&self) -> &[ItemId] {
        &self.items
    }

    /// Whether the rows carry propensities.
    pub fn has_propensities(&self) -> bool {
        !self.propensity.is_empty()
    }

    /// The probability of each place of slate `row` given the places before it, `[k]`.
    pub fn propensity(&self, row: usize) -> Option<&[f32]> {
        self.propensity.get(row * self.k..(row + 1) * self.k)
    }

    /// The propensities of all slates, `[rows · k]`, where the policy knows them.
    pub fn propensities(&self) -> Option<&[f32]> {
        self.has_propensities().then_some(&self.propensity[..])
    }
}

/// The users' answers to a batch of slates, one entry per session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Responses {
    /// What the user did.
    pub choice: Vec<Choice>,
    /// The reward of the step.
    pub reward: Vec<f32>,
    /// Whether the session is over.
    pub ended: Vec<bool>,
}

impl Responses {
    /// Forgets all rows; memory is kept.
    pub fn clear(&mut self) {
        self.choice.clear();
        self.reward.clear();
        self.ended.clear();
    }

    /// Appends one session's answer.
    pub fn push(&mut self, choice: Choice, reward: f32, ended: bool) {
        self.choice.push(choice);
        self.reward.push(reward);
        self.ended.push(ended);
    }

    /// Number of sessions.
    pub fn rows(&self) -> usize {
        self.choice.len()
    }
}
