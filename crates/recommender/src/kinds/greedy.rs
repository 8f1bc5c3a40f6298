//! Greedy on a learned user model: GAN-Greedy.

use std::path::Path;

use candle_core::Device;
use foretaste_cascade_dqn::Greedy;
use foretaste_data::{Catalogue, RecentClicks};
use foretaste_random::Seed;
use foretaste_train::{Network, run};
use foretaste_user_model::{StateEncoder, UserModel, UserModelConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Kind;
use crate::content::{network, weights_of};
use crate::in_users::{Unfinished, UsersFrom};
use crate::training::{Effort, Job, Progress, Trained, Training, TrainingLog, Watch};
use crate::{Content, Erased, Error, Result};

pub(super) const KIND: Kind = Kind {
    name: "greedy",
    model: "greedy/1",
    networks: &[],
    build: |content, catalogue, device| {
        let Model { model, history } = Model::of(content, catalogue, device)?;
        let greedy = Erased::certain(Greedy::new(model, catalogue.len(), history));
        Ok(Box::new(greedy.by_scores(|greedy, clicks| Ok(greedy.scores(clicks)?))))
    },
    training: Some(Training {
        about: "the items that learned users like best, regardless of the reward",
        takes: TAKES,
        learns: true,
        settings,
        train: |log, job, watch| train_as(Content::greedy, log, job, watch),
    }),
};

/// The options that make a difference.
pub(super) const TAKES: &[&str] = &["users", "epochs"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How many clicks back the model is given.
    history: usize,
    users: UserModelConfig,
}

/// A model of users that slates are made of, and how many clicks back it is given.
pub(super) struct Model {
    pub model: UserModel,
    pub history: usize,
}

impl Model {
    /// That of some content.
    pub fn of(content: &Content, catalogue: &Catalogue, device: &Device) -> Result<Self> {
        let Settings { history, users } = content.settings()?;
        RecentClicks::check_window(history)?;
        let model: UserModel = network(users, &content.weights, catalogue, device)?;
        // It is asked of all items at once, which stand at no place.
        Ok(Self { model: model.with_places_alike(), history })
    }
}

/// What a [`Model`] is read from.
pub(super) fn content(kind: &'static str, model: &UserModel, history: usize) -> Result<Content> {
    let settings = Settings { history, users: model.parts().0.clone() };
    Content::new(kind, settings, weights_of(model)?)
}

impl Content {
    /// The items of the largest reward by a learned user model, which gets the last `history`
    /// clicks. Where it takes the place on a slate, all places are alike.
    pub fn greedy(model: &UserModel, history: usize) -> Result<Self> {
        content(KIND.name, model, history)
    }
}

/// How many clicks back a model that remembers all of them is given.
const HISTORY: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Learning {
    users: UsersFrom,
}

pub(super) fn settings(log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
    Ok(json!({ "users": UsersFrom::of(log, effort) }))
}

/// The users are all that is learned; `make` makes slates of them.
pub(super) fn train_as(
    make: impl Fn(&UserModel, usize) -> Result<Content>,
    log: &TrainingLog<'_>,
    job: &Job<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained> {
    let Learning { users } = job.settings()?;
    let unfinished = Unfinished::of(job)?;
    let kept = unfinished.as_ref().map(|unfinished| &*unfinished.folder);
    let (users, sessions) = users.users(log, job, kept, 1, watch)?;
    // Nothing is worth keeping any more.
    let save =
        |place: &Path| run::save(place, Seed::new(job.seed), |_| Ok::<_, Error>(Unfinished::USERS));
    if watch.progress(Progress { done: 1, total: 1, stage: "users", save: &save }).is_break() {
        return Err(Error::Interrupted);
    }
    let crate::Model::Gan(model) = users.model() else {
        let problem = "IRecGAN's users do not rate single items; give users that `fit --model pw` \
                       or `fit --model lstm` wrote, or use `train --method lstm`, which shows the \
                       items that IRecGAN's users like best";
        return Err(Error::setting("users", problem));
    };
    let remembered = match model.config() {
        UserModelConfig {
            context: None,
            state: StateEncoder::PositionWeights { history, .. },
            ..
        } => *history,
        _ => HISTORY,
    };
    let content = make(model, remembered)?.after(1);
    Ok(Trained::from_log(content, sessions))
}
