//! Items drawn uniformly.

use foretaste_sim::policies::UniformRandom;
use serde_json::{Value, json};

use super::{Kind, for_everyone};
use crate::training::{Effort, Job, Trained, Training, TrainingLog, Watch};
use crate::{Content, Erased, Recommender, Result};

pub(super) const KIND: Kind = Kind {
    name: Recommender::UNIFORM,
    model: "random/1",
    networks: &[],
    build: |content, catalogue, _| {
        content.expect_none()?;
        let uniform = Erased::drawn(UniformRandom { items: catalogue.len() });
        Ok(Box::new(uniform.by_scores(for_everyone(vec![0.0; catalogue.len()]))))
    },
    training: Some(Training {
        about: "all items with equal probability",
        takes: &[],
        learns: false,
        settings,
        train,
    }),
};

impl Content {
    /// All items alike.
    pub fn random() -> Result<Self> {
        Self::new(KIND.name, json!({}), [].into())
    }
}

fn settings(_: &TrainingLog<'_>, _: &Effort) -> Result<Value> {
    Ok(json!({}))
}

/// There is nothing to learn.
fn train(_: &TrainingLog<'_>, _: &Job<'_>, _: &mut dyn Watch) -> Result<Trained> {
    Ok(Trained::from_log(Content::random()?, 0))
}
