//! Generated trajectories follow the distributions of A and U, and the scores of Eq 6 are unbiased.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use foretaste_data::{Choice, ItemId, Log, PaddedBatch};
use foretaste_random::Seed;
use foretaste_user_model::behaviour::BehaviourUsers;

use super::{Taken, log_of, on_threads, sharpen, start, tiny};
use crate::{AgentPolicy, Buffer, IRecGan, Selection, Simulation};

const ITEMS: usize = 3;
const K: usize = 2;
const STEPS: usize = 3;

/// Networks whose slates, clicks, purchases and scores depend on the past.
fn networks() -> IRecGan {
    let networks = start(tiny(ITEMS, K));
    sharpen(networks.users().params(), 1.5);
    sharpen(networks.agent().params(), 3.0);
    sharpen(networks.discriminator().params(), 2.0);
    let weight = networks.discriminator().params().get("reward.weight").unwrap();
    weight.set(&(weight.ones_like().unwrap() * 0.7).unwrap()).unwrap();
    networks
}

fn scored(networks: &IRecGan, count: usize, branches: usize, chunk: usize) -> (Buffer, Log) {
    scored_after(networks, count, branches, chunk, &[])
}

fn scored_after(
    networks: &IRecGan,
    count: usize,
    branches: usize,
    chunk: usize,
    openings: &[Vec<ItemId>],
) -> (Buffer, Log) {
    let users = BehaviourUsers::new(networks.users()).unwrap();
    let agent = AgentPolicy::new(networks.agent(), Selection::Sampled).unwrap();
    let (k, max_steps) = (K, STEPS);
    let simulation = Simulation { users: &users, agent: &agent, k, max_steps, chunk, openings };
    let discriminator = networks.discriminator().freeze().unwrap();
    let scored = simulation.generate_scored(count, Seed::new(7), &discriminator, branches).unwrap();
    (scored, simulation.generate(count, Seed::new(7)).unwrap())
}

#[test]
fn the_score_of_a_whole_trajectory_is_its_d() {
    let networks = networks();
    let openings = [vec![], vec![ItemId(2)], vec![ItemId(1), ItemId(0)]];
    for openings in [&openings[..0], &openings] {
        let (buffer, log) = scored_after(&networks, 40, 2, 40, openings);
        assert_eq!(buffer.log, log);
        let d = networks.discriminator().probabilities(&log).unwrap();
        let mut end = 0;
        for (session, d) in log.iter().zip(d) {
            end += session.len();
            assert!((f64::from(buffer.scores[end - 1]) - d).abs() < 1e-6);
            assert!(session.left() && session.len() <= STEPS);
        }
        let whole = |session: foretaste_data::Session<'_>| session.len() == STEPS;
        assert!(log.iter().any(whole) && !log.iter().all(whole));
    }
}

/// Trajectories that begin with one click come from U and A after it: with as many draws of each
/// opening, the slates and answers of first steps have the probabilities of [`next_steps`]. The
/// chi-square of 5,000 trajectories over 30 outcomes exceeds 58.3 by chance once in 1,000 (29
/// degrees of freedom); the seed is fixed.
#[test]
fn trajectories_begin_after_their_openings() {
    let networks = networks();
    let count = 5_000;
    for item in 0..ITEMS as u32 {
        let (_, log) = scored_after(&networks, count, 1, 500, &[vec![ItemId(item)]]);
        let mut counts = BTreeMap::new();
        for session in log.iter() {
            assert_eq!(session.events().map(|event| event.item.0).collect::<Vec<_>>(), [item]);
            let step = session.step(0);
            let slate: Vec<u32> = step.slate.iter().map(|item| item.0).collect();
            let (clicked, bought) = (step.choice.item().map(|item| item.0), step.reward > 0.5);
            *counts.entry((slate, clicked, bought)).or_insert(0.0) += 1.0;
        }
        let chi_square: f64 = next_steps(&networks, &[item])
            .into_iter()
            .map(|((slate, clicked, reward), p)| {
                let found = counts.get(&(slate, clicked, reward > 0.5)).copied().unwrap_or(0.0);
                let expected = p * count as f64;
                (found - expected).powi(2) / expected
            })
            .sum();
        assert!(chi_square < 58.3, "{item}: {chi_square}");
    }
}

#[test]
fn sequences_and_scores_depend_on_neither_threads_nor_chunks() {
    let networks = networks();
    let (expected, _) = on_threads(1, || scored(&networks, 23, 3, 23));
    for (threads, chunk) in [(3, 23), (3, 5), (1, 1)] {
        assert_eq!(
            on_threads(threads, || scored(&networks, 23, 3, chunk)).0,
            expected,
            "{threads} {chunk}"
        );
    }
}

/// Every step that can follow these clicks, with its probability: slates by Eq 4 without
/// replacement, clicks by Eq 1, rewards by Eq 2.
fn next_steps(networks: &IRecGan, clicks: &[u32]) -> Vec<(Taken, f64)> {
    let past: Vec<Taken> = clicks.iter().map(|&item| (vec![item], Some(item), 0.0)).collect();
    let with = |step: &Taken| log_of(&[past.iter().chain([step]).cloned().collect()]);
    let batch = PaddedBatch::new(&with(&(vec![0], Some(0), 0.0)), &[0], None);
    let agent = networks.agent();
    let states = agent.clicks.states(&batch, &[clicks.len() as u32]).unwrap();
    let logits =
        agent.actions.forward(&states).unwrap().squeeze(0).unwrap().to_vec1::<f32>().unwrap();
    let weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut steps = Vec::new();
    for first in 0..ITEMS {
        for second in (0..ITEMS).filter(|&second| second != first) {
            let shown = weights[first] / total * weights[second] / (total - weights[first]);
            let slate = vec![first as u32, second as u32];
            let clicked = slate.iter().flat_map(|&item| [(Some(item), 0.0), (Some(item), 1.0)]);
            for (choice, reward) in clicked.chain([(None, 0.0)]) {
                let step = (slate.clone(), choice, reward);
                let batch = PaddedBatch::new(&with(&step), &[0], None);
                let last: Vec<f32> =
                    (0..batch.steps).map(|t| f32::from(u8::from(t == clicks.len()))).collect();
                let loss =
                    foretaste_nn::scalar(&networks.users().loss(&batch, Some(&last)).unwrap())
                        .unwrap();
                steps.push((step, shown * (-loss * batch.steps as f64).exp()));
            }
        }
    }
    steps
}

/// q_D of first steps with a click on item 0 against the mean of D over all that can follow. With
/// 200 branches for each of some dozens of trajectories the mean difference, in its standard
/// errors, lies beyond 4 by chance once in 16,000; the seed is fixed.
#[test]
fn scores_are_unbiased() {
    let networks = networks();
    let branches = 200;
    let (buffer, _) = scored(&networks, 350, branches, 350);
    let mut next = BTreeMap::new();
    for clicks in [vec![0], vec![0, 0], vec![0, 1], vec![0, 2]] {
        let steps = next_steps(&networks, &clicks);
        let total: f64 = steps.iter().map(|step| step.1).sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
        next.insert(clicks, steps);
    }
    // Mean and variance of D over the futures of a first step.
    let moments = |first: &Taken| {
        let (mut futures, mut weights) = (Vec::new(), Vec::new());
        for (second, p) in &next[&vec![0]] {
            let Some(item) = second.1 else {
                futures.push(vec![first.clone(), second.clone()]);
                weights.push(*p);
                continue;
            };
            // The third step is the last: whatever is shown on it, the user leaves.
            for ((slate, ..), q) in &next[&vec![0, item]] {
                futures.push(vec![first.clone(), second.clone(), (slate.clone(), None, 0.0)]);
                weights.push(p * q);
            }
        }
        let d = networks.discriminator().probabilities(&log_of(&futures)).unwrap();
        let mean: f64 = d.iter().zip(&weights).map(|(d, p)| d * p).sum();
        (mean, d.iter().zip(&weights).map(|(d, p)| (d - mean).powi(2) * p).sum::<f64>())
    };
    let (mut difference, mut variance, mut used, mut start) = (0.0, 0.0, 0, 0);
    let mut known = BTreeMap::new();
    for session in buffer.log.iter() {
        let step = session.step(0);
        if step.choice == Choice::Item(foretaste_data::ItemId(0)) {
            let slate: Vec<u32> = step.slate.iter().map(|item| item.0).collect();
            let (mean, spread) = *known
                .entry((slate.clone(), step.reward > 0.5))
                .or_insert_with(|| moments(&(slate, Some(0), step.reward)));
            difference += f64::from(buffer.scores[start]) - mean;
            variance += spread / branches as f64;
            used += 1;
        }
        start += session.len();
    }
    let errors = difference / variance.sqrt();
    assert!(
        errors.abs() < 4.0 && used > 30 && variance / f64::from(used) > 1e-7,
        "{errors} {used} {variance}"
    );
}

#[test]
fn where_d_is_one_generated_trajectories_count_as_real_ones() {
    let networks = networks();
    for (name, value) in [("embedding.table", 1.0), ("reward.bias", 1e4), ("reward.weight", 0.0)] {
        let var = networks.discriminator().params().get(name).unwrap();
        var.set(&(Tensor::ones(var.shape(), var.dtype(), &Device::Cpu).unwrap() * value).unwrap())
            .unwrap();
    }
    let (buffer, log) = scored(&networks, 20, 2, 20);
    assert_eq!(buffer, Buffer::real(log));
}
