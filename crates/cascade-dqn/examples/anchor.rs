//! Trains in the population of `foretaste_cascade_dqn::anchor` and prints how much of the optimum
//! is reached.
//!
//! `cargo run --release -p foretaste-cascade-dqn --example anchor -- [SEEDS [ITERATIONS]]` (default
//! 5 seeds)

use std::time::Instant;

use foretaste_cascade_dqn::anchor::Anchor;
use foretaste_cascade_dqn::{
    Architecture, ItemFeatures, QConfig, QNetworks, QPolicy, Result, Storage, TrainConfig, Trainer,
};
use foretaste_random::Seed;
use foretaste_sim::{Blind, Rollout};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let seeds = arguments.next().unwrap_or(5);
    let iterations = arguments.next().unwrap_or(Anchor::ITERATIONS);
    let anchor = Anchor::new()?;
    let optimum = anchor.optimum()?;
    println!("optimum {optimum:.3} clicks; greedy at most {:.3}", Anchor::most_greedy());
    for seed in (0..seeds).map(Seed::new) {
        let cascade = anchor.networks(seed)?;
        let single = QConfig { architecture: Architecture::Greedy, ..cascade.config().clone() };
        let learned =
            QConfig { features: ItemFeatures::Learned { dim: 8 }, ..cascade.config().clone() };
        let single = QNetworks::new(single, Some(anchor.users().features()), seed)?;
        let learned = QNetworks::new(learned, None, seed)?;
        for (name, networks) in
            [("CDQN", cascade), ("CDQN, learned features", learned), ("GDQN", single)]
        {
            let mut trainer = Trainer::new(networks, TrainConfig::default(), seed)?;
            let start = Instant::now();
            for _ in 0..iterations {
                trainer.iterate(anchor.users())?;
            }
            let seconds = start.elapsed().as_secs_f64();
            let rollout = Rollout::new(Seed::new(7), 0..20_000, Anchor::K).max_steps(Anchor::STEPS);
            let policy = Blind(QPolicy::new(trainer.networks(), Storage::Single)?);
            let outcomes = rollout.outcomes(anchor.users(), &policy)?;
            let clicks =
                outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / outcomes.len() as f64;
            println!(
                "{name:22} {clicks:.3} clicks, {:.1}% of the optimum, {seconds:.1} s",
                100.0 * clicks / optimum
            );
        }
    }
    Ok(())
}
