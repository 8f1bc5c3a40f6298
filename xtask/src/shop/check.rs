//! `cargo xtask shop check`: does `foretaste run` put recommenders in the true order?

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use candle_core::Device;
use foretaste_console::terminal::print_line;
use foretaste_data::{Catalogue, ItemId, cache};
use foretaste_eval::interval::student_t;
use foretaste_random::Seed;
use foretaste_recommender::{Acting, Content, Recommender, Way};
use foretaste_sim::Shop;
use foretaste_user_model::trust::kendall;
use serde_json::Value;

use super::{Size, ask, log, shop, truth};

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shops.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    #[command(flatten)]
    size: Size,
    /// The program.
    #[arg(long, default_value = "target/release/foretaste")]
    program: PathBuf,
    /// Folder for the runs, with a folder for each; an unfinished run is continued.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the program on a log of every shop, and prints what it says next to the truth.
pub fn run(args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.out)?;
    let (mut by_log, mut by_users, mut times) = (Vec::new(), Vec::new(), Vec::new());
    print_line("seed,policy,true,by_log,low,high,by_users,verdict,ranked_by");
    for seed in 1..=args.seeds {
        let shop = shop(&args.size, seed)?;
        let file = args.out.join(format!("shop-{seed}.log"));
        if !file.exists() {
            cache::save(&log(&shop, &args.size, seed)?, &file)?;
        }
        let folder = args.out.join(format!("run-{seed}"));
        let began = Instant::now();
        let command = [Path::new("run"), Path::new("--to"), &folder, &file];
        let found = ask(&args.program, command)?;
        times.push(began.elapsed().as_secs_f64());
        let policies = found["policies"].as_array().context("the program reported no policies")?;
        let (mut truths, mut logged, mut learned) = (Vec::new(), Vec::new(), Vec::new());
        for policy in policies {
            let name = policy["policy"].as_str().unwrap_or_default();
            let truth = true_value(&shop, &folder, name, seed)?;
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
            let (of_log, of_users) = (&policy["by_log"], &policy["by_users"]);
            print_line(format_args!(
                "{seed},{name},{truth:.5},{:.5},{:.5},{:.5},{:.5},{},{}",
                number(&of_log["reward_per_slate"]),
                number(&of_log["interval"][0]),
                number(&of_log["interval"][1]),
                number(&of_users["reward_per_slate"]),
                policy["verdict"].as_str().unwrap_or_default(),
                found["ranked_by"].as_str().unwrap_or("nothing"),
            ));
            truths.push(truth);
            logged.push(number(&of_log["reward_per_slate"]));
            learned.push(number(&of_users["reward_per_slate"]));
        }
        by_log.extend(kendall(&truths, &logged, 0.0));
        by_users.extend(kendall(&truths, &learned, 0.0));
    }
    for (what, values) in [("the log", &by_log), ("the learned users", &by_users)] {
        let values: Vec<f64> = values.iter().copied().filter(|tau| tau.is_finite()).collect();
        if !values.is_empty() {
            print_line(format_args!(
                "Kendall's tau of the truth and {what}: {}",
                student_t(&values)?
            ));
        }
    }
    let longest = times.iter().copied().fold(0.0, f64::max);
    print_line(format_args!("a run took {longest:.0} s at most"));
    Ok(())
}

/// What a policy of a run truly earns on a slate of its own sessions.
fn true_value(shop: &Shop, folder: &Path, name: &str, seed: u64) -> anyhow::Result<f64> {
    let seed = Seed::new(seed).derive("true value");
    let (kind, acting) = match name.strip_suffix("-top") {
        Some(kind) => (kind, Acting { way: Way::Top, ..Acting::default() }),
        None => (name, Acting::default()),
    };
    let recommender = if kind == "uniform" {
        let items = Catalogue::numbered(shop.config().items);
        Recommender::new(Content::random()?, &items, &Device::Cpu)?
    } else {
        Recommender::load(&folder.join("recommenders").join(kind), &Device::Cpu)?
    };
    // Its indices are those of the shop, as the log's catalogue is numbered.
    let items = recommender.catalogue();
    let numbered = |item: u32| items.item(&item.to_string()) == Some(ItemId(item));
    if items.len() != shop.config().items || !(0..items.len() as u32).all(numbered) {
        bail!("{name} does not know the items of the shop by their numbers");
    }
    truth::of_own_sessions(shop, &recommender.acting(acting)?, seed)
}
