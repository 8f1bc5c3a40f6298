use serde::Serialize;

use crate::interval::{standard_error, student_t};
use crate::{Estimate, EvalError, Result};

/// What a policy would earn per row (single actions) or per slate, estimated from another policy's log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PolicyValue {
    /// The estimate with its Student t-interval, in the unit of the rewards.
    pub estimate: Estimate,
    /// Its standard error, that of the ratio by linearisation where the estimator is self-normalised; `None` for one
    /// row.
    pub standard_error: Option<f64>,
}

impl PolicyValue {
    /// The mean of `terms`, one per independent row.
    pub(super) fn mean(terms: &[f64]) -> Result<Self> {
        let estimate = student_t(terms)?;
        let standard_error = (terms.len() > 1).then(|| standard_error(terms, estimate.mean));
        Ok(Self { estimate, standard_error })
    }

    /// An estimate that is a smooth function of means, linearised into `terms` that average to it.
    pub(super) fn linearised(Linearised { value, terms }: &Linearised) -> Result<Self> {
        let mean = Self::mean(terms)?;
        Ok(Self { estimate: Estimate { mean: *value, ..mean.estimate }, ..mean })
    }
}

/// A function of means and one term per row: the terms average to the value, and the standard error of their mean is
/// that of the value to first order (the delta method).
pub(super) struct Linearised {
    pub value: f64,
    pub terms: Vec<f64>,
}

/// R = Σ a / Σ b, with terms R + (a_i - R b_i) / b̄.
pub(super) fn ratio(what: &'static str, a: &[f64], b: &[f64]) -> Result<Linearised> {
    let total: f64 = b.iter().sum();
    if total == 0.0 {
        return Err(EvalError::NoOverlap { what });
    }
    let value = a.iter().sum::<f64>() / total;
    let mean = total / b.len() as f64;
    let terms = a.iter().zip(b).map(|(a, b)| value + (a - value * b) / mean).collect();
    Ok(Linearised { value, terms })
}
