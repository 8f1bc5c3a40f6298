//! What every estimator asks of its columns.

use crate::{Error, Result};

/// How far above 1 rounding may carry a probability that was computed as a sum or a product.
const SLACK: f64 = 1e-9;

/// π_e / π_b, row by row, of a probability column in (0, 1] and one in \[0, 1\].
pub(super) fn ratios(logging: &[f64], evaluation: &[f64]) -> Result<Vec<f64>> {
    same_length("logging and evaluation probabilities", logging.len(), evaluation.len())?;
    positive_probabilities("logging propensity", logging)?;
    probabilities("evaluation probability", evaluation)?;
    Ok(evaluation.iter().zip(logging).map(|(evaluation, logging)| evaluation / logging).collect())
}

pub(super) fn rewards(reward: &[f64], rows: usize) -> Result<()> {
    same_length("rewards and propensities", reward.len(), rows)?;
    if reward.is_empty() {
        return Err(Error::Empty { what: "logged rewards" });
    }
    finite("logged reward", reward)
}

/// The slate lengths must be positive and add up to `places`.
pub(super) fn slate_lengths(lengths: &[usize], places: usize) -> Result<()> {
    if lengths.contains(&0) {
        return Err(Error::Empty { what: "a logged slate" });
    }
    same_length("places of the slates and rewards", lengths.iter().sum(), places)
}

pub(super) fn same_length(what: &'static str, left: usize, right: usize) -> Result<()> {
    if left == right { Ok(()) } else { Err(Error::Lengths { what, left, right }) }
}

pub(super) fn finite(what: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}

pub(super) fn probabilities(what: &'static str, values: &[f64]) -> Result<()> {
    check(what, values, "[0, 1]", |p| p >= 0.0)
}

pub(super) fn positive_probabilities(what: &'static str, values: &[f64]) -> Result<()> {
    check(what, values, "(0, 1]", |p| p > 0.0)
}

fn check(
    what: &'static str,
    values: &[f64],
    expected: &'static str,
    low: impl Fn(f64) -> bool,
) -> Result<()> {
    match values.iter().position(|&p| !(low(p) && p <= 1.0 + SLACK)) {
        Some(row) => Err(Error::Probability { what, row, value: values[row], expected }),
        None => Ok(()),
    }
}
