//! `cargo xtask shop`: logs of a simulated shop, and whether the program is right about them.

mod check;
mod coverage;
mod truth;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use foretaste_console::terminal::print_line;
use foretaste_data::{Catalogue, Dataset};
use foretaste_files::Target;
use foretaste_import::{Format, export};
use foretaste_random::Seed;
use foretaste_sim::policies::Popularity;
use foretaste_sim::{Blind, Rollout, Shop, ShopConfig};
use serde_json::Value;

/// Options of `shop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Asked,
}

#[derive(Debug, clap::Subcommand)]
enum Asked {
    /// Write a log of the shop, with propensities, as CSV.
    Log(LogArgs),
    /// Run `foretaste run` on logs of several shops, and compare its order of the recommenders with
    /// the true one.
    Check(check::Args),
    /// Judge known policies by many small logs, and count how often the intervals contain the
    /// truth.
    Coverage(coverage::Args),
}

/// Which shop, and how many of its visitors.
#[derive(Clone, Debug, clap::Args)]
pub struct Size {
    /// Sessions of a log.
    #[arg(long, default_value_t = 50_000)]
    sessions: u64,
    /// Items of the shop.
    #[arg(long, default_value_t = 2_000)]
    items: usize,
}

#[derive(Debug, clap::Args)]
struct LogArgs {
    /// File to write.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    size: Size,
    /// Seed of shop and visitors.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Items on a slate.
const K: usize = 6;
/// The share of the items that the logging policy draws uniformly.
const EPSILON: f64 = 0.2;

/// Does what was asked for.
///
/// # Errors
/// Where a file cannot be written, or the program fails.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Asked::Log(args) => write_log(args),
        Asked::Check(args) => check::run(args),
        Asked::Coverage(args) => coverage::run(args),
    }
}

fn write_log(args: &LogArgs) -> anyhow::Result<()> {
    let target = Target::new(&args.to, vec![], args.force)?;
    let dataset = log(&shop(&args.size, args.seed)?, &args.size, args.seed)?;
    export(&dataset, Format::Csv, target.path())?;
    print_line(format_args!(
        "{}: {} sessions, {} slates",
        args.to.display(),
        dataset.log.sessions(),
        dataset.log.steps()
    ));
    Ok(())
}

fn shop(size: &Size, seed: u64) -> anyhow::Result<Shop> {
    Ok(Shop::new(&ShopConfig { items: size.items, seed, ..ShopConfig::default() })?)
}

/// A log of the logging policy.
fn log(shop: &Shop, size: &Size, seed: u64) -> anyhow::Result<Dataset> {
    let seed = Seed::new(seed).derive("shop's log");
    let log = Rollout::new(seed, 0..size.sessions, K).run(shop, &Blind(logger(shop)?))?;
    let catalogue = Catalogue::numbered(size.items);
    Ok(Dataset { name: "shop".into(), log, catalogue, ..Dataset::default() })
}

/// Items drawn without replacement, four in five in proportion to how popular they truly are and
/// one in five uniformly.
fn logger(shop: &Shop) -> anyhow::Result<Popularity> {
    let popularity = shop.popularity();
    let sum: f64 = popularity.iter().sum();
    let uniform = 1.0 / popularity.len() as f64;
    let weight = |popularity: f64| (1.0 - EPSILON) * popularity / sum + EPSILON * uniform;
    Ok(Popularity::new(popularity.into_iter().map(weight).collect())?)
}

/// What the program answers, as JSON.
fn ask<A: AsRef<OsStr>>(
    program: &Path,
    command: impl IntoIterator<Item = A>,
) -> anyhow::Result<Value> {
    let shown = program.display();
    let mut command_line = Command::new(program);
    let output = command_line.args(command).args(["--json", "--quiet"]).stderr(Stdio::inherit());
    let output = output.output().with_context(|| {
        format!("cannot start {shown}; cargo build --release -p foretaste makes it")
    })?;
    if !output.status.success() {
        bail!("{shown} ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{shown} printed no JSON"))
}
