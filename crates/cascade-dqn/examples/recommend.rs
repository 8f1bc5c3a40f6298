//! Trains a recommender in simulated users who tire of what resembles their last click, compares
//! what it earns with greed, random slates and the optimum, and asks it for slates.
//!
//! `cargo run --release -p foretaste-cascade-dqn --example recommend`

use foretaste_cascade_dqn::anchor::Anchor;
use foretaste_cascade_dqn::{Greedy, QPolicy, Storage, TrainConfig, Trainer};
use foretaste_data::{ItemId, Log};
use foretaste_eval::choice::{ChoiceModel, Prediction};
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, Policy, Rollout};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let anchor = Anchor::new()?;
    let users = anchor.users();
    let mut trainer =
        Trainer::new(anchor.networks(Seed::new(1))?, TrainConfig::default(), Seed::new(1))?;
    for _ in 0..Anchor::ITERATIONS {
        trainer.iterate(users)?;
    }
    let trained = QPolicy::new(trainer.networks(), Storage::Single)?;
    println!(
        "{} items, slates of {}, sessions of at most {} steps; trained for {} updates",
        users.items(),
        Anchor::K,
        Anchor::STEPS,
        trainer.updates()
    );

    println!("\nclicks of a session, the same 5000 new users for each");
    show("trained", users, &trained)?;
    show("greedy", users, &Greedy::new(Truth(users), users.items(), 1))?;
    show("random", users, &UniformRandom { items: users.items() })?;
    println!("{:<8} {:.2}", "optimum", anchor.optimum()?);

    println!("\nthe first session: what the trained recommender shows, and what is clicked");
    let rollout = rollout(1).max_steps(5);
    for step in rollout.run(users, &Blind(&trained))?.iter().flat_map(|session| session.steps()) {
        let slate: Vec<u32> = step.slate.iter().map(|item| item.0).collect();
        println!(
            "items {slate:?}: {}",
            step.choice.item().map_or("none".into(), |item| item.0.to_string())
        );
    }
    Ok(())
}

/// The same users for every policy.
fn rollout(sessions: u64) -> Rollout {
    Rollout::new(Seed::new(2), 0..sessions, Anchor::K).max_steps(Anchor::STEPS)
}

fn show<P: Policy>(name: &str, users: &ChoiceUsers, policy: &P) -> foretaste_sim::Result<()> {
    let outcomes = rollout(5_000).outcomes(users, &Blind(policy))?;
    let clicks = outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / outcomes.len() as f64;
    println!("{name:<8} {clicks:.2}");
    Ok(())
}

/// What the users truly think of each item shown, given their clicks before.
struct Truth<'a>(&'a ChoiceUsers);

impl ChoiceModel for Truth<'_> {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let mut predictions = Vec::new();
        for &session in sessions {
            let mut clicks: Vec<ItemId> = Vec::new();
            for step in log.session(session).steps() {
                let utilities = self.0.utilities(0, &clicks, step.slate);
                predictions.push(Prediction {
                    scores: utilities.iter().map(|&utility| utility as f32).collect(),
                    log_given_choice: None,
                    log_choice: None,
                });
                clicks.extend(step.choice.item());
            }
        }
        Ok(predictions)
    }
}
