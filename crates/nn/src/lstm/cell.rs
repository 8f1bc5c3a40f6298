//! One time step of a layer after its matrix products, and back, outside candle's tape.

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;

/// What one time step of a layer computed.
#[derive(Debug)]
pub(super) struct Cell {
    /// i, f, o, g: `[rows, 4 hidden]`. Of no use where a row skipped the step.
    pub(super) gates: Tensor,
    /// f ∘ c_prev + i ∘ g, or c_prev where a row skipped the step: `[rows, hidden]`.
    pub(super) c: Tensor,
    /// o ∘ tanh(c), or h_prev where a row skipped the step: `[rows, hidden]`.
    pub(super) h: Tensor,
}

/// The gradients in what a time step was computed from.
#[derive(Debug)]
pub(super) struct CellGradients {
    /// In the sums `[rows, 4 hidden]`. Zeros where a row skipped the step.
    pub(super) sums: Tensor,
    /// In c_prev `[rows, hidden]`.
    pub(super) c_prev: Tensor,
    /// In h_prev `[rows, hidden]`, but for what passes through the sums: zeros except where a row
    /// skipped the step.
    pub(super) h_prev: Tensor,
}

/// A step from `sums [rows, 4 hidden]`, which are x Wᵢ + h_prev Wₕ + b with the gates in the order
/// i, f, o, g, and from `c_prev` and `h_prev` `[rows, hidden]`. Where `mask [rows]` (u8) is 0 a row
/// skips the step; no mask skips none.
///
/// All tensors are without gaps. NVIDIA GPUs run an own kernel, other devices candle's operations.
pub(super) fn forward(
    sums: &Tensor,
    c_prev: &Tensor,
    h_prev: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Cell> {
    #[cfg(feature = "cuda")]
    if sums.device().is_cuda() {
        let [gates, c, h] = crate::cuda::cell_forward(sums, c_prev, h_prev, mask)?;
        return Ok(Cell { gates, c, h });
    }
    let hidden = c_prev.dim(1)?;
    let open = sigmoid(&sums.narrow(1, 0, 3 * hidden)?.contiguous()?)?;
    let g = sums.narrow(1, 3 * hidden, hidden)?.tanh()?;
    let gate = |index| open.narrow(1, index * hidden, hidden);
    let (i, f, o) = (gate(0)?, gate(1)?, gate(2)?);
    let c = ((f * c_prev)? + (i * &g)?)?;
    let h = (o * c.tanh()?)?;
    let gates = Tensor::cat(&[open, g], 1)?;
    Ok(match mask {
        Some(mask) => Cell { gates, c: choose(mask, &c, c_prev)?, h: choose(mask, &h, h_prev)? },
        None => Cell { gates, c, h },
    })
}

/// The gradients of a step by [`forward`] from the gradients `dc` and `dh` `[rows, hidden]` in its
/// c and h, by all ways that lead from them.
pub(super) fn backward(
    cell: &Cell,
    c_prev: &Tensor,
    mask: Option<&Tensor>,
    dc: &Tensor,
    dh: &Tensor,
) -> Result<CellGradients> {
    #[cfg(feature = "cuda")]
    if dh.device().is_cuda() {
        let [sums, c_prev, h_prev] =
            crate::cuda::cell_backward(&cell.gates, &cell.c, c_prev, mask, dc, dh)?;
        return Ok(CellGradients { sums, c_prev, h_prev });
    }
    let hidden = c_prev.dim(1)?;
    let gate = |index| cell.gates.narrow(1, index * hidden, hidden);
    let (i, f, o, g) = (gate(0)?, gate(1)?, gate(2)?, gate(3)?);
    let squashed = cell.c.tanh()?;
    let into_c = (dc + ((dh * &o)? * slope_of_tanh(&squashed)?)?)?;
    let sums = Tensor::cat(
        &[
            ((&into_c * &g)? * slope_of_sigmoid(&i)?)?,
            ((&into_c * c_prev)? * slope_of_sigmoid(&f)?)?,
            ((dh * squashed)? * slope_of_sigmoid(&o)?)?,
            ((&into_c * i)? * slope_of_tanh(&g)?)?,
        ],
        1,
    )?;
    let (c_prev, h_prev) = ((into_c * f)?, dh.zeros_like()?);
    Ok(match mask {
        Some(mask) => CellGradients {
            sums: choose(mask, &sums, &sums.zeros_like()?)?,
            c_prev: choose(mask, &c_prev, dc)?,
            h_prev: choose(mask, &h_prev, dh)?,
        },
        None => CellGradients { sums, c_prev, h_prev },
    })
}

/// `new` in the rows where `mask [rows]` is 1, `old` elsewhere.
fn choose(mask: &Tensor, new: &Tensor, old: &Tensor) -> Result<Tensor> {
    mask.unsqueeze(1)?.broadcast_as(new.shape())?.where_cond(new, old)
}

/// σ' = σ (1 - σ) at the point where σ has this value.
fn slope_of_sigmoid(value: &Tensor) -> Result<Tensor> {
    value * value.affine(-1.0, 1.0)?
}

/// tanh' = 1 - tanh² at the point where tanh has this value.
fn slope_of_tanh(value: &Tensor) -> Result<Tensor> {
    value.sqr()?.affine(-1.0, 1.0)
}
