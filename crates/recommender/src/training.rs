//! How a recommender is trained by the name of a method. The program knows methods only through
//! this module, so a new kind needs no change of any command.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use foretaste_data::{Dataset, Event, Log, Origin, Split, Step};
use foretaste_eval::Estimate;
use foretaste_random::Seed;
use foretaste_train::{Candidates, FitConfig};
use foretaste_user_model::behaviour::{Rewards, clicked_sessions, first_clicks_given, in_unit};
use rand::seq::SliceRandom;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kinds::{KINDS, Kind};
use crate::{Content, Error, Result, Users};

/// What is learned from: some sessions of a data set.
#[derive(Clone, Copy, Debug)]
pub struct TrainingLog<'a> {
    /// The data set.
    pub dataset: &'a Dataset,
    /// The sessions to learn from.
    pub sessions: &'a [usize],
    /// Learned users of the same items, in the same order, for the methods that learn in such.
    /// Without any these fit their own to the sessions.
    pub users: Option<&'a Users>,
}

/// How much work a training is to be, and of what size; what is not asked for is as the method has
/// it, or the published setting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Passes over the log, of each network that is trained by passes: 10, and for learned users as
    /// many as [`usual_epochs`](foretaste_user_model::TrainConfig::usual_epochs).
    pub epochs: Option<u64>,
    /// Rounds of adversarial training: 5.
    pub adversarial: Option<u64>,
    /// Width of the networks' states: 64.
    pub hidden: Option<usize>,
    /// Whether the first click of a session is given and not learned to predict, as in IRecGAN's
    /// public code.
    pub first_click_given: bool,
    /// Iterations of learning in users at most: 600.
    pub iterations: Option<u64>,
    /// Items on a slate, of the kinds that show slates of one length: as most slates of the log
    /// have.
    pub k: Option<usize>,
}

/// One training.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What [`Method::settings`] gave, changed or not.
    pub settings: &'a Value,
    /// What everything is drawn from.
    pub seed: u64,
    /// Where networks run.
    pub device: &'a Device,
    /// What the recommender is to say that it learned from, for what is kept of an unfinished
    /// training.
    pub origin: Option<&'a Origin>,
    /// An unfinished training of this very log, settings and seed, which [`Progress::save`] wrote,
    /// to go on with: what comes of it is what an uninterrupted one leaves, bit for bit.
    pub unfinished: Option<&'a Path>,
}

/// How far a training is.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// Epochs done, as far as they are kept by [`save`](Self::save).
    pub done: u64,
    /// Of so many, or fewer where one of the fits ends early.
    pub total: u64,
    /// What is trained, or was in the last epoch; empty before the first.
    pub stage: &'static str,
    /// Writes into a folder what is needed to go on from here later.
    pub save: &'a Save<'a>,
}

/// Writes an unfinished training into a folder.
pub type Save<'a> = dyn Fn(&Path) -> Result<()> + 'a;

/// Who watches a training, and may stop it.
pub trait Watch {
    /// Called with what the user should know about the log.
    fn warn(&mut self, _text: &str) {}

    /// Called before the first epoch and after each, and from time to time within one that is long.
    fn progress(&mut self, _progress: Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// No one watches.
impl Watch for () {}

/// What came of a training.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The recommender but for its items.
    pub content: Content,
    /// Number of sessions that taught it anything.
    pub sessions: usize,
    /// What it earns in the users that it learned in, where it learned in such.
    pub earned: Option<Earned>,
}

/// What a recommender earns in the users that it learned in, in sessions that it did not learn in:
/// no evidence of what it earns in others, but one that earns little there learned little.
#[derive(Clone, Copy, Debug)]
pub struct Earned {
    /// The reward of a session.
    pub session: Estimate,
    /// The same, less that of uniform slates in the same sessions.
    pub less_uniform: Estimate,
    /// The same, less that of the items that were clicked most often in the log.
    pub less_popular: Estimate,
}

impl Trained {
    /// By the log alone.
    pub(crate) fn from_log(content: Content, sessions: usize) -> Self {
        Self { content, sessions, earned: None }
    }
}

/// How recommenders of a kind are trained on a log.
pub(crate) struct Training {
    pub about: &'static str,
    pub takes: &'static [&'static str],
    /// Whether it learns anything from the log.
    pub learns: bool,
    pub settings: fn(&TrainingLog<'_>, &Effort) -> Result<Value>,
    pub train: fn(&TrainingLog<'_>, &Job<'_>, &mut dyn Watch) -> Result<Trained>,
}

/// A way to get a recommender from a log.
#[derive(Clone, Copy)]
pub struct Method {
    name: &'static str,
    training: &'static Training,
}

impl Method {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let method =
            |kind: &'static Kind| Some(Self { name: kind.name, training: kind.training.as_ref()? });
        KINDS.into_iter().filter_map(method)
    }

    /// The method of this name.
    ///
    /// # Errors
    /// [`Error::Setting`] that names all methods.
    pub fn named(name: &str) -> Result<Self> {
        Self::all().find(|method| method.name == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            Error::setting("method", format!("{name:?}, expected one of {}", names.join(", ")))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What comes of it, in a few words.
    pub fn about(self) -> &'static str {
        self.training.about
    }

    /// The fields of [`Effort`] that make a difference to it, and `users` if it learns in such.
    pub fn takes(self) -> &'static [&'static str] {
        self.training.takes
    }

    /// Whether it learns in learned users, such as may be given to it.
    pub fn learns_in_users(self) -> bool {
        self.takes().contains(&"users")
    }

    /// The sessions of a log that it learns from: all that are given to it, or none. It learns
    /// nothing from a log where it learns in users who are given.
    pub fn learns_from<'a>(self, log: &TrainingLog<'a>) -> &'a [usize] {
        let in_given_users = self.learns_in_users() && log.users.is_some();
        if self.training.learns && !in_given_users { log.sessions } else { &[] }
    }

    /// All settings of a training on this log, but its seed.
    ///
    /// # Errors
    /// What the kind returns.
    pub fn settings(self, log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
        (self.training.settings)(log, effort)
    }

    /// Trains.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if `watch` stopped it; [`Error::Setting`] if the settings cannot be
    /// read or the log does not allow it; what the training returns.
    pub fn train(
        self,
        log: &TrainingLog<'_>,
        job: &Job<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Trained> {
        (self.training.train)(log, job, watch)
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Method").field(&self.name).finish()
    }
}

/// Sessions to learn from, and others to validate by.
pub(crate) struct HeldOut {
    pub train: Log,
    pub validation: Log,
}

impl HeldOut {
    /// Of so many sessions one validates, unless the settings say otherwise.
    pub const ONE_OF: usize = 10;

    /// Of the sessions one of `one_of` is drawn to validate by, and at least one.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are fewer than two.
    pub fn of(sessions: &Log, one_of: usize, seed: Seed) -> Result<Self> {
        let all: Vec<usize> = (0..sessions.sessions()).collect();
        let Split { train, validation, .. } = held_out(&all, one_of, seed)?;
        Ok(Self { train: sessions.select(&train), validation: sessions.select(&validation) })
    }

    /// Number of all sessions.
    pub fn sessions(&self) -> usize {
        self.train.sessions() + self.validation.sessions()
    }
}

/// Of these sessions one of `one_of` is drawn to validate by, and at least one; none tests.
///
/// # Errors
/// [`Error::Setting`] if there are fewer than two.
pub(crate) fn held_out(sessions: &[usize], one_of: usize, seed: Seed) -> Result<Split> {
    let mut validation = sessions.to_vec();
    if validation.len() < 2 {
        let problem = format!("{} sessions with a click, expected at least 2", validation.len());
        return Err(Error::setting("log", problem));
    }
    validation.shuffle(&mut seed.derive("validation").stream(0));
    let mut train = validation.split_off((sessions.len() / one_of.max(1)).max(1));
    validation.sort_unstable();
    train.sort_unstable();
    Ok(Split { train, validation, test: Vec::new() })
}

/// A fit of U by epochs, each of them validated.
pub(crate) fn by_epochs(epochs: u64, patience: Option<u64>) -> FitConfig {
    FitConfig { iterations: epochs, validate_every: 1, patience, candidates: Candidates::All }
}

impl<'a> TrainingLog<'a> {
    /// The number of items that most slates have.
    pub fn usual_slate(&self) -> usize {
        let mut slates: BTreeMap<usize, usize> = BTreeMap::new();
        self.steps().for_each(|step| *slates.entry(step.slate.len()).or_default() += 1);
        slates.into_iter().max_by_key(|&(_, slates)| slates).map_or(1, |(items, _)| items)
    }

    /// The number of slates of the longest session.
    pub fn longest_session(&self) -> usize {
        let log = &self.dataset.log;
        self.sessions.iter().map(|&session| log.session(session).len()).max().unwrap_or(1)
    }

    /// Those of the sessions in which something was chosen.
    pub fn with_click(&self) -> Vec<usize> {
        let log = &self.dataset.log;
        let clicked = |&session: &usize| log.session(session).clicks().next().is_some();
        self.sessions.iter().copied().filter(clicked).collect()
    }

    /// Every step to learn from.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'a>> {
        let log = &self.dataset.log;
        self.sessions.iter().flat_map(|&session| log.session(session).steps())
    }

    /// Every organic event to learn from.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        let log = &self.dataset.log;
        self.sessions.iter().flat_map(|&session| log.session(session).events())
    }

    /// What U, A and D take for a reward of 1: the mean size of the rewards of clicks that are not
    /// 0. A reward then weighs as much relative to a click whatever the unit of the log is.
    pub fn unit_of_rewards(&self) -> f32 {
        let (mut sum, mut count) = (0.0, 0_u64);
        for reward in self.rewards_of_clicks().filter(|&reward| reward != 0.0) {
            sum += f64::from(reward.abs());
            count += 1;
        }
        if count == 0 { 1.0 } else { (sum / count as f64) as f32 }
    }

    fn rewards_of_clicks(&self) -> impl Iterator<Item = f32> {
        let clicked = self.steps().filter(|step| step.choice.item().is_some());
        clicked.map(|step| step.reward)
    }

    /// What the rewards of clicks are to U, in its unit.
    pub fn rewards(&self) -> Rewards {
        let unit = self.unit_of_rewards();
        Rewards::of(self.rewards_of_clicks().map(|reward| reward / unit))
    }

    /// That `learner`, one of IRecGAN's networks, does not learn from the rewards of slates on
    /// which nothing was chosen, if there are any.
    pub fn ignored_rewards(&self, learner: &str) -> Option<String> {
        let unchosen = |step: &Step<'_>| step.choice.item().is_none() && step.reward != 0.0;
        let ignored = self.steps().filter(unchosen).count();
        (ignored > 0).then(|| {
            format!(
                "{ignored} slates have a reward although nothing was chosen; {learner} learns only \
                 from the rewards of choices"
            )
        })
    }

    /// The sessions as [`clicked_sessions`], or with [`first_clicks_given`], with rewards in the
    /// unit of U, A and D, and with a warning of the rewards that `learner` does not learn from.
    pub(crate) fn clicked(
        &self,
        learner: &str,
        first_click_given: bool,
        seed: Seed,
        watch: &mut dyn Watch,
    ) -> Result<Log> {
        self.ignored_rewards(learner).iter().for_each(|warning| watch.warn(warning));
        let items = self.dataset.catalogue.len();
        let clicked = clicked_sessions(&self.dataset.log, self.sessions, items, seed)?;
        let clicked = in_unit(clicked, self.unit_of_rewards())?;
        Ok(if first_click_given { first_clicks_given(&clicked)? } else { clicked })
    }
}

/// Refuses what is kept of an unfinished training if it had other settings.
pub(crate) fn check_kept<T: PartialEq>(kept: &T, asked: &T) -> Result<()> {
    match kept == asked {
        true => Ok(()),
        false => {
            let problem = "it has other settings than this training; start again in a new folder";
            Err(Error::setting("unfinished training", problem))
        }
    }
}

impl Job<'_> {
    pub(crate) fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(self.settings).map_err(|reason| Error::setting("settings", reason))
    }
}
