use candle_core::{Device, Tensor};
use understudy_data::{Choice, PaddedBatch};
use understudy_nn::{Embedding, FrozenLstm, Init, Lstm, LstmState, Scope, lookup, matmul, softmax_logits};

use crate::Result;

/// A state for each step of a sequence: what an LSTM makes of the embeddings of the clicks before it, s_t = h(s_{t-1}, e_{t-1}); zeros
/// before the first click.
#[derive(Debug)]
pub struct ClickEncoder {
    embedding: Embedding,
    lstm: Lstm,
}

impl ClickEncoder {
    /// An embedding of `entries` things and an LSTM of `layers` layers on it.
    pub fn new(entries: usize, embedding: usize, hidden: usize, layers: usize, mut scope: Scope<'_>) -> Result<Self> {
        let init = Init::Normal { sd: 1.0 / (embedding as f64).sqrt() };
        let table = Embedding::new(entries, embedding, init, scope.scope("embedding"))?;
        Ok(Self { embedding: table, lstm: Lstm::new(embedding, hidden, layers, scope.scope("lstm"))? })
    }

    /// The embeddings of all entries, `[entries, embedding]`.
    pub fn table(&self) -> &Tensor {
        self.embedding.table()
    }

    /// The states before the steps at these cells of a batch, `[cells, hidden]`.
    pub fn states(&self, batch: &PaddedBatch, cells: &[u32]) -> Result<Tensor> {
        let (rows, hidden, device) = (batch.rows, self.lstm.hidden(), self.table().device());
        let empty = self.lstm.zero_state(rows)?.output().unsqueeze(1)?;
        // No state comes after the last step.
        let time = batch.steps.saturating_sub(1);
        let places = || (0..rows).flat_map(|row| (0..time).map(move |t| row * batch.steps + t));
        let mask: Vec<u8> = places().map(|cell| batch.clicked_mask[cell].into()).collect();
        let Some(first) = places().find(|&cell| batch.clicked_mask[cell]) else {
            return Ok(Tensor::zeros((cells.len(), hidden), empty.dtype(), device)?);
        };
        // Where there is no click stands one that is used anyway: the optimiser touches no other row of the table.
        let clicked = |cell| batch.clicked[if batch.clicked_mask[cell] { cell } else { first }];
        let items: Vec<u32> = places().map(clicked).collect();
        let x = self.embedding.lookup(&items)?.reshape((rows, time, self.table().dim(1)?))?;
        let mask = Tensor::from_vec(mask, (rows, time), device)?;
        let (after, _) = self.lstm.forward(&x, &self.lstm.zero_state(rows)?, Some(&mask))?;
        let states = Tensor::cat(&[empty, after], 1)?.reshape((rows * batch.steps, hidden))?;
        Ok(states.index_select(&Tensor::new(cells, device)?, 0)?)
    }

    /// The encoder as it is now, for acting.
    pub fn freeze(&self) -> Result<FrozenClicks> {
        Ok(FrozenClicks { table: self.table().detach().copy()?, lstm: self.lstm.freeze()? })
    }
}

/// A [`ClickEncoder`] whose parameters stay as they are, run step by step.
#[derive(Debug)]
pub struct FrozenClicks {
    table: Tensor,
    lstm: FrozenLstm,
}

impl FrozenClicks {
    /// The embeddings of all entries, `[entries, embedding]`.
    pub fn table(&self) -> &Tensor {
        &self.table
    }

    /// The state of `rows` sequences that begin.
    pub fn begin(&self, rows: usize) -> Result<LstmState> {
        Ok(self.lstm.lstm().zero_state(rows)?)
    }

    /// The state one step later; rows without a click keep theirs.
    pub fn step(&self, state: &LstmState, choices: &[Choice]) -> Result<LstmState> {
        let rows = choices.len();
        if rows == 0 {
            return Ok(state.clone());
        }
        let items: Vec<u32> = choices.iter().map(|choice| choice.item().map_or(0, |item| item.0)).collect();
        let clicked: Vec<u8> = choices.iter().map(|choice| choice.item().is_some().into()).collect();
        let clicked = Tensor::from_vec(clicked, (rows, 1), self.table.device())?;
        let x = lookup(&self.table, &items)?.unsqueeze(1)?;
        Ok(self.lstm.forward(&x, state, Some(&clicked))?.1)
    }
}

/// W s + b.
#[derive(Debug)]
pub struct Head {
    weight: Tensor,
    bias: Tensor,
}

impl Head {
    /// Creates `weight [inputs, outputs]`, by Glorot's rule, and `bias [outputs]`, 0.
    pub fn new(inputs: usize, outputs: usize, mut scope: Scope<'_>) -> Result<Self> {
        let weight = scope.param("weight", (inputs, outputs), Init::glorot(inputs, outputs))?;
        Ok(Self { weight, bias: scope.param("bias", outputs, Init::Constant(0.0))? })
    }

    /// W, transposed: `[inputs, outputs]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// b, `[outputs]`.
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// `[rows, inputs]` to `[rows, outputs]`, for training.
    pub fn forward(&self, states: &Tensor) -> Result<Tensor> {
        Ok(softmax_logits(states, &self.weight, &self.bias)?)
    }

    /// The head as it is now.
    pub fn freeze(&self) -> Result<Self> {
        Ok(Self { weight: self.weight.detach().copy()?, bias: self.bias.detach().copy()? })
    }

    /// As [`forward`](Self::forward) without gradients: on the CPU a row does not depend on the rows around it.
    pub fn act(&self, states: &Tensor) -> Result<Tensor> {
        match states.device() {
            Device::Cpu => Ok(matmul(states, &self.weight)?.broadcast_add(&self.bias)?),
            _ => self.forward(states),
        }
    }
}
