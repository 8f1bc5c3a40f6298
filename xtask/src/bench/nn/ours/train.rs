//! A training step of the LSTM on whole sequences, with the backward pass and the optimizer.

use foretaste_nn::{Adam, AdamConfig, Lstm};

use super::{Run, descend, no_params, normal};
use crate::bench::nn::case::{INPUTS, LAYERS};

pub fn prepare(hidden: usize, batch: usize, time: usize) -> anyhow::Result<Run> {
    let mut params = no_params();
    let lstm = Lstm::new(INPUTS, hidden, LAYERS, params.scope("lstm"))?;
    let mut adam = Adam::new(&params, AdamConfig::default())?;
    let x = normal((batch, time, INPUTS))?;
    Ok(Box::new(move || {
        let (outputs, _) = lstm.forward(&x, &lstm.zero_state(batch)?, None)?;
        descend(&mut adam, &outputs.sqr()?.mean_all()?)
    }))
}
