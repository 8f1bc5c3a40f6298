//! Learns simulated users whose reward is known, from logs of growing size, and prints how close
//! the learned model comes.
//!
//! `cargo run --release -p foretaste-user-model --example recovery -- [LARGEST]` (default 10,000
//! sessions)

#[path = "../tests/common/comparison.rs"]
mod comparison;

use std::ops::ControlFlow::Continue;

use candle_core::Device;
use comparison::{Comparison, compare};
use foretaste_data::{Catalogue, Fractions, Split};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout, policies::UniformRandom};
use foretaste_user_model::{
    ItemFeatures, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let largest = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let users = ChoiceUsers::new(&ChoiceUsersConfig::default())?;
    let (items, dims) = (users.items(), users.config().dims);
    let simulate = |seed, sessions| {
        let rollout = Rollout::new(Seed::new(seed), 0..sessions, 5).max_steps(10);
        rollout.run(&users, &Blind(UniformRandom { items }))
    };
    let test = simulate(1, 2_000)?;
    let catalogue = Catalogue::numbered(items).with_features(users.features().to_vec(), dims)?;
    let training = TrainConfig {
        optimiser: AdamConfig { learning_rate: 2e-3, ..AdamConfig::default() },
        iterations: 8_000,
        validate_every: 100,
        patience: Some(15),
        ..TrainConfig::default()
    };

    println!("state,sessions,KL(true || learned) nats,pairs ranked as in truth %,NLL,true NLL");
    for state in [StateEncoder::position_weights(), StateEncoder::lstm()] {
        let name = if state == StateEncoder::lstm() { "LSTM" } else { "position weights" };
        for sessions in [100, 1_000, 10_000, 100_000].into_iter().filter(|&size| size <= largest) {
            let log = simulate(2, sessions)?;
            let fractions = Fractions { train: 0.75, validation: 0.25 };
            let split = Split::by_session(&log, fractions, Seed::new(4))?;
            let (features, state) = (ItemFeatures::Given, state.clone());
            let config = UserModelConfig { features, state, ..UserModelConfig::new(items) };
            let mut model = UserModel::new(config, &catalogue, Seed::new(3), &Device::Cpu)?;
            fit(&mut model, &log, &split, &training, Seed::new(5), |_| Continue(()))?;

            let Comparison { divergence, ranked_alike, nll, true_nll } =
                compare(&model, &users, &test)?;
            let ranked = 100.0 * ranked_alike;
            println!("{name},{sessions},{divergence:.4},{ranked:.1},{nll:.4},{true_nll:.4}");
        }
    }
    Ok(())
}
