//! Greedy on a learned user model: GAN-Greedy.

use foretaste_cascade_dqn::Greedy;
use foretaste_train::Network;
use foretaste_user_model::{UserModel, UserModelConfig};
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::content::{network, weights_of};
use crate::{Content, Erased, Result};

pub(super) const KIND: Kind = Kind {
    name: "greedy",
    model: "greedy/1",
    networks: &[],
    build: |content, catalogue, device| {
        let Settings { history, users } = content.settings()?;
        let model: UserModel = network(users, &content.weights, catalogue, device)?;
        let greedy = Erased::certain(Greedy::new(model, catalogue.len(), history));
        Ok(Box::new(greedy.by_scores(|greedy, clicks| Ok(greedy.scores(clicks)?))))
    },
    training: None,
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
    /// clicks.
    pub fn greedy(model: &UserModel, history: usize) -> Result<Self> {
        let settings = Settings { history, users: model.parts().0.clone() };
        Self::new(KIND.name, settings, weights_of(model)?)
    }
}
