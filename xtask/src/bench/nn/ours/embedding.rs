//! A training step on an embedding by our look-up, whose gradient has the used rows only, and by
//! candle's.

use candle_core::{Device, Tensor};
use foretaste_nn::{Adam, AdamConfig, Embedding, Init};

use super::{Run, descend, indices, no_params};
use crate::bench::nn::case::{EMBEDDING_WIDTH, IDS, ITEMS};

pub fn prepare(sparse: bool) -> anyhow::Result<Run> {
    let mut params = no_params();
    let embedding =
        Embedding::new(ITEMS, EMBEDDING_WIDTH, Init::Normal { sd: 1.0 }, params.scope("items"))?;
    let mut adam = Adam::new(&params, AdamConfig::default())?;
    let ids = indices(IDS, ITEMS);
    let all = Tensor::new(&ids[..], &Device::Cpu)?;
    Ok(Box::new(move || {
        // The gradient of candle's own look-up is that of the whole table.
        let rows = if sparse {
            embedding.lookup(&ids)?
        } else {
            embedding.table().index_select(&all, 0)?
        };
        descend(&mut adam, &rows.sqr()?.mean_all()?)
    }))
}
