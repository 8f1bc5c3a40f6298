//! One step of a frozen LSTM, as in acting. With `gather`, the state's rows are copied first, as
//! they are when sessions branch.

use foretaste_nn::Lstm;

use super::{Run, indices, no_params, normal};
use crate::bench::nn::case::{INPUTS, LAYERS};

pub fn prepare(hidden: usize, batch: usize, gather: bool) -> anyhow::Result<Run> {
    let mut params = no_params();
    let lstm = Lstm::new(INPUTS, hidden, LAYERS, params.scope("lstm"))?;
    let mut state = lstm.zero_state(batch)?;
    let lstm = lstm.freeze()?;
    let x = normal((batch, 1, INPUTS))?;
    let rows = indices(batch, batch);
    Ok(Box::new(move || {
        if gather {
            state = state.select(&rows)?;
        }
        state = lstm.forward(&x, &state, None)?.1;
        Ok(())
    }))
}
