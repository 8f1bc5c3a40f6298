//! The state of a user after the clicks of a session, by an LSTM. U, A and D of IRecGAN all have
//! one, in a form for training on batches and a form for acting step by step.

use std::sync::OnceLock;

use candle_core::Tensor;
use foretaste_data::{Choice, ItemId, PaddedBatch};
use foretaste_nn::{Embedding, FrozenLstm, Init, Lstm, LstmState, Result, Scope, lookup};
use serde::{Deserialize, Serialize};

use crate::padded_together;

/// A state for each step of a session: what an LSTM makes of the embeddings of the clicks before
/// it, s_t = h(s_{t-1}, e_{t-1}).
///
/// Every session begins alike: with a START entry as the first input of the LSTM, or, for who wants
/// the difference, with a state of zeros. From zeros the first slate of a session is decided by the
/// biases of the layers behind the encoder alone.
#[derive(Debug)]
pub struct ClickEncoder {
    embedding: Embedding,
    lstm: Lstm,
    first: FirstInput,
}

/// What the LSTM of a [`ClickEncoder`] sees before the first click of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstInput {
    /// A START entry with an embedding of its own.
    Start,
    /// Nothing: the state before the first click is zeros, as in networks of earlier versions.
    #[default]
    Nothing,
}

impl ClickEncoder {
    /// An embedding of `entries` things, and of START behind them where it is the first input, and
    /// an LSTM of `layers` layers on it.
    pub fn new(
        entries: usize,
        embedding: usize,
        hidden: usize,
        layers: usize,
        first: FirstInput,
        mut scope: Scope<'_>,
    ) -> Result<Self> {
        let init = Init::Normal { sd: 1.0 / (embedding as f64).sqrt() };
        let entries = entries + usize::from(first == FirstInput::Start);
        Ok(Self {
            embedding: Embedding::new(entries, embedding, init, scope.scope("embedding"))?,
            lstm: Lstm::new(embedding, hidden, layers, scope.scope("lstm"))?,
            first,
        })
    }

    /// The embeddings of all entries, `[entries, embedding]`; START is the last if it is one.
    pub fn table(&self) -> &Tensor {
        self.embedding.table()
    }

    /// The states before the steps at these cells of a batch, `[cells, hidden]`. The item of an
    /// organic event is an input like one that was clicked.
    pub fn states(&self, batch: &PaddedBatch, cells: &[u32]) -> Result<Tensor> {
        let (rows, device) = (batch.rows, self.table().device());
        let begins = self.first == FirstInput::Start;
        let mut events = batch.events.iter().peekable();
        // The inputs of each row, none where a step has no click, and how many come before each
        // cell. No state comes after the last step; START comes before the first.
        let (mut sequences, mut before) = (Vec::with_capacity(rows), Vec::new());
        for row in 0..rows {
            let mut inputs: Vec<Option<u32>> = Vec::from_iter(begins.then(|| Some(self.start())));
            for cell in row * batch.steps..(row + 1) * batch.steps {
                while let Some((_, item)) = events.next_if(|(at, _)| *at == cell) {
                    inputs.push(Some(*item));
                }
                before.push(inputs.len());
                if cell + 1 < (row + 1) * batch.steps {
                    inputs.push(batch.clicked_mask[cell].then(|| batch.clicked[cell]));
                }
            }
            sequences.push(inputs);
        }
        if cells.is_empty() {
            return Ok(Tensor::zeros((0, self.lstm.hidden()), self.table().dtype(), device)?);
        }
        // Behind its last input a state stays as it is.
        let known = |inputs: &Vec<Option<u32>>| {
            inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
        };
        let lengths: Vec<usize> = sequences.iter().map(known).collect();
        let groups = padded_together(&lengths);
        if groups.len() > 1 {
            let cut = sequences.iter_mut().zip(lengths);
            cut.for_each(|(inputs, length)| inputs.truncate(length));
        }
        let (mut states, mut first, mut count) = (Vec::new(), vec![0; rows], 0);
        for group in groups {
            let inputs = group.iter().map(|&row| &sequences[row][..]).collect();
            let (of_group, length) = self.of_sequences(inputs)?;
            for (at, &row) in group.iter().enumerate() {
                first[row] = count + at * length;
            }
            count += group.len() * length;
            states.push(of_group);
        }
        let states = match &states[..] {
            [states] => states.clone(),
            several => Tensor::cat(several, 0)?,
        };
        let wanted = cells.iter().map(|&cell| {
            let row = cell as usize / batch.steps;
            let before = before[cell as usize].min(sequences[row].len());
            (first[row] + before - usize::from(begins)) as u32
        });
        Ok(states.index_select(&Tensor::new(wanted.collect::<Vec<_>>(), device)?, 0)?)
    }

    /// The states before and after each of these inputs, `[rows · length, hidden]`, and length.
    /// Behind START there is none before it.
    fn of_sequences(&self, sequences: Vec<&[Option<u32>]>) -> Result<(Tensor, usize)> {
        let (rows, hidden, device) = (sequences.len(), self.lstm.hidden(), self.table().device());
        let time = sequences.iter().map(|inputs| inputs.len()).max().unwrap_or(0);
        let padded = |inputs: &[Option<u32>]| {
            let padding = time - inputs.len();
            inputs.iter().copied().chain(std::iter::repeat_n(None, padding)).collect::<Vec<_>>()
        };
        let inputs: Vec<Option<u32>> = sequences.into_iter().flat_map(padded).collect();
        // Where there is no click stands an entry that is used anyway: the optimizer touches no
        // other row of the table.
        let Some(used) = inputs.iter().find_map(|input| *input) else {
            let zeros = Tensor::zeros((rows * (time + 1), hidden), self.table().dtype(), device)?;
            return Ok((zeros, time + 1));
        };
        let entries: Vec<u32> = inputs.iter().map(|input| input.unwrap_or(used)).collect();
        let mask: Vec<u8> = inputs.iter().map(|input| input.is_some().into()).collect();
        let x = self.embedding.lookup(&entries)?.reshape((rows, time, self.table().dim(1)?))?;
        let mask = Tensor::from_vec(mask, (rows, time), device)?;
        let zeros = self.lstm.zero_state(rows)?;
        let (mut states, _) = self.lstm.forward(&x, &zeros, Some(&mask))?;
        if self.first == FirstInput::Nothing {
            states = Tensor::cat(&[zeros.output().unsqueeze(1)?, states], 1)?;
        }
        let length = states.dim(1)?;
        Ok((states.reshape((rows * length, hidden))?, length))
    }

    /// The entry of START, if it is one.
    fn start(&self) -> u32 {
        self.embedding.table().dims()[0] as u32 - 1
    }

    /// The encoder as it is now, for acting.
    pub fn freeze(&self) -> Result<FrozenClicks> {
        let (table, lstm) = (self.table().detach().copy()?, self.lstm.freeze()?);
        let zeros = lstm.lstm().zero_state(1)?;
        let first = match self.first {
            FirstInput::Start => {
                let x = lookup(&table, &[self.start()])?.unsqueeze(1)?;
                lstm.forward(&x, &zeros, None)?.1
            }
            FirstInput::Nothing => zeros,
        };
        Ok(FrozenClicks { table, lstm, first })
    }
}

/// A [`ClickEncoder`] whose parameters stay as they are, run step by step.
#[derive(Debug)]
pub struct FrozenClicks {
    table: Tensor,
    lstm: FrozenLstm,
    /// The state of one session that begins.
    first: LstmState,
}

/// The states of some sessions. What was clicked last is taken in when it is first asked for:
/// where a session ends, it is not needed.
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
        Ok(ClickStates::known(self.first.select(&vec![0; rows])?))
    }

    /// The states of sessions before whose first slate these items were clicked.
    pub fn begin_after(&self, histories: &[Vec<ItemId>]) -> Result<ClickStates> {
        let mut states = self.begin(histories.len())?;
        for at in 0..histories.iter().map(Vec::len).max().unwrap_or(0) {
            let clicked = |items: &Vec<ItemId>| {
                items.get(at).map_or(Choice::Skip, |&item| Choice::Item(item))
            };
            self.step(&mut states, &histories.iter().map(clicked).collect::<Vec<_>>())?;
        }
        Ok(states)
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
        *states = ClickStates::known(self.now(states)?.replace(rows, &self.first)?);
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
    use foretaste_data::{Event, EventKind, LogBuilder, Step};
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

    fn encoder(first: FirstInput) -> ClickEncoder {
        let mut params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
        ClickEncoder::new(7, 3, 4, 2, first, params.scope("clicks")).unwrap()
    }

    #[test]
    fn copies_are_the_same_whether_the_last_clicks_were_taken_in_before_or_not() {
        let clicks = encoder(FirstInput::Start).freeze().unwrap();
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

    /// One long session among short ones, as each of them alone.
    #[test]
    fn a_long_session_changes_no_state_and_no_gradient_of_others() {
        let mut log = LogBuilder::default();
        for session in 0..30 {
            let steps = if session == 11 { 2_000 } else { 1 + session % 4 };
            for t in 0..steps {
                let item = ItemId(((session + t) % 7) as u32);
                let choice = if t % 3 == 2 { Choice::Skip } else { Choice::Item(item) };
                log.push(Step::new(&[item], choice, 0.0)).unwrap();
            }
            log.end_session(None).unwrap();
        }
        let (log, all) = (log.build(), (0..30).collect::<Vec<usize>>());
        for first in [FirstInput::Start, FirstInput::Nothing] {
            let encoder = encoder(first);
            let cells = |batch: &PaddedBatch| -> Vec<u32> {
                let steps = batch.step_mask.iter().enumerate();
                steps.filter_map(|(cell, is)| is.then_some(cell as u32)).collect()
            };
            let of = |sessions: &[usize]| {
                let batch = PaddedBatch::new(&log, sessions, None);
                encoder.states(&batch, &cells(&batch)).unwrap()
            };
            let together = of(&all);
            let apart: Vec<Tensor> = all.iter().map(|&session| of(&[session])).collect();
            let apart = Tensor::cat(&apart, 0).unwrap();
            assert_eq!(values(&together), values(&apart));
            let gradient = |states: &Tensor| {
                let loss = states.sqr().unwrap().sum_all().unwrap();
                let gradients = foretaste_nn::backward(&loss).unwrap();
                values(&gradients.get(encoder.table()).unwrap().unwrap())
            };
            let [together, apart] = [together, apart].map(|states| gradient(&states));
            for (one, other) in together.concat().iter().zip(apart.concat()) {
                assert!((one - other).abs() <= 1e-4 * other.abs().max(1.0), "{one} {other}");
            }
        }
    }

    /// Sessions of no click, of clicks only, and with a step without a click, some of them with
    /// organic events, in training and step by step.
    #[test]
    fn states_in_training_are_those_of_acting() {
        let (click, leave) = (|item| Choice::Item(ItemId(item)), Choice::Leave);
        let sessions =
            [vec![leave], vec![click(1), click(2), leave], vec![click(5), Choice::Skip, click(0)]];
        // Before which step of which session: two before the first, one between, one behind.
        let events = [(1, 0, 6), (1, 0, 3), (2, 1, 4), (2, 3, 2)];
        let before = |session, step| {
            let happened = move |(s, t, item)| (s == session && t == step).then_some(item);
            events.into_iter().filter_map(happened).map(ItemId)
        };
        let mut log = LogBuilder::default();
        let event = |item| Event { item, kind: EventKind::View, after: 0, timestamp: None };
        for (session, choices) in sessions.iter().enumerate() {
            for (t, &choice) in choices.iter().enumerate() {
                before(session, t).for_each(|item| log.event(event(item)));
                let slate: Vec<ItemId> = (0..7).map(ItemId).collect();
                log.push(Step::new(&slate, choice, 0.0)).unwrap();
            }
            before(session, choices.len()).for_each(|item| log.event(event(item)));
            log.end_session(None).unwrap();
        }
        let batch = PaddedBatch::new(&log.build(), &[0, 1, 2], None);
        for first in [FirstInput::Start, FirstInput::Nothing] {
            let encoder = encoder(first);
            let clicks = encoder.freeze().unwrap();
            for (row, session) in sessions.iter().enumerate() {
                let history: Vec<ItemId> = before(row, 0).collect();
                let mut states = clicks.begin_after(std::slice::from_ref(&history)).unwrap();
                for (t, choice) in session.iter().enumerate() {
                    for item in before(row, t).filter(|_| t > 0) {
                        clicks.step(&mut states, &[Choice::Item(item)]).unwrap();
                    }
                    let cell = (row * batch.steps + t) as u32;
                    let expected = values(&encoder.states(&batch, &[cell]).unwrap());
                    let found = values(clicks.output(&states).unwrap());
                    for (found, expected) in found[0].iter().zip(&expected[0]) {
                        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                    }
                    let zeros = found[0].iter().all(|value| *value == 0.0);
                    let nothing_yet = t == 0 && history.is_empty();
                    assert_eq!(zeros, first == FirstInput::Nothing && nothing_yet);
                    clicks.step(&mut states, &[*choice]).unwrap();
                }
                // A session that begins in place of this one.
                clicks.restart(&mut states, &[0]).unwrap();
                let begun = clicks.begin(1).unwrap();
                let [restarted, begun] =
                    [states, begun].map(|states| values(clicks.output(&states).unwrap()));
                assert_eq!(restarted, begun);
            }
        }
    }
}
