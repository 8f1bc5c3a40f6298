//! `cargo xtask bench growth`: how the cost of the main commands grows with the log and with the
//! threads.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use candle_core::Device;
use clap::ValueEnum;
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_data::{Catalogue, Dataset, Fractions, Split, cache};
use foretaste_eval::text;
use foretaste_import::{Format, Options, export, import};
use foretaste_irecgan::{IRecGan, IRecGanConfig};
use foretaste_random::Seed;
use foretaste_report::Table;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout};
use foretaste_user_model::behaviour::clicked_sessions;
use foretaste_user_model::{StateEncoder, TrainConfig, UserModel, UserModelConfig, fit};

use crate::bench::ratio::Ratio;
use crate::bench::record::{Case, Record};

/// Options of the benchmark of growth.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often each size is measured, in turns with the others.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..))]
    turns: u8,
    /// Measure only these.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Work>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Work {
    /// Read the log as CSV.
    Import,
    /// Fit GAN-PW in one pass over the training sessions.
    Fit,
    /// Train IRecGAN: an epoch of each stage.
    Train,
    /// Simulate choice users under random slates, and keep the log.
    Simulate,
    /// Judge two policies by half of the log.
    Judge,
}

/// How large it is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    sessions: u64,
    items: usize,
    slate: usize,
    threads: usize,
}

/// A way to make a size larger.
type Grow = fn(Size) -> Size;

/// The size that the others are compared with.
const BASE: &str = "base";
const GROWN: [(&str, Grow); 4] = [
    ("sessions x2", |size| Size { sessions: 2 * size.sessions, ..size }),
    ("items x10", |size| Size { items: 10 * size.items, ..size }),
    ("slate x2", |size| Size { slate: 2 * size.slate, ..size }),
    ("threads x2", |size| Size { threads: 2 * size.threads, ..size }),
];
/// Steps of a session at most.
const LENGTH: usize = 10;
/// Digits of the seconds that are shown.
const DIGITS: usize = 3;

/// One run of a case.
type Run = Box<dyn FnMut() -> anyhow::Result<()> + Send>;

/// A size with what measures it, and the times so far.
struct Measured {
    name: &'static str,
    pool: rayon::ThreadPool,
    run: Run,
    seconds: Vec<f64>,
}

/// Measures every size of every command in turns, and prints how the times grow.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let wanted = |work: &Work| args.only.is_empty() || args.only.contains(work);
    for &work in Work::value_variants().iter().filter(|work| wanted(work)) {
        let same: Grow = |size| size;
        let mut cases = Vec::new();
        for (name, grow) in [(BASE, same)].into_iter().chain(GROWN) {
            eprint_line(format_args!("preparing {}, {name}", work.name()));
            let size = grow(work.base());
            let pool = rayon::ThreadPoolBuilder::new().num_threads(size.threads).build()?;
            let run = work.prepare(size, folder.path())?;
            cases.push(Measured { name, pool, run, seconds: Vec::new() });
        }
        for turn in 0..=args.turns {
            eprint_line(format_args!("measuring {}, turn {turn} of {}", work.name(), args.turns));
            for Measured { pool, run, seconds, .. } in &mut cases {
                let begin = Instant::now();
                pool.install(run)?;
                // Turn 0 fills the caches of the processor and of the system.
                if turn > 0 {
                    seconds.push(begin.elapsed().as_secs_f64());
                }
            }
        }
        for Measured { name, seconds, .. } in &cases {
            record.seconds(case_name(work, name), seconds);
        }
    }
    print_line(table(&record.cases)?.markdown());
    Ok(())
}

/// How the times grow, by those of the cases that this benchmark measured: for every command the
/// seconds of the base size, and how many times as long the others take, with 95% intervals.
///
/// # Errors
/// Where a size has not as many times as the base size, or fewer than two.
pub fn table(cases: &[Case]) -> anyhow::Result<Table> {
    let find = |name: String| cases.iter().find(|case| case.name == name);
    let mut header = vec!["command".to_owned(), "seconds".to_owned()];
    header.extend(GROWN.iter().map(|(name, _)| (*name).to_owned()));
    let mut rows = Vec::new();
    for work in Work::value_variants() {
        let Some(base) = find(case_name(*work, BASE)) else { continue };
        let mut row = vec![work.name().to_owned(), text::significant(base.median(), DIGITS)];
        for (name, _) in GROWN {
            row.push(match find(case_name(*work, name)) {
                Some(grown) => Ratio::of(&grown.values, &base.values)
                    .with_context(|| format!("`{}`", grown.name))?
                    .to_string(),
                None => String::new(),
            });
        }
        rows.push(row);
    }
    Ok(Table { title: "Growth".into(), header, rows })
}

/// Whether a case is one of this benchmark's.
pub fn is_ours(case: &Case) -> bool {
    case.name.starts_with(PREFIX)
}

const PREFIX: &str = "growth, ";

fn case_name(work: Work, size: &str) -> String {
    format!("{PREFIX}{}, {size}", work.name())
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Fit => "fit",
            Self::Train => "train",
            Self::Simulate => "simulate",
            Self::Judge => "judge",
        }
    }

    /// A size that takes some tenths of a second.
    fn base(self) -> Size {
        let sessions = match self {
            Self::Import => 40_000,
            Self::Fit => 4_000,
            Self::Train => 300,
            Self::Simulate => 50_000,
            Self::Judge => 1_500,
        };
        Size { sessions, items: 100, slate: 5, threads: 1 }
    }

    /// Makes the log, so that a run has only the work to do. Files are in `folder`.
    fn prepare(self, size: Size, folder: &Path) -> anyhow::Result<Run> {
        let seed = Seed::new(1);
        let Size { sessions, items, slate, threads } = size;
        let path = folder.join(format!("{}-{sessions}-{items}-{slate}-{threads}", self.name()));
        Ok(match self {
            Self::Import => {
                export(&size.dataset()?, Format::Csv, &path)?;
                Box::new(move || Ok(import(&path, Options::default()).map(drop)?))
            }
            Self::Fit => {
                let log = size.dataset()?.log;
                let split = Split::by_session(&log, Fractions::default(), seed)?;
                let training = TrainConfig::default();
                let iterations = (split.train.len() / training.batch) as u64;
                let training = TrainConfig { iterations, validate_every: iterations, ..training };
                let state = StateEncoder::position_weights();
                let config = UserModelConfig { state, ..UserModelConfig::new(items) };
                let catalogue = Catalogue::numbered(items);
                Box::new(move || {
                    let mut model = UserModel::new(config.clone(), &catalogue, seed, &Device::Cpu)?;
                    let go_on = |_| ControlFlow::Continue(());
                    fit(&mut model, &log, &split, &training, seed, go_on)?;
                    Ok(())
                })
            }
            Self::Train => {
                let log = size.dataset()?.log;
                let sessions: Vec<usize> = (0..log.sessions()).collect();
                let offline = clicked_sessions(&log, &sessions, items, seed)?;
                let config = IRecGanConfig {
                    users_epochs: 1,
                    agent_epochs: 1,
                    discriminator_epochs: 1,
                    epochs: 1,
                    ..IRecGanConfig::small(items, slate)
                };
                Box::new(move || {
                    let mut algorithm = IRecGan::new(config.clone(), seed, &Device::Cpu)?;
                    while algorithm.advance(&offline)?.is_some() {}
                    Ok(())
                })
            }
            Self::Simulate => {
                let users = size.users()?;
                Box::new(move || Ok(size.rollout().run(&users, &size.policy()).map(drop)?))
            }
            Self::Judge => {
                cache::save(&size.dataset()?, &path)?;
                let log = path.into_os_string();
                let options =
                    ["--policy", "uniform", "--policy", "popularity", "--percent", "50", "--quiet"];
                Box::new(move || {
                    let command = ["judge".into(), log.clone()].into_iter();
                    foretaste::answer(command.chain(options.map(Into::into)))?;
                    Ok(())
                })
            }
        })
    }
}

impl Size {
    fn users(&self) -> anyhow::Result<ChoiceUsers> {
        let config = ChoiceUsersConfig { items: self.items, ..ChoiceUsersConfig::default() };
        Ok(ChoiceUsers::new(&config)?)
    }

    fn policy(&self) -> Blind<UniformRandom> {
        Blind(UniformRandom { items: self.items })
    }

    fn rollout(&self) -> Rollout {
        Rollout::new(Seed::new(2), 0..self.sessions, self.slate).max_steps(LENGTH)
    }

    /// A log of choice users under random slates.
    fn dataset(&self) -> anyhow::Result<Dataset> {
        let log = self.rollout().run(&self.users()?, &self.policy())?;
        let catalogue = Catalogue::numbered(self.items);
        Ok(Dataset { name: "growth".into(), log, catalogue, ..Dataset::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_ratio_of_every_size_that_was_measured() {
        let mut record = Record::default();
        record.seconds(case_name(Work::Fit, BASE), &[1.0, 2.0, 1.5]);
        record.seconds(case_name(Work::Fit, "items x10"), &[3.0, 6.0, 4.5]);
        record.seconds("sim", &[1.0]);
        let table = table(&record.cases).unwrap();
        assert_eq!(table.rows, [["fit", "1.50", "", "3.00", "", ""].map(str::to_owned)]);
        assert_eq!(record.cases.iter().filter(|case| is_ours(case)).count(), 2);
    }

    #[test]
    fn every_command_runs_at_a_small_size() {
        let folder = tempfile::tempdir().unwrap();
        for work in Work::value_variants() {
            let size = Size { sessions: 120, items: 12, slate: 3, threads: 1 };
            let mut run = work.prepare(size, folder.path()).unwrap();
            run().unwrap_or_else(|error| panic!("{}: {error:#}", work.name()));
        }
    }
}
