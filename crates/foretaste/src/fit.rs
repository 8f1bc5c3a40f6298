//! `foretaste fit`: learned users of a log of one's own.

pub mod compare;
pub mod learn;
pub mod page;
pub mod settings;
pub mod simpler;
pub mod watch;

use std::path::PathBuf;

use anyhow::{Context, bail};
use foretaste_console::Interrupted;
use foretaste_console::terminal::eprint_line;
use foretaste_data::{Choice, Dataset, Fractions, Log, Origin, Provenance, Split};
use foretaste_nn::DeviceKind;
use foretaste_random::Seed;
use foretaste_recommender::{TrainingLog, USERS, Users};
use indicatif::MultiProgress;
use serde_json::{Value, json};

use self::compare::Comparison;
use self::learn::Fits;
use self::page::Grid;
use self::settings::{Asked, Kind, Settings};
use self::watch::Watch;
use crate::REVISION;
use crate::answer::Answer;
use crate::describe::Profile;
use crate::folder::{self, Folder};
use crate::log::{context_is_unused, inputs, read_as_it_is};
use crate::users::{LONGEST, SETTINGS, SLATE};

/// Options of `fit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log in any format: a file, a cached log, a pipe, - for the standard input, or bundled:NAME.
    log: PathBuf,
    /// Folder to write the users to. It keeps an interrupted fit, which the same command continues.
    #[arg(long, value_name = "USERS")]
    to: PathBuf,
    /// How users are modeled.
    #[arg(long, value_enum, default_value_t)]
    model: Kind,
    /// Fit pw and lstm as they were published: they know items by their identity alone, without
    /// features that are counted in the log.
    #[arg(long)]
    no_features: bool,
    /// Do not give pw and lstm the place on the slate as a feature. It is left out in any case if
    /// one place has more than nine clicks in ten.
    #[arg(long)]
    no_place: bool,
    /// Percentage of the sessions to learn from, drawn at random, with all sessions of a user
    /// together. Of the others, half is used to choose settings and the moment to stop, and half to
    /// test.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 50,
        value_parser = clap::value_parser!(u8).range(1..99)
    )]
    percent: u8,
    /// Use only this percentage of the sessions, the first ones; `judge` can use the others.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 100,
        value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    first: u8,
    /// Largest number of passes over the log, for every setting that is tried [default: 10, or as
    /// many as make 2,000 updates].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    epochs: Option<u64>,
    /// Replace the users in the folder.
    #[arg(long)]
    force: bool,
    /// Start from the beginning, and delete the unfinished fit in the folder.
    #[arg(long)]
    fresh: bool,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

/// Fits users to a log, compares them with simpler models on held-out sessions, and writes them.
///
/// # Errors
/// [`Interrupted`], with what to do, after Ctrl-C; where the log or the folder do not allow it.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    args.model.check(args.no_features, args.no_place);
    let folder = Folder::new(&args.to, &[USERS], inputs(&args.log), args.force)?;
    let device = args.device.resolve()?;
    let opened = device.open()?;
    let dataset = read_as_it_is(&args.log, quiet)?;
    let cannot_learn = || format!("cannot learn from {}", args.log.display());
    let seed = Seed::new(args.seed);
    let split = split(&dataset, args, seed).with_context(cannot_learn)?;
    let asked = Asked {
        kind: args.model,
        features: !args.no_features,
        place: !args.no_place && !place_tells(&dataset, args),
        epochs: args.epochs,
    };
    let grid = asked.grid(&dataset, &split);
    let ignored = match args.model {
        Kind::Irecgan => {
            warn_of_skips(&dataset.log);
            let sessions = [&split.train[..], &split.validation].concat();
            let learned = TrainingLog { dataset: &dataset, sessions: &sessions, users: None };
            learned.ignored_rewards(args.model.name())
        }
        Kind::Pw | Kind::Lstm => None,
    };
    ignored
        .iter()
        .chain(&context_is_unused(&dataset))
        .for_each(|warning| eprint_line(format_args!("warning: {warning}")));

    let command = command(args, &dataset, &split, &grid, device);
    let _held = folder.hold()?;
    let unfinished = folder.unfinished(&command, args.fresh)?;
    let mut fits = Fits::new(&folder, &command, &dataset, seed, &opened);
    if let Some(place) = &unfinished {
        fits.go_on(place).with_context(|| {
            format!(
                "cannot continue the unfinished fit in {}; start from the beginning with --fresh",
                place.display()
            )
        })?;
    }
    let total = grid.iter().map(Settings::iterations).sum::<u64>() + simpler::points();
    let mut watch = Watch::new(bars, quiet, total)?;
    let fitted = fits.best_of(&grid, &split, &mut watch);
    let compared = fitted.and_then(|fitted| {
        let origin = origin(args, &dataset, &split, &grid[fitted.chosen]);
        let provenance = Provenance { catalogue: &dataset.catalogue, origin: Some(&origin) };
        let users = Users::new(fitted.model, provenance);
        let rivals = simpler::fit(&dataset, &split, seed, &mut watch)?;
        let comparison =
            Comparison::new(&users, args.model.name(), &rivals, &dataset.log, &split.test)?;
        Ok((users, fitted.chosen, fitted.validation, comparison))
    });
    watch.end();
    let (users, chosen, validation, comparison) =
        compared.map_err(|error| match error.is::<Interrupted>() {
            true => error.context(interrupted(&folder, &command)),
            false => error.context(cannot_learn()),
        })?;
    folder.finish(|place| Ok(users.save(place)?))?;
    let grid = Grid { points: &grid, validation: &validation, chosen };
    Ok(page::answer(&args.to, &grid, &split, &comparison))
}

/// The sessions to learn from, those that choose, and those that test, out of the first ones that
/// are used. Where the log names users, all these sessions of a user are on one side.
///
/// # Errors
/// Where a side would have no click.
fn split(dataset: &Dataset, args: &Args, seed: Seed) -> anyhow::Result<Split> {
    let percent = args.percent;
    let used = dataset.log.sessions() * usize::from(args.first) / 100;
    let log = &dataset.log.select(&(0..used).collect::<Vec<_>>());
    let train = f64::from(percent) / 100.0;
    let fractions = Fractions { train, validation: (1.0 - train) / 2.0 };
    let split = match log.sessions_with_users() {
        0 => Split::by_session(log, fractions, seed)?,
        _ => Split::by_user(log, fractions, seed)?,
    };
    let clicks = |sessions: &[usize]| -> usize {
        sessions.iter().map(|&session| log.session(session).clicks().count()).sum()
    };
    let sides = [
        ("learn from", &split.train),
        ("choose settings by", &split.validation),
        ("test by", &split.test),
    ];
    if (0..dataset.log.sessions()).all(|session| dataset.log.session(session).clicks().count() == 0)
    {
        bail!("no item is ever chosen in it; `foretaste describe` shows what the log contains");
    }
    for (what, sessions) in sides {
        if clicks(sessions) == 0 {
            bail!(
                "{used} sessions are too few: those to {what} ({}) have no click, at --first {} \
                 and --percent {percent}; use a longer log",
                sessions.len(),
                args.first,
            );
        }
    }
    Ok(split)
}

/// Whether the place must be left out, which is said.
fn place_tells(dataset: &Dataset, args: &Args) -> bool {
    let tells = Profile::new(dataset).place_tells();
    if tells && !args.no_features && args.model.takes_features() {
        eprint_line(
            "the order of the items gives the click away, so the place is not given to the users",
        );
    }
    tells
}

/// IRecGAN's users click or leave; they can do nothing else.
fn warn_of_skips(log: &Log) {
    let steps = || log.iter().flat_map(|session| session.steps());
    let skips = steps().filter(|step| step.choice == Choice::Skip).count();
    if skips > 0 {
        eprint_line(format_args!(
            "warning: {skips} of {} slates without a click are left out: IRecGAN's users leave \
             when they click nothing, so they click more often and leave sooner than users in the \
             log; pw and lstm can continue without a click",
            log.steps()
        ));
    }
}

/// What to say after Ctrl-C.
fn interrupted(folder: &Folder<'_>, command: &Value) -> String {
    match folder.unfinished(command, false) {
        Ok(Some(place)) => format!(
            "interrupted: the settings that were tried are kept in {}; run the same command again \
             to continue with the next ones",
            place.display()
        ),
        _ => "interrupted: no setting was finished, so nothing is kept".to_owned(),
    }
}

/// What fixes the fits: another command never goes on with them.
fn command(
    args: &Args,
    dataset: &Dataset,
    split: &Split,
    grid: &[Settings],
    device: DeviceKind,
) -> Value {
    let settings = json!({ "percent": args.percent, "first": args.first, "grid": grid });
    let origin = Origin::new(dataset, &split.train, settings, args.seed, REVISION);
    json!({
        "log": origin.log,
        "rewards": folder::digest_of_rewards(&dataset.log),
        "settings": origin.settings,
        "seed": args.seed,
        "device": device.to_string(),
    })
}

/// What the users learned from: the sessions that chose their settings count too.
fn origin(args: &Args, dataset: &Dataset, split: &Split, settings: &Settings) -> Origin {
    let log = TrainingLog { dataset, sessions: &split.train, users: None };
    let settings = json!({
        "percent": args.percent,
        "first": args.first,
        SLATE: log.usual_slate(),
        LONGEST: log.longest_session(),
        SETTINGS: settings,
    });
    let mut sessions = [&split.train[..], &split.validation].concat();
    sessions.sort_unstable();
    Origin::new(dataset, &sessions, settings, args.seed, REVISION)
}
