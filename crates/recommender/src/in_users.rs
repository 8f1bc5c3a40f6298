//! Learning in users: in those that are given, or in users that are fitted to the log first.

mod validation;

use std::borrow::Cow;
use std::ops::{ControlFlow, Deref};
use std::path::Path;

use foretaste_data::Provenance;
use foretaste_random::Seed;
use foretaste_train::run::{self, Resumed};
use foretaste_train::{Fitting, Network};
use foretaste_user_model::{
    Context, Outside, StateEncoder, TrainConfig, Updates, UserModel, UserModelConfig,
};
use serde::{Deserialize, Serialize};

use self::validation::Validated;
pub(crate) use self::validation::Validation;
use crate::training::{Effort, HeldOut, Job, Progress, Trained, TrainingLog, Watch, held_out};
use crate::{Content, Error, Model, Recommender, Result, Users, UsersEnvironment};

/// The users that a recommender learns in.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum UsersFrom {
    /// Those that are given.
    Given,
    /// GAN-CDQN's, fitted to the log.
    Fitted(Box<Fit>),
}

/// How users are fitted.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fit {
    model: UserModelConfig,
    training: TrainConfig,
    /// Of so many sessions one is kept to validate by.
    one_validates_of: usize,
}

/// Users that are lent, or one's own.
pub(crate) enum Known<'a> {
    Given(&'a Users),
    Own(Box<Users>),
}

impl Deref for Known<'_> {
    type Target = Users;

    fn deref(&self) -> &Users {
        match self {
            Self::Given(users) => users,
            Self::Own(users) => users,
        }
    }
}

/// A recommender that learns in users, an iteration at a time.
pub(crate) trait Learner: Sized {
    /// Iterations done.
    fn done(&self) -> u64;

    /// One more.
    fn iterate(&mut self, users: &UsersEnvironment) -> Result<()>;

    /// The recommender as it is now.
    fn content(&self) -> Result<Content>;

    /// Writes what is needed to go on.
    fn save(&self, place: &Path, provenance: Provenance<'_>) -> Result<()>;
}

/// How a recommender learns in users.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LearningInUsers {
    /// Who they are.
    users: UsersFrom,
    iterations: u64,
    validation: Validation,
}

/// The rate of the fit: four times the published one, which a fit of few epochs needs.
const LEARNING_RATE: f64 = 2e-3;
/// Steps of an iteration at most.
const STEPS: usize = 20;
/// Iterations at most, unless so many are asked for.
const ITERATIONS: u64 = 600;

/// What is kept of an unfinished training: [`USERS`], where they are its own, [`LEARNER`], and
/// [`BEST`] from the first validation on; or, while the users are fitted, [`MODEL`] and [`FIT`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// Whether the users are there.
    begun: bool,
}

const USERS: &str = "users";
const LEARNER: &str = "learner";
/// The recommender that earned most so far.
const BEST: &str = "best";
/// The model of users with its optimizer.
const MODEL: &str = "model";
/// How far its fit is, and its best parameters so far.
const FIT: &str = "fit";

impl Unfinished {
    /// What is kept before the users are there.
    pub const USERS: Self = Self { begun: false };

    /// What a training kept, if it was begun before.
    pub fn of(job: &Job<'_>) -> Result<Option<Resumed<Self>>> {
        Ok(job.unfinished.map(|place| run::resume(place, Seed::new(job.seed))).transpose()?)
    }
}

/// How many slates the users of an iteration see at most: as many as the longest session has.
pub(crate) fn steps(log: &TrainingLog<'_>) -> usize {
    log.longest_session().clamp(1, STEPS)
}

/// How many items a slate has.
pub(crate) fn slate(log: &TrainingLog<'_>, effort: &Effort) -> usize {
    effort.k.unwrap_or_else(|| log.usual_slate())
}

/// How often each item is clicked where the log shows it, `[K]`: the logarithm of the rate, shrunk
/// towards that of all items by the weight of one click, with mean 0 and deviation 1. It spares
/// recommenders that learn in users finding out by trial what the log knows, which takes longer the
/// more items there are. With users that are given, these are the sessions of the log that taught
/// them, so that the recommender has learned from no others.
pub(crate) fn log_rates(log: &TrainingLog<'_>) -> Vec<f32> {
    let taught = |users: &Users| {
        let seen = users.origin().map_or(Vec::new(), |origin| origin.overlap(log.dataset).seen);
        (0..seen.len()).filter(|&session| seen[session]).collect()
    };
    let sessions: Cow<'_, [usize]> = match log.users {
        None => Cow::Borrowed(log.sessions),
        Some(users) => Cow::Owned(taught(users)),
    };
    let mut counts = vec![(0.0, 0.0); log.dataset.catalogue.len()];
    for step in (TrainingLog { sessions: &sessions, ..*log }).steps() {
        step.slate.iter().for_each(|item| counts[item.index()].0 += 1.0);
        if let Some(item) = step.choice.item() {
            counts[item.index()].1 += 1.0;
        }
    }
    let all = counts.iter().fold((0.0, 0.0), |all, of| (all.0 + of.0, all.1 + of.1));
    let usual = (all.1 + 1.0) / (all.0 + 1.0);
    let rate = |(shown, clicked): (f64, f64)| ((clicked + 1.0) / (shown + 1.0 / usual)).ln();
    let rates: Vec<f64> = counts.into_iter().map(rate).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let centre = mean(&rates);
    let squares: Vec<f64> = rates.iter().map(|rate| (rate - centre).powi(2)).collect();
    let deviation = mean(&squares).sqrt().max(f64::MIN_POSITIVE);
    rates.into_iter().map(|rate| ((rate - centre) / deviation) as f32).collect()
}

impl UsersFrom {
    /// The users who are given, or else GAN-PW with counts of the log for context.
    pub fn of(log: &TrainingLog<'_>, effort: &Effort) -> Self {
        if log.users.is_some() {
            return Self::Given;
        }
        let (dataset, sessions) = (log.dataset, log.sessions);
        let model = UserModelConfig {
            state: StateEncoder::position_weights(),
            // A recommender looks for items, which stand at no place yet.
            context: Some(Context::Counts { place: false }),
            outside: Outside::observed_in(&dataset.log, sessions),
            ..UserModelConfig::new(dataset.catalogue.len())
        };
        let training =
            TrainConfig::for_sessions(&dataset.log, sessions, LEARNING_RATE, effort.epochs);
        Self::Fitted(Box::new(Fit { model, training, one_validates_of: HeldOut::ONE_OF }))
    }

    /// The users, and how many sessions of the log taught them anything. While they are fitted,
    /// from where `kept` left them, none of `total` epochs is done.
    pub fn users<'a>(
        &self,
        log: &TrainingLog<'a>,
        job: &Job<'_>,
        kept: Option<&Path>,
        total: u64,
        watch: &mut dyn Watch,
    ) -> Result<(Known<'a>, usize)> {
        let fit = match (self, log.users) {
            (Self::Given, Some(users)) => return Ok((given(users, log)?, 0)),
            (Self::Given, None) => {
                let problem = "the settings are for users that are given, but none were given";
                return Err(Error::setting("users", problem));
            }
            (Self::Fitted(fit), _) => fit,
        };
        let provenance = Provenance { catalogue: &log.dataset.catalogue, origin: job.origin };
        let model = fit.model(log, job, kept, total, provenance, watch)?;
        let users = Users::new(Model::Gan(Box::new(model)), provenance);
        Ok((Known::Own(Box::new(users)), log.sessions.len()))
    }
}

impl Fit {
    fn model(
        &self,
        log: &TrainingLog<'_>,
        job: &Job<'_>,
        kept: Option<&Path>,
        total: u64,
        provenance: Provenance<'_>,
        watch: &mut dyn Watch,
    ) -> Result<UserModel> {
        if log.with_click().is_empty() {
            let problem = format!(
                "no item is ever chosen in the {} sessions to learn from, so users cannot be \
                 fitted",
                log.sessions.len()
            );
            return Err(Error::setting("log", problem));
        }
        let seed = Seed::new(job.seed);
        let split = held_out(log.sessions, self.one_validates_of, seed)?;
        let (dataset, of_fit) = (log.dataset, seed.derive("users"));
        let kept = kept.filter(|folder| folder.join(MODEL).exists());
        let (mut model, saved) = match kept {
            None => {
                let items = &dataset.catalogue;
                (UserModel::new(self.model.clone(), items, of_fit, job.device)?, None)
            }
            Some(folder) => {
                let place = folder.join(MODEL);
                let (model, saved) = UserModel::resume(&place, &dataset.catalogue, job.device)?;
                (model, Some((saved, folder)))
            }
        };
        let (training, draws) = (&self.training, of_fit.derive("training"));
        let mut updates = Updates::new(&mut model, &dataset.log, &split, training, draws)?;
        let mut fitting = match saved {
            None => Fitting::start(&mut updates, training.fit())?,
            Some((saved, folder)) => {
                let fitting = Fitting::load(&folder.join(FIT), &updates)?;
                updates = updates.after(&saved, fitting.iteration())?;
                fitting
            }
        };
        loop {
            let save = |place: &Path| {
                run::save(place, seed, |place| {
                    let (done, seed) = (fitting.iteration(), run::fingerprint(seed));
                    updates.save(&place.join(MODEL), provenance, done, seed)?;
                    fitting.save(&place.join(FIT))?;
                    Ok::<_, Error>(Unfinished::USERS)
                })
            };
            let progress = Progress { done: 0, total, stage: "users", save: &save };
            if watch.progress(progress).is_break() {
                return Err(Error::Interrupted);
            }
            if fitting.advance(&mut updates)?.is_none() {
                break;
            }
        }
        fitting.finish(&updates)?;
        Ok(model)
    }
}

/// Users who know the items of the log by the same numbers.
fn given<'a>(users: &'a Users, log: &TrainingLog<'a>) -> Result<Known<'a>> {
    match users.catalogue().names() == log.dataset.catalogue.names() {
        true => Ok(Known::Given(users)),
        false => Err(Error::setting(
            "users",
            "they have other items than the log; fit users to this log",
        )),
    }
}

impl LearningInUsers {
    /// In the log's users or in those that are given, with slates of `k` items.
    pub fn new(log: &TrainingLog<'_>, effort: &Effort, k: usize) -> Self {
        Self {
            users: UsersFrom::of(log, effort),
            iterations: effort.iterations.unwrap_or(ITERATIONS),
            validation: Validation::new(k, steps(log)),
        }
    }

    /// Trains what `start` begins, or `resume` goes on with, until nothing better comes. The
    /// recommender is that of the iteration which earned most in sessions of the users that are the
    /// same for all.
    pub fn train<L: Learner>(
        &self,
        (log, job): (&TrainingLog<'_>, &Job<'_>),
        watch: &mut dyn Watch,
        start: impl FnOnce() -> Result<L>,
        resume: impl FnOnce(&Path) -> Result<L>,
    ) -> Result<Trained> {
        let Self { users: from, iterations, validation } = self;
        let (seed, fits) = (Seed::new(job.seed), matches!(from, UsersFrom::Fitted(_)));
        let provenance = Provenance { catalogue: &log.dataset.catalogue, origin: job.origin };
        let draws = (seed, job.device);
        // Users of its own are an epoch before the iterations.
        let before = u64::from(fits);
        let total = before.saturating_add(*iterations);
        let unfinished = Unfinished::of(job)?;
        let kept = unfinished.as_ref().map(|unfinished| &*unfinished.folder);
        let begun =
            kept.filter(|_| unfinished.as_ref().is_some_and(|unfinished| unfinished.state.begun));
        let (users, sessions) = match begun.filter(|_| fits) {
            None => from.users(log, job, kept, total, watch)?,
            Some(folder) => {
                let own = Users::load(&folder.join(USERS), job.device)?;
                (Known::Own(Box::new(own)), log.sessions.len())
            }
        };
        let mut learner = match begun {
            None => start()?,
            Some(folder) => resume(&folder.join(LEARNER))?,
        };
        let environment = users.environment()?;
        let judge = |content| validation.of(content, &environment, provenance, draws);
        let best = begun.map(|folder| folder.join(BEST)).filter(|place| place.exists());
        let best = best.map(|place| judge(Recommender::load(&place, job.device)?.into_content()));
        let mut best: Option<Validated> = best.transpose()?;
        loop {
            let save = |place: &Path| {
                run::save(place, seed, |place| {
                    if let Known::Own(users) = &users {
                        users.save(&place.join(USERS))?;
                    }
                    learner.save(&place.join(LEARNER), provenance)?;
                    if let Some(best) = &best {
                        Recommender::new(best.content.clone(), provenance, job.device)?
                            .save(&place.join(BEST))?;
                    }
                    Ok::<_, Error>(Unfinished { begun: true })
                })
            };
            let done = learner.done();
            let ends = done >= *iterations
                || best.as_ref().is_some_and(|best| validation.is_enough(done, best));
            let total = if ends { before.saturating_add(done) } else { total };
            let progress = Progress {
                done: before.saturating_add(done),
                total,
                stage: "recommender",
                save: &save,
            };
            if let ControlFlow::Break(()) = watch.progress(progress) {
                return Err(Error::Interrupted);
            }
            if ends {
                break;
            }
            learner.iterate(&environment)?;
            if validation.is_due(learner.done(), *iterations) {
                let now = judge(learner.content()?)?;
                if best.as_ref().is_none_or(|best| now.reward() > best.reward()) {
                    best = Some(now);
                }
            }
        }
        let best = best.map_or_else(|| judge(learner.content()?), Ok)?;
        let earned = validation.earned(&best, &environment, log, draws)?;
        Ok(Trained { content: best.content, sessions, earned: Some(earned) })
    }
}
