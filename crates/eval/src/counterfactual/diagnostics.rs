//! Whether a log can answer for another policy, in figures and in words.

use std::fmt;

use serde::Serialize;

use super::columns::finite;
use crate::interval::student_t;
use crate::{Estimate, Interval, Result};

/// Below this logged propensity a single row can outweigh a thousand: such rows are counted.
pub const PROPENSITY_FLOOR: f64 = 1e-3;

/// From this share of propensities below the floor on, they are more than a rare exploration that
/// the weights tell of.
pub const LARGEST_SHARE_BELOW_FLOOR: f64 = 0.01;

/// With fewer effective rows than this, a t-interval of weighted rewards is not to be trusted: too
/// few rows decide it.
pub const FEWEST_EFFECTIVE_ROWS: f64 = 100.0;

/// The share of the total weight in the largest 1% of weights above which these few rows decide the
/// estimate. Equal weights have 1% there.
pub const LARGEST_TAIL_SHARE: f64 = 0.25;

/// What the weights π_e / π_b and the logged propensities of a log say of its power to answer for
/// π_e.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Diagnostics {
    /// Number of weights: rows, slates or places.
    pub rows: usize,
    /// (Σ w)² / Σ w²: as many equally weighted rows would give about the same precision. 0 where
    /// all weights are 0.
    pub effective_sample_size: f64,
    /// The share, 0 to 1, of the total weight that the largest 1% of weights hold (at least one
    /// weight).
    pub tail_share: f64,
    /// The largest weight.
    pub largest_weight: f64,
    /// The smallest logged propensity.
    pub smallest_propensity: f64,
    /// The share, 0 to 1, of logged propensities below [`PROPENSITY_FLOOR`].
    pub below_floor: f64,
    /// The mean weight over independent rows or slates, with its t-interval; 1 is expected where
    /// the propensities are right and π_b can do all that π_e does.
    pub mean_weight: Estimate,
}

/// Why an estimate from this log is not to be trusted; `Display` says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Warning {
    /// All weights are 0.
    NoOverlap,
    /// The effective sample size is below [`FEWEST_EFFECTIVE_ROWS`].
    FewEffectiveRows {
        /// Effective sample size.
        effective: f64,
        /// Number of weights.
        rows: usize,
    },
    /// The largest 1% of weights hold more than [`LARGEST_TAIL_SHARE`] of the total.
    HeavyTail {
        /// Their share.
        share: f64,
    },
    /// [`LARGEST_SHARE_BELOW_FLOOR`] of the logged propensities or more are below
    /// [`PROPENSITY_FLOOR`].
    SmallPropensities {
        /// The share of propensities below.
        share: f64,
        /// The smallest of them.
        smallest: f64,
    },
    /// The interval of the mean weight does not contain 1.
    MeanWeight {
        /// The mean weight.
        mean: Estimate,
    },
}

impl Diagnostics {
    /// What speaks against an answer from this log; empty where nothing does.
    ///
    /// The mean weight is judged by its 95% interval: a sound log is suspected by it once in about
    /// twenty times.
    pub fn warnings(&self) -> Vec<Warning> {
        if self.largest_weight == 0.0 {
            return vec![Warning::NoOverlap];
        }
        let Self { rows, effective_sample_size: effective, .. } = *self;
        let (share, smallest) = (self.below_floor, self.smallest_propensity);
        let misses_one =
            |Interval { low, high, .. }: Interval| 1.0 < low - ROUNDING || 1.0 > high + ROUNDING;
        [
            (effective < FEWEST_EFFECTIVE_ROWS)
                .then_some(Warning::FewEffectiveRows { effective, rows }),
            (self.tail_share > LARGEST_TAIL_SHARE)
                .then_some(Warning::HeavyTail { share: self.tail_share }),
            (share >= LARGEST_SHARE_BELOW_FLOOR)
                .then_some(Warning::SmallPropensities { share, smallest }),
            self.mean_weight
                .interval
                .is_ok_and(misses_one)
                .then_some(Warning::MeanWeight { mean: self.mean_weight }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOverlap => {
                write!(
                    f,
                    "the evaluated policy never does what the log shows: the log cannot answer \
                     for it"
                )
            }
            Self::FewEffectiveRows { effective, rows } => write!(
                f,
                "the {rows} weights are worth {} equally weighted ones, fewer than \
                 {FEWEST_EFFECTIVE_ROWS}: {}, and intervals are too narrow",
                // Rounded down, it stays below the bound.
                effective.floor(),
                match (*rows as f64) < FEWEST_EFFECTIVE_ROWS {
                    true => "the log is too small",
                    false => "the policies differ too much for this log, or the log is too small",
                }
            ),
            Self::HeavyTail { share } => write!(
                f,
                "the largest 1% of the weights hold {:.0}% of their sum, more than {:.0}%: few \
                 rows decide the estimate",
                100.0 * share,
                100.0 * LARGEST_TAIL_SHARE
            ),
            Self::SmallPropensities { share, smallest } => write!(
                f,
                "{:.2}% of the logged propensities are below {PROPENSITY_FLOOR}, the smallest is \
                 {smallest:.1e}: one such row can outweigh a thousand others",
                100.0 * share
            ),
            Self::MeanWeight { mean } => write!(
                f,
                "the mean weight is {mean}, not 1: the propensities are wrong, or the evaluated \
                 policy does what the log never shows"
            ),
        }
    }
}

/// Diagnostics of `weights` and the logged `propensities`, whose mean weight per independent row or
/// slate is `means`.
pub(super) fn of(weights: &[f64], propensities: &[f64], means: &[f64]) -> Result<Diagnostics> {
    finite("weight", weights)?;
    let mut sorted = weights.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let largest_weight = sorted[0];
    // In units of the largest weight no square overflows.
    let unit = if largest_weight > 0.0 { largest_weight } else { 1.0 };
    let total: f64 = sorted.iter().map(|w| w / unit).sum();
    let squares: f64 = sorted.iter().map(|w| (w / unit).powi(2)).sum();
    let tail: f64 = sorted[..sorted.len().div_ceil(100)].iter().map(|w| w / unit).sum();
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let below = propensities.iter().filter(|&&p| p < PROPENSITY_FLOOR).count();
    Ok(Diagnostics {
        rows: weights.len(),
        effective_sample_size: share(total * total, squares),
        tail_share: share(tail, total),
        largest_weight,
        smallest_propensity: propensities.iter().copied().fold(f64::INFINITY, f64::min),
        below_floor: below as f64 / propensities.len() as f64,
        mean_weight: student_t(means)?,
    })
}

/// Weights that should all be 1 miss it by rounding, with an interval of no width; single-precision
/// propensities, by 1e-7.
const ROUNDING: f64 = 1e-6;
