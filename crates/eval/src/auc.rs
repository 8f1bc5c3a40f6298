//! How well scores tell two samples apart.

use crate::interval::{Estimate, Interval, Method, t_quantile};
use crate::{Error, NoInterval, Result};

/// The area under the ROC curve: the probability that a score of the first sample is larger than
/// one of the second, equal scores counting half; 0.5 where they are alike. The interval is that of
/// DeLong, DeLong & Clarke-Pearson (1988), with a quantile of Student's t.
///
/// # Errors
/// Where a sample is empty, or a score is not a number.
pub fn auc(first: &[f64], second: &[f64]) -> Result<Estimate> {
    const WHAT: &str = "area under the ROC curve";
    for scores in [first, second] {
        if scores.is_empty() {
            return Err(Error::Empty { what: WHAT });
        }
        if let Some(index) = scores.iter().position(|score| score.is_nan()) {
            return Err(Error::NotFinite { what: WHAT, index, value: f64::NAN });
        }
    }
    let above = placements(first, second);
    let below: Vec<f64> =
        placements(second, first).into_iter().map(|placement| 1.0 - placement).collect();
    let mean = above.iter().sum::<f64>() / above.len() as f64;
    let fewest = above.len().min(below.len());
    let interval = if fewest < 2 {
        Err(NoInterval::OneValue)
    } else {
        let error = (squared_error(&above, mean) + squared_error(&below, mean)).sqrt();
        let half = t_quantile(fewest - 1, crate::interval::CONFIDENCE) * error;
        Ok(Interval { low: mean - half, high: mean + half, method: Method::StudentT })
    };
    Ok(Estimate { mean, n: first.len() + second.len(), interval })
}

/// For each of `scores`, the share of `others` below it, equal ones counting half.
fn placements(scores: &[f64], others: &[f64]) -> Vec<f64> {
    let mut sorted = others.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = |score: &f64| {
        let below = sorted.partition_point(|other| other < score);
        let equal = sorted.partition_point(|other| other <= score) - below;
        (below as f64 + equal as f64 / 2.0) / sorted.len() as f64
    };
    scores.iter().map(place).collect()
}

/// The squared standard error of the mean.
fn squared_error(values: &[f64], mean: f64) -> f64 {
    let n = values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
}
