//! Fits a user model to a log of simulated users, says how well it predicts the clicks of users
//! whom it has not seen, and lets it answer slates, pay and leave in their place.
//!
//! `cargo run --release -p foretaste-user-model --example fit`

use std::ops::ControlFlow;

use candle_core::Device;
use foretaste_data::{Catalogue, Fractions, Split};
use foretaste_eval::choice::evaluate;
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Rollout};
use foretaste_user_model::{
    LearnedUsers, Outside, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let truth = ChoiceUsers::new(&ChoiceUsersConfig {
        items: 150,
        outside: foretaste_sim::Outside::Absent,
        eta: 2.0,
        ..ChoiceUsersConfig::default()
    })?;
    let rollout = Rollout::new(Seed::new(1), 0..900, 4).max_steps(3);
    let log = &rollout.run(&truth, &Blind(UniformRandom { items: truth.items() }))?;
    let catalogue = &Catalogue::numbered(truth.items());
    let split = &Split::by_session(log, Fractions::default(), Seed::new(1))?;
    println!("{} users, {} slates, {} items", log.sessions(), log.steps(), catalogue.len());

    let config = UserModelConfig {
        state: StateEncoder::position_weights(),
        // Every slate of this log has a click, so there is no choosing nothing.
        outside: Outside::observed(log),
        ..UserModelConfig::new(catalogue.len())
    };
    let mut model = UserModel::new(config, catalogue, Seed::new(2), &Device::Cpu)?;
    let training = TrainConfig { iterations: 500, patience: Some(10), ..TrainConfig::default() };
    let fitted =
        fit(&mut model, log, split, &training, Seed::new(3), |_| ControlFlow::Continue(()))?;
    println!(
        "fitted to {} users; best on {} others after {} updates",
        split.train.len(),
        split.validation.len(),
        fitted.best.iteration
    );

    let figures = evaluate(&model, log, &split.test)?;
    let shown = split.test.iter().flat_map(|&session| log.session(session).steps());
    let sizes: Vec<f64> = shown.map(|step| step.slate.len() as f64).collect();
    let mean =
        |of: fn(f64) -> f64| sizes.iter().map(|&size| of(size)).sum::<f64>() / sizes.len() as f64;
    println!("\n{} slates of {} users whom it has not seen", sizes.len(), split.test.len());
    println!("           NLL, nats a slate     precision@1");
    println!(
        "model      {:<19.3}   {:.3}",
        figures.nll.unwrap_or(f64::NAN),
        figures.precision_at_1.unwrap_or(f64::NAN)
    );
    println!("uniform    {:<19.3}   {:.3}", mean(f64::ln), mean(f64::recip));

    let users = LearnedUsers::new(model)?;
    let policy = Blind(UniformRandom { items: users.items() });
    let rollout = Rollout::new(Seed::new(4), 0..1_000, 4);
    let played = rollout.run(&users, &policy)?;
    println!("\n           clicks a session   reward a session");
    for (name, log) in [("log", log), ("model", &played)] {
        let steps = || log.iter().flat_map(|session| session.steps());
        let clicks = steps().filter(|step| step.choice.item().is_some()).count() as f64;
        let reward: f64 = steps().map(|step| f64::from(step.reward)).sum();
        let sessions = log.sessions() as f64;
        println!("{name:<10} {:<18.2} {:.2}", clicks / sessions, reward / sessions);
    }

    println!("\nthe model as users, who are shown four random items at a time");
    for session in played.iter().take(3) {
        for step in session.steps() {
            let shown: Vec<&str> = step.slate.iter().map(|&item| catalogue.raw(item)).collect();
            let clicked = step.choice.item().map_or("none", |item| catalogue.raw(item));
            println!("user {}: of {} clicks {clicked}", session.index(), shown.join(", "));
        }
    }
    Ok(())
}
