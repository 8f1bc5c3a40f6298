//! What policies truly earn in the shop.

use foretaste_random::Seed;
use foretaste_sim::{Blind, Environment, Policy, Responses, Rollout, Shop, Slates};
use rayon::prelude::*;

use super::{K, logger};

/// Sessions that what `judge` estimates is a mean over.
const SESSIONS: u64 = 20_000;
/// Sessions that are played together.
const CHUNK: usize = 256;
/// Sessions are cut after so many slates.
const STEPS: usize = 1_000;

/// Sessions over which the reward of a policy on its own slates is averaged. All policies of a shop
/// meet the same visitors, so that their differences vary less than the rewards do.
const OWN_SESSIONS: u64 = 4_000;

/// What the policy earns on a slate of its own sessions.
pub fn of_own_sessions<P: Policy>(shop: &Shop, policy: &P, seed: Seed) -> anyhow::Result<f64> {
    let rollout = Rollout::new(seed, 0..OWN_SESSIONS, K).chunk(CHUNK).max_steps(STEPS);
    let outcomes = rollout.outcomes(shop, &Blind(policy))?;
    let slates: f64 = outcomes.iter().map(|outcome| f64::from(outcome.steps)).sum();
    Ok(outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / slates)
}

/// What the policy would earn on the next slate after what the logging policy led to: what `judge`
/// estimates. Of each slate the probability of a click is known, so that only the visitors are
/// drawn, and the slates of a policy that draws.
pub fn after_the_logger<P: Policy>(shop: &Shop, policy: &P, seed: Seed) -> anyhow::Result<f64> {
    let logger = logger(shop)?;
    let chunk = |first: u64| -> foretaste_sim::Result<(f64, f64)> {
        let sessions = first..(first + CHUNK as u64).min(SESSIONS);
        let mut visitors = seed.derive("visitors").streams(sessions.clone());
        let mut logging = seed.derive("logger").streams(sessions.clone());
        let mut drawing = seed.derive("policy").streams(sessions);
        let mut state = shop.reset(&mut visitors)?;
        let mut memory = policy.begin(visitors.len())?;
        let (mut own, mut shown) = (Slates::default(), Slates::default());
        let (mut responses, mut earned, mut slates) = (Responses::default(), 0.0, 0.0);
        for _ in 0..STEPS {
            if visitors.is_empty() {
                break;
            }
            policy.rank(&memory, None, K, &mut drawing, &mut own)?;
            for (row, &taste) in state.0.iter().enumerate() {
                earned += shop.click_probability(taste, own.row(row));
                slates += 1.0;
            }
            logger.rank(&logger.begin(visitors.len())?, None, K, &mut logging, &mut shown)?;
            shop.step(&mut state, &shown, &mut visitors, &mut responses)?;
            policy.observe(&mut memory, &shown, &responses)?;
            let rows: Vec<usize> =
                (0..responses.rows()).filter(|&row| !responses.ended[row]).collect();
            state = shop.select(&state, &rows)?;
            memory = policy.select(&memory, &rows)?;
            for streams in [&mut visitors, &mut logging, &mut drawing] {
                *streams = rows.iter().map(|&row| streams[row].clone()).collect();
            }
        }
        Ok((earned, slates))
    };
    let chunks: Vec<u64> = (0..SESSIONS).step_by(CHUNK).collect();
    let sums = chunks.into_par_iter().map(chunk).collect::<foretaste_sim::Result<Vec<_>>>()?;
    let (earned, slates) = sums.iter().fold((0.0, 0.0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
    Ok(earned / slates)
}
