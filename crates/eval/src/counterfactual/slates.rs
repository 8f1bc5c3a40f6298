//! Logs of slates with a reward at every place; the value is the expected sum of a slate's rewards.

use super::actions::{ActionLog, Predictions};
use super::columns::{ratios, rewards, slate_lengths};
use super::value::{Linearised, PolicyValue, ratio};
use super::{Diagnostics, diagnostics};
use crate::{Error, Result};

/// Slates whose places were filled one after the other, with the probability of each item given
/// those before it: what [`sips`], [`rips`] and [`cascade_dr`] need.
#[derive(Clone, Debug)]
pub struct SequentialSlates<'a>(Slates<'a>);

/// Slates with the marginal probability of each item at its place, whatever stands at the others:
/// what [`iips`] needs.
#[derive(Clone, Debug)]
pub struct MarginalSlates<'a>(Slates<'a>);

/// Rewards and π_e / π_b of each place, `[places]`; slate i holds the next `lengths[i]` of them.
#[derive(Clone, Debug)]
struct Slates<'a> {
    lengths: &'a [usize],
    reward: &'a [f64],
    logging: &'a [f64],
    ratios: Vec<f64>,
}

impl<'a> SequentialSlates<'a> {
    /// Slates of `lengths` places; per place, all slates one after the other, its `reward`,
    /// `logging` π_b(a_l | x, a_1 .. a_{l-1}) and `evaluation` π_e(a_l | x, a_1 .. a_{l-1}).
    ///
    /// # Errors
    /// Where lengths differ, there are no slates or one is empty, a reward is not finite, a logging
    /// propensity is outside (0, 1] or an evaluation probability outside \[0, 1\].
    pub fn new(
        lengths: &'a [usize],
        reward: &'a [f64],
        logging: &'a [f64],
        evaluation: &[f64],
    ) -> Result<Self> {
        Slates::new(lengths, reward, logging, evaluation).map(Self)
    }

    /// The weight of each whole slate, the product of its places' ratios: `[slates]`.
    pub fn weights(&self) -> Vec<f64> {
        self.0.slates(&self.0.ratios).map(|(_, ratios)| ratios.iter().product()).collect()
    }

    /// The slates as single actions with a reward each, `[slates]`: for rewards that are no
    /// place's, such as one that is paid where nothing was chosen. The estimators of places cannot
    /// use such rewards.
    ///
    /// # Errors
    /// Where there are not as many rewards as slates, or one is not finite.
    pub fn whole<'r>(&self, reward: &'r [f64]) -> Result<ActionLog<'r>>
    where
        'a: 'r,
    {
        ActionLog::weighted(reward, self.0.logging, self.weights())
    }

    /// What the weights of whole slates and the propensities of places say of the log's power to
    /// answer [`sips`].
    ///
    /// # Errors
    /// Where a weight is too large for a number.
    pub fn diagnostics(&self) -> Result<Diagnostics> {
        let weights = self.weights();
        diagnostics::of(&weights, self.0.logging, &weights)
    }

    /// What the weights of the places by which [`rips`] and [`cascade_dr`] go, and their
    /// propensities, say of the log's power to answer these; rows are places.
    ///
    /// # Errors
    /// Where a weight is too large for a number.
    pub fn diagnostics_by_place(&self) -> Result<Diagnostics> {
        self.0.diagnostics(&self.prefixes())
    }

    /// w_{1:l} of each place: the product of the ratios up to it.
    fn prefixes(&self) -> Vec<f64> {
        let mut weights = self.0.ratios.clone();
        let mut first = 0;
        for &length in self.0.lengths {
            let slate = &mut weights[first..first + length];
            (1..length).for_each(|place| slate[place] *= slate[place - 1]);
            first += length;
        }
        weights
    }
}

impl<'a> MarginalSlates<'a> {
    /// Slates of `lengths` places; per place, all slates one after the other, its `reward`,
    /// `logging` π_b(a_l at l | x) and `evaluation` π_e(a_l at l | x).
    ///
    /// # Errors
    /// As [`SequentialSlates::new`].
    pub fn new(
        lengths: &'a [usize],
        reward: &'a [f64],
        logging: &'a [f64],
        evaluation: &[f64],
    ) -> Result<Self> {
        Slates::new(lengths, reward, logging, evaluation).map(Self)
    }

    /// The weight of each place, `[places]`.
    pub fn weights(&self) -> &[f64] {
        &self.0.ratios
    }

    /// What the weights and propensities of places say of the log's power to answer [`iips`]; rows
    /// are places.
    ///
    /// # Errors
    /// Where a weight is too large for a number.
    pub fn diagnostics(&self) -> Result<Diagnostics> {
        self.0.diagnostics(&self.0.ratios)
    }
}

/// SIPS, standard IPS of whole slates: mean of w_i Σ_l r_il with w_i = π_e(slate) / π_b(slate).
/// Assumes nothing about the user; its variance grows exponentially with the length. Source:
/// McInerney et al. (KDD 2020), Eq. 1; OBP's `SlateStandardIPS`.
///
/// # Errors
/// Where a term overflows.
pub fn sips(log: &SequentialSlates) -> Result<PolicyValue> {
    PolicyValue::mean(&weighted_sums(log))
}

/// Self-normalized [`sips`]: Σ_i w_i Σ_l r_il / Σ_i w_i. OBP's `SelfNormalizedSlateStandardIPS`,
/// where slates have one length.
///
/// # Errors
/// Where all weights are 0 or a term overflows.
pub fn snsips(log: &SequentialSlates) -> Result<PolicyValue> {
    PolicyValue::linearised(&ratio("self-normalized SIPS", &weighted_sums(log), &log.weights())?)
}

/// RIPS, reward interaction: mean of Σ_l w_{1:l} r_l, weighting a reward by the places up to its
/// own. Unbiased where a reward depends on its place's item and those before it, as for a user who
/// reads from the top. Source: McInerney et al. (KDD 2020); OBP's `SlateRewardInteractionIPS`.
///
/// # Errors
/// Where a term overflows.
pub fn rips(log: &SequentialSlates) -> Result<PolicyValue> {
    plain(&log.0, &log.prefixes())
}

/// [`rips`] self-normalized place by place: Σ_l of Σ_i w_{1:l} r_l / Σ_i w_{1:l} times the share of
/// slates that long. OBP's `SelfNormalizedSlateRewardInteractionIPS`.
///
/// # Errors
/// Where all weights of a place are 0 or a term overflows.
pub fn snrips(log: &SequentialSlates) -> Result<PolicyValue> {
    by_place("self-normalized RIPS", &log.0, &log.prefixes())
}

/// IIPS, independent positions: mean of Σ_l w_l r_l with w_l = π_e(a_l at l) / π_b(a_l at l).
/// Unbiased where a reward depends on its place and item alone. Source: the item-position estimator
/// of Li et al. (KDD 2018); OBP's `SlateIndependentIPS`.
///
/// # Errors
/// Where a term overflows.
pub fn iips(log: &MarginalSlates) -> Result<PolicyValue> {
    plain(&log.0, &log.0.ratios)
}

/// [`iips`] self-normalized place by place, as [`snrips`] is. OBP's
/// `SelfNormalizedSlateIndependentIPS`.
///
/// # Errors
/// Where all weights of a place are 0 or a term overflows.
pub fn sniips(log: &MarginalSlates) -> Result<PolicyValue> {
    by_place("self-normalized IIPS", &log.0, &log.0.ratios)
}

/// Cascade-DR: mean of Σ_l w_{1:l} (r_l - q̂_l(a_l)) + w_{1:l-1} q̂_l(π_e). Unbiased as [`rips`]
/// is, whatever the model. `predictions` hold per place q̂_l(x, a_1 .. a_l) and Σ_a π_e(a | x, a_1
/// .. a_{l-1}) q̂_l(x, a_1 .. a_{l-1}, a), where q̂_l predicts the sum of the rewards from place l
/// on (for the least variance), or that of place l alone. Source: Kiyohara et al. (WSDM 2022);
/// OBP's `SlateCascadeDoublyRobust`.
///
/// # Errors
/// Where log and predictions differ in length, or a term overflows.
pub fn cascade_dr(log: &SequentialSlates, predictions: &Predictions) -> Result<PolicyValue> {
    let pairs: Vec<(f64, f64)> = predictions.pairs(log.0.reward.len())?.collect();
    let prefixes = log.prefixes();
    let mut first = 0;
    let term = |&length: &usize| {
        let places = first..first + length;
        first += length;
        let mut before = 1.0;
        let of_place = places.map(|place| {
            let ((logged, expected), weight) = (pairs[place], prefixes[place]);
            weight * (log.0.reward[place] - logged)
                + std::mem::replace(&mut before, weight) * expected
        });
        of_place.sum()
    };
    let terms: Vec<f64> = log.0.lengths.iter().map(term).collect();
    PolicyValue::mean(&terms)
}

impl<'a> Slates<'a> {
    fn new(
        lengths: &'a [usize],
        reward: &'a [f64],
        logging: &'a [f64],
        evaluation: &[f64],
    ) -> Result<Self> {
        rewards(reward, logging.len())?;
        slate_lengths(lengths, reward.len())?;
        Ok(Self { lengths, reward, logging, ratios: ratios(logging, evaluation)? })
    }

    /// Diagnostics of `weights`, `[places]`, whose mean is taken slate by slate.
    fn diagnostics(&self, weights: &[f64]) -> Result<Diagnostics> {
        let mean = |(_, weights): (_, &[f64])| weights.iter().sum::<f64>() / weights.len() as f64;
        let means: Vec<f64> = self.slates(weights).map(mean).collect();
        diagnostics::of(weights, self.logging, &means)
    }

    /// The rewards of each slate with its part of `weights`, `[places]`.
    fn slates<'s>(&'s self, weights: &'s [f64]) -> impl Iterator<Item = (&'s [f64], &'s [f64])> {
        self.lengths.iter().scan(0, move |first, length| {
            let places = *first..*first + length;
            *first = places.end;
            Some((&self.reward[places.clone()], &weights[places]))
        })
    }
}

/// w_i Σ_l r_il: `[slates]`.
fn weighted_sums(log: &SequentialSlates) -> Vec<f64> {
    log.0
        .slates(&log.0.ratios)
        .map(|(reward, ratios)| ratios.iter().product::<f64>() * reward.iter().sum::<f64>())
        .collect()
}

fn plain(slates: &Slates, weights: &[f64]) -> Result<PolicyValue> {
    let sum =
        |(reward, weights): (&[f64], &[f64])| weights.iter().zip(reward).map(|(w, r)| w * r).sum();
    let terms: Vec<f64> = slates.slates(weights).map(sum).collect();
    PolicyValue::mean(&terms)
}

/// Σ_l A_l R_l, where A_l is the share of slates that have place l and R_l = Σ w r / Σ w over them.
fn by_place(what: &'static str, slates: &Slates, weights: &[f64]) -> Result<PolicyValue> {
    let n = slates.lengths.len() as f64;
    let places = slates.lengths.iter().copied().max().unwrap_or(0);
    // Sums over the slates that have the place, of 1, w and w r.
    let mut sums = vec![(0.0, 0.0, 0.0); places];
    for (reward, weights) in slates.slates(weights) {
        for ((count, weight, weighted), (w, r)) in sums.iter_mut().zip(weights.iter().zip(reward)) {
            *count += 1.0;
            *weight += w;
            *weighted += w * r;
        }
    }
    if sums.iter().any(|&(_, weight, _)| weight == 0.0) {
        return Err(Error::NoOverlap { what });
    }
    let value = sums.iter().map(|(count, weight, weighted)| count / n * weighted / weight).sum();
    let term = |(reward, weights): (&[f64], &[f64])| {
        let of_place = |(&(count, weight, weighted), (w, r)): (&(f64, f64, f64), (&f64, &f64))| {
            let rate = weighted / weight;
            rate + count * w * (r - rate) / weight
        };
        sums.iter().zip(weights.iter().zip(reward)).map(of_place).sum()
    };
    PolicyValue::linearised(&Linearised {
        value,
        terms: slates.slates(weights).map(term).collect(),
    })
}
