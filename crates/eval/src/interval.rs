//! Means over seeds, with the interval that their spread allows.

use std::fmt;

use rand::Rng;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};
use understudy_random::Seed;

use crate::{EvalError, Result};

/// The confidence of every interval of this crate.
pub const CONFIDENCE: f64 = 0.95;

/// A mean over independent runs, and what is known of its precision. In the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean of the values.
    pub mean: f64,
    /// Number of values.
    pub n: usize,
    /// The interval; `None` for one value, whose spread is unknown.
    pub interval: Option<Interval>,
}

/// An interval that covers the true mean in [`CONFIDENCE`] of repetitions of the whole experiment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How it was computed.
    pub method: Method,
}

/// A way to an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Student's t: exact for normal values, the default for few seeds.
    StudentT,
    /// Percentiles of resampled means: for many values of a skewed distribution.
    Bootstrap,
}

/// The mean of `values` (one per seed) with Student's t-interval: mean ± t(n-1) s / √n.
///
/// # Errors
/// Where there are no values, or one is not finite.
pub fn student_t(values: &[f64]) -> Result<Estimate> {
    let mean = checked_mean("t-interval", values)?;
    let interval = (values.len() > 1).then(|| {
        let half = t_quantile(values.len() - 1) * standard_error(values, mean);
        Interval { low: mean - half, high: mean + half, method: Method::StudentT }
    });
    Ok(Estimate { mean, n: values.len(), interval })
}

/// The mean of `values` with the percentile interval of `resamples` bootstrap means, drawn from stream 0 of `seed`.
///
/// It is too narrow for few values (with n = 5 it covers about 83% instead of 95%): over seeds prefer [`student_t`].
///
/// # Errors
/// Where there are no values, one is not finite, or `resamples` is 0.
pub fn bootstrap(values: &[f64], resamples: usize, seed: Seed) -> Result<Estimate> {
    const WHAT: &str = "bootstrap interval";
    let mean = checked_mean(WHAT, values)?;
    if resamples == 0 {
        return Err(EvalError::Empty { what: WHAT });
    }
    let interval = (values.len() > 1).then(|| {
        let mut draws = seed.stream(0);
        let mut means: Vec<f64> = (0..resamples)
            .map(|_| (0..values.len()).map(|_| values[draws.random_range(0..values.len())]).sum::<f64>())
            .map(|sum| sum / values.len() as f64)
            .collect();
        means.sort_by(f64::total_cmp);
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Interval { low: percentile(&means, tail), high: percentile(&means, 1.0 - tail), method: Method::Bootstrap }
    });
    Ok(Estimate { mean, n: values.len(), interval })
}

/// The mean of `a - b` with Student's t-interval, where `a[i]` and `b[i]` come from the same seed.
///
/// What a seed does to both methods alike cancels, so that the interval is narrower than that of either mean wherever
/// the methods rise and fall together.
///
/// # Errors
/// Where the lengths differ, there are no values, or a difference is not finite.
pub fn paired_difference(a: &[f64], b: &[f64]) -> Result<Estimate> {
    if a.len() != b.len() {
        return Err(EvalError::Lengths { what: "paired difference", left: a.len(), right: b.len() });
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    student_t(&differences)
}

/// The mean of `a - b` where `a[i]` and `b[i]` were fitted and tested on the i-th of several random splits of the same
/// users, each with `test_per_train` test users per training user: Student's interval and the two-sided p-value of no
/// difference, by the corrected resampled t-test (Nadeau & Bengio 2003, "Inference for the generalization error", §3).
///
/// Splits share users, so their differences vary less than those of new users would: the variance of the mean is taken as
/// (1/n + `test_per_train`) s² instead of s²/n. With 0 this is the paired t-test of independent runs. The p-value is `None` for a
/// single pair, and 0 or 1 where all differences are equal.
///
/// # Errors
/// As [`paired_difference`].
pub fn resampled_difference(a: &[f64], b: &[f64], test_per_train: f64) -> Result<(Estimate, Option<f64>)> {
    let plain = paired_difference(a, b)?;
    let Some(Interval { low, high, .. }) = plain.interval else { return Ok((plain, None)) };
    let n = plain.n as f64;
    let widening = (1.0 + n * test_per_train).sqrt();
    let half = (high - low) / 2.0 * widening;
    let interval = Interval { low: plain.mean - half, high: plain.mean + half, method: Method::StudentT };
    let standard_error = half / t_quantile(plain.n - 1);
    let p = match StudentsT::new(0.0, 1.0, n - 1.0) {
        Ok(t) if standard_error > 0.0 => 2.0 * t.cdf(-(plain.mean / standard_error).abs()),
        _ => f64::from(u8::from(plain.mean == 0.0)),
    };
    Ok((Estimate { interval: Some(interval), ..plain }, Some(p)))
}

/// `0.861 ± 0.012`; `0.861 [0.852, 0.880]` where the ends are not symmetric; `0.861` without interval.
///
/// Two digits of the half-width are shown, and the mean to the same decimal.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Interval { low, high, method }) = self.interval else {
            return write!(f, "{:.1$}", self.mean, decimals(self.mean, 4));
        };
        let half = (high - low) / 2.0;
        let digits = if half > 0.0 { decimals(half, 2) } else { decimals(self.mean, 4) };
        match method {
            Method::StudentT => write!(f, "{:.digits$} ± {:.digits$}", self.mean, half),
            Method::Bootstrap => write!(f, "{:.digits$} [{:.digits$}, {:.digits$}]", self.mean, low, high),
        }
    }
}

/// The factor t of a two-sided interval at [`CONFIDENCE`]. 1 degree of freedom is the Cauchy distribution, whose
/// quantile is a tangent; more go through the incomplete beta function.
fn t_quantile(freedom: usize) -> f64 {
    let upper = 1.0 - (1.0 - CONFIDENCE) / 2.0;
    match StudentsT::new(0.0, 1.0, freedom as f64) {
        Ok(t) if freedom > 1 => t.inverse_cdf(upper),
        _ => (std::f64::consts::PI * (upper - 0.5)).tan(),
    }
}

/// The standard error of the mean of at least two values.
pub(crate) fn standard_error(values: &[f64], mean: f64) -> f64 {
    let n = values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}

/// Linear between the order statistics, whose first is the 0th and last the 100th percentile.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

fn checked_mean(what: &'static str, values: &[f64]) -> Result<f64> {
    if values.is_empty() {
        return Err(EvalError::Empty { what });
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(EvalError::NotFinite { what, index, value: values[index] });
    }
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// Decimals that show `significant` digits of `value`, at most 9.
fn decimals(value: f64, significant: i32) -> usize {
    if value == 0.0 {
        return significant as usize - 1;
    }
    let leading = value.abs().log10().floor() as i32;
    (significant - 1 - leading).clamp(0, 9) as usize
}
