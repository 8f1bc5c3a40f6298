//! The LSTM composed from candle's operations on its tape: what the tests hold the others against.

use candle_core::{D, Tensor};
use candle_nn::ops::sigmoid;

use super::{Layer, LstmState};
use crate::Result;

/// The outputs `[rows, time, hidden]` and last states for projected inputs
/// `[rows, time, 4 hidden]`.
pub(super) fn forward(
    layers: &[Layer],
    projected: &Tensor,
    state: &LstmState,
    mask: Option<&Tensor>,
) -> Result<(Tensor, LstmState)> {
    let time = projected.dim(1)?;
    let masks = mask
        .map(|mask| (0..time).map(|t| Ok(mask.narrow(1, t, 1)?)).collect::<Result<Vec<_>>>())
        .transpose()?;
    let mut projected = projected.clone();
    let mut states = Vec::with_capacity(layers.len());
    for (index, (layer, state)) in layers.iter().zip(&state.layers).enumerate() {
        if index > 0 {
            projected = project(&projected, &layer.input_weight)?;
        }
        let gates = projected.broadcast_add(&layer.bias)?;
        let mut state = state.clone();
        let mut outputs = Vec::with_capacity(time);
        for t in 0..time {
            let next = cell(layer, &gates.narrow(1, t, 1)?.squeeze(1)?, &state)?;
            state = match &masks {
                Some(masks) => {
                    (carry(&masks[t], &next.0, &state.0)?, carry(&masks[t], &next.1, &state.1)?)
                }
                None => next,
            };
            outputs.push(state.0.clone());
        }
        projected = Tensor::stack(&outputs, 1)?;
        states.push(state);
    }
    Ok((projected, LstmState { layers: states }))
}

/// `x [rows, time, inputs]` times `weight [inputs, outputs]`.
pub(super) fn project(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (rows, time, inputs) = x.dims3()?;
    Ok(x.reshape((rows * time, inputs))?.matmul(weight)?.reshape((rows, time, weight.dim(1)?))?)
}

/// `new` in the rows where `mask [rows, 1]` (u8) is 1, `old` elsewhere.
fn carry(mask: &Tensor, new: &Tensor, old: &Tensor) -> Result<Tensor> {
    Ok(mask.broadcast_as(new.shape())?.where_cond(new, old)?)
}

fn cell(layer: &Layer, input: &Tensor, (h, c): &(Tensor, Tensor)) -> Result<(Tensor, Tensor)> {
    let hidden = h.dim(D::Minus1)?;
    let gates = (input + h.matmul(&layer.hidden_weight)?)?;
    let open = sigmoid(&gates.narrow(1, 0, 3 * hidden)?.contiguous()?)?;
    let g = gates.narrow(1, 3 * hidden, hidden)?.tanh()?;
    let (i, f, o) = (
        open.narrow(1, 0, hidden)?,
        open.narrow(1, hidden, hidden)?,
        open.narrow(1, 2 * hidden, hidden)?,
    );
    let c = ((f * c)? + (i * g)?)?;
    let h = (o * c.tanh()?)?;
    Ok((h, c))
}
