//! What every off-policy estimator returns: an estimate with its error and the term of each row.
//! From these terms, values of policies are compared and intervals by session are made.

use serde::Serialize;

use crate::interval::{several, standard_error, student_t, with_spread};
use crate::{Error, Estimate, NoInterval, Result, text};

/// What a policy would earn per row (single actions) or per slate, estimated from another policy's
/// log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyValue {
    /// The estimate with its Student t-interval, in the unit of the rewards.
    pub estimate: Estimate,
    /// Its standard error, that of the ratio by linearisation where the estimator is
    /// self-normalized; or why there is none.
    pub standard_error: std::result::Result<f64, NoInterval>,
    /// What each row or slate adds, `[rows]`: their mean is the estimate, and what is said of their
    /// spread holds of the estimate to first order. [`Sessions`](super::Sessions) go by them.
    #[serde(skip)]
    pub terms: Vec<f64>,
}

impl PolicyValue {
    /// The estimate as text: `0.752 ± 0.029`, the half-width of the interval; `0.7706 ± n/a
    /// (REASON)` without one.
    pub fn estimate_text(&self) -> String {
        self.estimate.to_string()
    }

    /// The standard error as text, with two digits: `0.015`, `1.2e-5`; `n/a (REASON)` where there
    /// is none.
    pub fn standard_error_text(&self) -> String {
        match self.standard_error.and_then(|error| with_spread(error, self.estimate.mean)) {
            Ok(error) => text::significant(error, 2),
            Err(reason) => format!("n/a ({reason})"),
        }
    }

    /// The mean of `terms`, one per independent row.
    pub(super) fn mean(terms: &[f64]) -> Result<Self> {
        let estimate = student_t(terms)?;
        let standard_error = several(terms).map(|()| standard_error(terms, estimate.mean));
        Ok(Self { estimate, standard_error, terms: terms.to_vec() })
    }

    /// The mean of a model's predictions: their spread over rows says nothing of how wrong they
    /// are.
    pub(super) fn predicted(predictions: &[f64]) -> Result<Self> {
        let estimate =
            Estimate { interval: Err(NoInterval::ModelError), ..student_t(predictions)? };
        let terms = predictions.to_vec();
        Ok(Self { estimate, standard_error: Err(NoInterval::ModelError), terms })
    }

    /// An estimate that is a smooth function of means, linearized into `terms` that average to it.
    pub(super) fn linearised(Linearised { value, terms }: &Linearised) -> Result<Self> {
        let mean = Self::mean(terms)?;
        Ok(Self { estimate: Estimate { mean: *value, ..mean.estimate }, ..mean })
    }
}

/// A function of means and one term per row: the terms average to the value, and the standard error
/// of their mean is that of the value to first order (the delta method).
pub(super) struct Linearised {
    pub value: f64,
    pub terms: Vec<f64>,
}

/// R = Σ a / Σ b, with terms R + (a_i - R b_i) / b̄.
pub(super) fn ratio(what: &'static str, a: &[f64], b: &[f64]) -> Result<Linearised> {
    let total: f64 = b.iter().sum();
    if total == 0.0 {
        return Err(Error::NoOverlap { what });
    }
    let value = a.iter().sum::<f64>() / total;
    let mean = total / b.len() as f64;
    let terms = a.iter().zip(b).map(|(a, b)| value + (a - value * b) / mean).collect();
    Ok(Linearised { value, terms })
}
