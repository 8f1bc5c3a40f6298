//! The figures of one run, each with its unit and source.

use crate::{Error, Result};

/// Mean negative log-likelihood of the choices, in nats per choice: -(1/T) Σ log φ(chosen |
/// slate).
///
/// `log_probability` holds the natural logarithm of the probability that the model gave to what the
/// user did, one per slate; a slate that the user left counts with the probability of leaving.
/// A model that knows nothing about k items and leaving scores log(k + 1). Lower is better. Source:
/// GAN-CDQN (Chen et al., ICML 2019), comparison of user models.
///
/// # Errors
/// Where there is no slate, or a value is not finite: a model that ruled out what happened has no
/// finite score.
pub fn mean_nll(log_probability: &[f64]) -> Result<f64> {
    const WHAT: &str = "negative log-likelihood";
    let mean = mean(
        WHAT,
        log_probability.iter().enumerate().map(|(index, &value)| {
            if value.is_finite() {
                Ok(value)
            } else {
                Err(Error::NotFinite { what: WHAT, index, value })
            }
        }),
    )?;
    Ok(-mean)
}

/// precision@k: the share, 0 to 1, of slates whose chosen item is among the `k` best scored of
/// its slate.
///
/// Each slate is the scores of its items and the position of the chosen one; a slate without a
/// chosen item does not belong here. Equal scores share the places that they compete for by
/// expectation, as if ties were broken at random: a model that scores all n items alike gets k/n,
/// not 1. Where a slate has no more than `k` items it counts as 1. Source: GAN-CDQN (Chen et al.,
/// ICML 2019), comparison of user models.
///
/// # Errors
/// Where there is no slate, `k` is 0, a score is NaN, or a chosen position lies outside its
/// slate.
pub fn precision_at<'a>(
    k: usize,
    slates: impl IntoIterator<Item = (&'a [f32], usize)>,
) -> Result<f64> {
    mean("precision@k", slates.into_iter().map(|(scores, chosen)| expected_hit(k, scores, chosen)))
}

/// Spearman's rank correlation of two lists of numbers, -1 to 1: Pearson's of their ranks, equal
/// numbers sharing the mean of theirs.
///
/// # Errors
/// Where the lists differ in length or hold fewer than 2 numbers, one is not finite, or all of a
/// list are equal, which leaves it without an order.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Result<f64> {
    const WHAT: &str = "rank correlation";
    if a.len() != b.len() {
        return Err(Error::Lengths { what: WHAT, left: a.len(), right: b.len() });
    }
    let [a, b] = [centred_ranks(WHAT, a)?, centred_ranks(WHAT, b)?];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let squares = dot(&a, &a) * dot(&b, &b);
    if squares > 0.0 {
        return Ok(dot(&a, &b) / squares.sqrt());
    }
    Err(Error::NotPositive { what: "variance of ranks", value: squares })
}

/// The ranks of some numbers, less their mean.
fn centred_ranks(what: &'static str, values: &[f64]) -> Result<Vec<f64>> {
    if let Some((index, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(Error::NotFinite { what, index, value });
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut ranks, mut below) = (vec![0.0; values.len()], 0);
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = below as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&at| ranks[at] = mean - (values.len() as f64 - 1.0) / 2.0);
        below += equal.len();
    }
    Ok(ranks)
}

/// coverage@k: the share, 0 to 1, of the `k` truly most relevant items that are among the
/// recommended ones; the caller averages over time steps.
///
/// `relevance` holds the true relevance of every item and `recommended` the items of one slate,
/// each once. Items that tie for the last of the `k` places share them by expectation. Source:
/// IRecGAN (Bai et al., NeurIPS 2019), §7.1.
///
/// The number of hits, k coverage@k, never falls as k grows; the share itself can.
///
/// # Errors
/// Where `k` is 0 or more than the number of items, a relevance is NaN, or a recommended item does
/// not exist.
pub fn coverage_at(k: usize, relevance: &[f32], recommended: &[usize]) -> Result<f64> {
    const WHAT: &str = "coverage@k";
    let items = relevance.len();
    if k == 0 || k > items {
        return Err(Error::Rank { what: WHAT, k, items });
    }
    refuse_nan(WHAT, relevance)?;
    if let Some(&item) = recommended.iter().find(|&&item| item >= items) {
        return Err(Error::OutOfRange { what: WHAT, item, items });
    }
    let mut falling = relevance.to_vec();
    let (better, &mut threshold, _) = falling.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let above = better.iter().filter(|&&value| value > threshold).count();
    let tied = relevance.iter().filter(|&&value| value == threshold).count();
    let credit_of_tied = (k - above) as f64 / tied as f64;
    let hits: f64 = recommended
        .iter()
        .map(|&item| match relevance[item] {
            value if value > threshold => 1.0,
            value if value == threshold => credit_of_tied,
            _ => 0.0,
        })
        .sum();
    Ok(hits / k as f64)
}

/// Click-through rate (CTR): clicks per slate, 0 to 1; a slate that the user left counts as
/// none. Source: GAN-CDQN (Chen et al., ICML 2019), comparison of policies.
///
/// # Errors
/// Where there is no slate.
pub fn ctr(clicked: impl IntoIterator<Item = bool>) -> Result<f64> {
    mean("click-through rate", clicked.into_iter().map(|clicked| Ok(f64::from(u8::from(clicked)))))
}

/// Mean cumulative reward per session, undiscounted, in units of reward. Each session is the
/// rewards of its steps; one without steps counts as 0. Sources: GAN-CDQN (Chen et al., ICML 2019);
/// IRecGAN (Bai et al., NeurIPS 2019), §7.1.
///
/// # Errors
/// Where there is no session, or a reward is not finite.
pub fn cumulative_reward<'a>(sessions: impl IntoIterator<Item = &'a [f32]>) -> Result<f64> {
    const WHAT: &str = "cumulative reward";
    mean(
        WHAT,
        sessions.into_iter().map(|rewards| {
            let bad = rewards.iter().position(|reward| !reward.is_finite());
            match bad {
                Some(index) => {
                    Err(Error::NotFinite { what: WHAT, index, value: rewards[index].into() })
                }
                None => Ok(rewards.iter().map(|&reward| f64::from(reward)).sum()),
            }
        }),
    )
}

/// The probability that the chosen item is among the `k` best when ties are broken at random.
fn expected_hit(k: usize, scores: &[f32], chosen: usize) -> Result<f64> {
    const WHAT: &str = "precision@k";
    let items = scores.len();
    let &score = scores.get(chosen).ok_or(Error::OutOfRange { what: WHAT, item: chosen, items })?;
    if k == 0 {
        return Err(Error::Rank { what: WHAT, k, items });
    }
    refuse_nan(WHAT, scores)?;
    let better = scores.iter().filter(|&&other| other > score).count();
    let tied = scores.iter().filter(|&&other| other == score).count();
    Ok((k.saturating_sub(better) as f64 / tied as f64).min(1.0))
}

fn refuse_nan(what: &'static str, values: &[f32]) -> Result<()> {
    match values.iter().position(|value| value.is_nan()) {
        Some(index) => Err(Error::NotFinite { what, index, value: f64::NAN }),
        None => Ok(()),
    }
}

fn mean(what: &'static str, values: impl Iterator<Item = Result<f64>>) -> Result<f64> {
    let (mut sum, mut n) = (0.0, 0_u64);
    for value in values {
        sum += value?;
        n += 1;
    }
    if n == 0 { Err(Error::Empty { what }) } else { Ok(sum / n as f64) }
}
