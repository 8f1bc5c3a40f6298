//! Learning in users: in those that are given, or in users that are fitted to the log first.

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

use crate::training::{Effort, HeldOut, Job, Progress, TrainingLog, Watch, held_out};
use crate::{Error, Model, Result, Users, UsersEnvironment};

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

    /// Writes what is needed to go on.
    fn save(&self, place: &Path, provenance: Provenance<'_>) -> Result<()>;
}

/// The rate of the fit: four times the published one, which a fit of few epochs needs.
const LEARNING_RATE: f64 = 2e-3;
/// Steps of an iteration at most.
const STEPS: usize = 20;
/// Iterations, unless so many are asked for.
const ITERATIONS: u64 = 150;

/// What is kept of an unfinished training: [`USERS`], where they are its own, and [`LEARNER`]; or,
/// while the users are fitted, [`MODEL`] and [`FIT`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// Whether the users are there.
    begun: bool,
}

const USERS: &str = "users";
const LEARNER: &str = "learner";
/// The model of users with its optimiser.
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

/// How many iterations were asked for.
pub(crate) fn iterations(effort: &Effort) -> u64 {
    effort.iterations.unwrap_or(ITERATIONS)
}

/// How many slates the users of an iteration see at most: as many as the longest session has.
pub(crate) fn steps(log: &TrainingLog<'_>) -> usize {
    log.longest_session().clamp(1, STEPS)
}

/// How many items a slate has.
pub(crate) fn slate(log: &TrainingLog<'_>, effort: &Effort) -> usize {
    effort.k.unwrap_or_else(|| log.usual_slate())
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
                let problem = "the settings are for users who are given, and there are none";
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
            let problem =
                "nothing is ever chosen in these sessions, so that users cannot be fitted";
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
        false => Err(Error::setting("users", "they know other items than the log")),
    }
}

/// Trains what `start` begins, or `resume` goes on with, for so many iterations in users; also how
/// many sessions of the log taught it anything.
pub(crate) fn train<L: Learner>(
    from: &UsersFrom,
    iterations: u64,
    (log, job): (&TrainingLog<'_>, &Job<'_>),
    watch: &mut dyn Watch,
    start: impl FnOnce() -> Result<L>,
    resume: impl FnOnce(&Path) -> Result<L>,
) -> Result<(L, usize)> {
    let (seed, fits) = (Seed::new(job.seed), matches!(from, UsersFrom::Fitted(_)));
    // Users of its own are an epoch before the iterations.
    let before = u64::from(fits);
    let total = before + iterations;
    let unfinished = Unfinished::of(job)?;
    let kept = unfinished.as_ref().map(|unfinished| &*unfinished.folder);
    let begun = unfinished.as_ref().is_some_and(|unfinished| unfinished.state.begun);
    let (users, taught, mut learner) = match kept.filter(|_| begun) {
        None => {
            let (users, taught) = from.users(log, job, kept, total, watch)?;
            (users, taught, start()?)
        }
        Some(folder) => {
            let (users, taught) = match fits {
                true => {
                    let own = Users::load(&folder.join(USERS), job.device)?;
                    (Known::Own(Box::new(own)), log.sessions.len())
                }
                false => from.users(log, job, None, total, watch)?,
            };
            (users, taught, resume(&folder.join(LEARNER))?)
        }
    };
    let environment = users.environment()?;
    loop {
        let save = |place: &Path| {
            run::save(place, seed, |place| {
                let provenance =
                    Provenance { catalogue: &log.dataset.catalogue, origin: job.origin };
                if let Known::Own(users) = &users {
                    users.save(&place.join(USERS))?;
                }
                learner.save(&place.join(LEARNER), provenance)?;
                Ok::<_, Error>(Unfinished { begun: true })
            })
        };
        let done = before + learner.done();
        let progress = Progress { done, total, stage: "recommender", save: &save };
        if let ControlFlow::Break(()) = watch.progress(progress) {
            return Err(Error::Interrupted);
        }
        if learner.done() >= iterations {
            return Ok((learner, taught));
        }
        learner.iterate(&environment)?;
    }
}
