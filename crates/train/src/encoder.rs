use std::sync::OnceLock;

use candle_core::Tensor;
use foretaste_data::{Choice, PaddedBatch};
use foretaste_nn::{Embedding, FrozenLstm, Init, Lstm, LstmState, Result, Scope, lookup};

/// A state for each step of a session: what an LSTM makes of the embeddings of the clicks before
/// it, s_t = h(s_{t-1}, e_{t-1}); zeros before the first click.
#[derive(Debug)]
pub struct ClickEncoder {
    embedding: Embedding,
    lstm: Lstm,
}

impl ClickEncoder {
    /// An embedding of `entries` things and an LSTM of `layers` layers on it.
    pub fn new(
        entries: usize,
        embedding: usize,
        hidden: usize,
        layers: usize,
        mut scope: Scope<'_>,
    ) -> Result<Self> {
        let init = Init::Normal { sd: 1.0 / (embedding as f64).sqrt() };
        let table = Embedding::new(entries, embedding, init, scope.scope("embedding"))?;
        Ok(Self {
            embedding: table,
            lstm: Lstm::new(embedding, hidden, layers, scope.scope("lstm"))?,
        })
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
        // Where there is no click stands one that is used anyway: the optimiser touches no other
        // row of the table.
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

/// The states of some sessions. What was clicked last is taken in when it is first asked for:
/// where a session ends, nobody asks.
#[derive(Clone, Debug)]
pub struct ClickStates {
    before: LstmState,
    /// The last choices, unless they are taken in already.
    choices: Vec<Choice>,
    now: OnceLock<LstmState>,
}

impl FrozenClicks {
    /// The embeddings of all entries, `[entries, embedding]`.
    pub fn table(&self) -> &Tensor {
        &self.table
    }

    /// The states of `rows` sessions that begin.
    pub fn begin(&self, rows: usize) -> Result<ClickStates> {
        Ok(ClickStates::known(self.lstm.lstm().zero_state(rows)?))
    }

    /// Moves the states on by a choice each; rows without a click keep theirs.
    pub fn step(&self, states: &mut ClickStates, choices: &[Choice]) -> Result<()> {
        let before = self.now(states)?.clone();
        *states = ClickStates { before, choices: choices.to_vec(), now: OnceLock::new() };
        Ok(())
    }

    /// The states as they are, `[rows, hidden]`.
    pub fn output<'a>(&self, states: &'a ClickStates) -> Result<&'a Tensor> {
        Ok(self.now(states)?.output())
    }

    /// Copies rows, in the given order, a row as often as it is named.
    pub fn select(&self, states: &ClickStates, rows: &[usize]) -> Result<ClickStates> {
        let indices: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        if states.now.get().is_some() || rows.len() > states.choices.len() {
            return Ok(ClickStates::known(self.now(states)?.select(&indices)?));
        }
        let choices = rows.iter().map(|&row| states.choices[row]).collect();
        Ok(ClickStates { before: states.before.select(&indices)?, choices, now: OnceLock::new() })
    }

    /// Begins a new session in each of `rows`, in place of the one there.
    pub fn restart(&self, states: &mut ClickStates, rows: &[usize]) -> Result<()> {
        *states = ClickStates::known(self.now(states)?.restart(rows)?);
        Ok(())
    }

    fn now<'a>(&self, states: &'a ClickStates) -> Result<&'a LstmState> {
        match states.now.get() {
            Some(now) => Ok(now),
            None => {
                let now = self.after(&states.before, &states.choices)?;
                Ok(states.now.get_or_init(|| now))
            }
        }
    }

    fn after(&self, state: &LstmState, choices: &[Choice]) -> Result<LstmState> {
        let rows = choices.len();
        if rows == 0 {
            return Ok(state.clone());
        }
        let items: Vec<u32> =
            choices.iter().map(|choice| choice.item().map_or(0, |item| item.0)).collect();
        let clicked: Vec<u8> =
            choices.iter().map(|choice| choice.item().is_some().into()).collect();
        let clicked = Tensor::from_vec(clicked, (rows, 1), self.table.device())?;
        let x = lookup(&self.table, &items)?.unsqueeze(1)?;
        Ok(self.lstm.forward(&x, state, Some(&clicked))?.1)
    }
}

impl ClickStates {
    fn known(state: LstmState) -> Self {
        Self { before: state.clone(), choices: Vec::new(), now: OnceLock::from(state) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use foretaste_data::ItemId;
    use foretaste_nn::Params;
    use foretaste_random::Seed;

    fn values(tensor: &Tensor) -> Vec<Vec<f32>> {
        tensor.to_vec2().unwrap()
    }

    /// The states of three sessions after two steps.
    fn after(clicks: &FrozenClicks) -> ClickStates {
        let click = |item| Choice::Item(ItemId(item));
        let mut states = clicks.begin(3).unwrap();
        for choices in [[click(1), Choice::Leave, click(5)], [click(2), click(3), Choice::Leave]] {
            clicks.step(&mut states, &choices).unwrap();
        }
        states
    }

    #[test]
    fn copies_are_the_same_whether_the_last_clicks_were_taken_in_before_or_not() {
        let mut params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
        let clicks =
            ClickEncoder::new(7, 3, 4, 2, params.scope("clicks")).unwrap().freeze().unwrap();
        let settled = after(&clicks);
        let states = values(clicks.output(&settled).unwrap());
        assert!(states[0] != states[1] && states[1] != states[2]);
        for rows in [vec![2, 0], vec![1, 1, 0, 2, 2, 1], vec![0, 1, 2], vec![]] {
            for states_before in [&settled, &after(&clicks)] {
                let mut copies = clicks.select(states_before, &rows).unwrap();
                let expected: Vec<_> = rows.iter().map(|&row| states[row].clone()).collect();
                assert_eq!(values(clicks.output(&copies).unwrap()), expected);
                // And they go on from there.
                clicks.step(&mut copies, &vec![Choice::Leave; rows.len()]).unwrap();
                assert_eq!(values(clicks.output(&copies).unwrap()), expected);
            }
        }
    }
}
