//! Whether a difference is too small to matter: two one-sided tests.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::interval::{CONFIDENCE, resampled_difference, t_quantile};
use crate::{Error, NoInterval, Result};

/// The confidence of the two-sided interval whose ends are those of two one-sided tests, each at
/// 1 - [`CONFIDENCE`].
pub const TWO_ONE_SIDED: f64 = 1.0 - 2.0 * (1.0 - CONFIDENCE);

/// A mean paired difference compared with a margin, by two one-sided t-tests at 5%. In the unit of
/// the values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equivalence {
    /// The margin δ: no smaller difference matters.
    pub margin: f64,
    /// Lower end of the 90% interval of the mean difference.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The larger p-value of the two tests, of a mean ≤ -δ and of a mean ≥ δ: that of the
    /// hypothesis that the difference is δ or more, either way.
    pub p: f64,
}

/// Two one-sided t-tests (TOST) of the mean of `a - b` against -`margin` and `margin`, where `a[i]`
/// and `b[i]` come from the same seed and `test_per_train` is as in
/// [`resampled_difference`]. In place of the tests stands the reason where there is one value, or
/// no spread.
///
/// The mean is shown to lie within ±δ at 5% where both tests reject, which is where its 90%
/// interval lies there (Schuirmann 1987, "A comparison of the two one-sided tests procedure and the
/// power approach for assessing the equivalence of average bioavailability").
///
/// ```
/// let ours = [0.701, 0.699, 0.712, 0.684, 0.705];
/// let theirs = [0.700, 0.702, 0.709, 0.686, 0.703];
/// let tests = foretaste_eval::equivalence(&ours, &theirs, 0.0, 0.01)?.unwrap();
/// assert!(tests.is_equivalent() && tests.p < 0.001);
/// assert!(!foretaste_eval::equivalence(&ours, &theirs, 0.0, 0.001)?.unwrap().is_equivalent());
/// # Ok::<(), foretaste_eval::Error>(())
/// ```
///
/// # Errors
/// As [`resampled_difference`], and where the margin is not a positive number.
pub fn equivalence(
    a: &[f64],
    b: &[f64],
    test_per_train: f64,
    margin: f64,
) -> Result<std::result::Result<Equivalence, NoInterval>> {
    if !(margin > 0.0 && margin.is_finite()) {
        return Err(Error::NotPositive { what: "margin", value: margin });
    }
    let (difference, _) = resampled_difference(a, b, test_per_train)?;
    let (mean, freedom) = (difference.mean, difference.n.saturating_sub(1));
    Ok(difference.half_width().map(|half| {
        let error = half / t_quantile(freedom, CONFIDENCE);
        let reach = t_quantile(freedom, TWO_ONE_SIDED) * error;
        // The test against the nearer end has the larger p-value.
        let distance = (margin - mean.abs()) / error;
        let p = StudentsT::new(0.0, 1.0, freedom as f64).map_or(1.0, |t| t.cdf(-distance));
        Equivalence { margin, low: mean - reach, high: mean + reach, p }
    }))
}

impl Equivalence {
    /// Whether the difference is shown to be smaller than the margin, either way.
    pub fn is_equivalent(&self) -> bool {
        self.is_not_worse() && self.high < self.margin
    }

    /// Whether it is shown to be larger than the margin, one way.
    pub fn is_different(&self) -> bool {
        self.is_worse() || self.low > self.margin
    }

    /// Whether `a` is shown to be less than `b` by no more than the margin: not inferior to it,
    /// where more is better.
    pub fn is_not_worse(&self) -> bool {
        self.low > -self.margin
    }

    /// Whether `a` is shown to be less than `b` by more than the margin.
    pub fn is_worse(&self) -> bool {
        self.high < -self.margin
    }
}
