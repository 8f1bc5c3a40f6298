//! `cargo xtask shop coverage`: how often the intervals of `foretaste judge` hold the truth.

use std::path::PathBuf;

use anyhow::Context;
use candle_core::Device;
use foretaste_console::terminal::print_line;
use foretaste_data::{Origin, Provenance, cache};
use foretaste_random::Seed;
use foretaste_recommender::{Content, Recommender};
use foretaste_sim::policies::Popularity;
use serde_json::Value;

use super::{Size, ask, log, logger, shop, truth};

/// Options of `coverage`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Logs, each of a shop of its own.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// Sessions of a log.
    #[arg(long, default_value_t = 2_000)]
    sessions: u64,
    /// Items of the shop.
    #[arg(long, default_value_t = 200)]
    items: usize,
    /// The program.
    #[arg(long, default_value = "target/release/foretaste")]
    program: PathBuf,
}

/// The judged policies: items drawn in proportion to a power of their true popularity.
const POWERS: [f64; 4] = [0.5, 0.7, 0.9, 1.1];

/// How often an interval held the truth.
#[derive(Clone, Copy, Default)]
struct Held {
    held: u32,
    of: u32,
}

/// Judges the policies by every log, and prints how often each interval held the truth.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let size = Size { sessions: args.sessions, items: args.items };
    // Of the value and of the difference from the logger: decided, and not to be decided.
    let mut held = [[[Held::default(); 2]; 2]; POWERS.len()];
    for seed in 1..=args.seeds {
        let folder = tempfile::tempdir()?;
        let (shop, place) = (shop(&size, seed)?, |name: &str| folder.path().join(name));
        let dataset = log(&shop, &size, seed)?;
        cache::save(&dataset, &place("shop.log"))?;
        // They learned from nothing.
        let origin = Origin::new(&dataset, &[], Value::Null, seed, crate::REVISION);
        let provenance = Provenance { catalogue: &dataset.catalogue, origin: Some(&origin) };
        let truths = Seed::new(seed).derive("truth");
        let of_logger = truth::after_the_logger(&shop, &logger(&shop)?, truths)?;
        let mut values = Vec::new();
        for power in POWERS {
            let weights: Vec<f64> =
                shop.popularity().iter().map(|weight| weight.powf(power)).collect();
            values.push(truth::after_the_logger(
                &shop,
                &Popularity::new(weights.clone())?,
                truths,
            )?);
            let recommender =
                Recommender::new(Content::popularity(weights)?, provenance, &Device::Cpu)?;
            recommender.save(&place(&format!("power-{power}")))?;
        }
        let log = place("shop.log");
        let mut command = vec!["judge".into(), "--log".into(), log.into_os_string()];
        for power in POWERS {
            command.push("--policy".into());
            command.push(place(&format!("power-{power}")).into_os_string());
        }
        let found = ask(&args.program, command)?;
        let found = found["policies"].as_array().context("the program reported no policies")?;
        for ((held, policy), value) in held.iter_mut().zip(found).zip(values) {
            let (decided, undecided) = (&policy["decided"], policy["supported"] != true);
            for (held, (interval, truth)) in held.iter_mut().zip([
                (&decided["interval"], value),
                (&decided["interval_of_difference"], value - of_logger),
            ]) {
                let end = |at: usize| interval[at].as_f64().unwrap_or(f64::NAN);
                let held = &mut held[usize::from(undecided)];
                held.of += 1;
                held.held += u32::from(end(0) <= truth && truth <= end(1));
            }
        }
    }
    for (power, [value, difference]) in POWERS.iter().zip(held) {
        let shown = |[decided, undecided]: [Held; 2]| {
            format!(
                "{} of {} (where the log is not to decide: {} of {})",
                decided.held, decided.of, undecided.held, undecided.of
            )
        };
        print_line(format_args!("popularity to the power {power}"));
        print_line(format_args!(
            "  the interval of its value contained the truth in {}",
            shown(value)
        ));
        print_line(format_args!(
            "  that of the difference from the logger in {}",
            shown(difference)
        ));
    }
    Ok(())
}
