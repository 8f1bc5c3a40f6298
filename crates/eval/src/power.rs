//! What a paired t-test can show: its power, the smallest effect that it detects, and how many
//! pairs it needs.

use statrs::function::beta::beta_reg;
use statrs::function::gamma::ln_gamma;

use crate::equivalence::TWO_ONE_SIDED;
use crate::interval::{CONFIDENCE, paired_difference, t_quantile};
use crate::{Error, NoInterval, Result};

/// The power that is asked of a test: the probability that it shows what is true.
pub const POWER: f64 = 0.8;

/// More pairs than this are as good as infinitely many.
pub const MOST_PAIRS: usize = 10_000;

/// A t-test of paired differences that have this spread, at 1 - [`CONFIDENCE`].
///
/// The test statistic is the mean difference over its standard error s √(1/n + ρ), with ρ as in
/// [`resampled_difference`](crate::interval::resampled_difference); for normal differences it has
/// the noncentral t-distribution with n - 1 degrees of freedom, and that of a true difference d the
/// noncentrality d / (s √(1/n + ρ)) (Cohen 1988, "Statistical power analysis for the behavioral
/// sciences", §2; Lenth 1989, AS 243). A spread that was estimated from few pairs makes power and
/// pairs needed as uncertain as it is.
///
/// ```
/// use foretaste_eval::power::{Goal, PairedTest};
///
/// // Differences of half their standard deviation: Cohen's medium effect.
/// let test = PairedTest::new(1.0, 0.0)?;
/// assert_eq!(test.pairs_needed(Goal::Difference(0.5)), Some(34));
/// assert!((test.power(Goal::Difference(0.5), 34) - 0.808).abs() < 5e-4);
/// assert!((test.smallest_effect(34) - 0.495).abs() < 5e-4);
/// # Ok::<(), foretaste_eval::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedTest {
    spread: f64,
    test_per_train: f64,
}

/// What a test is to show, in the unit of the differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// That there is a difference, where the true mean is this: two-sided.
    Difference(f64),
    /// That there is none as large as this margin, where there is none at all: two one-sided tests.
    /// The power is that of Bonferroni's inequality, a lower bound that is close above a half:
    /// there the two tests hardly ever fail together.
    Equivalence(f64),
    /// That one is not worse by this margin, where there is no difference: one-sided.
    NotWorse(f64),
}

impl PairedTest {
    /// The test of differences with the standard deviation `spread`, and `test_per_train` test
    /// users per training user of their splits, 0 for independent runs.
    ///
    /// # Errors
    /// Where the spread is not a positive number, or the ratio is negative or not a number.
    pub fn new(spread: f64, test_per_train: f64) -> Result<Self> {
        if !(spread > 0.0 && spread.is_finite()) {
            return Err(Error::NotPositive { what: "spread", value: spread });
        }
        if !(test_per_train >= 0.0 && test_per_train.is_finite()) {
            return Err(Error::NotFinite {
                what: "test per train",
                index: 0,
                value: test_per_train,
            });
        }
        Ok(Self { spread, test_per_train })
    }

    /// The test with the spread of `a - b`, where `a[i]` and `b[i]` come from the same seed; the
    /// reason where there is none.
    ///
    /// # Errors
    /// As [`paired_difference`] and [`Self::new`].
    pub fn of(
        a: &[f64],
        b: &[f64],
        test_per_train: f64,
    ) -> Result<std::result::Result<Self, NoInterval>> {
        let difference = paired_difference(a, b)?;
        let spread = difference.half_width().map(|half| {
            half / t_quantile(difference.n - 1, CONFIDENCE) * (difference.n as f64).sqrt()
        });
        match spread {
            Ok(spread) => Self::new(spread, test_per_train).map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// The probability that the test of so many pairs shows what it is to show; 0 with fewer than
    /// two.
    pub fn power(&self, goal: Goal, pairs: usize) -> f64 {
        if pairs < 2 {
            return 0.0;
        }
        let shown = |size: f64, confidence| {
            rejection(size.abs() / self.standard_error(pairs), pairs - 1, confidence)
        };
        match goal {
            Goal::Difference(effect) => shown(effect, CONFIDENCE),
            // Two-sided at twice the level: what the other side adds is below 1e-4 from a power of
            // a half on.
            Goal::NotWorse(margin) => shown(margin, TWO_ONE_SIDED),
            Goal::Equivalence(margin) => (2.0 * shown(margin, TWO_ONE_SIDED) - 1.0).max(0.0),
        }
    }

    /// The true mean difference that the two-sided test of so many pairs detects with [`POWER`]:
    /// the smallest detectable effect, infinite with fewer than two pairs.
    pub fn smallest_effect(&self, pairs: usize) -> f64 {
        if pairs < 2 {
            return f64::INFINITY;
        }
        let (mut low, mut high) = (0.0, SURE);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            let detected = rejection(middle, pairs - 1, CONFIDENCE) >= POWER;
            (low, high) = if detected { (low, middle) } else { (middle, high) };
        }
        high * self.standard_error(pairs)
    }

    /// The fewest pairs with which the test has [`POWER`]; `None` where [`MOST_PAIRS`] do not
    /// suffice. That may be so of any number: splits that share users have a standard error that no
    /// number of them takes below s √ρ.
    pub fn pairs_needed(&self, goal: Goal) -> Option<usize> {
        let suffice = |pairs| self.power(goal, pairs) >= POWER;
        if !suffice(MOST_PAIRS) {
            return None;
        }
        let (mut few, mut enough) = (1, MOST_PAIRS);
        while enough - few > 1 {
            let middle = usize::midpoint(few, enough);
            (few, enough) = if suffice(middle) { (few, middle) } else { (middle, enough) };
        }
        Some(enough)
    }

    fn standard_error(&self, pairs: usize) -> f64 {
        self.spread * (1.0 / pairs as f64 + self.test_per_train).sqrt()
    }
}

/// A noncentrality at which tests at 5% and 10% always reject: with one degree of freedom, where
/// they reject from t = 12.7 on, they miss it with a probability below 1e-40.
const SURE: f64 = 200.0;
/// Halvings of an interval of [`SURE`] that leave 11 digits.
const HALVINGS: usize = 45;

/// The probability that |T| exceeds the quantile of a two-sided t-test, where T has the noncentral
/// t-distribution.
///
/// T² has the noncentral F-distribution with 1 and `freedom` degrees of freedom, which is a mixture
/// of beta distributions with the weights of a Poisson distribution (Johnson, Kotz & Balakrishnan
/// 1995, "Continuous univariate distributions", volume 2, chapter 30).
fn rejection(noncentrality: f64, freedom: usize, confidence: f64) -> f64 {
    if noncentrality >= SURE {
        return 1.0;
    }
    let freedom = freedom.min(MOST_PAIRS);
    let t = t_quantile(freedom, confidence);
    let (freedom, mean) = (freedom as f64, noncentrality.powi(2) / 2.0);
    let x = t * t / (t * t + freedom);
    // Ten standard deviations of a Poisson distribution, and more where it is skewed.
    let reach = 10.0 * mean.sqrt() + 40.0;
    let (first, last) = ((mean - reach).max(0.0) as u64, (mean + reach) as u64);
    let accepted: f64 = (first..=last)
        .map(|count| poisson(count as f64, mean) * beta_reg(0.5 + count as f64, freedom / 2.0, x))
        .sum();
    (1.0 - accepted).clamp(0.0, 1.0)
}

fn poisson(count: f64, mean: f64) -> f64 {
    if count == 0.0 {
        (-mean).exp()
    } else {
        (count * mean.ln() - mean - ln_gamma(count + 1.0)).exp()
    }
}
