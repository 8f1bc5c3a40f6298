use std::sync::Arc;

use candle_core::Tensor;
use foretaste_data::{Choice, ItemId, Log, RecentClicks};
use foretaste_eval::choice::{ChoiceModel, Prediction};
use foretaste_nn::{FrozenLstm, LstmState};
use foretaste_random::Stream;
use foretaste_settings::Setting;
use foretaste_sim::{Environment, Responses, Slates};
use rand::Rng;

use crate::config::Outside;
use crate::encoder::Encoder;
use crate::impressions::Histories;
use crate::{Endings, Error, Result, UserModel};

/// A learned user as an environment: shown a slate, it chooses by the φ* of the model's
/// regulariser, is paid for, and leaves or stays.
///
/// *Pay.* What [`Pays`] says: as a rule the log's own reward, in the log's unit, as its
/// [`RewardHead`](crate::RewardHead) expects it of the choice. r_θ is no reward that anybody
/// earned: its level is not identified by choices alone, and it is negative for items that are
/// worth less than nothing.
///
/// *Leaving.* A user who chose nothing leaves with the probability that the model's [`Outside`]
/// names; beyond that a session is over after a step as often as in the log
/// ([`Endings`](crate::Endings)).
///
/// Draws belong to their session, but the last bits of a probability may depend on the batch that
/// was multiplied together: logs are equal bit for bit for one chunk size on any number of threads.
#[derive(Debug)]
pub struct LearnedUsers {
    model: UserModel,
    pays: Pays,
    endings: Endings,
}

/// What learned users report as the reward of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pays {
    /// The log's own reward, as its [`RewardHead`](crate::RewardHead) expects it.
    #[default]
    Reward,
    /// 1 for a click, 0 for nothing.
    Clicks,
    /// r_θ(s, a) for a click, 0 for nothing: what GAN-CDQN's recommenders are trained on.
    /// Comparable within one model alone.
    Utility,
}

/// The hidden state of learned users: what they clicked, as far as the model looks back, and how
/// many slates they saw.
#[derive(Clone, Debug)]
pub struct LearnedState {
    memory: Memory,
    /// Of each session.
    steps: Vec<usize>,
    /// All clicks of each session, oldest first, where the model takes context features; else
    /// empty.
    clicks: Vec<Vec<ItemId>>,
}

#[derive(Clone, Debug)]
enum Memory {
    Clicks(RecentClicks),
    Lstm(Arc<FrozenLstm>, LstmState),
}

impl LearnedUsers {
    /// The users that `model` describes, paying the reward of the log that it was fitted on.
    ///
    /// # Errors
    /// [`Error::Setting`] if it was fitted on none.
    pub fn new(model: UserModel) -> Result<Self> {
        Self::paying(model, Pays::Reward)
    }

    /// The same under the reward of this name.
    ///
    /// # Errors
    /// [`Error::Setting`] for [`Pays::Reward`] of a model that was fitted on no log.
    pub fn paying(model: UserModel, pays: Pays) -> Result<Self> {
        let outcomes = model.config().outcomes.as_ref();
        if pays == Pays::Reward && outcomes.is_none() {
            let problem = "the model does not know what its log pays; fit it, or call \
                           learn_outcomes with a log, or ask for Pays::Clicks or Pays::Utility by \
                           name";
            return Err(Setting::new("reward of learned users", problem).into());
        }
        let endings = outcomes.map_or(Endings::NONE, |outcomes| outcomes.endings.clone());
        Ok(Self { model, pays, endings })
    }

    /// The same, but that sessions end on steps without a click alone, as often as the model's
    /// [`Outside`] says: as GAN-CDQN's experiments have it. Where that is never, they go on until
    /// the rollout stops them.
    #[must_use]
    pub fn leaving_by_choice_alone(mut self) -> Self {
        self.endings = Endings::NONE;
        self
    }

    /// The model.
    pub fn model(&self) -> &UserModel {
        &self.model
    }

    /// The states times the first layer of the reward network, `[rows, first]`.
    fn states(&self, state: &LearnedState) -> Result<Tensor> {
        let clicks = match &state.memory {
            Memory::Lstm(_, state) => return self.model.project(state.output()),
            Memory::Clicks(clicks) => clicks,
        };
        let mut histories = Histories::default();
        for row in 0..clicks.rows() {
            histories.push(clicks.row(row).iter().rev().map(|item| item.0).collect());
        }
        self.model.projected_states(&histories)
    }

    /// r_θ of the slates, `[rows, k]`.
    pub(crate) fn rewards(&self, state: &LearnedState, slates: &Slates) -> Result<Tensor> {
        let items: Vec<u32> = slates.items().iter().map(|item| item.0).collect();
        let slates_after = (0..state.steps.len()).map(|row| {
            let history = state.clicks.get(row).map_or(&[][..], Vec::as_slice);
            (history, slates.row(row))
        });
        let context = self.model.slate_context(slates_after)?;
        let states = self.states(state)?;
        self.model.slate_rewards(&states, &items, context.as_ref(), slates.k())
    }

    /// On the host: rewards and log-probabilities of slates of these rewards, `[rows · k]` each,
    /// and log-probabilities of choosing nothing, `[rows]`.
    fn utilities(&self, rewards: &Tensor) -> Result<[Vec<f32>; 3]> {
        let device = self.model.params().device();
        let mask = Tensor::ones(rewards.shape(), candle_core::DType::U8, device)?;
        let (log_phi, log_outside) = self.model.log_probabilities(rewards, &mask)?;
        Ok([
            rewards.flatten_all()?.to_vec1()?,
            log_phi.flatten_all()?.to_vec1()?,
            log_outside.to_vec1()?,
        ])
    }

    /// What a step pays on which an item of this r_θ, or nothing, was chosen.
    fn reward(&self, choice: Choice, utility: f32) -> f32 {
        match (self.pays, &self.model.config().outcomes) {
            (Pays::Utility, _) => utility,
            (Pays::Reward, Some(outcomes)) => outcomes.rewards.expected(choice),
            (Pays::Reward, None) | (Pays::Clicks, _) => f32::from(choice.item().is_some()),
        }
    }

    /// Whether the session is over after step `t`. An ending that is certain, one way or the other,
    /// takes no draw.
    fn ends(&self, t: usize, choice: Choice, stream: &mut Stream) -> bool {
        match self.endings.probability(t, choice) {
            0.0 => false,
            1.0 => true,
            hazard => stream.random::<f64>() < hazard,
        }
    }

    /// What users choose from slates of these rewards `[rows, k]`, are paid, and whether they
    /// leave.
    pub(crate) fn respond(
        &self,
        rewards: &Tensor,
        state: &LearnedState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> Result<()> {
        let [rewards, log_phi, log_outside] = self.utilities(rewards)?;
        let leaving = match self.model.config().outside {
            Outside::Nothing { leaving } => leaving,
            Outside::Absent => 0.0,
        };
        responses.clear();
        for (row, stream) in streams.iter_mut().enumerate() {
            let places = row * slates.k()..(row + 1) * slates.k();
            let log_outside = self.model.may_choose_nothing().then_some(log_outside[row]);
            let place = draw(&log_phi[places.clone()], log_outside, stream);
            let choice = match place {
                Some(place) => Choice::Item(slates.row(row)[place]),
                None if stream.random::<f64>() < leaving => Choice::Leave,
                None => Choice::Skip,
            };
            let utility = place.map_or(0.0, |place| rewards[places.start + place]);
            let ended = choice == Choice::Leave || self.ends(state.steps[row], choice, stream);
            responses.push(choice, self.reward(choice, utility), ended);
        }
        Ok(())
    }

    pub(crate) fn observe(&self, state: &mut LearnedState, choices: &[Choice]) -> Result<()> {
        state.steps.iter_mut().for_each(|steps| *steps += 1);
        for (clicks, choice) in state.clicks.iter_mut().zip(choices) {
            clicks.extend(choice.item());
        }
        match &mut state.memory {
            Memory::Clicks(clicks) => clicks.observe(choices),
            Memory::Lstm(lstm, state) => {
                let device = self.model.params().device();
                let items: Vec<u32> =
                    choices.iter().map(|choice| choice.item().unwrap_or(ItemId(0)).0).collect();
                let clicked: Vec<u8> =
                    choices.iter().map(|choice| choice.item().is_some().into()).collect();
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

    fn reset(&self, streams: &mut [Stream]) -> foretaste_sim::Result<LearnedState> {
        let memory = match &self.model.encoder {
            Encoder::PositionWeights { weight, .. } => {
                Memory::Clicks(RecentClicks::new(streams.len(), weight.dims()[0]))
            }
            Encoder::Lstm(lstm) => {
                let frozen = lstm.freeze().map_err(Error::from)?;
                Memory::Lstm(Arc::new(frozen), lstm.zero_state(streams.len()).map_err(Error::from)?)
            }
        };
        let remembered = if self.model.config().context.is_some() { streams.len() } else { 0 };
        Ok(LearnedState {
            memory,
            steps: vec![0; streams.len()],
            clicks: vec![Vec::new(); remembered],
        })
    }

    fn step(
        &self,
        state: &mut LearnedState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> foretaste_sim::Result<()> {
        let rewards = self.rewards(state, slates)?;
        self.respond(&rewards, state, slates, streams, responses)?;
        Ok(self.observe(state, &responses.choice)?)
    }

    fn select(&self, state: &LearnedState, rows: &[usize]) -> foretaste_sim::Result<LearnedState> {
        let memory = match &state.memory {
            Memory::Clicks(clicks) => Memory::Clicks(clicks.select(rows)),
            Memory::Lstm(lstm, state) => {
                let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
                Memory::Lstm(lstm.clone(), state.select(&rows).map_err(Error::from)?)
            }
        };
        let clicks = rows.iter().filter_map(|&row| state.clicks.get(row).cloned()).collect();
        let steps = rows.iter().map(|&row| state.steps[row]).collect();
        Ok(LearnedState { memory, steps, clicks })
    }

    fn replace(
        &self,
        state: &mut LearnedState,
        rows: &[usize],
        _: &mut [Stream],
    ) -> foretaste_sim::Result<()> {
        for &row in rows {
            state.steps[row] = 0;
            state.clicks.get_mut(row).into_iter().for_each(Vec::clear);
        }
        match &mut state.memory {
            Memory::Clicks(clicks) => rows.iter().for_each(|&row| clicks.clear(row)),
            Memory::Lstm(lstm, state) => {
                let first = lstm.lstm().zero_state(1).map_err(Error::from)?;
                *state = state.replace(rows, &first).map_err(Error::from)?;
            }
        }
        Ok(())
    }
}

impl ChoiceModel for LearnedUsers {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        self.model.predict(log, sessions)
    }
}

/// The drawn place, or none for the outside option, if there is one, by inversion with one uniform
/// draw.
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

impl From<Error> for foretaste_sim::Error {
    fn from(reason: Error) -> Self {
        Self::Model(Box::new(reason))
    }
}
