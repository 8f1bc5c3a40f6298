use candle_core::Tensor;
use foretaste_data::PaddedBatch;
use foretaste_nn::{Lstm, lookup};

use crate::Result;

/// The states s^d before the steps at these cells of a batch, `[cells, hidden]`: an LSTM over the
/// clicks before, from zeros.
pub(crate) fn states(
    table: &Tensor,
    lstm: &Lstm,
    batch: &PaddedBatch,
    cells: &[u32],
) -> Result<Tensor> {
    let (rows, hidden, device) = (batch.rows, lstm.hidden(), table.device());
    let empty = lstm.zero_state(rows)?.output().unsqueeze(1)?;
    // No state comes after the last step.
    let time = batch.steps.saturating_sub(1);
    let places = || (0..rows).flat_map(|row| (0..time).map(move |t| row * batch.steps + t));
    let Some(first) = places().find(|&cell| batch.clicked_mask[cell]) else {
        return Ok(Tensor::zeros((cells.len(), hidden), empty.dtype(), device)?);
    };
    // Where there is no click stands one that is used anyway: the optimiser touches no other row of
    // the table.
    let clicked = |cell| batch.clicked[if batch.clicked_mask[cell] { cell } else { first }];
    let items: Vec<u32> = places().map(clicked).collect();
    let mask: Vec<u8> = places().map(|cell| batch.clicked_mask[cell].into()).collect();
    let mask = Tensor::from_vec(mask, (rows, time), device)?;
    let x = lookup(table, &items)?.reshape((rows, time, table.dim(1)?))?;
    let (after, _) = lstm.forward(&x, &lstm.zero_state(rows)?, Some(&mask))?;
    let states = Tensor::cat(&[empty, after], 1)?.reshape((rows * batch.steps, hidden))?;
    Ok(states.index_select(&Tensor::new(cells, device)?, 0)?)
}
