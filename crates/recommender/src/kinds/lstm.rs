//! IRecGAN's user model as a recommender: the items that it finds the user likeliest to click. LSTM
//! after line 3 of Algorithm 1, LSTMD after the whole.

use std::path::Path;

use foretaste_data::Provenance;
use foretaste_irecgan::{Ranking, Selection};
use foretaste_random::Seed;
use foretaste_train::run::{self, Resumed};
use foretaste_train::{Fitting, LearningRate, Network};
use foretaste_user_model::behaviour::{
    BehaviourConfig, BehaviourEpochs, BehaviourModel, BehaviourTrainer, BehaviourTraining,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Kind;
use crate::content::check_items;
use crate::training::{
    Effort, HeldOut, Job, Progress, Trained, Training, TrainingLog, Watch, by_epochs,
};
use crate::{Content, Erased, Error, Result};

pub(super) const KIND: Kind = Kind {
    name: "lstm",
    model: "lstm/1",
    networks: &[BehaviourModel::KIND],
    build: |content, catalogue, device| {
        let model: BehaviourModel = content.network(catalogue, device)?;
        check_items(model.config().items, catalogue)?;
        let ranking = Erased::certain(Ranking::new(&model, Selection::Top)?);
        Ok(Box::new(ranking.by_scores(|ranking, memory| Ok(ranking.scores(memory)?))))
    },
    training: Some(Training {
        about: "a user model, which shows the items that users are most likely to click",
        takes: &["epochs", "hidden", "first-click-given"],
        learns: true,
        settings,
        train,
    }),
};

impl Content {
    /// IRecGAN's user model U as a ranking.
    pub fn ranking(model: &BehaviourModel) -> Result<Self> {
        Self::of(KIND.name, model)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    users: BehaviourConfig,
    training: BehaviourTraining,
    epochs: u64,
    /// Of so many sessions one is kept to validate by.
    one_validates_of: usize,
    /// As [`Effort::first_click_given`].
    first_click_given: bool,
}

/// The published settings, in the size that was asked for.
fn settings(log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
    let users = BehaviourConfig {
        hidden: effort.hidden.unwrap_or(64),
        rewards: log.rewards(),
        ..BehaviourConfig::new(log.dataset.catalogue.len())
    };
    let (training, epochs) = (BehaviourTraining::default(), effort.epochs.unwrap_or(10));
    let (one_validates_of, first_click_given) = (HeldOut::ONE_OF, effort.first_click_given);
    let settings = Settings { users, training, epochs, one_validates_of, first_click_given };
    serde_json::to_value(settings).map_err(|reason| Error::setting("settings", reason))
}

/// What is kept of an unfinished training in addition to [`USERS`] and [`FIT`].
#[derive(Serialize, Deserialize)]
struct Unfinished {
    learning_rate: LearningRate,
}

/// The model with its optimizer.
const USERS: &str = "users";
/// How far the fit is, and the best parameters so far.
const FIT: &str = "fit";

/// Line 3 of Algorithm 1. The model is that of the epoch with the lowest loss on sessions that it
/// did not learn from.
fn train(log: &TrainingLog<'_>, job: &Job<'_>, watch: &mut dyn Watch) -> Result<Trained> {
    let Settings { users, training, epochs, one_validates_of, first_click_given } =
        job.settings()?;
    let (catalogue, seed) = (&log.dataset.catalogue, Seed::new(job.seed));
    let sessions = log.clicked("the user model", first_click_given, seed, watch)?;
    let sessions = HeldOut::of(&sessions, one_validates_of, seed)?;
    let unfinished =
        job.unfinished.map(|place| run::resume::<Unfinished>(place, seed)).transpose()?;

    let mut trainer = match &unfinished {
        None => BehaviourTrainer::new(BehaviourModel::new(users, seed, job.device)?, training)?,
        Some(Resumed { state, folder }) => {
            let (users, rate) = (folder.join(USERS), state.learning_rate.clone());
            BehaviourTrainer::resume(&users, catalogue, training, rate, job.device)?
        }
    };
    let (train, validation, draws) = (&sessions.train, &sessions.validation, seed.derive("epochs"));
    let mut learner = BehaviourEpochs::new(&mut trainer, train, validation, draws);
    let mut fitting = match &unfinished {
        None => Fitting::start(&mut learner, by_epochs(epochs, None))?,
        Some(Resumed { folder, .. }) => Fitting::load(&folder.join(FIT), &learner)?,
    };
    loop {
        let done = fitting.iteration();
        let save = |place: &Path| {
            run::save(place, seed, |place| {
                let (trainer, provenance) =
                    (learner.trainer(), Provenance { catalogue, origin: job.origin });
                trainer.save(&place.join(USERS), provenance, done, run::fingerprint(seed))?;
                fitting.save(&place.join(FIT))?;
                Ok(Unfinished { learning_rate: trainer.learning_rate().clone() })
            })
        };
        let progress = Progress { done, total: epochs, stage: "user model", save: &save };
        if watch.progress(progress).is_break() {
            return Err(Error::Interrupted);
        }
        if fitting.advance(&mut learner)?.is_none() {
            break;
        }
    }
    let best = fitting.finish(&learner)?.best;
    let content = Content::ranking(trainer.model())?.after(best.iteration);
    Ok(Trained::from_log(content, sessions.sessions()))
}
