//! `cargo xtask bench python`.

use std::path::PathBuf;
use std::time::Instant;

use comfy_table::{Table, presets};
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout};
use serde::Serialize;

use super::peer::Peer;
use super::record::median;

/// Options of the benchmark of the Python package.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Python that has the package, such as that of `cargo xtask python --release`.
    #[arg(long, value_name = "PATH", default_value = "target/python/bin/python")]
    python: PathBuf,
    /// Steps per measurement, about.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Measurements of each cell, in turns; the median is shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    repeats: u8,
}

#[derive(Serialize)]
struct Request {
    environment: &'static str,
    sessions: u64,
    steps: u64,
    mode: &'static str,
}

/// Numbers of sessions that are stepped together.
const SESSIONS: [u64; 4] = [1, 64, 1_024, 65_536];
const K: usize = 10;
/// Environments of Python, and the mode that they begin sessions again in.
const CASES: [(&str, &str); 3] =
    [("mdp", "SameStep"), ("mdp", "NextStep"), ("cartpole", "NextStep")];

/// Runs the benchmark and prints its table.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mdp = Mdp::new(&MdpConfig::default())?;
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut peer = Peer::script(&args.python, "environments.py")?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "sessions",
        "rollout in Rust",
        "Python, same step",
        "of the rollout",
        "Python, next step",
        "of the rollout",
        "CartPole, next step",
    ]);
    for sessions in SESSIONS {
        let steps = if sessions == 1 { args.steps / 20 } else { args.steps };
        let mut seconds = vec![Vec::new(); 1 + CASES.len()];
        for turn in 0..args.repeats {
            eprint_line(format_args!("measuring {sessions} sessions, turn {turn}"));
            seconds[0].push(one_thread.install(|| rollout(&mdp, sessions, steps))?);
            for (of_case, (environment, mode)) in seconds[1..].iter_mut().zip(CASES) {
                let request = Request { environment, sessions, steps, mode };
                of_case.push(peer.ask(&request, format_args!("{environment}, {sessions}"))?);
            }
        }
        let medians: Vec<f64> = seconds.into_iter().map(median).collect();
        let speed = |at: usize| format!("{:.2} M/s", 1e-6 / medians[at]);
        let share = |at: usize| format!("{:.2}", medians[0] / medians[at]);
        table.add_row([
            sessions.to_string(),
            speed(0),
            speed(1),
            share(1),
            speed(2),
            share(2),
            speed(3),
        ]);
    }
    print_line(format_args!(
        "Random slates of {K} of {} items, one thread; {}. The rollout draws its slates itself; \
         those of Python were drawn before. Median of {} turns of about {} steps.",
        mdp.items(),
        peer.name(),
        args.repeats,
        args.steps
    ));
    print_line(table);
    Ok(())
}

/// Seconds a step of rollouts of so many sessions at a time.
fn rollout(mdp: &Mdp, sessions: u64, steps: u64) -> anyhow::Result<f64> {
    let policy = Blind(UniformRandom { items: mdp.items() });
    let (mut done, mut first) = (0, 0);
    let begin = Instant::now();
    while done < steps {
        let rollout = Rollout::new(Seed::new(1), first..first + sessions, K);
        let outcomes = rollout.outcomes(mdp, &policy)?;
        done += outcomes.iter().map(|outcome| u64::from(outcome.steps)).sum::<u64>();
        first += sessions;
    }
    Ok(begin.elapsed().as_secs_f64() / done as f64)
}
