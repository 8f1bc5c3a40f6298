//! IRecGAN's user model as a recommender: the items that it finds the user likeliest to click. LSTM
//! after line 3 of Algorithm 1, LSTMD after the whole.

use std::ops::ControlFlow;

use foretaste_irecgan::{Ranking, Selection};
use foretaste_random::Seed;
use foretaste_train::Network;
use foretaste_user_model::behaviour::{
    BehaviourConfig, BehaviourModel, BehaviourTrainer, BehaviourTraining,
};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Kind;
use crate::content::check_items;
use crate::training::{Effort, Job, Progress, Trained, Training, TrainingLog, Watch};
use crate::{Content, Erased, Error, Result};

pub(super) const KIND: Kind = Kind {
    name: "lstm",
    model: "lstm/1",
    networks: &[BehaviourModel::KIND],
    build: |content, catalogue, device| {
        let model: BehaviourModel = content.network(catalogue, device)?;
        check_items(model.config().items, catalogue)?;
        Ok(Box::new(Erased::certain(Ranking::new(&model, Selection::Top)?)))
    },
    training: Some(Training {
        about: "a user model, which shows what users are likeliest to click",
        takes: &["epochs", "hidden"],
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
}

/// The published settings, in the size that was asked for.
fn settings(log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
    let users = BehaviourConfig {
        hidden: effort.hidden,
        ..BehaviourConfig::new(log.dataset.catalogue.len())
    };
    let (training, epochs) = (BehaviourTraining::default(), effort.epochs);
    let settings = Settings { users, training, epochs, one_validates_of: 10 };
    serde_json::to_value(settings).map_err(|reason| Error::setting("settings", reason))
}

/// Line 3 of Algorithm 1. The model is that of the epoch with the lowest loss on sessions that it
/// did not learn from.
fn train(log: &TrainingLog<'_>, job: &Job<'_>, watch: &mut dyn Watch) -> Result<Trained> {
    let Settings { users, training, epochs, one_validates_of } = job.settings()?;
    let seed = Seed::new(job.seed);
    let all = log.clicked("the user model", seed, watch)?;
    let mut order: Vec<usize> = (0..all.sessions()).collect();
    if order.len() < 2 {
        let problem = format!("{} sessions with a click, expected at least 2", order.len());
        return Err(Error::setting("log", problem));
    }
    order.shuffle(&mut seed.derive("validation").stream(0));
    let (validation, train) = order.split_at_mut((all.sessions() / one_validates_of.max(1)).max(1));
    validation.sort_unstable();
    train.sort_unstable();

    let model = BehaviourModel::new(users, seed, job.device)?;
    let mut trainer = BehaviourTrainer::new(model, training)?;
    let report = |progress: foretaste_train::Progress<_>| -> ControlFlow<()> {
        let done = progress.iteration;
        watch.progress(Progress { done, total: epochs, stage: "user model", save: None })
    };
    let (train, validation) = (all.select(train), all.select(validation));
    let fitted = trainer.fit(&train, &validation, epochs, seed.derive("epochs"), report);
    let best = match fitted {
        Err(foretaste_user_model::Error::Training(foretaste_train::Error::Interrupted)) => {
            return Err(Error::Interrupted);
        }
        fitted => fitted?.best,
    };
    let content = Content::ranking(trainer.model())?.after(best.iteration);
    Ok(Trained { content, sessions: all.sessions() })
}
