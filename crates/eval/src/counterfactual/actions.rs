//! Logs of single actions: one context, one action, one reward a row.

use super::columns::{finite, ratios, rewards, same_length};
use super::value::{Linearised, PolicyValue, ratio};
use super::{Diagnostics, diagnostics};
use crate::{Error, Result};

/// A log of single actions with the policy to evaluate, checked; rows are independent.
///
/// Row i holds a reward r_i and the weight w_i = π_e(a_i|x_i) / π_b(a_i|x_i). Where an action
/// stands at one of several places, both probabilities are those at its place.
#[derive(Clone, Debug)]
pub struct ActionLog<'a> {
    reward: &'a [f64],
    logging: &'a [f64],
    weights: Vec<f64>,
}

impl<'a> ActionLog<'a> {
    /// `reward` r_i, `logging` π_b(a_i|x_i) and `evaluation` π_e(a_i|x_i), one each per row.
    ///
    /// # Errors
    /// Where the lengths differ, there are no rows, a reward is not finite, a logging propensity is
    /// outside (0, 1] or an evaluation probability outside \[0, 1\].
    pub fn new(reward: &'a [f64], logging: &'a [f64], evaluation: &[f64]) -> Result<Self> {
        rewards(reward, logging.len())?;
        Ok(Self { reward, logging, weights: ratios(logging, evaluation)? })
    }

    /// Rows whose weights are known, with the propensities that they were made from.
    pub(super) fn weighted(
        reward: &'a [f64],
        logging: &'a [f64],
        weights: Vec<f64>,
    ) -> Result<Self> {
        rewards(reward, weights.len())?;
        Ok(Self { reward, logging, weights })
    }

    /// w_i, one per row.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// What the weights and propensities say of the log's power to answer.
    ///
    /// # Errors
    /// Where a weight is too large for a number.
    pub fn diagnostics(&self) -> Result<Diagnostics> {
        diagnostics::of(&self.weights, self.logging, &self.weights)
    }

    fn capped(&self, cap: f64) -> Result<impl Iterator<Item = f64>> {
        if cap > 0.0 {
            Ok(self.weights.iter().map(move |w| w.min(cap)))
        } else {
            Err(Error::Cap { cap })
        }
    }
}

/// What a model of the rewards predicts, one pair of numbers per row of single actions, or per
/// place of slates.
///
/// The intervals take the predictions as given: fit the model on other rows than those evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Predictions<'a> {
    logged: &'a [f64],
    expected: &'a [f64],
}

impl<'a> Predictions<'a> {
    /// `logged` q̂(x_i, a_i) of the logged action and `expected` q̂(x_i, π_e) = Σ_a π_e(a|x_i)
    /// q̂(x_i, a).
    ///
    /// # Errors
    /// Where the lengths differ, there are none, or one is not finite.
    pub fn new(logged: &'a [f64], expected: &'a [f64]) -> Result<Self> {
        same_length(
            "predictions of logged and of evaluated actions",
            logged.len(),
            expected.len(),
        )?;
        if logged.is_empty() {
            return Err(Error::Empty { what: "predicted rewards" });
        }
        finite("predicted reward of the logged action", logged)?;
        finite("predicted reward of the evaluated policy", expected)?;
        Ok(Self { logged, expected })
    }

    /// q̂ of the logged action and of the policy, row by row, of as many rows as the log has.
    pub(super) fn pairs(&self, rows: usize) -> Result<impl Iterator<Item = (f64, f64)> + 'a> {
        same_length("rows of the log and predictions", rows, self.logged.len())?;
        Ok(self.logged.iter().copied().zip(self.expected.iter().copied()))
    }
}

/// IPS, inverse propensity scoring: mean of w_i r_i. Unbiased where π_b can do all that π_e does.
/// Source: Strehl et al. (NeurIPS 2010); OBP's `InverseProbabilityWeighting`.
///
/// # Errors
/// Where a term overflows.
pub fn ips(log: &ActionLog) -> Result<PolicyValue> {
    clipped_ips(log, f64::INFINITY)
}

/// SNIPS, self-normalized: Σ w_i r_i / Σ w_i. Biased of order 1/n, mostly with a far smaller
/// variance than [`ips`], and never outside the range of the rewards. Source: Swaminathan &
/// Joachims (NeurIPS 2015); OBP's `SelfNormalizedInverseProbabilityWeighting`.
///
/// # Errors
/// Where all weights are 0 or a term overflows.
pub fn snips(log: &ActionLog) -> Result<PolicyValue> {
    let weighted: Vec<f64> = log.weights.iter().zip(log.reward).map(|(w, r)| w * r).collect();
    PolicyValue::linearised(&ratio("SNIPS", &weighted, &log.weights)?)
}

/// Clipped IPS: mean of min(w_i, cap) r_i. Biased towards 0; its interval covers what it estimates,
/// not the policy's value. Source: Ionides (JCGS 2008), truncated importance sampling; OBP's
/// `InverseProbabilityWeighting` with `lambda_`.
///
/// # Errors
/// Where the cap is not positive or a term overflows.
pub fn clipped_ips(log: &ActionLog, cap: f64) -> Result<PolicyValue> {
    let terms: Vec<f64> = log.capped(cap)?.zip(log.reward).map(|(w, r)| w * r).collect();
    PolicyValue::mean(&terms)
}

/// DM, the direct method: mean of q̂(x_i, π_e). As biased as the model; it has no interval and no
/// standard error, since the spread of the predictions says nothing of how wrong they are. Source:
/// Beygelzimer & Langford (KDD 2009); OBP's `DirectMethod`.
///
/// # Errors
/// None for checked predictions, unless their sum overflows.
pub fn dm(predictions: &Predictions) -> Result<PolicyValue> {
    PolicyValue::predicted(predictions.expected)
}

/// DR, doubly robust: mean of q̂(x_i, π_e) + w_i (r_i - q̂(x_i, a_i)). Unbiased as [`ips`] is,
/// whatever the model; a good model takes variance away. Source: Dudík et al. (Statistical Science
/// 2014); OBP's `DoublyRobust`.
///
/// # Errors
/// Where log and predictions differ in length, or a term overflows.
pub fn dr(log: &ActionLog, predictions: &Predictions) -> Result<PolicyValue> {
    clipped_dr(log, predictions, f64::INFINITY)
}

/// DR with the weights min(w_i, cap): [`dr`] for a large cap, [`dm`] for a small one.
/// Source: pessimistic shrinkage of Su et al. (ICML 2020); OBP's `DoublyRobust` with `lambda_`.
///
/// # Errors
/// As [`dr`], and where the cap is not positive.
pub fn clipped_dr(log: &ActionLog, predictions: &Predictions, cap: f64) -> Result<PolicyValue> {
    let pairs = predictions.pairs(log.reward.len())?;
    let terms = log.capped(cap)?.zip(log.reward).zip(pairs);
    let terms: Vec<f64> =
        terms.map(|((w, r), (logged, expected))| expected + w * (r - logged)).collect();
    PolicyValue::mean(&terms)
}

/// SNDR, self-normalized DR: mean of q̂(x_i, π_e), plus Σ w_i (r_i - q̂(x_i, a_i)) / Σ w_i.
/// Source: Kallus & Uehara (NeurIPS 2019); OBP's `SelfNormalizedDoublyRobust`.
///
/// # Errors
/// As [`dr`], and where all weights are 0.
pub fn sndr(log: &ActionLog, predictions: &Predictions) -> Result<PolicyValue> {
    let pairs = predictions.pairs(log.reward.len())?;
    let residuals =
        log.weights.iter().zip(log.reward).zip(pairs).map(|((w, r), (logged, _))| w * (r - logged));
    let Linearised { value, mut terms } =
        ratio("SNDR", &residuals.collect::<Vec<_>>(), &log.weights)?;
    terms.iter_mut().zip(predictions.expected).for_each(|(term, expected)| *term += expected);
    let direct = predictions.expected.iter().sum::<f64>() / terms.len() as f64;
    PolicyValue::linearised(&Linearised { value: direct + value, terms })
}
