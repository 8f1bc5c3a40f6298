//! `cargo xtask bench sim`.

use std::time::Instant;

use clap::builder::RangedU64ValueParser;
use comfy_table::{Table, presets};
use foretaste_data::Log;
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Mdp, MdpConfig, Rollout};
use rand::RngCore;
use rayon::prelude::*;

use foretaste_console::terminal::{eprint_line, print_line};

use crate::bench::record::{Record, median};

/// Options of the simulator benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Steps per measurement, about.
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Measurements of each cell; the median is shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    repeats: u8,
    /// Numbers of threads to measure with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2], value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_024))]
    threads: Vec<usize>,
}

const ITEMS: usize = 50;
const K: usize = 10;
const CHUNK: u64 = 1_024;
const UNIT: &str = "M steps/s";

/// Runs the benchmark and prints its table.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    let mdp = Mdp::new(&MdpConfig { items: ITEMS, ..Default::default() })?;
    let users = ChoiceUsers::new(&ChoiceUsersConfig { items: ITEMS, ..Default::default() })?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "users",
        "threads",
        "log kept",
        "steps/s",
        "ns a step and thread",
        "the limit named, steps/s",
    ]);
    for &threads in &args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| {
            measure(args, "Mdp, 10 states", threads, &mdp, record, &mut table)?;
            measure(args, "ChoiceUsers, 8 features, memory 3", threads, &users, record, &mut table)
        })?;
    }
    print_line(format_args!(
        "Random slates of {K} of {ITEMS} items; median of {} runs of about {} steps.",
        args.repeats, args.steps
    ));
    print_line(table);
    Ok(())
}

/// Adds the rows of one environment: log kept, with the limit that writing its bytes sets, and not
/// kept, with the limit that the two random streams of each session set.
fn measure<E: Environment>(
    args: &Args,
    name: &str,
    threads: usize,
    users: &E,
    record: &mut Record,
    table: &mut Table,
) -> anyhow::Result<()> {
    let note =
        |what: &str| eprint_line(format_args!("measuring {name}, {threads} threads: {what}"));
    note("the size of the log");
    let policy = Blind(UniformRandom { items: ITEMS });
    let pilot = Rollout::new(Seed::new(0), 0..1_000, K).run(users, &policy)?;
    let sessions = (args.steps * 1_000 / pilot.steps() as u64).max(CHUNK);
    let rollout = Rollout::new(Seed::new(1), 0..sessions, K);
    let log = rollout.run(users, &policy)?;
    let (steps, bytes) = (log.steps() as f64, bytes(&log));
    drop(log);
    let mut row = |kept: &str, seconds: f64, limit: String| {
        let (speed, each) = (steps / seconds, seconds * 1e9 * threads as f64 / steps);
        table.add_row([
            name,
            &threads.to_string(),
            kept,
            &millions(speed),
            &format!("{each:.0}"),
            &limit,
        ]);
    };
    note("log kept");
    let case = |kept: &str| format!("sim, {name}, threads {threads}, {kept}");
    let kept = times(args, || rollout.run(users, &policy).map(drop))?;
    record.rates(case("log kept"), UNIT, 1e-6 * steps, &kept);
    note("writing its bytes");
    let writing = times(args, || {
        std::hint::black_box(rayon::iter::repeat_n(1u64, bytes / 8).collect::<Vec<u64>>());
        Ok::<_, anyhow::Error>(())
    })?;
    let writing = median(writing);
    row(
        "yes",
        median(kept),
        format!("{} (writing its {} MB once)", millions(steps / writing), bytes / 1_000_000),
    );
    note("log not kept");
    let not_kept = times(args, || rollout.outcomes(users, &policy).map(drop))?;
    record.rates(case("log not kept"), UNIT, 1e-6 * steps, &not_kept);
    note("opening its streams");
    let seed = Seed::new(2);
    let drawing = times(args, || {
        let chunks = (0..2 * sessions / CHUNK).into_par_iter();
        let first_draws = |chunk| {
            let streams = seed.streams(chunk * CHUNK..(chunk + 1) * CHUNK);
            streams.into_iter().map(|mut stream| stream.next_u64()).max()
        };
        std::hint::black_box(chunks.map(first_draws).max());
        Ok::<_, anyhow::Error>(())
    })?;
    let drawing = median(drawing);
    row(
        "no",
        median(not_kept),
        format!("{} (opening its {} streams)", millions(steps / drawing), 2 * sessions),
    );
    Ok(())
}

/// What the columns of a simulated log take: 8-byte offsets, items, propensities, choices and
/// rewards of 4 bytes.
fn bytes(log: &Log) -> usize {
    8 * (log.sessions() + log.steps() + 2) + 8 * log.impressions() + 8 * log.steps()
}

fn millions(per_second: f64) -> String {
    format!("{:.1} M", per_second / 1e6)
}

/// Seconds of each repetition.
fn times<Fault>(
    args: &Args,
    mut run: impl FnMut() -> Result<(), Fault>,
) -> Result<Vec<f64>, Fault> {
    let mut seconds = Vec::new();
    for _ in 0..args.repeats {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}
