//! How many times as long one thing takes as another, from pairs of measurements: a statement of
//! speed needs an interval, because machines are shared.

use std::fmt;

use anyhow::Context;
use foretaste_eval::interval::resampled_difference;
use foretaste_eval::text;

/// A ratio with its 95% interval: the geometric mean of the ratios of several pairs, with Student's
/// interval of their logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The geometric mean.
    pub ratio: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The two-sided p-value of a ratio of 1.
    pub p: f64,
}

impl Ratio {
    /// The ratio of `above[i]` to `below[i]`, which were measured one after the other.
    ///
    /// # Errors
    /// Where there are fewer than two pairs, or not as many of each; where a value is not positive.
    pub fn of(above: &[f64], below: &[f64]) -> anyhow::Result<Self> {
        let log = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
        let (mean, p) = resampled_difference(&log(above), &log(below), 0.0)
            .context("expected positive values, as many of each")?;
        let p = p.context("one pair has no spread to judge by, expected at least two")?;
        let (low, high) =
            mean.interval.map_or((mean.mean, mean.mean), |ends| (ends.low, ends.high));
        Ok(Self { ratio: mean.mean.exp(), low: low.exp(), high: high.exp(), p })
    }
}

/// `1.98 [1.90, 2.05]`, or `1.98` if all pairs are alike.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ratio, low, high, .. } = *self;
        f.pad(&match high - low > SPREAD * ratio {
            true => text::with_ends(ratio, low, high),
            false => text::significant(ratio, DIGITS),
        })
    }
}

/// An interval that is narrower than this share of the ratio is not shown.
const SPREAD: f64 = 1e-6;
/// Digits of a ratio without an interval.
const DIGITS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_of_pairs_is_between_its_ends() {
        let ratio = Ratio::of(&[2.0, 4.4, 5.6], &[1.0, 2.0, 3.0]).unwrap();
        assert!((ratio.ratio.powi(3) - 2.0 * 2.2 * 5.6 / 3.0).abs() < 1e-9, "{ratio:?}");
        assert!(1.0 < ratio.low && ratio.low < ratio.ratio && ratio.ratio < ratio.high);
        assert!(ratio.p < 0.05);
        let same = Ratio::of(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
        assert_eq!((same.p, same.to_string().as_str()), (1.0, "1.00"));
    }

    #[test]
    fn what_is_no_pair_of_times_is_refused() {
        assert!(Ratio::of(&[1.0], &[1.0]).unwrap_err().to_string().contains("at least two"));
        assert!(Ratio::of(&[1.0, 2.0], &[1.0]).is_err());
        assert!(Ratio::of(&[1.0, 0.0], &[1.0, 1.0]).is_err());
    }
}
