//! Trains a recommender in simulated users who tire of what resembles their last click, compares
//! what it earns with random slates and the optimum, and asks it for slates.
//!
//! `cargo run --release -p foretaste-cascade-dqn --example recommend`

use foretaste_cascade_dqn::anchor::Anchor;
use foretaste_cascade_dqn::{QPolicy, Storage, TrainConfig, Trainer};
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Policy, Rollout};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let anchor = Anchor::new()?;
    let users = anchor.users();
    let networks = anchor.networks(Seed::new(1))?;
    let mut trainer = Trainer::new(networks, TrainConfig::default(), Seed::new(1))?;
    for _ in 0..Anchor::ITERATIONS {
        trainer.iterate(users)?;
    }
    let trained = QPolicy::new(trainer.networks(), Storage::Single)?;
    println!("{} items, slates of {}, {} updates", users.items(), Anchor::K, trainer.updates());

    println!("\nclicks of a session, the same 5000 new users for each");
    println!("trained  {:.2}", clicks(&anchor, &trained)?);
    println!("greedy   {:.2} at most", Anchor::most_greedy());
    println!("random   {:.2}", clicks(&anchor, &UniformRandom { items: users.items() })?);
    println!("optimum  {:.2}", anchor.optimum()?);

    println!("\nthe first session: what the trained recommender shows, and what is clicked");
    let rollout = rollout(1).max_steps(5);
    for step in rollout.run(users, &Blind(&trained))?.iter().flat_map(|session| session.steps()) {
        let slate: Vec<u32> = step.slate.iter().map(|item| item.0).collect();
        let clicked = step.choice.item().map_or("none".into(), |item| item.0.to_string());
        println!("items {slate:?}: {clicked}");
    }
    Ok(())
}

/// The same users for every policy.
fn rollout(sessions: u64) -> Rollout {
    Rollout::new(Seed::new(2), 0..sessions, Anchor::K).max_steps(Anchor::STEPS)
}

fn clicks<P: Policy>(anchor: &Anchor, policy: &P) -> foretaste_sim::Result<f64> {
    let outcomes = rollout(5_000).outcomes(anchor.users(), &Blind(policy))?;
    let clicks: f64 = outcomes.iter().map(|outcome| outcome.reward).sum();
    Ok(clicks / outcomes.len() as f64)
}
