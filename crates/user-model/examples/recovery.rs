//! Learns simulated users whose reward is known, from logs of growing size, and prints how close the learned model comes.
//!
//! `cargo run --release -p understudy-user-model --example recovery -- [LARGEST]` (default 10,000 sessions).

use std::ops::ControlFlow;

use candle_core::Device;
use understudy_data::{Catalogue, Fractions, Split};
use understudy_random::Seed;
use understudy_sim::policies::UniformRandom;
use understudy_sim::{ChoiceUsers, ChoiceUsersConfig, Rollout};
use understudy_user_model::{ItemFeatures, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit};

const PLACES: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let largest = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse::<u64>())?;
    let users = ChoiceUsers::new(&ChoiceUsersConfig::default())?;
    let items = users.items();
    let dims = users.config().dims;
    let simulate = |seed, sessions| {
        let rollout = Rollout { max_steps: 10, ..Rollout::new(Seed::new(seed), 0..sessions, PLACES) };
        rollout.run(&users, &UniformRandom { items })
    };
    let test = simulate(1, 2_000)?;
    let all: Vec<usize> = (0..test.sessions()).collect();
    let catalogue = Catalogue::numbered(items).with_features(users.features().to_vec(), dims)?;

    println!("state,sessions,KL(true || learned) nats,pairs ranked as the true reward %,NLL,NLL of the truth");
    for (name, state) in [("position weights", StateEncoder::position_weights()), ("LSTM", StateEncoder::lstm())] {
        let mut sessions = 100;
        while sessions <= largest {
            let log = simulate(2, sessions)?;
            let config =
                UserModelConfig { features: ItemFeatures::Given, state: state.clone(), ..UserModelConfig::new(items) };
            let model = UserModel::new(config, &catalogue, Seed::new(3), &Device::Cpu)?;
            let split = Split::by_session(&log, Fractions { train: 0.75, validation: 0.25 }, Seed::new(4))?;
            let training =
                TrainConfig { iterations: 6_000, validate_every: 50, patience: Some(20), ..TrainConfig::default() };
            fit(&model, &log, &split, &training, Seed::new(5), |_| ControlFlow::Continue(()))?;

            let (mut divergence, mut nll, mut true_nll, mut agreed, mut pairs) = (0.0, 0.0, 0.0, 0, 0);
            let predictions = model.predict(&test, &all)?;
            let mut predictions = predictions.iter();
            for session in test.iter() {
                let mut history = Vec::new();
                for step in session.steps() {
                    let prediction = predictions.next().ok_or("one prediction a step")?;
                    let phi = users.choice_probabilities(0, &history, step.slate);
                    let learned: Vec<f64> = prediction
                        .log_probability
                        .iter()
                        .chain([&prediction.log_outside])
                        .map(|&log_phi| f64::from(log_phi))
                        .collect();
                    divergence += phi.iter().zip(&learned).map(|(p, q)| p * (p.ln() - q)).sum::<f64>();
                    let chosen = prediction.chosen.unwrap_or(PLACES);
                    nll -= learned[chosen];
                    true_nll -= phi[chosen].ln();
                    for i in 0..PLACES {
                        for j in 0..i {
                            pairs += 1;
                            agreed += usize::from((phi[i] > phi[j]) == (learned[i] > learned[j]));
                        }
                    }
                    history.extend(step.choice.item());
                }
            }
            let steps = test.steps() as f64;
            println!(
                "{name},{sessions},{:.4},{:.1},{:.4},{:.4}",
                divergence / steps,
                100.0 * agreed as f64 / pairs as f64,
                nll / steps,
                true_nll / steps
            );
            sessions *= 10;
        }
    }
    Ok(())
}
