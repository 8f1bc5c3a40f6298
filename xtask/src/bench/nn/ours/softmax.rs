//! The loss of the softmax over all items, with the gradients of everything that it is computed
//! from.

use foretaste_nn::{Init, backward, softmax_cross_entropy};

use super::{Run, indices, no_params};
use crate::bench::nn::case::{ITEMS, SOFTMAX_HIDDEN};

pub fn prepare(rows: usize) -> anyhow::Result<Run> {
    let mut params = no_params();
    let mut scope = params.scope("softmax");
    let h = scope.param("h", (rows, SOFTMAX_HIDDEN), Init::Normal { sd: 1.0 })?;
    let bound = 1.0 / (SOFTMAX_HIDDEN as f64).sqrt();
    let weight = scope.param("weight", (SOFTMAX_HIDDEN, ITEMS), Init::Uniform { bound })?;
    let bias = scope.param("bias", ITEMS, Init::Uniform { bound })?;
    let targets = indices(rows, ITEMS);
    Ok(Box::new(move || {
        // Of few rows the weight's gradient is left in factors until it is asked for.
        backward(&softmax_cross_entropy(&h, &weight, &bias, &targets)?.mean_all()?)?
            .get(&weight)?;
        Ok(())
    }))
}
