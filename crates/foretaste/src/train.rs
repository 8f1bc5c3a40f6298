//! `foretaste train`: a recommender from a log of one's own.

mod learned;
mod watch;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::Device;
use clap::builder::{PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::error::ErrorKind;
use foretaste_console::terminal::eprint_line;
use foretaste_console::{Interrupted, interrupt};
use foretaste_data::{Dataset, Origin, Provenance};
use foretaste_nn::DeviceKind;
use foretaste_recommender::{Effort, Error, Job, Method, Recommender, TrainingLog, Users};
use indicatif::MultiProgress;
use serde_json::json;

use self::learned::Learned;
use self::watch::Watched;
use crate::REVISION;
use crate::answer::Answer;
use crate::folder::{self, Folder, RECOMMENDERS};
use crate::log::{context_is_unused, inputs, read_as_it_is};
use crate::saved;
use crate::users;

/// Options of `train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log in any format: a file, a cached log, a pipe, - for the standard input, or bundled:NAME.
    log: PathBuf,
    /// Folder to write the recommender to. It keeps an interrupted training, which the same command
    /// continues.
    #[arg(long, value_name = "RECOMMENDER")]
    to: PathBuf,
    /// Method to train.
    #[arg(long, default_value = "irecgan", value_parser = methods())]
    method: Method,
    /// Learned users of the log's items that `foretaste fit` wrote, for the methods that learn in
    /// users. Without this option, cdqn, gdqn, greedy, assortment and linucb fit GAN-PW's users to
    /// the sessions that they learn from.
    #[arg(long, value_name = "USERS")]
    users: Option<PathBuf>,
    /// Replace the recommender in the folder.
    #[arg(long)]
    force: bool,
    /// Start from the beginning, and delete the unfinished training in the folder.
    #[arg(long)]
    fresh: bool,
    /// Percentage of the sessions to learn from, the first ones; `judge` uses the others.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 50,
        value_parser = clap::value_parser!(u8).range(1..100)
    )]
    percent: u8,
    /// Number of passes over the log for the user model and for the agent, each [default: 10]; for
    /// users that are fitted to the log, the largest number [default: 10, or as many as make 2,000
    /// updates].
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    epochs: Option<u64>,
    /// Number of rounds of adversarial training after that [default: 5].
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    adversarial: Option<u64>,
    /// Width of the LSTMs' states, which is 512 in the paper, or of the Q-networks [default: 64].
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    hidden: Option<usize>,
    /// Take the first click of each session as given, and do not learn to predict it, as IRecGAN's
    /// public code does. For logs whose sessions begin with an item that the user chose elsewhere.
    /// Recommend after at least one click then.
    #[arg(long)]
    first_click_given: bool,
    /// Largest number of iterations of learning in users, each with 64 sessions [default: 600].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    iterations: Option<u64>,
    /// Number of items on a slate, for the methods that learn slates of one length [default: that
    /// of most slates of the log].
    #[arg(short, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    k: Option<usize>,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

impl Args {
    /// Whether the method learns in users.
    pub fn learns_in_users(&self) -> bool {
        self.method.learns_in_users()
    }
}

/// Trains a recommender on the first sessions of a log, or in users, and writes it.
///
/// # Errors
/// [`Interrupted`], with what to do, after Ctrl-C; where the log, the users or the folder do not
/// allow it.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    let effort = effort(args);
    let folder = Folder::new(&args.to, RECOMMENDERS, inputs(&args.log), args.force)?;
    let device = args.device.resolve()?;
    let opened = device.open()?;
    let users = args.users.as_deref().map(|path| Given::load(path, &opened)).transpose()?;
    let mut dataset = read_as_it_is(&args.log, quiet)?;
    if let Some(given) = &users {
        dataset = users::in_items_of(&given.users, dataset, given.path)?;
    }
    let chosen = first(&dataset, args.percent)?;
    let given = users.as_ref().map(|given| &given.users);
    let log = TrainingLog { dataset: &dataset, sessions: &chosen, users: given };
    let cannot_learn =
        || format!("cannot learn from the first {}% of {}", args.percent, args.log.display());
    let settings = args.method.settings(&log, &effort).with_context(cannot_learn)?;
    let mut of_origin = json!({ "percent": args.percent });
    of_origin[args.method.name()] = settings.clone();
    if let Some(given) = &users {
        of_origin[users::LEARNED_IN] = given.digest.clone().into();
    }
    let learned_from = args.method.learns_from(&log);
    let mut origin = Origin::new(&dataset, learned_from, of_origin, args.seed, REVISION);
    if let Some(given) = &users {
        origin = origin.including(given.origin()?, &dataset);
    }
    let command = json!({
        "log": origin.log,
        "rewards": folder::digest_of_rewards(&dataset.log),
        "settings": origin.settings,
        "seed": args.seed,
        "device": device.to_string(),
    });

    let _held = folder.hold()?;
    let unfinished = folder.unfinished(&command, args.fresh)?;
    let job = Job {
        settings: &settings,
        seed: args.seed,
        device: &opened,
        origin: Some(&origin),
        unfinished: unfinished.as_deref(),
    };
    let saying = "stopping after this epoch; press Ctrl-C again to end at once";
    let stop = interrupt::on_ctrl_c(bars, saying)?;
    let mut watched = Watched::new(&folder, &command, stop, bars, quiet);
    let trained = args.method.train(&log, &job, &mut watched);
    let epochs = watched.end()?;
    let trained = match trained {
        Err(Error::Interrupted) => return Err(interrupted(args, epochs)),
        trained => trained.with_context(|| match &unfinished {
            Some(place) => {
                format!(
                    "cannot continue the unfinished training in {}; start from the beginning with \
                     --fresh",
                    place.display()
                )
            }
            None => cannot_learn(),
        })?,
    };
    let provenance = Provenance { catalogue: &dataset.catalogue, origin: Some(&origin) };
    let recommender = Recommender::new(trained.content.clone(), provenance, &opened)?;
    let of_users = users.as_ref().map(|given| Ok::<_, anyhow::Error>(given.origin()?.sessions()));
    let of_users = of_users.transpose()?.unwrap_or(0);
    let learned = Learned::new(args.method, &log, &trained, &recommender, of_users);
    let mut warnings = learned.warnings()?;
    warnings.extend(context_is_unused(&dataset));
    folder.finish(|place| Ok(recommender.save(place)?))?;
    warnings.iter().for_each(|warning| eprint_line(format_args!("warning: {warning}")));
    let mut json = json!({
        "method": args.method.name(),
        "sessions": trained.sessions,
        "of_sessions": dataset.log.sessions(),
        "items": dataset.catalogue.len(),
        "epochs": epochs.1,
        "warnings": warnings,
        "first_place": learned.first_place()?,
        "earned_in_users": learned.earned(),
        "to": args.to.display().to_string(),
    });
    if let Some(given) = &users {
        json["users"] = given.path.display().to_string().into();
        json["users_learned_from"] = given.origin()?.sessions().into();
    }
    let earned = learned.earned_in_words().map(|words| format!("\n{words}")).unwrap_or_default();
    let text = format!("{}; written to {}{earned}", learned.from(), args.to.display());
    Ok(Answer { text, json })
}

/// Users that were named on the command line.
struct Given<'a> {
    path: &'a Path,
    users: Users,
    /// What tells these users from others.
    digest: String,
}

impl<'a> Given<'a> {
    /// Those at `path`, who say what they learned from.
    fn load(path: &'a Path, device: &Device) -> anyhow::Result<Self> {
        let users = saved::users(path, device)?;
        users::origin(&users, path)?;
        Ok(Self { path, users, digest: users::digest(path)? })
    }

    fn origin(&self) -> anyhow::Result<&Origin> {
        users::origin(&self.users, self.path)
    }
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
        ("first-click-given", args.first_click_given),
        ("iterations", args.iterations.is_some()),
        ("k", args.k.is_some()),
        ("users", args.users.is_some()),
    ];
    let takes = args.method.takes();
    if let Some((name, _)) = given.iter().find(|(name, given)| *given && !takes.contains(name)) {
        let method = args.method.name();
        let dashes = if name.len() == 1 { "-" } else { "--" };
        let problem = format!("{dashes}{name} has no effect with --method {method}; leave it out");
        clap::Command::new("foretaste train").error(ErrorKind::ArgumentConflict, problem).exit();
    }
    Effort {
        epochs: args.epochs,
        adversarial: args.adversarial,
        hidden: args.hidden,
        first_click_given: args.first_click_given,
        iterations: args.iterations,
        k: args.k,
    }
}

/// What to say after Ctrl-C.
fn interrupted(args: &Args, (done, total): (u64, u64)) -> anyhow::Error {
    anyhow::Error::new(Interrupted).context(format!(
        "interrupted: {done} of {total} epochs are done and kept in {}; run the same command again \
         to continue",
        args.to.display()
    ))
}

/// The first sessions, which leave some to judge by.
fn first(dataset: &Dataset, percent: u8) -> anyhow::Result<Vec<usize>> {
    let sessions = dataset.log.sessions();
    let first = sessions * usize::from(percent) / 100;
    if first == 0 || first == sessions {
        bail!(
            "{sessions} sessions are too few to learn from {percent}% of them and to judge by the \
             others; use a larger log"
        );
    }
    Ok((0..first).collect())
}
