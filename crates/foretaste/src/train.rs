//! `foretaste train`: a recommender from a log of one's own.

mod folder;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::builder::RangedU64ValueParser;
use foretaste_data::{Dataset, Log, Origin, Provenance};
use foretaste_irecgan::{IRecGan, IRecGanConfig, Stage};
use foretaste_lab::terminal::tell;
use foretaste_lab::{Interrupted, interrupt};
use foretaste_nn::DeviceKind;
use foretaste_random::Seed;
use foretaste_train::Network;
use foretaste_user_model::behaviour::clicked_sessions;
use indicatif::MultiProgress;
use serde_json::json;

use self::folder::Folder;
use crate::REVISION;
use crate::answer::Answer;
use crate::log::{LogArgs, inputs};
use crate::progress::Progress;

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
    /// Replace a recommender or an unfinished training that is there.
    #[arg(long)]
    force: bool,
    /// How many percent of the sessions to learn from, the first ones; `judge` judges by the rest.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 50,
        value_parser = clap::value_parser!(u8).range(1..100)
    )]
    percent: u8,
    /// Passes over the log for the user model and for the agent, each.
    #[arg(long, default_value_t = 10)]
    epochs: u64,
    /// Rounds of adversarial training after that.
    #[arg(long, default_value_t = 5)]
    adversarial: u64,
    /// Width of the LSTMs' states; the paper's is 512.
    #[arg(
        long,
        default_value_t = 64,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096)
    )]
    hidden: usize,
    /// What everything is drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

/// Time between two saves of an unfinished training.
const PERIOD: Duration = Duration::from_secs(60);

/// Trains IRecGAN on the first sessions of a log and writes its agent.
///
/// # Errors
/// [`Interrupted`], with what to do, after Ctrl-C; where the log or the folder do not allow it.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    let folder = Folder::new(&args.to, inputs(&args.log), args.force)?;
    let device = args.device.resolve()?;
    let (dataset, _) = LogArgs::of(&args.log).read(None, quiet)?;
    let chosen = first(&dataset, args.percent)?;
    let unused = rewards_without_choice(&dataset, &chosen);
    if unused > 0 {
        tell(format_args!(
            "warning: {unused} slates earned a reward though nothing was chosen; IRecGAN learns \
             from the rewards of choices alone"
        ));
    }
    let (items, seed) = (dataset.catalogue.len(), Seed::new(args.seed));
    let train = clicked_sessions(&dataset.log, &chosen, items, seed)
        .context("cannot learn from this log")?;
    if train.sessions() == 0 {
        bail!("{}: no session with a click among the first {}%", args.log.display(), args.percent);
    }
    let config = config(args, &dataset, &train);
    let settings = json!({ "percent": args.percent, "irecgan": config });
    let origin = Origin::new(&dataset, &chosen, settings, args.seed, REVISION);
    let provenance = Provenance { catalogue: &dataset.catalogue, origin: Some(&origin) };
    let command = json!({
        "log": origin.log,
        "rewards": digest_of_rewards(&dataset.log),
        "settings": origin.settings,
        "seed": args.seed,
        "device": device.to_string(),
    });

    let opened = device.open()?;
    let mut run = match folder.unfinished(&command)? {
        Some(place) => {
            IRecGan::resume(&place, &dataset.catalogue, seed, &opened).with_context(|| {
                format!("cannot go on with {}; start anew with --force", place.display())
            })?
        }
        None => IRecGan::new(config, seed, &opened)?,
    };
    let total = 2 * args.epochs + 1 + args.adversarial;
    let before = run.curve().len() as u64;
    if before > 0 {
        tell(format_args!("going on after {before} of {total} epochs"));
    }
    let saying = "stopping after this epoch; Ctrl-C again ends at once";
    let stop = interrupt::on_ctrl_c(bars, saying)?;
    let mut progress = Progress::new(bars, quiet, before, total);
    let mut saved = Instant::now();
    while let Some(point) = run.advance(&train)? {
        progress.advance(name(point.stage));
        let done = run.curve().len() as u64;
        let stopped = stop.load(Ordering::Relaxed) && done < total;
        if stopped || saved.elapsed() > PERIOD {
            folder.keep(&command, |place| Ok(run.save(place, provenance)?))?;
            saved = Instant::now();
        }
        if stopped {
            progress.end();
            return Err(anyhow::Error::new(Interrupted).context(format!(
                "interrupted: {done} of {total} epochs are done and kept in {}; the same command \
                 goes on from there",
                args.to.display()
            )));
        }
    }
    progress.end();
    folder.finish(|place| {
        Ok(run.agent().save(place, provenance, run.curve().len() as u64, args.seed, None)?)
    })?;
    let sessions = train.sessions();
    let text = format!("learned from {sessions} sessions; written to {}", args.to.display());
    let json = json!({
        "sessions": sessions,
        "of_sessions": dataset.log.sessions(),
        "items": items,
        "epochs": total,
        "to": args.to.display().to_string(),
    });
    Ok(Answer { text, json })
}

/// The published settings, in the size that was asked for.
fn config(args: &Args, dataset: &Dataset, train: &Log) -> IRecGanConfig {
    let items = dataset.catalogue.len();
    let widest =
        train.iter().flat_map(|session| session.steps()).map(|step| step.slate.len()).max();
    let mut config = IRecGanConfig::new(items, widest.unwrap_or(1).min(items));
    (config.users.hidden, config.agent.hidden, config.discriminator.hidden) =
        (args.hidden, args.hidden, args.hidden);
    (config.users_epochs, config.agent_epochs, config.epochs) =
        (args.epochs, args.epochs, args.adversarial);
    config.discriminator.leaving = dataset.log.iter().any(|session| session.left());
    config
}

/// What the origin does not see of a log.
fn digest_of_rewards(log: &Log) -> String {
    let mut hasher = blake3::Hasher::new();
    for step in log.iter().flat_map(|session| session.steps()) {
        hasher.update(&step.reward.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::PretrainUsers => "user model",
        Stage::PretrainAgent => "agent",
        Stage::PretrainDiscriminator => "discriminator",
        Stage::Adversarial => "adversarial",
    }
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

fn rewards_without_choice(dataset: &Dataset, sessions: &[usize]) -> usize {
    let steps = sessions.iter().flat_map(|&session| dataset.log.session(session).steps());
    steps.filter(|step| step.choice.item().is_none() && step.reward != 0.0).count()
}
