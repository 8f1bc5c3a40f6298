//! What makes a row of a policy wrong, given the others.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::Path;

use foretaste_data::Fault;

use crate::reader::Checked;
use crate::{Error, Result};

/// How far from 1 probabilities may add up: what rounding to six digits leaves of a thousand items.
const SLACK: f64 = 1e-4;

/// A number in [0, 1].
pub(super) fn probability(field: &'static str, text: &str) -> Checked<f64> {
    let number: Option<f64> = text.trim_ascii().parse().ok();
    let within = number.filter(|number| (-1e-9..=1.0 + 1e-9).contains(number));
    let number = within.ok_or_else(|| Fault::value(field, "a probability in [0, 1]", text))?;
    Ok(number.clamp(0.0, 1.0))
}

/// What may stand once.
pub(super) struct Once<K> {
    field: &'static str,
    expected: &'static str,
    seen: HashSet<K>,
}

impl<K: Eq + Hash> Once<K> {
    pub(super) fn new(field: &'static str, expected: &'static str) -> Self {
        Self { field, expected, seen: HashSet::new() }
    }

    pub(super) fn take(&mut self, key: K, found: impl Fn() -> String) -> Checked {
        match self.seen.insert(key) {
            true => Ok(()),
            false => Err(Fault::new(self.field, self.expected, found())),
        }
    }
}

impl Once<(String, i64)> {
    pub(super) fn step(&mut self, session: &str, step: i64) -> Checked {
        let found = || format!("step {step} of session {session:?} a second time");
        self.take((session.to_owned(), step), found)
    }
}

/// Sums of probabilities by what they belong to, with the line of the first.
pub(super) struct Sums<K> {
    field: &'static str,
    expected: &'static str,
    order: Vec<(K, u64)>,
    sums: HashMap<K, f64>,
}

impl<K: Eq + Hash + Copy> Sums<K> {
    pub(super) fn new(field: &'static str, expected: &'static str) -> Self {
        Self { field, expected, order: Vec::new(), sums: HashMap::new() }
    }

    pub(super) fn add(&mut self, key: K, line: u64, probability: f64) {
        let order = &mut self.order;
        let sum = self.sums.entry(key).or_insert_with(|| {
            order.push((key, line));
            0.0
        });
        *sum += probability;
    }

    pub(super) fn check(&self, path: &Path, at: impl Fn(K) -> String) -> Result<()> {
        self.find(path, |sum| (sum - 1.0).abs() > SLACK, at)
    }

    pub(super) fn at_most_one(&self, path: &Path, at: impl Fn(K) -> String) -> Result<()> {
        self.find(path, |sum| sum > 1.0 + SLACK, at)
    }

    /// The first sum that is wrong.
    fn find(
        &self,
        path: &Path,
        wrong: impl Fn(f64) -> bool,
        at: impl Fn(K) -> String,
    ) -> Result<()> {
        match self.order.iter().find(|(key, _)| wrong(self.sums[key])) {
            None => Ok(()),
            Some((key, line)) => {
                let found = format!("a sum of {} {}", self.sums[key], at(*key));
                Err(Error::row(path, *line, &Fault::new(self.field, self.expected, found), None))
            }
        }
    }
}
