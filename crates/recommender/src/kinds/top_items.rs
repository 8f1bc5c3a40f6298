//! The same best items for everyone.

use candle_core::{Device, Tensor};
use foretaste_sim::policies::TopItems;
use serde_json::json;

use super::{Kind, for_everyone};
use crate::{Content, Erased, Result};

pub(super) const KIND: Kind = Kind {
    name: "top-items",
    model: "top-items/1",
    networks: &[],
    build: |content, catalogue, _| {
        let scores: Vec<f64> = content.numbers("scores", &[catalogue.len()])?;
        Ok(Box::new(Erased::certain(TopItems::new(&scores)).by_scores(for_everyone(scores))))
    },
    training: None,
};

impl Content {
    /// The items of the largest scores, of which there is one for each item.
    pub fn top_items(scores: Vec<f64>) -> Result<Self> {
        let scores = Tensor::new(scores, &Device::Cpu)?;
        Self::new(KIND.name, json!({}), [("scores".to_owned(), scores)].into())
    }
}
