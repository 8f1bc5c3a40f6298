//! What a model was fitted on, so that nobody judges it unawares by what it has seen.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Choice, Dataset, Error, Result, Step};

/// What a model was fitted on: stored with everything that is fitted, and asked before anything is judged.
///
/// Sessions are recognised in any log by what they hold, see [`Origin::seen`]. Digests find
/// sessions, not forgeries.
///
/// ```
/// use understudy_data::{Catalogue, Choice, Dataset, ItemId, LogBuilder, Origin, Step};
///
/// let mut log = LogBuilder::default();
/// for item in [1, 0, 2] {
///     let (slate, choice) = ([ItemId(item), ItemId(3)], Choice::Item(ItemId(item)));
///     log.push(Step { slate: &slate, choice, reward: 1.0, propensity: None, timestamp: None })?;
///     log.end_session(None)?;
/// }
/// let shop = Dataset { log: log.build(), catalogue: Catalogue::numbered(4), ..Dataset::default() };
/// let origin = Origin::new(&shop, &[0, 2], serde_json::json!({ "epochs": 3 }), 7, "v1");
/// assert_eq!(origin.seen(&shop), [true, false, true]);
/// # Ok::<(), understudy_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// A session that was learned from. Digests are of raw ids, so that they do not depend on the numbering of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    /// Its index in the log.
    index: usize,
    /// Number of its steps.
    steps: usize,
    /// Digest of its raw id.
    name: u64,
    /// Time of its first step, where known.
    start: Option<i64>,
    /// Digest of its first step.
    first: u64,
    /// Digest of all its steps.
    whole: u64,
    /// Digest of its steps and their times.
    content: u64,
}

/// Logs may number their sessions alike: raw ids tell sessions only where at least this share of those with a common id
/// agree.
const AGREEING: f64 = 0.95;

impl Origin {
    /// A model fitted on these sessions of a data set.
    pub fn new(dataset: &Dataset, sessions: &[usize], settings: Value, seed: u64, revision: &str) -> Self {
        let prints = sessions.iter().map(|&index| Fingerprint::of(dataset, index)).collect();
        let (dataset, log) = (dataset.name.clone(), log_digest(dataset));
        Self { dataset, log, settings, seed, revision: revision.to_owned(), sessions: prints }
    }

    /// Number of sessions that were learned from.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// For each session of a data set, whether the model was fitted on it.
    ///
    /// * In the same log, sessions are known by their place.
    /// * In another log (reordered, later, or a part), a session is known by its raw id and its steps; one that has grown
    ///   since, or was cut, is known too. Where sessions with a common id mostly disagree, both logs only number theirs alike,
    ///   and ids tell nothing.
    /// * What is not found by its raw id is looked for by its steps and times: each session that was learned from
    ///   accounts for one session of the data set at most. Short sessions are often alike: this is done only where
    ///   half of the smaller side or more are like no other session of it and, in a log without times, where all of the
    ///   smaller side is found in the other.
    pub fn seen(&self, dataset: &Dataset) -> Vec<bool> {
        let mut seen = vec![false; dataset.log.sessions()];
        if self.log == log_digest(dataset) {
            self.sessions.iter().for_each(|print| seen[print.index] = true);
            return seen;
        }
        let mut left: HashMap<u64, Fingerprint> = self.sessions.iter().map(|print| (print.name, *print)).collect();
        let names: Vec<u64> = (0..seen.len()).map(|index| name(dataset, index)).collect();
        let named = || (0..seen.len()).filter_map(|index| Some((index, left.get(&names[index])?)));
        let agreeing: Vec<usize> =
            named().filter(|(index, print)| print.is_of(dataset, *index)).map(|(index, _)| index).collect();
        if agreeing.len() as f64 >= AGREEING * named().count() as f64 {
            for index in agreeing {
                seen[index] = true;
                left.remove(&names[index]);
            }
        }
        seen_by_content(dataset, left.values().map(|print| print.content).collect(), &mut seen);
        seen
    }

    /// As JSON Lines: all but the sessions, then one of these a line.
    pub fn to_jsonl(&self) -> Vec<u8> {
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
    pub fn from_jsonl(bytes: &[u8]) -> Result<Self> {
        let wrong = |line: usize, reason: &dyn std::fmt::Display| {
            Error::Saved(format!("line {line} of what a model was fitted on: {reason}"))
        };
        let text = std::str::from_utf8(bytes).map_err(|reason| wrong(1, &reason))?;
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        let mut origin: Self = serde_json::from_str(head).map_err(|reason| wrong(1, &reason))?;
        for (line, text) in (2..).zip(lines) {
            origin.sessions.push(serde_json::from_str(text).map_err(|reason| wrong(line, &reason))?);
        }
        Ok(origin)
    }
}

impl Fingerprint {
    fn of(dataset: &Dataset, index: usize) -> Self {
        let session = dataset.log.session(index);
        Self {
            index,
            steps: session.len(),
            name: name(dataset, index),
            start: session.start(),
            first: prefix(dataset, index, 1),
            whole: prefix(dataset, index, session.len()),
            content: content(dataset, index),
        }
    }

    /// Whether a session is this one, grown or cut.
    fn is_of(&self, dataset: &Dataset, index: usize) -> bool {
        let session = dataset.log.session(index);
        let same_start = self.start.zip(session.start()).is_none_or(|(ours, theirs)| ours == theirs);
        let grown = session.len() >= self.steps && prefix(dataset, index, self.steps) == self.whole;
        let cut = session.len() < self.steps && prefix(dataset, index, 1) == self.first;
        same_start && (grown || cut)
    }
}

/// Takes note of the sessions that are not yet known to be seen and have the content of one of `learned`.
fn seen_by_content(dataset: &Dataset, learned: Vec<u64>, seen: &mut [bool]) {
    let unknown: Vec<(usize, u64)> =
        (0..seen.len()).filter(|&index| !seen[index]).map(|index| (index, content(dataset, index))).collect();
    let mut left = counts(learned.iter().copied());
    let contents = counts(unknown.iter().map(|&(_, content)| content));
    let (smaller, larger) = if learned.len() <= unknown.len() { (&left, &contents) } else { (&contents, &left) };
    let contained = smaller.iter().all(|(content, count)| larger.get(content).is_some_and(|found| found >= count));
    let single = smaller.values().filter(|&&count| count == 1).count();
    let unlike = 2 * single >= smaller.values().sum();
    if !unlike || !(dataset.log.has_timestamps() || contained) {
        return;
    }
    for (index, content) in unknown {
        if let Some(count) = left.get_mut(&content).filter(|count| **count > 0) {
            *count -= 1;
            seen[index] = true;
        }
    }
}

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
    dataset.log.session(index).steps().take(steps).for_each(|step| digest_step(&mut hasher, dataset, &step));
    short(&hasher)
}

/// Digest of a session's steps and times.
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
    (0..dataset.log.sessions()).for_each(|index| _ = hasher.update(&content(dataset, index).to_le_bytes()));
    hasher.finalize().to_hex().to_string()
}

/// What was shown, what was chosen, and what it earned. That a user left is not told from choosing nothing: a session that
/// goes on in next week's log ended with leaving in this one.
fn digest_step(hasher: &mut blake3::Hasher, dataset: &Dataset, step: &Step<'_>) {
    hasher.update(&(step.slate.len() as u64).to_le_bytes());
    step.slate.iter().for_each(|&item| text(hasher, dataset.catalogue.raw(item)));
    match step.choice {
        Choice::Item(item) => text(hasher, dataset.catalogue.raw(item)),
        Choice::Skip | Choice::Leave => _ = hasher.update(&u64::MAX.to_le_bytes()),
    }
    // Both zeros are one reward.
    hasher.update(&(step.reward + 0.0).to_le_bytes());
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
