//! The logger and the policies side by side, on the same resampled sessions.

use foretaste_eval::counterfactual::{Drift, Resampled};
use foretaste_eval::{Estimate, Interval};
use foretaste_random::Seed;

use super::columns::Known;
use super::estimates::{Assume, Estimated, is_opinion};
use super::logged::Logged;
use super::overlap::Overlap;

/// A log is looked at in so many parts, where it has ten sessions for each.
const PARTS: usize = 5;

/// Less than this by chance is drift.
pub const DRIFT: f64 = 0.01;

/// What a policy is worth compared with the logger: all that decides on it.
pub struct Compared {
    /// By the deciding estimator, or why none decides.
    pub decided: Known<Decided>,
    /// The written rule's word on it.
    pub verdict: Verdict,
}

/// A policy's worth by one estimator.
pub struct Decided {
    /// Its name.
    pub estimator: String,
    /// The reward of a slate, with its interval.
    pub value: Estimate,
    /// The same less what the logger earned.
    pub difference: Estimate,
    /// The same over the log.
    pub drift: Option<Drift>,
    /// Its index among those that are resampled.
    column: usize,
}

/// Whether a policy is to be preferred to the logger.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The interval of the difference lies above 0.
    Better,
    /// It lies below 0.
    Worse,
    /// It holds 0.
    CannotBeDistinguished,
    /// The log does not bear the question, for these reasons.
    DoNotDecide(Vec<String>),
}

impl Verdict {
    /// In a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::CannotBeDistinguished => "cannot be distinguished",
            Self::DoNotDecide(_) => "do not decide by this log",
        }
    }

    /// The written rule: what speaks against deciding goes before all; then the interval of the
    /// difference from the logger decides.
    fn of(decided: &Known<Decided>, against: Vec<String>) -> Self {
        match decided {
            Err(why) => Self::DoNotDecide([vec![why.clone()], against].concat()),
            Ok(_) if !against.is_empty() => Self::DoNotDecide(against),
            Ok(Decided { difference, .. }) => match difference.interval {
                Ok(Interval { low, .. }) if low > 0.0 => Self::Better,
                Ok(Interval { high, .. }) if high < 0.0 => Self::Worse,
                _ => Self::CannotBeDistinguished,
            },
        }
    }
}

/// All policies compared with the logger.
pub struct Comparison {
    /// What the logger earned a slate.
    pub logger: Estimate,
    /// The same over the log.
    pub drift: Option<Drift>,
    /// Whether its parts are those of time, not of order.
    pub by_time: bool,
    /// In the order of the policies.
    pub policies: Vec<Compared>,
    resampled: Resampled,
}

impl Comparison {
    /// Of policies by their deciding estimators and what speaks against these.
    pub fn new(
        logged: &Logged<'_>,
        policies: &[(Known<&Estimated>, &Overlap, Vec<String>)],
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut columns = vec![&logged.earned[..]];
        let (parts, by_time) = parts(logged);
        let mut found = Vec::new();
        for (deciding, overlap, against) in policies {
            let opinion = "it rests on the model of the rewards alone";
            let deciding = deciding.clone().and_then(|estimated| match estimated {
                estimated if is_opinion(&estimated.value) => Err(opinion.to_owned()),
                estimated => Ok(estimated),
            });
            let column = deciding.map(|estimated| {
                columns.push(&estimated.value.terms);
                (estimated, columns.len() - 1)
            });
            found.push((column, [overlap.warnings(), against.clone()].concat()));
        }
        let seed = Seed::new(seed).derive("sessions that are drawn anew");
        let resampled = logged.sessions.resample(&columns, seed)?;
        let drift = |terms: &[f64]| match parts.is_empty() {
            true => Ok(None),
            false => logged.sessions.drift(terms, &parts).map(Some),
        };
        let mut compared = Vec::new();
        for (column, against) in found {
            let decided = match column {
                Err(why) => Err(why),
                Ok((estimated, column)) => Ok(Decided {
                    estimator: estimated.name.clone(),
                    value: resampled.mean(column),
                    difference: resampled.difference(column, 0),
                    drift: drift(&estimated.value.terms)?,
                    column,
                }),
            };
            let verdict = Verdict::of(&decided, against);
            compared.push(Compared { decided, verdict });
        }
        Ok(Self {
            logger: resampled.mean(0),
            drift: drift(&logged.earned)?,
            by_time,
            policies: compared,
            resampled,
        })
    }

    /// One policy's worth less another's, where both have one.
    pub fn difference(&self, policy: usize, other: usize) -> Option<Estimate> {
        let column = |policy: usize| Some(self.policies[policy].decided.as_ref().ok()?.column);
        Some(self.resampled.difference(column(policy)?, column(other)?))
    }
}

/// The sessions in parts of the log's time, or else of its order, and whether it is time.
fn parts(logged: &Logged<'_>) -> (Vec<Vec<usize>>, bool) {
    const FEWEST: usize = 10;
    let sessions = logged.log.sessions();
    let by_time = logged.log.has_timestamps();
    if sessions < PARTS * FEWEST {
        return (Vec::new(), by_time);
    }
    let mut order: Vec<usize> = (0..sessions).collect();
    if by_time {
        order.sort_by_key(|&session| logged.log.session(session).start());
    }
    let part = |part: usize| order[part * sessions / PARTS..(part + 1) * sessions / PARTS].to_vec();
    ((0..PARTS).map(part).collect(), by_time)
}

/// What is assumed, for the reader.
pub fn assumption(assume: Assume) -> &'static str {
    match assume {
        Assume::Nothing => "no assumption about the users",
        Assume::FromTheTop => "if users read from the top",
        Assume::PlacesAlone => "if what a place earns depends on its own item alone",
    }
}
