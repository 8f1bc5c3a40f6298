//! `cargo xtask bench users`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use clap::builder::RangedU64ValueParser;
use comfy_table::{Table, presets};
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_data::{Catalogue, Fractions, Log, Split};
use foretaste_nn::matmul;
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Rollout};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourModel, BehaviourUsers};
use foretaste_user_model::{
    Combining, Context, EnsembleUsers, LearnedUsers, StateEncoder, TrainConfig, UserModel,
    UserModelConfig, fit,
};

use crate::bench::record::Record;

/// Options of the benchmark of learned users.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Items of the catalogue; the default is that of yelp's log.
    #[arg(long, default_value_t = 804, value_parser = RangedU64ValueParser::<usize>::new().range(4..))]
    items: usize,
    /// Measurements of each cell; the median is shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    repeats: u8,
    /// Steps per measurement, about.
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Sessions that are advanced as one batch.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1_024, 65_536], value_parser = clap::value_parser!(u64).range(1..))]
    sessions: Vec<u64>,
    /// Numbers of threads to measure with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2], value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_024))]
    threads: Vec<usize>,
}

/// Items on a slate, as in yelp's log.
const K: usize = 4;
/// Steps of a session.
const LENGTH: usize = 10;
const MEMBERS: usize = 5;

/// Runs the benchmark and prints its table.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    let log = log(args.items)?;
    let lstm = |config: UserModelConfig| UserModelConfig { state: StateEncoder::lstm(), ..config };
    let features = |config: UserModelConfig| UserModelConfig {
        context: Some(Context::Counts { place: true }),
        ..config
    };
    let state = StateEncoder::position_weights();
    let plain = UserModelConfig { state, ..UserModelConfig::new(args.items) };
    let users = |config: UserModelConfig| learned(args.items, &log, config, 0);
    let (pw, ours) = (users(plain.clone())?, users(lstm(plain.clone()))?);
    let pw_features = users(features(plain.clone()))?;
    let lstm_features = users(features(lstm(plain.clone())))?;
    let members = (0..MEMBERS as u64).map(|seed| learned(args.items, &log, plain.clone(), seed));
    let members: Arc<[LearnedUsers]> = members.collect::<anyhow::Result<Vec<_>>>()?.into();
    let ensemble = EnsembleUsers::new(members, Combining::Mean)?;
    let config = BehaviourConfig::small(args.items);
    let behaviour = BehaviourUsers::new(&BehaviourModel::new(config, Seed::new(1), &Device::Cpu)?)?;

    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let sessions = args.sessions.iter().map(|sessions| format!("{sessions} sessions"));
    table.set_header(["users".to_owned(), "threads".to_owned()].into_iter().chain(sessions));
    for &threads in &args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| {
            let mut add = |name: &str, times: &dyn Fn(u64) -> anyhow::Result<Times>| {
                eprint_line(format_args!("measuring {name}, {threads} threads"));
                let cells = args.sessions.iter().map(|&sessions| {
                    let Times { steps, seconds } = times(sessions)?;
                    let case = format!("users, {name}, sessions {sessions}, threads {threads}");
                    let speed = record.rates(case, "M steps/s", 1e-6 * steps, &seconds);
                    Ok(format!("{speed:.3} M"))
                });
                let cells = cells.collect::<anyhow::Result<Vec<_>>>()?;
                table.add_row([name.to_owned(), threads.to_string()].into_iter().chain(cells));
                Ok::<_, anyhow::Error>(())
            };
            add("GAN-PW", &|n| rollout(args, n, &pw))?;
            add("GAN-LSTM", &|n| rollout(args, n, &ours))?;
            add("GAN-PW, features", &|n| rollout(args, n, &pw_features))?;
            add("GAN-LSTM, features", &|n| rollout(args, n, &lstm_features))?;
            add("five GAN-PW", &|n| rollout(args, n, &ensemble))?;
            add("IRecGAN's U, hidden 64", &|n| rollout(args, n, &behaviour))?;
            add("limit: the product of GAN's second layer", &|n| products(args, n))
        })?;
    }
    print_line(format_args!(
        "Steps a second. Random slates of {K} of {} items, sessions of {LENGTH} steps; median of {} \
         runs of about {} steps.",
        args.items, args.repeats, args.steps
    ));
    print_line(table);
    Ok(())
}

/// A log to count features, pay and endings in.
pub(super) fn log(items: usize) -> anyhow::Result<Log> {
    let users = ChoiceUsers::new(&ChoiceUsersConfig { items, ..Default::default() })?;
    let random = Blind(UniformRandom { items });
    Ok(Rollout::new(Seed::new(1), 0..500, K).max_steps(LENGTH).run(&users, &random)?)
}

/// Users after a few updates: what they have learned does not matter to their speed.
pub(super) fn learned(
    items: usize,
    log: &Log,
    config: UserModelConfig,
    seed: u64,
) -> anyhow::Result<LearnedUsers> {
    let catalogue = Catalogue::numbered(items);
    let mut model = UserModel::new(config, &catalogue, Seed::new(seed), &Device::Cpu)?;
    let split = Split::by_session(log, Fractions::default(), Seed::new(2))?;
    let training = TrainConfig { iterations: 3, ..TrainConfig::default() };
    fit(&mut model, log, &split, &training, Seed::new(seed), |_| ControlFlow::Continue(()))?;
    Ok(LearnedUsers::new(model)?.leaving_by_choice_alone())
}

/// So many steps, in each of these times.
struct Times {
    steps: f64,
    seconds: Vec<f64>,
}

/// Steps of so many sessions at a time.
fn rollout<E: Environment>(args: &Args, sessions: u64, users: &E) -> anyhow::Result<Times> {
    let random = Blind(UniformRandom { items: args.items });
    let all = (args.steps / LENGTH as u64).div_ceil(sessions) * sessions;
    let rollout = Rollout::new(Seed::new(3), 0..all, K).max_steps(LENGTH).chunk(sessions as usize);
    let steps = rollout.run(users, &random)?.steps() as f64;
    let seconds = times(args, || rollout.outcomes(users, &random).map(drop).map_err(Into::into))?;
    Ok(Times { steps, seconds })
}

/// The 64 x 64 layer of r_θ alone, for so many sessions at a time.
fn products(args: &Args, sessions: u64) -> anyhow::Result<Times> {
    const WIDTH: usize = 64;
    let rows = sessions as usize * K;
    let left = Tensor::ones((rows, WIDTH), DType::F32, &Device::Cpu)?;
    let right = Tensor::ones((WIDTH, WIDTH), DType::F32, &Device::Cpu)?;
    let products = (args.steps / sessions).max(1);
    let seconds = times(args, || {
        for _ in 0..products {
            std::hint::black_box(matmul(&left, &right)?);
        }
        Ok(())
    })?;
    Ok(Times { steps: (products * sessions) as f64, seconds })
}

/// Seconds of each repetition.
fn times(args: &Args, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..args.repeats {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}
