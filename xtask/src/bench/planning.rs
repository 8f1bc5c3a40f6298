//! `cargo xtask bench planning`: where the time goes when cascading Q-networks are trained in
//! learned users.

use std::time::Instant;

use anyhow::ensure;
use clap::builder::RangedU64ValueParser;
use foretaste_cascade_dqn::{
    CurvePoint, ItemFeatures, QConfig, QNetworks, StateEncoder as QState, Storage,
    TrainConfig as QTraining, Trainer,
};
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_eval::text;
use foretaste_random::Seed;
use foretaste_report::Table;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Policy, Rollout};
use foretaste_user_model::{LearnedUsers, StateEncoder, UserModelConfig};

use super::record::{Record, median};
use super::users;

/// Options of the benchmark of planning.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Iterations of a training, each with 64 sessions.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    iterations: u64,
    /// How often each training is measured; the medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    repeats: u8,
    /// Numbers of threads to measure with.
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [1, 2],
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_024)
    )]
    threads: Vec<usize>,
}

/// The size of the experiment `planning`.
const ITEMS: usize = 40;
const K: usize = 3;
const STEPS: usize = 10;

/// What the time goes into.
const PARTS: [&str; 4] =
    ["the users", "argmax of the slates shown", "argmax of the targets", "the rest of the updates"];

/// Runs the benchmark and prints its table.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    let state = StateEncoder::position_weights();
    let model = UserModelConfig { state, ..UserModelConfig::new(ITEMS) };
    let learned = users::learned(ITEMS, &users::log(ITEMS)?, model, 0)?;
    let mut rows = Vec::new();
    for &threads in &args.threads {
        eprint_line(format_args!("measuring, threads {threads}"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let measured = (0..args.repeats).map(|_| pool.install(|| parts(args.iterations, &learned)));
        let measured = measured.collect::<anyhow::Result<Vec<_>>>()?;
        let all: Vec<f64> = measured.iter().map(|parts| parts.iter().sum()).collect();
        let seconds = record.seconds(format!("planning, threads {threads}"), &all);
        let share = |part: usize| {
            let shares = measured.iter().zip(&all).map(|(parts, all)| parts[part] / all);
            format!("{:.0}%", 100.0 * median(shares.collect()))
        };
        let head = [threads.to_string(), text::significant(seconds, 3)];
        rows.push(head.into_iter().chain((0..PARTS.len()).map(share)).collect());
    }
    let header = ["threads", "seconds"].into_iter().chain(PARTS).map(str::to_owned).collect();
    print_line(format_args!(
        "{} iterations of cascading DQN in users of GAN-PW, slates of {K} of {ITEMS} items, \
         sessions of at most {STEPS} steps; medians of {} trainings.",
        args.iterations, args.repeats
    ));
    print_line(Table { title: "Planning".into(), header, rows }.markdown());
    Ok(())
}

/// Seconds of each part of a training. What a step of the users and an argmax take is measured
/// alone, and multiplied by how many of them the training has; the rest is what is left of its
/// time.
fn parts(iterations: u64, users: &LearnedUsers) -> anyhow::Result<[f64; 4]> {
    let (seed, config) = (Seed::new(1), QTraining { steps: STEPS, ..QTraining::default() });
    let shown = ChoiceUsersConfig { items: ITEMS, ..ChoiceUsersConfig::default() };
    let networks = QConfig {
        features: ItemFeatures::Given { dim: shown.dims },
        state: QState::PositionWeights { history: 2, columns: 2 },
        hidden: 64,
        ..QConfig::new(ITEMS, K)
    };
    let features = ChoiceUsers::new(&shown)?.features().to_vec();
    let networks = QNetworks::new(networks, Some(&features), seed)?;
    let mut trainer = Trainer::new(networks, config.clone(), seed)?;
    let begin = Instant::now();
    for _ in 0..iterations {
        trainer.iterate(users)?;
    }
    let all = begin.elapsed().as_secs_f64();
    let sessions = 0..iterations * config.users as u64;
    let rollout = Rollout::new(seed, sessions, K).max_steps(STEPS).chunk(config.users);
    let step = per_step(&rollout, users, UniformRandom { items: ITEMS })?;
    let with_argmax = per_step(&rollout, users, trainer.policy(Storage::Single)?)?;
    let argmax = (with_argmax - step).max(0.0);

    let steps = |point: &CurvePoint| point.steps * config.users as f64;
    let taken: f64 = trainer.curve().iter().map(steps).sum();
    let greedy: f64 =
        trainer.curve().iter().map(|point| steps(point) * (1.0 - point.epsilon)).sum();
    let targets = (trainer.updates() as usize * config.batch) as f64;
    let known = [step * taken, argmax * greedy, argmax * targets];
    let rest = all - known.iter().sum::<f64>();
    ensure!(rest > 0.0, "the parts took longer than the training: the machine is too busy");
    let [users, shown, of_targets] = known;
    Ok([users, shown, of_targets, rest])
}

fn per_step(rollout: &Rollout, users: &LearnedUsers, policy: impl Policy) -> anyhow::Result<f64> {
    let policy = Blind(policy);
    let steps = rollout.run(users, &policy)?.steps() as f64;
    let begin = Instant::now();
    rollout.outcomes(users, &policy)?;
    Ok(begin.elapsed().as_secs_f64() / steps)
}
