use std::sync::Arc;

use candle_core::Tensor;
use rand::Rng;
use understudy_data::{Choice, ItemId};
use understudy_nn::{FrozenLstm, LstmState};
use understudy_random::Stream;
use understudy_sim::{Environment, Responses, Slates};

use crate::config::Outside;
use crate::displays::Histories;
use crate::encoder::Encoder;
use crate::{Error, Result, UserModel};

/// A learned user as an environment: shown a slate, it chooses by the φ* of the model's regulariser, and a click pays r_θ(s, a).
///
/// Choosing nothing pays 0, and the user then leaves with the probability that the model's [`Outside`] names; at 0 a
/// session goes on until the rollout stops it. Draws belong to their session, but the last bits of a probability may depend on
/// the batch that was multiplied together: logs are equal bit for bit for one chunk size on any number of threads.
#[derive(Debug)]
pub struct LearnedUsers {
    model: UserModel,
}

/// The hidden state of learned users: what they clicked, as far as the model looks back.
#[derive(Clone, Debug)]
pub struct LearnedState(Memory);

#[derive(Clone, Debug)]
enum Memory {
    Clicks(Vec<Vec<u32>>),
    Lstm(Arc<FrozenLstm>, LstmState),
}

impl LearnedUsers {
    /// The users that `model` describes.
    pub fn new(model: UserModel) -> Self {
        Self { model }
    }

    /// The model.
    pub fn model(&self) -> &UserModel {
        &self.model
    }

    /// The states times the first layer of the reward network, `[rows, first]`.
    fn states(&self, state: &LearnedState) -> Result<Tensor> {
        let clicks = match &state.0 {
            Memory::Lstm(_, state) => return self.model.project(state.output()),
            Memory::Clicks(clicks) => clicks,
        };
        let mut histories = Histories::default();
        for clicks in clicks.iter() {
            histories.before.push((!clicks.is_empty()).then_some((histories.sequences.len(), clicks.len())));
            histories.sequences.extend((!clicks.is_empty()).then(|| clicks.clone()));
        }
        self.model.projected_states(&histories)
    }

    /// On the host: rewards and log-probabilities of the slates, `[rows · k]` each, and log-probabilities of choosing nothing, `[rows]`.
    fn utilities(&self, state: &LearnedState, slates: &Slates) -> Result<[Vec<f32>; 3]> {
        let device = self.model.params().device();
        let items: Vec<u32> = slates.items().iter().map(|item| item.0).collect();
        let rewards = self.model.slate_rewards(&self.states(state)?, &items, slates.k())?;
        let mask = Tensor::ones(rewards.shape(), candle_core::DType::U8, device)?;
        let (log_phi, log_outside) = self.model.log_probabilities(&rewards, &mask)?;
        Ok([rewards.flatten_all()?.to_vec1()?, log_phi.flatten_all()?.to_vec1()?, log_outside.to_vec1()?])
    }

    fn observe(&self, state: &mut LearnedState, choices: &[Choice]) -> Result<()> {
        match &mut state.0 {
            Memory::Clicks(rows) => {
                let window = self.model.encoder.window();
                for (clicks, item) in
                    rows.iter_mut().zip(choices).filter_map(|(row, choice)| Some((row, choice.item()?)))
                {
                    if window == Some(clicks.len()) {
                        clicks.remove(0);
                    }
                    clicks.push(item.0);
                }
            }
            Memory::Lstm(lstm, state) => {
                let device = self.model.params().device();
                let items: Vec<u32> = choices.iter().map(|choice| choice.item().unwrap_or(ItemId(0)).0).collect();
                let clicked: Vec<u8> = choices.iter().map(|choice| choice.item().is_some().into()).collect();
                let clicked = Tensor::from_vec(clicked, (choices.len(), 1), device)?;
                *state = Encoder::step(lstm, &self.model.features, &items, state, &clicked)?;
            }
        }
        Ok(())
    }
}

impl Environment for LearnedUsers {
    type State = LearnedState;

    fn items(&self) -> usize {
        self.model.config().items
    }

    fn reset(&self, streams: &mut [Stream]) -> understudy_sim::Result<LearnedState> {
        Ok(LearnedState(match &self.model.encoder {
            Encoder::PositionWeights { .. } => Memory::Clicks(vec![Vec::new(); streams.len()]),
            Encoder::Lstm(lstm) => {
                let frozen = lstm.freeze().map_err(Error::from)?;
                Memory::Lstm(Arc::new(frozen), lstm.zero_state(streams.len()).map_err(Error::from)?)
            }
        }))
    }

    fn step(
        &self,
        state: &mut LearnedState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> understudy_sim::Result<()> {
        let [rewards, log_phi, log_outside] = self.utilities(state, slates)?;
        let leaving = match self.model.config().outside {
            Outside::Nothing { leaving } => leaving,
            Outside::Absent => 0.0,
        };
        responses.clear();
        for (row, stream) in streams.iter_mut().enumerate() {
            let places = row * slates.k()..(row + 1) * slates.k();
            let log_outside = self.model.may_choose_nothing().then_some(log_outside[row]);
            match draw(&log_phi[places.clone()], log_outside, stream) {
                Some(place) => {
                    responses.push(Choice::Item(slates.row(row)[place]), rewards[places.start + place], false)
                }
                None => {
                    let leaves = stream.random::<f64>() < leaving;
                    responses.push(if leaves { Choice::Leave } else { Choice::Skip }, 0.0, leaves);
                }
            }
        }
        Ok(self.observe(state, &responses.choice)?)
    }

    fn select(&self, state: &LearnedState, rows: &[usize]) -> understudy_sim::Result<LearnedState> {
        Ok(LearnedState(match &state.0 {
            Memory::Clicks(clicks) => Memory::Clicks(rows.iter().map(|&row| clicks[row].clone()).collect()),
            Memory::Lstm(lstm, state) => {
                let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
                Memory::Lstm(lstm.clone(), state.select(&rows).map_err(Error::from)?)
            }
        }))
    }
}

/// The drawn place, or none for the outside option, if there is one, by inversion with one uniform draw.
fn draw(log_phi: &[f32], log_outside: Option<f32>, stream: &mut Stream) -> Option<usize> {
    let total: f64 = log_phi.iter().map(|p| f64::from(*p).exp()).sum();
    let mut left = stream.random::<f64>() * if log_outside.is_some() { 1.0 } else { total };
    for (place, p) in log_phi.iter().enumerate() {
        left -= f64::from(*p).exp();
        if left < 0.0 {
            return Some(place);
        }
    }
    // Rounding must invent no option of probability 0.
    let impossible = f32::NEG_INFINITY;
    match log_outside {
        Some(log_phi) if log_phi > impossible => None,
        _ => log_phi.iter().rposition(|&log_phi| log_phi > impossible),
    }
}

impl From<Error> for understudy_sim::Error {
    fn from(reason: Error) -> Self {
        Self::Model(Box::new(reason))
    }
}
