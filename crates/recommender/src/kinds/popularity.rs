//! Items drawn by how popular they are.

use candle_core::{Device, Tensor};
use foretaste_sim::policies::Popularity;
use serde_json::{Value, json};

use super::{Kind, for_everyone};
use crate::training::{Effort, Job, Trained, Training, TrainingLog, Watch};
use crate::{Content, Erased, Result};

pub(super) const KIND: Kind = Kind {
    name: "popularity",
    model: "popularity/1",
    networks: &[],
    build: |content, catalogue, _| {
        let weights: Vec<f64> = content.numbers("popularity", &[catalogue.len()])?;
        let scores = weights.iter().map(|weight| weight.ln()).collect();
        Ok(Box::new(Erased::drawn(Popularity::new(weights)?).by_scores(for_everyone(scores))))
    },
    training: Some(Training {
        about: "items drawn in proportion to their clicks and organic events",
        takes: &[],
        learns: true,
        settings,
        train,
    }),
};

impl Content {
    /// Items drawn one after the other in proportion to these weights, one for each item.
    pub fn popularity(weights: Vec<f64>) -> Result<Self> {
        let weights = Tensor::new(weights, &Device::Cpu)?;
        Self::new(KIND.name, json!({}), [("popularity".to_owned(), weights)].into())
    }
}

fn settings(_: &TrainingLog<'_>, _: &Effort) -> Result<Value> {
    Ok(json!({}))
}

/// How often each item was clicked, or seen or bought without a slate, and once more, so that every
/// item can be shown.
fn train(log: &TrainingLog<'_>, _: &Job<'_>, _: &mut dyn Watch) -> Result<Trained> {
    let mut weights = vec![1.0; log.dataset.catalogue.len()];
    let clicks = log.steps().filter_map(|step| step.choice.item());
    let events = log.events().map(|event| event.item);
    clicks.chain(events).for_each(|item| weights[item.index()] += 1.0);
    Ok(Trained::from_log(Content::popularity(weights)?, log.sessions.len()))
}
