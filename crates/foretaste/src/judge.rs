//! `foretaste judge`: what policies would have earned, from a log of one's own.

mod columns;
mod compare;
mod estimates;
mod files;
mod learned;
mod logged;
mod overlap;
pub mod page;
mod propensities;
mod reward_model;
mod sessions;
mod simulated;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::Device;
use clap::builder::RangedU64ValueParser;
use foretaste_console::terminal::eprint_line;
use foretaste_data::{Dataset, Mapping, Origin, UnknownItems};
use foretaste_nn::DeviceKind;
use foretaste_recommender::{Content, Recommender, TrainingLog};
use indicatif::MultiProgress;

use self::columns::Columns;
use self::compare::Comparison;
use self::estimates::{Assume, Estimates};
use self::files::{Beside, Found};
use self::logged::{Items, Logged};
use self::overlap::Overlap;
use self::page::Judged;
use self::propensities::EstimatedPropensities;
use self::reward_model::RewardModels;
use self::sessions::Chosen;
use self::simulated::{Length, Simulated};
use crate::answer::Answer;
use crate::log::read_as_it_is;
use crate::policy::{self, PolicySpec, Source};
use crate::progress::Progress;
use crate::saved;

/// Options of `judge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log with propensities in any format: a file, a cached log, a pipe, - for the standard input,
    /// or bundled:NAME.
    #[arg(required_unless_present = "named")]
    log: Option<PathBuf>,
    /// The same log as an option, as earlier versions took it.
    #[arg(long = "log", value_name = "LOG", conflicts_with = "log")]
    named: Option<PathBuf>,
    /// A policy to judge; repeat the option for several. It is a recommender that `foretaste train`
    /// wrote, a CSV or Parquet file of probabilities or slates from any source, or logger,
    /// popularity (fitted on the sessions that are not used to judge) or uniform. NAME= before it
    /// names it in the tables. After a recommender, add ,act=top (its most likely items),
    /// ,act=softmax with ,temperature=T, or ,epsilon=E (this share of its slates is drawn
    /// uniformly).
    #[arg(long = "policy", value_name = "[NAME=]POLICY", required = true)]
    policies: Vec<PolicySpec>,
    /// CSV or Parquet file with the columns item and `expected_reward`, for the estimators with a
    /// model of the rewards, instead of a model that is fitted on the log.
    #[arg(long, value_name = "FILE")]
    reward_model: Option<PathBuf>,
    /// What is assumed about the users when a policy is compared with the logger. A stronger
    /// assumption gives narrower intervals, if it is true.
    #[arg(long, value_enum, default_value_t)]
    assume: Assume,
    /// Learned users that `foretaste fit` wrote. Recommenders, popularity and uniform slates are
    /// simulated with them. These figures are shown in addition to those of the log, are not
    /// evidence, and do not change a verdict. Sessions that the users learned from are not used to
    /// judge.
    #[arg(long, value_name = "USERS")]
    users: Option<PathBuf>,
    /// Number of sessions to simulate with learned users for each policy.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        requires = "users",
        value_parser = clap::value_parser!(u64).range(2..=1_000_000)
    )]
    users_sessions: u64,
    /// Judge by the sessions after this percentage of the log; an error if a recommender learned
    /// from any of them [default: judge by all sessions that no recommender learned from].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..100))]
    percent: Option<u8>,
    /// Judge by at most this many sessions, drawn at random from those that may judge. A million
    /// sessions take about 1.6 GB of memory if slates have six items.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000_000,
        value_parser = RangedU64ValueParser::<usize>::new().range(2..)
    )]
    most_sessions: usize,
    /// Estimate propensities if the log has none. This is right only if the policy that made the
    /// log took nothing into account but the place and the item.
    #[arg(long)]
    estimate_propensities: bool,
    /// What to do with items that a recommender does not know, or that a file has and the log does
    /// not: refuse, drop-steps (slates with them have weight 0, and clicks on them are left out of
    /// a recommender's history) or as-unknown (for recommenders that have an entry for unknown
    /// items).
    #[arg(long, value_name = "RULE", default_value_t)]
    unknown_items: UnknownItems,
    /// Largest weight in the estimators that clip weights.
    #[arg(long, default_value_t = 10.0)]
    cap: f64,
    /// Seed of the resampled sessions of the comparison, and of the sessions that judge if
    /// --most-sessions leaves some out.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

impl Args {
    /// Whether learned users are asked.
    pub fn asks_users(&self) -> bool {
        self.users.is_some()
    }

    fn log(&self) -> &Path {
        self.log.as_deref().or(self.named.as_deref()).unwrap_or(Path::new("-"))
    }
}

/// What to judge, as far as that is known without the log.
enum Candidate {
    Ours(Box<Recommender>),
    File(PathBuf),
    Popularity,
}

/// What to judge, in addition to the log.
enum Ready {
    Ours(Box<Recommender>),
    File(Box<Columns>, Vec<String>),
}

/// Estimates what the policies would have earned, with what speaks against it.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    let specs = specs(&args.policies)?;
    let dataset = read_as_it_is(args.log(), quiet)?;
    let device = args.device.resolve()?.open()?;
    let users = args
        .users
        .as_deref()
        .map(|path| Simulated::load(path, args.users_sessions, args.seed, &device))
        .transpose()?;
    let of_users = users.as_ref().map(Simulated::name);
    if let Some(users) = &users {
        users.check(&dataset.catalogue, &format!("the log {}", args.log().display()))?;
    }
    let candidates = specs
        .iter()
        .map(|(_, spec)| candidate(spec, &dataset, &device))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let ours = specs.iter().zip(&candidates).filter_map(|((name, spec), candidate)| {
        let loaded = matches!(spec.source, Source::At(_));
        let Candidate::Ours(recommender) = candidate else { return None };
        loaded.then_some((name.as_str(), recommender.origin()))
    });
    let mut learners: Vec<(&str, Option<&Origin>)> = ours.collect();
    if let (Some(users), Some(name)) = (&users, &of_users) {
        learners.push((name, Some(users.origin()?)));
    }
    let chosen = Chosen::new(&dataset, args.log(), args.percent, &learners)?;
    let chosen = match args.estimate_propensities {
        true => chosen.without_propensities(&dataset, args.log())?,
        false => chosen.with_propensities(&dataset, args.log())?,
    };
    let chosen = chosen.at_most(args.most_sessions, args.seed);
    let names = session_names(&dataset, &chosen, &candidates);
    let (judged, others) = (dataset.select(&chosen.judged)?, dataset.select(&chosen.others)?);
    // A large log is not held twice.
    drop(dataset);
    let name = |session: usize| judged.session_name(session).into_owned();
    let estimated = args
        .estimate_propensities
        .then(|| EstimatedPropensities::new(&judged.log, &others.log, judged.catalogue.len()))
        .transpose()?;
    let of_places = estimated.as_ref().map(|estimated| &estimated.of_places[..]);
    let logged = Logged::new(&judged.log, of_places, name)?;
    let mut items = Items::new(&judged.catalogue);
    let models = match &args.reward_model {
        Some(path) => files::reward_model(path, &mut items)?,
        None => RewardModels::fit(&judged.log, &others.log, judged.catalogue.len()),
    };
    // Files first: what is wrong with them is said before anybody is asked for long.
    let beside = Beside { logged: &logged, models: &models, sessions: &names };
    let mut ready = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        ready.push(match candidate {
            Candidate::Ours(recommender) => Ready::Ours(recommender),
            Candidate::Popularity => Ready::Ours(Box::new(popularity(&others, args, &device)?)),
            Candidate::File(path) => {
                let file = Found::read(&path, &mut items, args.unknown_items)?;
                Ready::File(Box::new(file.columns(&beside, &items)?), file.notes())
            }
        });
    }
    drop(others);
    let asked = ready.iter().filter(|of| matches!(of, Ready::Ours(_))).count();
    let mut shown = Progress::new(bars, quiet, 0, (asked * judged.log.sessions()) as u64);
    let judging =
        Judging { args, dataset: &judged, logged: &logged, models: &models, items: &items };
    let against = estimated.as_ref().map_or(Vec::new(), EstimatedPropensities::against);
    let all: Vec<usize> = (0..judged.log.sessions()).collect();
    let log = TrainingLog { dataset: &judged, sessions: &all, users: None };
    let asked = users.as_ref().map(|users| (users, users.length(log.usual_slate())));
    let word = |called: &str, spec: &PolicySpec, policy: &Ready| {
        let played = |(users, length): (&Simulated, Length)| match policy {
            Ready::File(..) => Ok(Err(
                "a file has answers only for the slates of its log, and cannot be simulated"
                    .to_owned(),
            )),
            Ready::Ours(recommender) => {
                let shown = Progress::new(bars, quiet, 0, users.sessions());
                users.play(called, spec, recommender, length, shown).map(Ok)
            }
        };
        asked.map(played).transpose()
    };
    let found = specs.iter().zip(ready).map(|((called, spec), policy)| {
        let word = word(called, spec, &policy)?;
        let (columns, notes) = match policy {
            Ready::File(columns, notes) => (*columns, notes),
            Ready::Ours(recommender) => {
                let callback = || shown.advance("sessions");
                (judging.ask(called, spec, &recommender, name, callback)?, Vec::new())
            }
        };
        let estimates = Estimates::new(&logged, &columns, &models, args.cap)?;
        let overlap = Overlap::new(&logged, &estimates, &columns.unseen, args.assume, args.cap);
        let (name, against) = (called.clone(), against.clone());
        Ok(Judged { name, estimates, overlap, notes, against, word })
    });
    let found = found.collect::<anyhow::Result<Vec<_>>>();
    shown.end();
    let found = found?;
    let compared: Vec<_> = found
        .iter()
        .map(|of| (of.estimates.deciding(args.assume), &of.overlap, of.against.clone()))
        .collect();
    let comparison = Comparison::new(&logged, &compared, args.seed)?;
    let mut answer = page::answer(&logged, &found, &comparison, args.assume, asked);
    if let Some(estimated) = estimated {
        let notes = estimated.notes();
        answer.text = [notes, vec![answer.text]].concat().join("\n");
        answer.json["estimated_propensities"] = estimated.json();
    }
    Ok(answer)
}

/// What every policy is compared with.
struct Judging<'a> {
    args: &'a Args,
    dataset: &'a Dataset,
    logged: &'a Logged<'a>,
    models: &'a RewardModels,
    items: &'a Items,
}

impl Judging<'_> {
    /// Asks a recommender for all judged slates; `name` and `callback` as [`learned::columns`] has
    /// them.
    fn ask(
        &self,
        called: &str,
        spec: &PolicySpec,
        recommender: &Recommender,
        name: impl Fn(usize) -> String + Sync,
        callback: impl FnMut(),
    ) -> anyhow::Result<Columns> {
        let Self { args, dataset, logged, models, items } = self;
        let mapping = Mapping::new(&dataset.catalogue, recommender.catalogue());
        let unknown = mapping.unknown(logged.log);
        args.unknown_items.check(&dataset.name, unknown)?;
        if unknown.any() {
            eprint_line(format_args!(
                "warning: {called} does not know {unknown}; it never shows these items, so slates \
                 with them have weight 0"
            ));
        }
        let columns = recommender.acting(spec.acting).map_err(anyhow::Error::from);
        columns
            .and_then(|actor| {
                learned::columns(&actor, logged, models, &mapping, items, name, callback)
            })
            .with_context(|| format!("cannot judge {called}"))
    }
}

/// The policies by their names, but the logger, who is always there.
fn specs(given: &[PolicySpec]) -> anyhow::Result<Vec<(String, &PolicySpec)>> {
    let mut specs: Vec<(String, &PolicySpec)> = Vec::new();
    for spec in given.iter().filter(|spec| spec.source != Source::Logger) {
        let name = spec.name();
        if specs.iter().any(|(other, _)| *other == name) || name == "logger" {
            bail!("two policies are called {name:?}; give one another name with NAME= before it");
        }
        specs.push((name, spec));
    }
    Ok(specs)
}

fn candidate(spec: &PolicySpec, dataset: &Dataset, device: &Device) -> anyhow::Result<Candidate> {
    let path = match &spec.source {
        Source::Uniform => {
            let uniform = Recommender::new(Content::random()?, &dataset.catalogue, device)?;
            return Ok(Candidate::Ours(Box::new(uniform)));
        }
        Source::Popularity => return Ok(Candidate::Popularity),
        Source::Logger => bail!("the logger is judged by what it earned"),
        Source::At(path) => path,
    };
    let shown = path.display();
    if path.is_dir() {
        let recommender = saved::recommender(path, &dataset.catalogue, device)?;
        return Ok(Candidate::Ours(Box::new(recommender)));
    }
    if path.as_os_str() != "-" && !path.exists() {
        bail!(
            "there is no file or folder {shown}; expected a recommender's folder, a file, logger, \
             popularity or uniform"
        );
    }
    if spec.acting != foretaste_recommender::Acting::default() {
        bail!(
            "{shown}: act, temperature and epsilon are for recommenders, not for files; leave them \
             out"
        );
    }
    Ok(Candidate::File(path.clone()))
}

/// Popularity on the sessions that are not used to judge.
fn popularity(others: &Dataset, args: &Args, device: &Device) -> anyhow::Result<Recommender> {
    let all: Vec<usize> = (0..others.log.sessions()).collect();
    if all.is_empty() {
        bail!(
            "{}: popularity is fitted on sessions that are not used to judge, and there are none; \
             --percent 50 leaves it the first half",
            args.log().display()
        );
    }
    policy::popularity(others, &all, device)
}

/// The raw ids of all sessions, with their number among the judged; none where no file asks.
fn session_names(
    dataset: &Dataset,
    chosen: &Chosen,
    candidates: &[Candidate],
) -> HashMap<String, Option<usize>> {
    if !candidates.iter().any(|candidate| matches!(candidate, Candidate::File(_))) {
        return HashMap::new();
    }
    let mut names: HashMap<String, Option<usize>> = (0..dataset.log.sessions())
        .map(|session| (dataset.session_name(session).into_owned(), None))
        .collect();
    for (number, &session) in chosen.judged.iter().enumerate() {
        names.insert(dataset.session_name(session).into_owned(), Some(number));
    }
    names
}
