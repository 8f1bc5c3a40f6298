//! How long sessions of the MDP last under random or given slates, by linear algebra: a figure that
//! the tests compare simulations with.

use foretaste_data::ItemId;
use foretaste_settings::Setting;

use super::linear::sum_until_absorbed;
use crate::{Mdp, Result};

/// The expected number of steps of a session under uniformly random slates of `k` items, by linear
/// algebra.
///
/// From state s the session goes on to s' with probability Q(s, s') = Σ_j q_sj P(s'|s, j), where
/// q_sj, the probability that a random slate is shown and its item j clicked, is (k/n) r_sj²
/// E\[1/(r_sj + R)\], R the sum of the other k-1 rewards. The expectation over all slates is not
/// enumerated: 1/x = ∫ e^(-xt) dt turns it into one integral over the mean of Π e^(-r t) over
/// subsets, which is a symmetric polynomial, O(nk). The length is then the first entry of
/// (I - Q)⁻¹ 1. Relative error below 10⁻⁹.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if `k` is 0 or exceeds the catalogue, or if sessions
/// need not end.
pub fn expected_length(mdp: &Mdp, k: usize) -> Result<f64> {
    if k == 0 || k > mdp.items() {
        return Err(Setting::new("k", format!("{k} of {} items", mdp.items())).into());
    }
    length(mdp, |state| {
        let rewards = mdp.rewards(state);
        let shown = k as f64 / mdp.items() as f64;
        let mut others = Vec::with_capacity(rewards.len());
        let click = |item: usize| {
            others.clear();
            others.extend(
                rewards.iter().enumerate().filter(|(j, _)| *j != item).map(|(_, &reward)| reward),
            );
            let reward = rewards[item];
            if reward > 0.0 {
                shown * reward * reward * mean_reciprocal(reward, &others, k - 1)
            } else {
                0.0
            }
        };
        (0..rewards.len()).map(click).collect()
    })
}

/// The expected number of steps of a session that is shown `slates[s]` whenever the user is in
/// state s.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if there is not one slate per state, or if sessions
/// need not end.
pub fn expected_length_of_slates(mdp: &Mdp, slates: &[Vec<ItemId>]) -> Result<f64> {
    if slates.len() != mdp.states() {
        let problem = format!("{} for {} states", slates.len(), mdp.states());
        return Err(Setting::new("slates", problem).into());
    }
    length(mdp, |state| {
        let rewards = mdp.rewards(state);
        let sum: f64 = slates[state].iter().map(|item| rewards[item.index()]).sum();
        let mut clicks = vec![0.0; rewards.len()];
        for item in slates[state].iter().filter(|_| sum > 0.0) {
            let reward = rewards[item.index()];
            clicks[item.index()] = reward * reward / sum;
        }
        clicks
    })
}

/// From the probability of each click in each state.
fn length(mdp: &Mdp, mut clicks: impl FnMut(usize) -> Vec<f64>) -> Result<f64> {
    let states = mdp.states();
    let mut q = vec![0.0; states * states];
    for state in 0..states {
        let row = &mut q[state * states..][..states];
        for (item, click) in clicks(state).into_iter().enumerate() {
            let next = mdp.transition(state, ItemId(item as u32));
            row.iter_mut().zip(next).for_each(|(q, p)| *q += click * p);
        }
    }
    let lengths = sum_until_absorbed(&q, vec![1.0; states]);
    let lengths = lengths.ok_or_else(|| Setting::new("mdp", "sessions need not end"))?;
    Ok(lengths[0])
}

/// E\[1/(first + R)\], R the sum of a uniformly random subset of `size` of `others`.
///
/// ∫_0^∞ by the double-exponential rule for integrands that decay exponentially: t = T exp(x -
/// e^(-x)).
fn mean_reciprocal(first: f64, others: &[f64], size: usize) -> f64 {
    const STEP: f64 = 0.1;
    const NODES: i32 = 400;
    let mean = others.iter().sum::<f64>() / others.len().max(1) as f64;
    let scale = 1.0 / (first + mean * size as f64);
    let mut means = vec![0.0; size + 1];
    let mut integral = 0.0;
    for node in -50..NODES {
        let x = f64::from(node) * STEP;
        let t = scale * (x - (-x).exp()).exp();
        let weight = t * (1.0 + (-x).exp());
        let term = weight
            * (-first * t).exp()
            * mean_product(others.iter().map(|reward| (-reward * t).exp()), &mut means);
        integral += term;
        if x > 0.0 && term <= 1e-18 * integral {
            break;
        }
    }
    STEP * integral
}

/// The mean of Π x over the subsets of `means.len() - 1` of the values: a normalized elementary
/// symmetric polynomial.
fn mean_product(values: impl Iterator<Item = f64>, means: &mut [f64]) -> f64 {
    means.fill(0.0);
    means[0] = 1.0;
    for (seen, value) in values.enumerate() {
        let seen = seen as f64 + 1.0;
        for size in (1..means.len()).rev() {
            let share = size as f64 / seen;
            means[size] = ((1.0 - share) * means[size]).max(0.0) + share * value * means[size - 1];
        }
    }
    means[means.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::super::slate::for_each_subset;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn mean_reciprocal_equals_enumeration(
            first in 0.001f64..1.0,
            others in prop::collection::vec(0.0f64..1.0, 0..9),
            share in 0.0f64..=1.0,
        ) {
            let size = (others.len() as f64 * share) as usize;
            let (mut sum, mut count) = (0.0, 0.0);
            for_each_subset(others.len(), size, |subset| {
                sum += 1.0 / (first + subset.iter().map(|item| others[item.index()]).sum::<f64>());
                count += 1.0;
            });
            let found = mean_reciprocal(first, &others, size);
            prop_assert!((found / (sum / count) - 1.0).abs() < 1e-9, "{found} {}", sum / count);
        }
    }
}
