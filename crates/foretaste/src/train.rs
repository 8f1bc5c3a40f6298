//! `foretaste train`: a recommender from a log of one's own.

mod folder;
mod watch;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::error::ErrorKind;
use foretaste_console::{Interrupted, interrupt};
use foretaste_data::{Dataset, Log, Origin, Provenance};
use foretaste_nn::DeviceKind;
use foretaste_recommender::{Effort, Error, Job, Method, Recommender, TrainingLog};
use indicatif::MultiProgress;
use serde_json::json;

use self::folder::Folder;
use self::watch::Watched;
use crate::REVISION;
use crate::answer::Answer;
use crate::log::{LogArgs, inputs};

/// Options of `train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log in any format, with rewards of 0 and 1: a file, a cached log, a pipe, - for the standard
    /// input, or bundled:NAME.
    log: PathBuf,
    /// Folder to write the recommender into. A training that was interrupted is kept there: the
    /// same command goes on with it.
    #[arg(long, value_name = "RECOMMENDER")]
    to: PathBuf,
    /// What to train.
    #[arg(long, default_value = "irecgan", value_parser = methods())]
    method: Method,
    /// Replace a recommender that is there.
    #[arg(long)]
    force: bool,
    /// Start from the beginning, and drop an unfinished training that is there.
    #[arg(long)]
    fresh: bool,
    /// How many percent of the sessions to learn from, the first ones; `judge` judges by the rest.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 50,
        value_parser = clap::value_parser!(u8).range(1..100)
    )]
    percent: u8,
    /// Passes over the log for the user model and for the agent, each [default: 10].
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    epochs: Option<u64>,
    /// Rounds of adversarial training after that [default: 5].
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    adversarial: Option<u64>,
    /// Width of the LSTMs' states; the paper's is 512 [default: 64].
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    hidden: Option<usize>,
    /// What everything is drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

/// Trains a recommender on the first sessions of a log and writes it.
///
/// # Errors
/// [`Interrupted`], with what to do, after Ctrl-C; where the log or the folder do not allow it.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    let effort = effort(args);
    let folder = Folder::new(&args.to, inputs(&args.log), args.force)?;
    let device = args.device.resolve()?;
    let (dataset, _) = LogArgs::of(&args.log).read(None, quiet)?;
    let chosen = first(&dataset, args.percent)?;
    let log = TrainingLog { dataset: &dataset, sessions: &chosen };
    let cannot_learn =
        || format!("cannot learn from the first {}% of {}", args.percent, args.log.display());
    let settings = args.method.settings(&log, &effort).with_context(cannot_learn)?;
    let mut of_origin = json!({ "percent": args.percent });
    of_origin[args.method.name()] = settings.clone();
    let learned_from = args.method.learns_from(&log);
    let origin = Origin::new(&dataset, learned_from, of_origin, args.seed, REVISION);
    let command = json!({
        "log": origin.log,
        "rewards": digest_of_rewards(&dataset.log),
        "settings": origin.settings,
        "seed": args.seed,
        "device": device.to_string(),
    });

    let opened = device.open()?;
    let _held = folder.hold()?;
    let unfinished = folder.unfinished(&command, args.fresh)?;
    let job = Job {
        settings: &settings,
        seed: args.seed,
        device: &opened,
        origin: Some(&origin),
        unfinished: unfinished.as_deref(),
    };
    let saying = "stopping after this epoch; Ctrl-C again ends at once";
    let stop = interrupt::on_ctrl_c(bars, saying)?;
    let mut watched = Watched::new(&folder, &command, stop, bars, quiet);
    let trained = args.method.train(&log, &job, &mut watched);
    let epochs = watched.end()?;
    let trained = match trained {
        Err(Error::Interrupted) => return Err(interrupted(args, epochs)),
        trained => trained.with_context(|| match &unfinished {
            Some(place) => {
                format!("cannot go on with {}; start again with --fresh", place.display())
            }
            None => cannot_learn(),
        })?,
    };
    let provenance = Provenance { catalogue: &dataset.catalogue, origin: Some(&origin) };
    let recommender = Recommender::new(trained.content, provenance, &opened)?;
    folder.finish(|place| Ok(recommender.save(place)?))?;
    let sessions = trained.sessions;
    let text = format!("learned from {sessions} sessions; written to {}", args.to.display());
    let json = json!({
        "method": args.method.name(),
        "sessions": sessions,
        "of_sessions": dataset.log.sessions(),
        "items": dataset.catalogue.len(),
        "epochs": epochs.1,
        "to": args.to.display().to_string(),
    });
    Ok(Answer { text, json })
}

fn methods() -> impl TypedValueParser<Value = Method> {
    let value = |method: Method| PossibleValue::new(method.name()).help(method.about());
    let values = PossibleValuesParser::new(Method::all().map(value));
    values.try_map(|name| Method::named(&name))
}

/// How much work was asked for; options that make no difference to the method are refused.
fn effort(args: &Args) -> Effort {
    let given = [
        ("epochs", args.epochs.is_some()),
        ("adversarial", args.adversarial.is_some()),
        ("hidden", args.hidden.is_some()),
    ];
    let takes = args.method.takes();
    if let Some((name, _)) = given.iter().find(|(name, given)| *given && !takes.contains(name)) {
        let method = args.method.name();
        let problem = format!("--{name} makes no difference to --method {method}; leave it out");
        clap::Command::new("foretaste train").error(ErrorKind::ArgumentConflict, problem).exit();
    }
    Effort {
        epochs: args.epochs.unwrap_or(10),
        adversarial: args.adversarial.unwrap_or(5),
        hidden: args.hidden.unwrap_or(64),
    }
}

/// What to say after Ctrl-C.
fn interrupted(args: &Args, (done, total): (u64, u64)) -> anyhow::Error {
    anyhow::Error::new(Interrupted).context(format!(
        "interrupted: {done} of {total} epochs are done and kept in {}; the same command goes on \
         from there",
        args.to.display()
    ))
}

/// What the origin does not see of a log.
fn digest_of_rewards(log: &Log) -> String {
    let mut hasher = blake3::Hasher::new();
    for step in log.iter().flat_map(|session| session.steps()) {
        hasher.update(&step.reward.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The first sessions, which leave some to judge by.
fn first(dataset: &Dataset, percent: u8) -> anyhow::Result<Vec<usize>> {
    let sessions = dataset.log.sessions();
    let first = sessions * usize::from(percent) / 100;
    if first == 0 || first == sessions {
        bail!("{sessions} sessions: too few to learn from {percent}% and to judge on the rest");
    }
    Ok((0..first).collect())
}
