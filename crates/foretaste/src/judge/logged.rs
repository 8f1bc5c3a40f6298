//! What the judged sessions hold, as columns that all policies share.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Context;
use foretaste_data::{Catalogue, Choice, Extras, ItemId, Log, PropensityKind, Step};
use foretaste_eval::counterfactual::Sessions;

/// The judged slates, one after the other.
pub struct Logged<'a> {
    /// The judged sessions, in the log's own items.
    pub log: &'a Log,
    /// Number of places of each slate.
    pub lengths: Vec<usize>,
    /// The log's reward of each slate, the same for all policies.
    pub earned: Vec<f64>,
    /// The part of it that a place's item earned by being chosen, place by place.
    pub by_place: Vec<f64>,
    /// The logging policy's probability of each place.
    pub logging: Vec<f64>,
    /// What these probabilities are.
    pub kind: PropensityKind,
    /// Which slates were shown in one session.
    pub sessions: Sessions,
    /// The items that are anywhere in them.
    pub shown: Shown,
}

/// What the judged slates show.
#[derive(Default)]
pub struct Shown {
    places: HashSet<(u32, ItemId)>,
    /// Their [`fingerprint`]s: the slates of a large log are a large part of it.
    slates: HashSet<u128>,
}

/// Of 128 bits, so that no two slates of any log have the same one.
fn fingerprint(slate: &[ItemId]) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, slate).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

impl Shown {
    fn add(&mut self, slate: &[ItemId]) {
        self.places.extend((0..).zip(slate.iter().copied()));
        self.slates.insert(fingerprint(slate));
    }

    /// Whether the item is at the place, from 0, of some slate.
    pub fn at(&self, place: usize, item: ItemId) -> bool {
        self.places.contains(&(place as u32, item))
    }

    /// Whether the slate is shown, whole and in this order.
    pub fn slate(&self, slate: &[ItemId]) -> bool {
        self.slates.contains(&fingerprint(slate))
    }
}

impl<'a> Logged<'a> {
    /// Of these sessions, which `name` names by their index, with their propensities or with
    /// estimated ones of all their places.
    pub fn new(
        log: &'a Log,
        estimated: Option<&[f64]>,
        name: impl Fn(usize) -> String,
    ) -> anyhow::Result<Self> {
        let lengths: Vec<usize> = log.iter().map(|session| session.len()).collect();
        let mut logged = Self {
            log,
            lengths: Vec::new(),
            earned: Vec::new(),
            by_place: Vec::new(),
            logging: Vec::new(),
            kind: log.facts().propensity,
            sessions: Sessions::new(&lengths)?,
            shown: Shown::default(),
        };
        for session in log.iter() {
            for (t, step) in session.steps().enumerate() {
                if estimated.is_none() {
                    let propensity = step.propensity.with_context(|| {
                        let name = name(session.index());
                        format!("session {name}, step {t} (counted from 0) has no propensity")
                    })?;
                    logged.logging.extend(propensity.iter().map(|&of_place| f64::from(of_place)));
                }
                logged.push(step, session.extras(t));
            }
        }
        logged.logging.extend(estimated.unwrap_or_default());
        Ok(logged)
    }

    fn push(&mut self, step: Step<'_>, extras: Extras<'_>) {
        let by_place: Vec<f64> = paid(step, extras).collect();
        let (of_places, earned) = (by_place.iter().sum::<f64>(), f64::from(step.reward));
        // The log's sum is rounded to seven digits.
        let same = (of_places - earned).abs() <= 1e-6 * earned.abs();
        self.earned.push(if same { of_places } else { earned });
        self.by_place.extend(by_place);
        self.lengths.push(step.slate.len());
        self.shown.add(step.slate);
    }

    /// Number of slates.
    pub fn slates(&self) -> usize {
        self.lengths.len()
    }

    /// Mean reward of a slate in the log.
    pub fn mean(&self) -> f64 {
        self.earned.iter().sum::<f64>() / self.earned.len() as f64
    }

    /// Whether every slate is of one item, so that a place and a slate are the same.
    pub fn single(&self) -> bool {
        self.lengths.iter().all(|&length| length == 1)
    }

    /// The number of places of the longest slate.
    pub fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// All slates in their order, with the index of their session.
    pub fn each(&self) -> impl Iterator<Item = (usize, &'a [ItemId])> {
        self.log
            .iter()
            .flat_map(|session| session.steps().map(move |step| (session.index(), step.slate)))
    }

    /// Slates whose reward is no item's.
    pub fn rewards_of_no_item(&self) -> usize {
        let mut first = 0;
        let paid = |(&length, &earned): (&usize, &f64)| {
            let places = &self.by_place[first..first + length];
            first += length;
            places.iter().sum::<f64>() != earned
        };
        self.lengths.iter().zip(&self.earned).map(paid).filter(|&paid| paid).count()
    }
}

/// What each place of a slate earned by being chosen: of several clicks each its own.
pub fn paid<'a>(step: Step<'a>, extras: Extras<'a>) -> impl Iterator<Item = f64> + 'a {
    step.slate.iter().map(move |item| match extras.clicks {
        [] if step.choice == Choice::Item(*item) => f64::from(step.reward),
        [] => 0.0,
        clicks => clicks
            .iter()
            .find(|(other, _)| other == item)
            .map_or(0.0, |(_, reward)| f64::from(*reward)),
    })
}

/// The items of the log, and behind them those that only a user's file names.
#[derive(Default)]
pub struct Items {
    ids: HashMap<String, ItemId>,
    names: Vec<String>,
    /// How many are more than a name in a file.
    known: usize,
}

impl Items {
    /// Those of a catalogue.
    pub fn new(catalogue: &Catalogue) -> Self {
        let mut items = Self::default();
        catalogue.names().iter().for_each(|name| {
            items.add(name);
        });
        items.know_all();
        items
    }

    /// From now on all that there are count as known.
    pub fn know_all(&mut self) {
        self.known = self.names.len();
    }

    /// Whether the log or a model of the rewards knows the item.
    pub fn knows(&self, item: ItemId) -> bool {
        item.index() < self.known
    }

    /// The item of this raw id.
    pub fn get(&self, raw: &str) -> Option<ItemId> {
        self.ids.get(raw).copied()
    }

    /// The same, which is new if need be.
    pub fn add(&mut self, raw: &str) -> ItemId {
        if let Some(item) = self.get(raw) {
            return item;
        }
        let item = ItemId(self.names.len() as u32);
        self.ids.insert(raw.to_owned(), item);
        self.names.push(raw.to_owned());
        item
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The raw id.
    pub fn name(&self, item: ItemId) -> &str {
        &self.names[item.index()]
    }
}
