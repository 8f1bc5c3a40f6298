//! `cargo xtask generate`: the bundled logs, byte for byte, from a seed.

use std::path::PathBuf;

use anyhow::Context;
use foretaste_data::{
    Catalogue, Choice, Dataset, Fractions, Log, LogBuilder, Part, Split, Step, Vocabulary,
};
use foretaste_import::{Format, export};
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Mdp, MdpConfig, Outside, Rollout};
use rand::Rng;
use rand::distr::weighted::WeightedIndex;

use foretaste_console::terminal::print_line;
use foretaste_files::Target;

/// Options of `generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write the logs to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the logs if they exist.
    #[arg(long)]
    force: bool,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const USERS: u64 = 900;
/// Shares of slates of 2, 3, .. 8 items: small ones prevail, as in the released Yelp subset.
const SLATES: [f64; 7] = [0.30, 0.25, 0.20, 0.10, 0.07, 0.05, 0.03];
/// Shares of users with 1, 2, .. 6 slates.
const LENGTHS: [f64; 6] = [0.45, 0.25, 0.13, 0.08, 0.05, 0.04];
const MDP_SESSIONS: u64 = 250;

/// Simulates and writes the logs, one in each format.
pub fn run(args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create {}", args.out.display()))?;
    let seed = Seed::new(args.seed).derive("bundled logs");
    let choice = simulated_choice(args.seed, seed.derive("choice"))?;
    let mdp = simulated_mdp(args.seed, seed.derive("mdp"))?;
    let clicks = only_clicks(mdp.clone().without(Part::Propensities))?;
    let logs = [
        ("simulated-choice.tsv", Format::GanCdqn, &choice),
        ("simulated-mdp-clicks.csv", Format::IRecGan, &clicks),
        ("simulated-mdp.csv", Format::Csv, &mdp),
        ("simulated-mdp.jsonl", Format::JsonLines, &mdp),
        ("simulated-mdp.parquet", Format::Parquet, &mdp),
    ];
    let targets =
        logs.iter().map(|(name, ..)| Target::new(&args.out.join(name), vec![], args.force));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    for ((_, format, dataset), target) in logs.into_iter().zip(targets) {
        let path = target.path();
        export(dataset, format, path)?;
        let (sessions, steps) = (dataset.log.sessions(), dataset.log.steps());
        print_line(format_args!(
            "{} ({format}): {sessions} sessions, {steps} steps",
            path.display()
        ));
    }
    Ok(())
}

/// Users whose reward is known choose one item of every slate; split by user.
fn simulated_choice(number: u64, seed: Seed) -> anyhow::Result<Dataset> {
    let config = ChoiceUsersConfig {
        items: 150,
        outside: Outside::Absent,
        eta: 2.0,
        seed: number,
        ..Default::default()
    };
    let users = ChoiceUsers::new(&config)?;
    let policy = Blind(UniformRandom { items: config.items });
    let (slates, lengths) = (WeightedIndex::new(SLATES)?, WeightedIndex::new(LENGTHS)?);
    let mut log = LogBuilder::default();
    let mut time = 0;
    for user in 0..USERS {
        let mut stream = seed.derive("sizes").stream(user);
        let (k, max_steps) = (2 + stream.sample(&slates), 1 + stream.sample(&lengths));
        let rollout = Rollout::new(seed.derive("sessions"), user..user + 1, k).max_steps(max_steps);
        for step in rollout.run(&users, &policy)?.session(0).steps() {
            log.push(Step::new(step.slate, step.choice, 1.0).at(time))?;
            time += 1;
        }
        log.end_session(Some(user as u32))?;
    }
    let log = log.build();
    let split = Split::by_user(&log, Fractions::default(), seed.derive("split"))?;
    let names: Vec<String> = (0..USERS).map(|user| user.to_string()).collect();
    let users: Vocabulary = names.iter().map(String::as_str).collect();
    let catalogue = Catalogue::numbered(config.items);
    Ok(Dataset {
        name: "simulated-choice".into(),
        log,
        catalogue,
        users,
        split: Some(split),
        ..Dataset::default()
    })
}

/// The environment of IRecGAN's section 7.1 under the uniform random policy, with propensities and
/// observed leaving.
fn simulated_mdp(number: u64, seed: Seed) -> anyhow::Result<Dataset> {
    let mdp = Mdp::new(&MdpConfig { seed: number, ..Default::default() })?;
    let log = Rollout::new(seed, 0..MDP_SESSIONS, 10)
        .run(&mdp, &Blind(UniformRandom { items: mdp.items() }))?;
    let catalogue = Catalogue::numbered(mdp.items());
    Ok(Dataset { name: "simulated-mdp".into(), log, catalogue, ..Dataset::default() })
}

/// The same log without the steps on which users left: all that the IRecGAN format can hold. Its
/// sessions are numbered again, from 1, as in the authors' files.
fn only_clicks(dataset: Dataset) -> anyhow::Result<Dataset> {
    let mut clicks = LogBuilder::default();
    for session in dataset.log.iter() {
        for step in session.steps().filter(|step| matches!(step.choice, Choice::Item(_))) {
            clicks.push(step)?;
        }
        if clicks.open_steps() > 0 {
            clicks.end_session(None)?;
        }
    }
    let log: Log = clicks.build();
    let ids: Vec<String> = (1..=log.sessions()).map(|number| number.to_string()).collect();
    let sessions = ids.iter().map(String::as_str).collect();
    Ok(Dataset { log, sessions, ..dataset })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension != "md"))
            .map(|path| {
                (
                    path.file_name().unwrap().to_string_lossy().into_owned(),
                    std::fs::read(&path).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    }

    fn datasets() -> PathBuf {
        crate::workspace_root().join("datasets")
    }

    #[test]
    fn the_bundled_logs_come_from_their_seed_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        run(&Args { out: folder.path().to_owned(), force: false, seed: 1 }).unwrap();
        let (made, bundled) = (files(folder.path()), files(&datasets()));
        let names = |files: &[(String, Vec<u8>)]| {
            files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&made), names(&bundled));
        for ((name, made), (_, bundled)) in made.iter().zip(&bundled) {
            assert!(made == bundled, "{name} is not what `cargo xtask generate --seed 1` makes");
            assert!(bundled.len() < 200_000, "{name} holds {} bytes", bundled.len());
        }
    }

    #[test]
    fn every_bundled_log_is_in_the_format_that_its_first_bytes_tell() {
        for (name, _) in files(&datasets()) {
            let path = datasets().join(&name);
            let (dataset, _) = foretaste_import::import(&path, Default::default()).unwrap();
            assert!(dataset.log.sessions() > 100, "{name}");
            assert_eq!(dataset.split.is_some(), name.ends_with(".tsv"), "{name}");
        }
    }
}
