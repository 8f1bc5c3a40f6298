//! `foretaste simulate`: a policy played against learned users, as a log.

pub mod player;

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use candle_core::Device;
use clap::builder::RangedU64ValueParser;
use foretaste_console::terminal::eprint_line;
use foretaste_console::{Interrupted, interrupt};
use foretaste_data::{Catalogue, Dataset, UnknownItems, cache};
use foretaste_files::Target;
use foretaste_nn::DeviceKind;
use foretaste_random::Seed;
use foretaste_recommender::{Content, Recommender};
use foretaste_sim::Rollout;
use indicatif::MultiProgress;

use self::player::Player;
use crate::answer::Answer;
use crate::describe::of_import;
use crate::log::{LogArgs, inputs};
use crate::policy::{self, PolicySpec, Source};
use crate::progress::Progress;
use crate::users::{self, check_known, listed, unknown};

/// Options of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `foretaste fit` wrote: learned users.
    users: PathBuf,
    /// Who shows the slates: a recommender that `foretaste train` wrote, popularity (fitted on
    /// --log) or uniform. Behind it may stand ,act=top (its likeliest items), ,act=softmax with
    /// ,temperature=T, and ,epsilon=E (so many of its slates are drawn uniformly).
    #[arg(long)]
    policy: PolicySpec,
    /// How many sessions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    sessions: u64,
    /// Cached log to write.
    #[arg(long, value_name = "LOG")]
    to: PathBuf,
    /// Log that popularity counts clicks in.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Items on a slate [default: as most slates have that the users learned from].
    #[arg(short, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    k: Option<usize>,
    /// Sessions that are longer than so many slates are cut [default: the length of the longest
    /// that the users learned from, or 1,000 if they do not say].
    #[arg(
        long,
        value_name = "STEPS",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    max_steps: Option<usize>,
    /// Replace a log that is there.
    #[arg(long)]
    force: bool,
    /// What users and policy are drawn from; session i has streams of its own.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

/// Sessions that are played together, each chunk on one thread.
pub const CHUNK: usize = 256;

/// Plays a policy against learned users, and writes the log.
///
/// # Errors
/// [`Interrupted`] after Ctrl-C; where users and policy do not fit each other.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    let read = args.log.as_deref().map_or(Vec::new(), inputs);
    let target = Target::new(&args.to, read, args.force)?;
    let device = args.device.resolve()?.open()?;
    let users = users::load(&args.users, &device)?;
    let catalogue = users.catalogue().clone();
    let max_steps = args.max_steps.unwrap_or_else(|| users::longest_session(&users));
    let k = match args.k.or_else(|| users::usual_slate(&users)) {
        Some(k) => k,
        None => bail!(
            "{} does not say how many items the slates had that it learned from; -k says how many \
             to show",
            args.users.display()
        ),
    };
    let recommender = recommender(args, &catalogue, &device)?;
    let name = args.policy.name();
    let fewest = catalogue.len().min(recommender.catalogue().len());
    if k > fewest {
        bail!("-k {k}: there are no more than {fewest} items that {name} can show the users");
    }
    let stop = interrupt::on_ctrl_c(bars, "stopping; Ctrl-C again ends at once")?;
    let actor = recommender.acting(args.policy.acting)?;
    let shown = Progress::new(bars, quiet, 0, args.sessions);
    let player = Player::new(actor, &catalogue, &stop, shown);
    let rollout = Rollout::new(Seed::new(args.seed).derive("simulate"), 0..args.sessions, k);
    let rollout = rollout.max_steps(max_steps).chunk(CHUNK);
    let environment = users.into_environment()?;
    let played = rollout.run(&environment, &player);
    let ended = player.end();
    let log = match played {
        Err(_) if stop.load(Ordering::Relaxed) => {
            bail!(anyhow::Error::new(Interrupted).context("interrupted: nothing was written"))
        }
        played => played.with_context(|| format!("cannot play {name}"))?,
    };
    if ended < args.sessions {
        eprint_line(format_args!(
            "{} of {} sessions were cut after {max_steps} slates",
            args.sessions - ended,
            args.sessions
        ));
    }
    let name = args.to.file_stem().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let dataset = Dataset { name, log, catalogue, ..Dataset::default() };
    target.check()?;
    cache::save(&dataset, target.path())?;
    let mut answer = of_import(&dataset, None)?;
    answer.text += &format!("written to {}", args.to.display());
    answer.json["to"] = args.to.display().to_string().into();
    Ok(answer)
}

/// Who shows the slates.
///
/// # Errors
/// Where the policy cannot be played, or knows items that the users do not.
fn recommender(args: &Args, known: &Catalogue, device: &Device) -> anyhow::Result<Recommender> {
    if args.log.is_some() && args.policy.source != Source::Popularity {
        bail!("--log is what popularity counts clicks in; leave it out for other policies");
    }
    let path = match &args.policy.source {
        Source::Uniform => return Ok(Recommender::new(Content::random()?, known, device)?),
        Source::Popularity => {
            let Some(log) = &args.log else {
                bail!("popularity counts clicks in a log: name one with --log");
            };
            let (dataset, _) = LogArgs::of(log).read(None, true)?;
            check_known(&dataset.catalogue, known, &format!("the log {}", log.display()))?;
            let (dataset, _) = dataset.mapped_to(known, UnknownItems::Refuse)?;
            let sessions: Vec<usize> = (0..dataset.log.sessions()).collect();
            return policy::popularity(&dataset, &sessions, device);
        }
        Source::Logger => bail!(
            "logger: who made the log that the users learned from is not known; uniform and \
             popularity are policies that can be played"
        ),
        Source::At(path) => path,
    };
    let shown = path.display();
    if path.is_file() {
        bail!(
            "{shown}: a file of probabilities or slates answers for the slates of its log alone, \
             and cannot be played; expected a recommender, popularity or uniform"
        );
    }
    let recommender = Recommender::load_knowing(path, known, device)
        .with_context(|| format!("cannot load the recommender {shown}"))?;
    check_known(recommender.catalogue(), known, &format!("the recommender {shown}"))?;
    let unknown = unknown(known, recommender.catalogue());
    if !unknown.is_empty() {
        eprint_line(format_args!(
            "warning: {shown} does not know {} of the users' {} items, and never shows them: {}",
            unknown.len(),
            known.len(),
            listed(&unknown)
        ));
    }
    Ok(recommender)
}
