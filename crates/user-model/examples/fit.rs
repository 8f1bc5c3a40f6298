//! Fits a user model to a log of simulated users, says how well it predicts the clicks of users
//! whom it has not seen, and lets it answer slates in their place.
//!
//! `cargo run --release -p foretaste-user-model --example fit`

use std::ops::ControlFlow::Continue;

use candle_core::Device;
use foretaste_data::{Catalogue, Fractions, Log, Split};
use foretaste_eval::choice::evaluate;
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout};
use foretaste_user_model::{LearnedUsers, Outside, TrainConfig, UserModel, UserModelConfig, fit};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let truth = ChoiceUsers::new(&ChoiceUsersConfig { eta: 2.0, ..ChoiceUsersConfig::default() })?;
    let policy = Blind(UniformRandom { items: truth.items() });
    let rollout = Rollout::new(Seed::new(1), 0..2_000, 4).max_steps(10);
    let log = rollout.run(&truth, &policy)?;
    let catalogue = Catalogue::numbered(truth.items());
    let split = Split::by_session(&log, Fractions::default(), Seed::new(1))?;

    // How often users leave who choose nothing is learned from the log.
    let outside = Outside::observed(&log);
    let config = UserModelConfig { outside, ..UserModelConfig::new(catalogue.len()) };
    let mut model = UserModel::new(config, &catalogue, Seed::new(2), &Device::Cpu)?;
    let training = TrainConfig { iterations: 500, patience: Some(10), ..TrainConfig::default() };
    let fitted = fit(&mut model, &log, &split, &training, Seed::new(3), |_| Continue(()))?;
    let (train, validation) = (split.train.len(), split.validation.len());
    println!("fitted to {train} sessions; best on {validation} after {}", fitted.best.iteration);

    let figures = evaluate(&model, &log, &split.test)?;
    let text = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.3}"));
    println!("\n{} sessions that it has not seen, slates of 4 items and none", split.test.len());
    println!("           NLL, nats a slate   precision@1");
    println!("model      {:<19} {}", text(figures.nll), text(figures.precision_at_1));
    println!("uniform    {:<19.3} {:.3}", 5_f64.ln(), 1.0 / 4.0);

    let users = LearnedUsers::new(model)?;
    let played = Rollout::new(Seed::new(4), 0..2_000, 4).max_steps(10).run(&users, &policy)?;
    println!("\n           steps a session   clicks a step");
    println!("log        {}\nmodel      {}", summary(&log), summary(&played));

    println!("\nthe first session of the model");
    for step in played.session(0).steps() {
        let shown: Vec<&str> = step.slate.iter().map(|&item| catalogue.raw(item)).collect();
        let clicked = step.choice.item().map_or("none", |item| catalogue.raw(item));
        println!("of {} clicks {clicked}", shown.join(", "));
    }
    Ok(())
}

fn summary(log: &Log) -> String {
    let steps = log.iter().flat_map(|session| session.steps());
    let clicks = steps.filter(|step| step.choice.item().is_some()).count() as f64;
    let steps = log.steps() as f64;
    format!("{:<17.2} {:.3}", steps / log.sessions() as f64, clicks / steps)
}
