//! Learned users pay what the log pays and leave as the log shows: they rank policies as the truth
//! does, on logs of simulated users whose truth is known, and give the log's own figures back. All
//! seeds are fixed.

mod mdp;
mod ranking;
mod shop;
mod users;

use std::ops::ControlFlow;

use candle_core::Device;
use foretaste_data::{Catalogue, Fractions, Log, Split};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_user_model::{Outside, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit};

/// A small model of the log's users, with the outside option that the log shows.
fn fitted(log: &Log, catalogue: &Catalogue, iterations: u64) -> UserModel {
    fitted_with(Outside::observed(log), log, catalogue, iterations)
}

fn fitted_with(outside: Outside, log: &Log, catalogue: &Catalogue, iterations: u64) -> UserModel {
    let state = StateEncoder::position_weights();
    let config = UserModelConfig { state, outside, ..UserModelConfig::new(catalogue.len()) };
    let mut model = UserModel::new(config, catalogue, Seed::new(1), &Device::Cpu).unwrap();
    let split =
        Split::by_session(log, Fractions { train: 0.8, validation: 0.2 }, Seed::new(2)).unwrap();
    let optimiser = AdamConfig { learning_rate: 4e-3, ..AdamConfig::default() };
    let training =
        TrainConfig { optimiser, iterations, patience: Some(8), ..TrainConfig::default() };
    fit(&mut model, log, &split, &training, Seed::new(3), |_| ControlFlow::Continue(())).unwrap();
    model
}

/// Means of a log's sessions.
#[derive(Clone, Copy, Debug)]
struct Means {
    reward: f64,
    steps: f64,
    click_rate: f64,
}

impl Means {
    fn of(log: &Log) -> Self {
        let steps = || log.iter().flat_map(|session| session.steps());
        let clicks = steps().filter(|step| step.choice.item().is_some()).count() as f64;
        let (sessions, count) = (log.sessions() as f64, log.steps() as f64);
        let reward = steps().map(|step| f64::from(step.reward)).sum::<f64>() / sessions;
        Self { reward, steps: count / sessions, click_rate: clicks / count }
    }
}
