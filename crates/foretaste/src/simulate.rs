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
use crate::log::{inputs, read_as_it_is};
use crate::policy::{self, PolicySpec, Source};
use crate::progress::Progress;
use crate::saved;
use crate::users::{self, check_known, listed, unknown};

/// Options of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Learned users that `foretaste fit` wrote.
    users: PathBuf,
    /// Policy that shows the slates: a recommender that `foretaste train` wrote, popularity (fitted
    /// on --log) or uniform. After it, add ,act=top (its most likely items), ,act=softmax with
    /// ,temperature=T, or ,epsilon=E (this share of its slates is drawn uniformly).
    #[arg(long)]
    policy: PolicySpec,
    /// Number of sessions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    sessions: u64,
    /// Cached log to write.
    #[arg(long, value_name = "LOG")]
    to: PathBuf,
    /// Log in which popularity counts clicks.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Number of items on a slate [default: that of most slates that the users learned from].
    #[arg(short, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    k: Option<usize>,
    /// Largest number of slates of a session; longer ones are cut [default: that of the longest
    /// session that the users learned from, or 1,000 if it is not known].
    #[arg(
        long,
        value_name = "STEPS",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    max_steps: Option<usize>,
    /// Replace the log if it exists.
    #[arg(long)]
    force: bool,
    /// Seed of users and policy; session i has its own random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

/// Number of sessions that are simulated together, on one thread.
pub const CHUNK: usize = 256;

/// Plays a policy against learned users, and writes the log.
///
/// # Errors
/// [`Interrupted`] after Ctrl-C; where users and policy do not fit each other.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    let read = args.log.as_deref().map_or(Vec::new(), inputs);
    let target = Target::new(&args.to, read, args.force)?;
    let device = args.device.resolve()?.open()?;
    let users = saved::users(&args.users, &device)?;
    let catalogue = users.catalogue().clone();
    let max_steps = args.max_steps.unwrap_or_else(|| users::longest_session(&users));
    let k = match args.k.or_else(|| users::usual_slate(&users)) {
        Some(k) => k,
        None => bail!(
            "{} has no record of how many items the slates had that it learned from; give the \
             number to show with -k",
            args.users.display()
        ),
    };
    let recommender = recommender(args, &catalogue, &device)?;
    let name = args.policy.name();
    let fewest = catalogue.len().min(recommender.catalogue().len());
    if k > fewest {
        bail!("-k {k}: {name} can show these users only {fewest} items; give a smaller -k");
    }
    let stop = interrupt::on_ctrl_c(bars, "stopping; press Ctrl-C again to end at once")?;
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
        played => played.with_context(|| format!("cannot simulate {name}"))?,
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
        bail!(
            "--log is the log in which popularity counts clicks; leave it out for other policies"
        );
    }
    let path = match &args.policy.source {
        Source::Uniform => return Ok(Recommender::new(Content::random()?, known, device)?),
        Source::Popularity => {
            let Some(log) = &args.log else {
                bail!("popularity counts clicks in a log: name one with --log");
            };
            let dataset = read_as_it_is(log, true)?;
            check_known(&dataset.catalogue, known, &format!("the log {}", log.display()))?;
            let (dataset, _) = dataset.mapped_to(known, UnknownItems::Refuse)?;
            let sessions: Vec<usize> = (0..dataset.log.sessions()).collect();
            return policy::popularity(&dataset, &sessions, device);
        }
        Source::Logger => bail!(
            "logger: the policy that made the log is not known, so it cannot be simulated; name a \
             recommender, popularity or uniform"
        ),
        Source::At(path) => path,
    };
    let shown = path.display();
    if path.is_file() {
        bail!(
            "{shown}: a file of probabilities or slates has answers only for the slates of its \
             log, and cannot be simulated; expected a recommender, popularity or uniform"
        );
    }
    let recommender = saved::recommender(path, known, device)?;
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
