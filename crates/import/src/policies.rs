//! Policies and reward models in files of anyone's own: what another policy would have shown.

mod cells;
mod checks;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use foretaste_data::Fault;

use self::cells::{names, of_input, rows};
use self::checks::{Once, Sums, probability};
use crate::{Error, Result};

/// A policy in a file, CSV or Parquet, that is known by its columns. Others are ignored.
///
/// | columns | the policy |
/// |---|---|
/// | `session, step, policy` | for a slate of the log, the probability of its item at each place given the items before it: a list |
/// | `session, step, slate` | the slate that it shows there: a list of ids, best first |
/// | `place, before, item, prob` | the probability of an item at a place, counted from 0, after the items `before`: a policy that does not depend on the session, whole |
/// | `place, item, policy, logging` | the probability of an item at a place whatever stands elsewhere, by the policy and by the log's: as little dependent |
///
/// Lists are lists of Parquet, or ids separated by blanks.
///
/// ```
/// use foretaste_import::{PolicyFile, PolicyRows};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("policy.csv");
/// std::fs::write(&path, "place,before,item,prob\n0,,hat,0.25\n0,,shoe,0.75\n")?;
/// let policy = PolicyFile::read(&path)?;
/// let PolicyRows::Table(rows) = policy.rows() else { panic!("another kind") };
/// assert_eq!((rows[1].item.as_str(), rows[1].prob), ("shoe", 0.75));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PolicyFile {
    path: PathBuf,
    rows: PolicyRows,
}

/// The rows of a [`PolicyFile`].
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyRows {
    /// Probabilities of the logged places.
    Logged(Vec<OfSlate<f64>>),
    /// Slates, of distinct items.
    Slates(Vec<OfSlate<String>>),
    /// All probabilities; those after the same items add up to 1.
    Table(Vec<TableRow>),
    /// All probabilities of single places; those of a place add up to 1.
    Marginals(Vec<MarginalRow>),
}

/// What stands for one slate of the log, a value a place.
#[derive(Clone, Debug, PartialEq)]
pub struct OfSlate<T> {
    /// Where it stands in the file: the line of a text, the row of Parquet, from 1.
    pub line: u64,
    /// Raw id of the session.
    pub session: String,
    /// Number of the step, which orders those of a session.
    pub step: i64,
    /// Of each place.
    pub places: Vec<T>,
}

/// The probability of an item after others.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRow {
    /// Where it stands in the file, as in [`OfSlate`].
    pub line: u64,
    /// Raw ids of the items above it, as many as the place's number.
    pub before: Vec<String>,
    /// Raw id.
    pub item: String,
    /// In \[0, 1\].
    pub prob: f64,
}

/// The probability of an item at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginalRow {
    /// Where it stands in the file, as in [`OfSlate`].
    pub line: u64,
    /// From 0.
    pub place: usize,
    /// Raw id.
    pub item: String,
    /// By the policy, in \[0, 1\].
    pub policy: f64,
    /// By the policy that made the log, in \[0, 1\].
    pub logging: f64,
}

/// What a model of the rewards expects of an item on a slate.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedReward {
    /// Where it stands in the file, as in [`OfSlate`].
    pub line: u64,
    /// Raw id.
    pub item: String,
    /// In the unit of the log's rewards.
    pub reward: f64,
}

const LOGGED: [&str; 3] = ["session", "step", "policy"];
const SLATES: [&str; 3] = ["session", "step", "slate"];
const TABLE: [&str; 4] = ["place", "before", "item", "prob"];
const MARGINALS: [&str; 4] = ["place", "item", "policy", "logging"];
const EXPECTED: [&str; 2] = ["item", "expected_reward"];

impl PolicyFile {
    /// Reads a policy, also through a pipe or compressed, and checks all that can be checked
    /// without the log.
    ///
    /// # Errors
    /// [`Error::File`] for columns of no policy; [`Error::Row`] for a row that is no such thing: a
    /// probability outside \[0, 1\], probabilities that do not add up to 1, an id or a slate that
    /// stands twice.
    pub fn read(path: &Path) -> Result<Self> {
        let rows = of_input(path, |path| {
            let names = names(path)?;
            let has = |columns: &[&str]| columns.iter().all(|name| names.iter().any(|n| n == name));
            match () {
                () if has(&TABLE) => Ok(PolicyRows::Table(table(path)?)),
                () if has(&MARGINALS) => Ok(PolicyRows::Marginals(marginals(path)?)),
                () if has(&SLATES) => Ok(PolicyRows::Slates(slates(path)?)),
                () if has(&LOGGED) => Ok(PolicyRows::Logged(logged(path)?)),
                () => {
                    let expected = [&LOGGED[..], &SLATES, &TABLE, &MARGINALS];
                    let expected = expected.map(|columns| columns.join(","));
                    let found = names.join(",");
                    let problem = format!(
                        "its columns are {found}, expected those of a policy: {}",
                        expected.join("; or ")
                    );
                    Err(Error::file(path, problem))
                }
            }
        })?;
        Ok(Self { path: path.to_owned(), rows })
    }

    /// What it holds.
    pub fn rows(&self) -> &PolicyRows {
        &self.rows
    }

    /// Takes out what it holds, for a caller that needs to own it; what is wrong with it can still
    /// be said.
    pub fn take_rows(&mut self) -> PolicyRows {
        std::mem::replace(&mut self.rows, PolicyRows::Logged(Vec::new()))
    }

    /// What is wrong with a row, given a log.
    pub fn error(&self, line: u64, fault: &Fault) -> Error {
        Error::row(&self.path, line, fault, None)
    }

    /// What is wrong with the whole, given a log.
    pub fn unfit(&self, problem: impl Into<String>) -> Error {
        Error::file(&self.path, problem)
    }
}

impl ExpectedReward {
    /// Reads a model of the rewards: columns `item, expected_reward`.
    ///
    /// # Errors
    /// As [`PolicyFile::read`].
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        of_input(path, |path| {
            let mut known = Once::new("item", "an item once");
            rows(path, EXPECTED, |line, [item, reward]| {
                let (item, reward) = (item.id("item")?, reward.number("expected_reward")?);
                known.take(item.clone(), || format!("{item:?} a second time"))?;
                Ok(Self { line, item, reward })
            })
        })
    }
}

fn logged(path: &Path) -> Result<Vec<OfSlate<f64>>> {
    let mut known = Once::new("step", "a step of a session once");
    rows(path, LOGGED, |line, [session, step, policy]| {
        let (session, step) = (session.id("session")?, step.whole("step")?);
        known.step(&session, step)?;
        let mut places = Vec::new();
        policy.list().each("policy", |text| {
            places.push(probability("policy", text)?);
            Ok(())
        })?;
        Ok(OfSlate { line, session, step, places })
    })
}

fn slates(path: &Path) -> Result<Vec<OfSlate<String>>> {
    let mut known = Once::new("step", "a step of a session once");
    rows(path, SLATES, |line, [session, step, slate]| {
        let (session, step) = (session.id("session")?, step.whole("step")?);
        known.step(&session, step)?;
        Ok(OfSlate { line, session, step, places: slate.ids("slate")? })
    })
}

fn table(path: &Path) -> Result<Vec<TableRow>> {
    let mut known = Once::new("item", "an item once after the same items");
    let rows = rows(path, TABLE, |line, [place, before, item, prob]| {
        let (place, before) = (place.place()?, before.ids("before")?);
        if before.len() != place {
            let found = format!("{} of them at place {place}", before.len());
            return Err(Fault::new("before", "as many items as there are places before", found));
        }
        let (item, prob) = (item.id("item")?, probability("prob", prob.text()?)?);
        if before.contains(&item) {
            return Err(Fault::value("item", "an item that is not at an earlier place", &item));
        }
        known.take((before.clone(), item.clone()), || format!("{item:?} a second time"))?;
        Ok(TableRow { line, before, item, prob })
    })?;
    let mut sums = Sums::new("prob", "probabilities that add up to 1 after the same items");
    rows.iter().for_each(|row| sums.add(&row.before[..], row.line, row.prob));
    sums.check(path, |before| match before {
        [] => "at the first place".to_owned(),
        before => format!("after {:?}", before.join(" ")),
    })?;
    Ok(rows)
}

fn marginals(path: &Path) -> Result<Vec<MarginalRow>> {
    let mut known = Once::new("item", "an item once at a place");
    let rows = rows(path, MARGINALS, |line, [place, item, policy, logging]| {
        let (place, item) = (place.place()?, item.id("item")?);
        known.take((place, item.clone()), || format!("{item:?} a second time"))?;
        let policy = probability("policy", policy.text()?)?;
        Ok(MarginalRow {
            line,
            place,
            item,
            policy,
            logging: probability("logging", logging.text()?)?,
        })
    })?;
    for (field, of) in
        [("policy", (|row| row.policy) as fn(&MarginalRow) -> f64), ("logging", |row| row.logging)]
    {
        let mut places = Sums::new(field, "probabilities that add up to 1 at a place");
        let mut items = Sums::new(field, "an item at no more than one place of a slate");
        for row in &rows {
            places.add(row.place, row.line, of(row));
            items.add(&row.item, row.line, of(row));
        }
        places.check(path, |place| format!("at place {place}"))?;
        items.at_most_one(path, |item| format!("for item {item:?} over all places"))?;
    }
    let places: HashSet<usize> = rows.iter().map(|row| row.place).collect();
    if let Some(missing) = (0..places.len()).find(|place| !places.contains(place)) {
        return Err(Error::file(path, format!("has rows of later places and none of {missing}")));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
