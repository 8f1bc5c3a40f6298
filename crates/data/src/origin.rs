//! What a model was fitted on, so that it is not judged on the same sessions.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Choice, Dataset, Error, Result, Step};

/// What a model was fitted on: stored with everything that is fitted, and asked before anything is
/// judged.
///
/// Sessions are recognized in other logs, see [`Origin::overlap`]. Digests find sessions, not
/// forgeries.
///
/// ```
/// use foretaste_data::{Catalogue, Choice, Dataset, ItemId, LogBuilder, Origin, Step};
///
/// let mut log = LogBuilder::default();
/// for item in [1, 0, 2] {
///     let (slate, choice) = ([ItemId(item), ItemId(3)], Choice::Item(ItemId(item)));
///     log.push(Step::new(&slate, choice, 1.0))?;
///     log.end_session(None)?;
/// }
/// let shop = Dataset { log: log.build(), catalogue: Catalogue::numbered(4), ..Dataset::default() };
/// let origin = Origin::new(&shop, &[0, 2], serde_json::json!({ "epochs": 3 }), 7, "v1");
/// assert_eq!(origin.overlap(&shop).seen, [true, false, true]);
/// # Ok::<(), foretaste_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Name of the data set.
    pub dataset: String,
    /// Digest of all sessions of its log, in order. Hexadecimal.
    pub log: String,
    /// The settings of the training.
    pub settings: Value,
    /// The seed of the training.
    pub seed: u64,
    /// The revision of the program that trained.
    pub revision: String,
    #[serde(skip)]
    sessions: Vec<Fingerprint>,
}

/// A session that was learned from. Digests are of raw ids, so that they do not depend on the
/// numbering of items, and of what was shown and chosen, not of what it earned: a log may be
/// trained on for its clicks and judged by its money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fingerprint {
    /// Its index in the log.
    index: usize,
    /// Number of its steps.
    steps: usize,
    /// Digest of its raw id.
    name: u64,
    /// Digest of its first step.
    first: u64,
    /// Digest of all its steps.
    whole: u64,
    /// Digest of its steps, with their times where it has them.
    content: u64,
}

/// The sessions of a data set that a model was fitted on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// For each session, whether the model was fitted on it.
    pub seen: Vec<bool>,
    /// How many of the others show and choose the same as a session that was learned from, under
    /// another id. Short sessions are often alike by chance: whether these are the same, the log
    /// does not tell.
    pub alike: usize,
}

impl Origin {
    /// A model fitted on these sessions of a data set.
    pub fn new(
        dataset: &Dataset,
        sessions: &[usize],
        settings: Value,
        seed: u64,
        revision: &str,
    ) -> Self {
        let prints = sessions.iter().map(|&index| Fingerprint::of(dataset, index)).collect();
        let (dataset, log) = (dataset.name.clone(), log_digest(dataset));
        Self { dataset, log, settings, seed, revision: revision.to_owned(), sessions: prints }
    }

    /// The same model, which learned besides from what another one did that it is made of, such as
    /// users that a recommender was trained in. `dataset` is the data set of this origin.
    #[must_use]
    pub fn including(mut self, other: &Self, dataset: &Dataset) -> Self {
        let mut own: HashSet<usize> = self.sessions.iter().map(|print| print.index).collect();
        let seen = other.overlap(dataset).seen;
        let also = (0..seen.len()).filter(|&index| seen[index] && own.insert(index));
        self.sessions.extend(also.map(|index| Fingerprint::of(dataset, index)));
        self.sessions.sort_by_key(|print| print.index);
        if other.log != self.log {
            // Sessions that this log does not hold have no place in it.
            let key = |print: &Fingerprint| (print.name, print.whole);
            let known: HashSet<(u64, u64)> = self.sessions.iter().map(key).collect();
            let elsewhere = other.sessions.iter().filter(|print| !known.contains(&key(print)));
            self.sessions
                .extend(elsewhere.map(|print| Fingerprint { index: usize::MAX, ..*print }));
        }
        self
    }

    /// Number of sessions that were learned from.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The sessions of a data set that the model was fitted on.
    ///
    /// * In the same log, sessions are known by their place.
    /// * In another log (reordered, later, or a part), they are known by their raw ids, whatever
    ///   became of them since. Logs that number their sessions alike have common ids too: ids tell
    ///   nothing where most sessions of a common id begin differently.
    /// * The rest is looked for by what was shown and chosen, and when. If the data set holds more
    ///   of the sessions that are unlike all others than independent logs have in common by chance,
    ///   then each session that was learned from accounts for one that is like it; otherwise those
    ///   that are alike are only counted.
    pub fn overlap(&self, dataset: &Dataset) -> Overlap {
        let mut seen = vec![false; dataset.log.sessions()];
        if self.log == log_digest(dataset) {
            for print in &self.sessions {
                if let Some(seen) = seen.get_mut(print.index) {
                    *seen = true;
                }
            }
            return Overlap { seen, alike: 0 };
        }
        let mut left: HashMap<u64, Fingerprint> =
            self.sessions.iter().map(|print| (print.name, *print)).collect();
        let names: Vec<u64> = (0..seen.len()).map(|index| name(dataset, index)).collect();
        let common: Vec<usize> =
            (0..seen.len()).filter(|&index| left.contains_key(&names[index])).collect();
        let agreeing =
            common.iter().filter(|&&index| left[&names[index]].is_of(dataset, index)).count();
        if 2 * agreeing >= common.len() {
            for index in common {
                seen[index] = true;
                left.remove(&names[index]);
            }
        }
        let alike =
            seen_by_content(dataset, left.values().map(|print| print.content).collect(), &mut seen);
        Overlap { seen, alike }
    }

    /// As JSON Lines: all but the sessions, then one of these a line.
    pub(crate) fn to_jsonl(&self) -> Vec<u8> {
        let mut text = serde_json::json!(self).to_string();
        for print in &self.sessions {
            text += "\n";
            text += &serde_json::json!(print).to_string();
        }
        text += "\n";
        text.into_bytes()
    }

    /// Reads what [`Origin::to_jsonl`] wrote.
    ///
    /// # Errors
    /// [`Error::Saved`] with the line that cannot be read.
    pub(crate) fn from_jsonl(bytes: &[u8]) -> Result<Self> {
        let wrong = |line: usize, reason: &dyn std::fmt::Display| {
            Error::Saved(format!("line {line} of what a model was fitted on: {reason}"))
        };
        let text = std::str::from_utf8(bytes).map_err(|reason| wrong(1, &reason))?;
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        let mut origin: Self = serde_json::from_str(head).map_err(|reason| wrong(1, &reason))?;
        for (line, text) in (2..).zip(lines) {
            origin
                .sessions
                .push(serde_json::from_str(text).map_err(|reason| wrong(line, &reason))?);
        }
        Ok(origin)
    }
}

impl Fingerprint {
    fn of(dataset: &Dataset, index: usize) -> Self {
        let steps = dataset.log.session(index).len();
        let (first, whole) = (prefix(dataset, index, 1), prefix(dataset, index, steps));
        Self {
            index,
            steps,
            name: name(dataset, index),
            first,
            whole,
            content: content(dataset, index),
        }
    }

    /// Whether a session is this one, grown or cut.
    fn is_of(&self, dataset: &Dataset, index: usize) -> bool {
        match dataset.log.session(index).len() {
            steps if steps < self.steps => prefix(dataset, index, 1) == self.first,
            _ => prefix(dataset, index, self.steps) == self.whole,
        }
    }
}

/// Takes note of the sessions, among those not yet seen, that have the content of one of `learned`,
/// if so many cannot be alike by chance; otherwise returns how many are alike.
fn seen_by_content(dataset: &Dataset, learned: Vec<u64>, seen: &mut [bool]) -> usize {
    let unknown: Vec<(usize, u64)> = (0..seen.len())
        .filter(|&index| !seen[index])
        .map(|index| (index, content(dataset, index)))
        .collect();
    let mut left = counts(learned.iter().copied());
    let found = counts(unknown.iter().map(|&(_, content)| content));
    let common = |times: usize| left.iter().filter(move |(_, count)| **count == times);
    let single = common(1).filter(|(content, _)| found.contains_key(content)).count();
    // Good and Turing: a session of an independent log is like one that was seen once with
    // probability 2 N₂ / n.
    let per_pair = 2.0 * unknown.len() as f64 / learned.len().max(1) as f64;
    let pairs = common(2).count() as f64;
    let by_chance = per_pair * pairs;
    let spread = (by_chance + per_pair * per_pair * pairs).sqrt();
    if (single as f64) < FEWEST + by_chance + 3.0 * spread {
        return left
            .iter()
            .map(|(content, count)| found.get(content).copied().unwrap_or(0).min(*count))
            .sum();
    }
    for (index, content) in unknown {
        if let Some(count) = left.get_mut(&content).filter(|count| **count > 0) {
            *count -= 1;
            seen[index] = true;
        }
    }
    0
}

/// Fewer common sessions than this are nothing to go by, however unlikely they are.
const FEWEST: f64 = 3.0;

fn counts(contents: impl Iterator<Item = u64>) -> HashMap<u64, usize> {
    let mut counts = HashMap::new();
    contents.for_each(|content| *counts.entry(content).or_default() += 1);
    counts
}

fn name(dataset: &Dataset, index: usize) -> u64 {
    let mut hasher = blake3::Hasher::new();
    text(&mut hasher, &dataset.session_name(index));
    short(&hasher)
}

/// Digest of a session's first steps.
fn prefix(dataset: &Dataset, index: usize, steps: usize) -> u64 {
    let mut hasher = blake3::Hasher::new();
    dataset
        .log
        .session(index)
        .steps()
        .take(steps)
        .for_each(|step| digest_step(&mut hasher, dataset, &step));
    short(&hasher)
}

/// Digest of a session's steps, with their times where it has them.
fn content(dataset: &Dataset, index: usize) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for step in dataset.log.session(index).steps() {
        digest_step(&mut hasher, dataset, &step);
        hasher.update(&step.timestamp.unwrap_or(i64::MIN).to_le_bytes());
    }
    short(&hasher)
}

fn log_digest(dataset: &Dataset) -> String {
    let mut hasher = blake3::Hasher::new();
    (0..dataset.log.sessions())
        .for_each(|index| _ = hasher.update(&content(dataset, index).to_le_bytes()));
    hasher.finalize().to_hex().to_string()
}

/// What was shown and what was chosen. Leaving and choosing nothing have the same digest: a
/// session that goes on in next week's log ended with leaving in this one.
fn digest_step(hasher: &mut blake3::Hasher, dataset: &Dataset, step: &Step<'_>) {
    hasher.update(&(step.slate.len() as u64).to_le_bytes());
    step.slate.iter().for_each(|&item| text(hasher, dataset.catalogue.raw(item)));
    match step.choice {
        Choice::Item(item) => text(hasher, dataset.catalogue.raw(item)),
        Choice::Skip | Choice::Leave => _ = hasher.update(&u64::MAX.to_le_bytes()),
    }
}

fn text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn short(hasher: &blake3::Hasher) -> u64 {
    let mut word = [0; 8];
    hasher.finalize_xof().fill(&mut word);
    u64::from_le_bytes(word)
}
