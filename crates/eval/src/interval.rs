//! Means over seeds, with the interval that their spread allows.

use std::fmt;

use foretaste_random::Seed;
use rand::Rng;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::{Error, Result, text};

/// The confidence of every interval of this crate.
pub const CONFIDENCE: f64 = 0.95;

/// A mean over independent runs, and what is known of its precision. In the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean of the values.
    pub mean: f64,
    /// Number of values.
    pub n: usize,
    /// The interval, or why there is none.
    pub interval: std::result::Result<Interval, NoInterval>,
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

/// Why a figure has no interval, or no standard error; `Display` says it in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoInterval {
    /// One value has no spread to judge by.
    OneValue,
    /// All values are equal, but for rounding: that says nothing of how far the next may lie from
    /// them.
    NoSpread,
    /// Two values lie equally far from their median: to compare spreads takes three.
    TwoDistances,
    /// The figure is what a model predicts, and it is not known how wrong the model is.
    ModelError,
}

/// The mean of `values` (one per seed) with Student's t-interval: mean ± t(n-1) s / √n.
///
/// # Errors
/// Where there are no values, or one is not finite.
pub fn student_t(values: &[f64]) -> Result<Estimate> {
    let mean = checked_mean("t-interval", values)?;
    let interval = several(values).map(|()| {
        let half = t_quantile(values.len() - 1, CONFIDENCE) * standard_error(values, mean);
        Interval { low: mean - half, high: mean + half, method: Method::StudentT }
    });
    Ok(Estimate { mean, n: values.len(), interval })
}

/// The mean of `values` with the percentile interval of `resamples` bootstrap means, drawn from
/// stream 0 of `seed`.
///
/// It is too narrow for few values (with n = 5 it covers about 83% instead of 95%): over seeds
/// prefer [`student_t`].
///
/// # Errors
/// Where there are no values, one is not finite, or `resamples` is 0.
pub fn bootstrap(values: &[f64], resamples: usize, seed: Seed) -> Result<Estimate> {
    const WHAT: &str = "bootstrap interval";
    let mean = checked_mean(WHAT, values)?;
    if resamples == 0 {
        return Err(Error::Empty { what: WHAT });
    }
    let interval = several(values).map(|()| {
        let mut draws = seed.stream(0);
        let means = (0..resamples)
            .map(|_| {
                (0..values.len()).map(|_| values[draws.random_range(0..values.len())]).sum::<f64>()
            })
            .map(|sum| sum / values.len() as f64)
            .collect();
        let (low, high) = percentiles(means);
        Interval { low, high, method: Method::Bootstrap }
    });
    Ok(Estimate { mean, n: values.len(), interval })
}

/// The mean of `a - b` with Student's t-interval, where `a[i]` and `b[i]` come from the same seed.
///
/// What a seed does to both methods alike cancels, so that the interval is narrower than that of
/// either mean wherever the methods rise and fall together.
///
/// # Errors
/// Where the lengths differ, there are no values, or a difference is not finite.
pub fn paired_difference(a: &[f64], b: &[f64]) -> Result<Estimate> {
    if a.len() != b.len() {
        return Err(Error::Lengths { what: "paired difference", left: a.len(), right: b.len() });
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    student_t(&differences)
}

/// The mean of `a - b` where `a[i]` and `b[i]` were fitted and tested on the i-th of several random
/// splits of the same users, each with `test_per_train` test users per training user: Student's
/// interval and the two-sided p-value of no difference, by the corrected resampled t-test (Nadeau &
/// Bengio 2003, "Inference for the generalization error", §3).
///
/// Splits share users, so their differences vary less than those of new users would: the variance
/// of the mean is taken as (1/n + `test_per_train`) s² instead of s²/n. With 0 this is the paired
/// t-test of independent runs. The p-value is `None` for a single pair, and 0 or 1 where all
/// differences are equal.
///
/// # Errors
/// As [`paired_difference`].
pub fn resampled_difference(
    a: &[f64],
    b: &[f64],
    test_per_train: f64,
) -> Result<(Estimate, Option<f64>)> {
    let plain = paired_difference(a, b)?;
    let Ok(Interval { low, high, .. }) = plain.interval else { return Ok((plain, None)) };
    let n = plain.n as f64;
    let widening = (1.0 + n * test_per_train).sqrt();
    let half = (high - low) / 2.0 * widening;
    let interval =
        Interval { low: plain.mean - half, high: plain.mean + half, method: Method::StudentT };
    let standard_error = half / t_quantile(plain.n - 1, CONFIDENCE);
    let p = match StudentsT::new(0.0, 1.0, n - 1.0) {
        Ok(t) if standard_error > 0.0 => 2.0 * t.cdf(-(plain.mean / standard_error).abs()),
        _ => f64::from(u8::from(plain.mean == 0.0)),
    };
    Ok((Estimate { interval: Ok(interval), ..plain }, Some(p)))
}

/// Σ a / Σ b over independent clusters (a, b), a user's clicks and slates say, with Student's
/// interval of its linearisation (Cochran 1977, Sampling Techniques, §6.3).
///
/// # Errors
/// Where there is no cluster, a number is not finite, or Σ b is not positive.
pub fn ratio(clusters: &[(f64, f64)]) -> Result<Estimate> {
    student_t(&linearised(clusters)?)
}

/// The [`ratio`] of `a` less that of `b`, where `a[i]` and `b[i]` are of one cluster.
///
/// # Errors
/// As [`ratio`], and where the lengths differ.
pub fn ratio_difference(a: &[(f64, f64)], b: &[(f64, f64)]) -> Result<Estimate> {
    paired_difference(&linearised(a)?, &linearised(b)?)
}

/// Numbers whose mean is the ratio, and whose spread is that of its linearisation.
fn linearised(clusters: &[(f64, f64)]) -> Result<Vec<f64>> {
    const WHAT: &str = "ratio";
    if clusters.is_empty() {
        return Err(Error::Empty { what: WHAT });
    }
    let sum = |of: fn(&(f64, f64)) -> f64| clusters.iter().map(of).sum::<f64>();
    let (above, below) = (sum(|cluster| cluster.0), sum(|cluster| cluster.1));
    // A denominator that is no number is not positive either.
    if below.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return Err(Error::NotPositive { what: "denominator of a ratio", value: below });
    }
    let (ratio, mean) = (above / below, below / clusters.len() as f64);
    Ok(clusters.iter().map(|(a, b)| ratio + (a - ratio * b) / mean).collect())
}

/// The figure `whole` of all data, with the interval that a jackknife gives it: `without[g]` is the
/// figure without group g of several groups of one size, of independent data (Efron & Tibshirani
/// 1993, An Introduction to the Bootstrap, §11).
///
/// # Errors
/// Where there is no group, or a figure is not finite.
pub fn jackknife(whole: f64, without: &[f64]) -> Result<Estimate> {
    let groups = without.len() as f64;
    let pseudo: Vec<f64> =
        without.iter().map(|without| groups * whole - (groups - 1.0) * without).collect();
    let of_pseudo = student_t(&pseudo)?;
    let interval = of_pseudo.interval.map(|Interval { low, high, method }| {
        let half = (high - low) / 2.0;
        Interval { low: whole - half, high: whole + half, method }
    });
    Ok(Estimate { mean: whole, interval, ..of_pseudo })
}

impl Estimate {
    /// Half the width of the interval, or why it says nothing: also where all values are equal, but
    /// for rounding.
    ///
    /// # Errors
    /// The reason.
    pub fn half_width(&self) -> std::result::Result<f64, NoInterval> {
        let Interval { low, high, .. } = self.interval?;
        with_spread((high - low) / 2.0, self.mean)
    }
}

/// `0.861 ± 0.012`; `0.861 [0.852, 0.880]` where the ends are not symmetric; `0.8612 ± n/a (n = 1)`
/// without interval.
///
/// Two digits of the half-width are shown, and the mean to the same decimal.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.half_width(), self.interval) {
            (Ok(_), Ok(Interval { low, high, method: Method::Bootstrap })) => {
                f.pad(&text::with_ends(self.mean, low, high))
            }
            (Ok(half), _) => f.pad(&text::with_error(self.mean, half)),
            (Err(reason), _) => {
                f.pad(&format!("{} ± n/a ({reason})", text::significant(self.mean, 4)))
            }
        }
    }
}

impl fmt::Display for NoInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneValue => "n = 1",
            Self::NoSpread => "no spread",
            Self::TwoDistances => "n = 2, a spread needs 3",
            Self::ModelError => "the model's error is unknown",
        })
    }
}

/// A spread of this share of the value is rounding: sums of a million numbers are off by less.
const ROUNDING: f64 = 1e-12;

/// The error of a value, if it is more than rounding.
pub(crate) fn with_spread(error: f64, value: f64) -> std::result::Result<f64, NoInterval> {
    if error > ROUNDING * value.abs() { Ok(error) } else { Err(NoInterval::NoSpread) }
}

pub(crate) fn several(values: &[f64]) -> std::result::Result<(), NoInterval> {
    if values.len() > 1 { Ok(()) } else { Err(NoInterval::OneValue) }
}

/// The factor t of a two-sided interval. 1 degree of freedom is the Cauchy distribution, whose
/// quantile is a tangent; more go through the incomplete beta function.
pub(crate) fn t_quantile(freedom: usize, confidence: f64) -> f64 {
    let upper = 1.0 - (1.0 - confidence) / 2.0;
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

/// The ends of the interval that holds [`CONFIDENCE`] of some values, as many below it as above.
pub(crate) fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    (percentile(&values, tail), percentile(&values, 1.0 - tail))
}

/// Linear between the order statistics, whose first is the 0th and last the 100th percentile.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

fn checked_mean(what: &'static str, values: &[f64]) -> Result<f64> {
    if values.is_empty() {
        return Err(Error::Empty { what });
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::NotFinite { what, index, value: values[index] });
    }
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}
