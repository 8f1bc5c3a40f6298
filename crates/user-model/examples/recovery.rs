//! Learns simulated users whose reward is known, from logs of growing size, and prints how close
//! the learned model comes.
//!
//! `cargo run --release -p foretaste-user-model --example recovery -- [LARGEST]` (default 10,000
//! sessions).

#[path = "../tests/common/comparison.rs"]
mod comparison;

use std::ops::ControlFlow;

use candle_core::Device;
use foretaste_data::{Catalogue, Fractions, Split};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout};
use foretaste_user_model::{
    ItemFeatures, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit,
};

use comparison::{Comparison, compare};

const PLACES: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let largest = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse::<u64>())?;
    let users = ChoiceUsers::new(&ChoiceUsersConfig::default())?;
    let items = users.items();
    let dims = users.config().dims;
    let simulate = |seed, sessions| {
        let rollout = Rollout::new(Seed::new(seed), 0..sessions, PLACES).max_steps(10);
        rollout.run(&users, &Blind(UniformRandom { items }))
    };
    let test = simulate(1, 2_000)?;
    let catalogue = Catalogue::numbered(items).with_features(users.features().to_vec(), dims)?;

    println!(
        "state,sessions,KL(true || learned) nats,pairs ranked as the true reward %,NLL,NLL of the truth"
    );
    for (name, state) in
        [("position weights", StateEncoder::position_weights()), ("LSTM", StateEncoder::lstm())]
    {
        let mut sessions = 100;
        while sessions <= largest {
            let log = simulate(2, sessions)?;
            let config = UserModelConfig {
                features: ItemFeatures::Given,
                state: state.clone(),
                ..UserModelConfig::new(items)
            };
            let mut model = UserModel::new(config, &catalogue, Seed::new(3), &Device::Cpu)?;
            let split =
                Split::by_session(&log, Fractions { train: 0.75, validation: 0.25 }, Seed::new(4))?;
            let training = TrainConfig {
                optimiser: AdamConfig { learning_rate: 2e-3, ..AdamConfig::default() },
                iterations: 8_000,
                validate_every: 100,
                patience: Some(15),
                ..TrainConfig::default()
            };
            fit(&mut model, &log, &split, &training, Seed::new(5), |_| ControlFlow::Continue(()))?;

            let Comparison { divergence, ranked_alike, nll, true_nll } =
                compare(&model, &users, &test)?;
            println!(
                "{name},{sessions},{divergence:.4},{:.1},{nll:.4},{true_nll:.4}",
                100.0 * ranked_alike
            );
            sessions *= 10;
        }
    }
    Ok(())
}
