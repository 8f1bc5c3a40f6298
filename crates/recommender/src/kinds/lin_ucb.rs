//! LinUCB as far as it learned.

use foretaste_cascade_dqn::{LinUcb, LinUcbConfig};
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::content::check_items;
use crate::{Content, Erased, Result};

pub(super) const KIND: Kind = Kind {
    name: "linucb",
    model: "linucb/1",
    networks: &[],
    build: |content, catalogue, _| {
        let Settings { config, k, items } = content.settings()?;
        check_items(items, catalogue)?;
        let policy = LinUcb::from_tensors(config, k, items, &content.weights)?;
        Ok(Box::new(Erased::certain(policy).by_scores(|policy, clicks| Ok(policy.scores(clicks)))))
    },
    training: None,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    config: LinUcbConfig,
    k: usize,
    items: usize,
}

impl Content {
    /// LinUCB as it is now. Its slates are as long as it was made for, and it learns no more.
    pub fn lin_ucb(policy: &LinUcb) -> Result<Self> {
        let settings = Settings { config: policy.config(), k: policy.k(), items: policy.items() };
        Self::new(KIND.name, settings, policy.tensors()?)
    }
}
