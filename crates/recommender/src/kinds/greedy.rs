//! Greedy on a learned user model: GAN-Greedy.

use std::path::Path;

use foretaste_cascade_dqn::Greedy;
use foretaste_random::Seed;
use foretaste_train::{Network, run};
use foretaste_user_model::{StateEncoder, UserModel, UserModelConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Kind;
use crate::content::{network, weights_of};
use crate::in_users::{Unfinished, UsersFrom};
use crate::training::{Effort, Job, Progress, Trained, Training, TrainingLog, Watch};
use crate::{Content, Erased, Error, Model, Result};

pub(super) const KIND: Kind = Kind {
    name: "greedy",
    model: "greedy/1",
    networks: &[],
    reads_events: true,
    build: |content, catalogue, device| {
        let Settings { history, users } = content.settings()?;
        let model: UserModel = network(users, &content.weights, catalogue, device)?;
        // It is asked of all items at once, which stand at no place.
        let model = model.with_places_alike();
        let greedy = Erased::certain(Greedy::new(model, catalogue.len(), history));
        Ok(Box::new(greedy.by_scores(|greedy, clicks| Ok(greedy.scores(clicks)?))))
    },
    training: Some(Training {
        about: "what learned users like best, whatever it pays; any rewards",
        takes: &["users", "epochs"],
        learns: true,
        settings,
        train,
    }),
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How many clicks back the model is given.
    history: usize,
    users: UserModelConfig,
}

impl Content {
    /// The items of the largest reward by a learned user model, which is told the last `history`
    /// clicks. Where it takes the place on a slate, all places are alike.
    pub fn greedy(model: &UserModel, history: usize) -> Result<Self> {
        let settings = Settings { history, users: model.parts().0.clone() };
        Self::new(KIND.name, settings, weights_of(model)?)
    }
}

/// How many clicks back a model that remembers all of them is given.
const HISTORY: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Learning {
    users: UsersFrom,
}

fn settings(log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
    Ok(json!({ "users": UsersFrom::of(log, effort) }))
}

/// The users are all that is learned.
fn train(log: &TrainingLog<'_>, job: &Job<'_>, watch: &mut dyn Watch) -> Result<Trained> {
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
    let Model::Gan(model) = users.model() else {
        let problem = "IRecGAN's, which rate no single items; greedy takes those that `fit --model \
                       pw` or lstm writes, and `train --method lstm` shows what IRecGAN's like best";
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
    let content = Content::greedy(model, remembered)?.after(1);
    Ok(Trained::from_log(content, sessions))
}
