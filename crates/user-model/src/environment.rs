//! A user model as users that can be simulated: choices by the model, and pay and endings by the
//! log. It keeps apart what was learned from choices and what the log says about rewards.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use foretaste_data::{Choice, ItemId, Log, RecentClicks};
use foretaste_eval::choice::{ChoiceModel, Prediction};
use foretaste_nn::{LstmState, Workspace};
use foretaste_random::Stream;
use foretaste_settings::Setting;
use foretaste_sim::{Environment, Responses, Slates};
use rand::Rng;
use rayon::prelude::*;

use crate::acting::{FrozenMemory, FrozenModel, inputs};
use crate::config::Outside;
use crate::{Endings, Error, Regulariser, Result, UserModel};

/// Sessions that a thread takes at a time.
const SESSIONS: usize = 32;

/// A learned user as an environment: shown a slate, it chooses by the φ* of the model's
/// regularizer, is paid for, and leaves or stays.
///
/// *Pay.* What [`Pays`] says: as a rule the log's own reward, in the log's unit, as its
/// [`RewardHead`](crate::RewardHead) expects it of the choice. r_θ is no reward that anyone
/// earned: its level is not identified by choices alone, and it is negative for items that are
/// worth less than nothing.
///
/// *Leaving.* A user who chose nothing leaves with the probability that the model's [`Outside`]
/// names; beyond that a session is over after a step as often as in the log
/// ([`Endings`](crate::Endings)).
///
/// On the CPU a session depends neither on the sessions around it nor on the number of threads, not
/// in the last bit.
#[derive(Debug)]
pub struct LearnedUsers {
    model: Arc<UserModel>,
    acting: FrozenModel,
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
    /// The memory's part of the first layer of r_θ, `[rows, first]`.
    projected: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Memory {
    Clicks(RecentClicks),
    Lstm(LstmState),
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
            let problem = "the model has no rewards of its log; fit it, or call learn_outcomes \
                           with a log, or set Pays::Clicks or Pays::Utility";
            return Err(Setting::new("reward of learned users", problem).into());
        }
        let endings = outcomes.map_or(Endings::NONE, |outcomes| outcomes.endings.clone());
        let acting = FrozenModel::new(&model)?;
        Ok(Self { model: Arc::new(model), acting, pays, endings })
    }

    /// The same, but that sessions end on steps without a click alone, as often as the model's
    /// [`Outside`] says: as GAN-CDQN's experiments have it. Where that is never, they go on until
    /// the rollout stops them.
    #[must_use]
    pub fn leaving_by_choice_alone(mut self) -> Self {
        self.endings = Endings::NONE;
        self
    }

    /// The same users with a penalty on pairs of a state and an item that are far from those which
    /// `log` shows in these sessions, as a rule the training sessions: wherever r_θ stands in
    /// choices and in pay, it is less `deviations` of its posterior standard deviations, by the
    /// Laplace approximation of the last layer ([how](crate#far-from-the-log)). It takes the place
    /// of a penalty that they have. [`model`](Self::model), and what it predicts for a log, have
    /// none.
    ///
    /// # Errors
    /// [`Error::Setting`] if the regularizer is not Shannon's entropy, `deviations` is negative or
    /// not finite, or the log does not fit the model.
    pub fn with_penalty_far_from(
        &self,
        log: &Log,
        sessions: &[usize],
        deviations: f64,
    ) -> Result<Self> {
        if !(deviations.is_finite() && deviations >= 0.0) {
            let problem = format!("{deviations}, expected a finite number of at least 0");
            return Err(Setting::new("deviations of the penalty", problem).into());
        }
        let root = self.model.covariance_root(log, sessions)?;
        let map: Vec<f32> = root.into_iter().map(|entry| (deviations * entry) as f32).collect();
        Ok(Self {
            model: self.model.clone(),
            acting: FrozenModel::new(&self.model)?.less_norms(&map)?,
            pays: self.pays,
            endings: self.endings.clone(),
        })
    }

    /// The model.
    pub fn model(&self) -> &UserModel {
        &self.model
    }

    /// r_θ of every item after each of these histories, newest click first: `[histories, items]`.
    pub(crate) fn rewards_after(&self, histories: &[Vec<ItemId>]) -> Result<Vec<f32>> {
        let mut state = self.begin(histories.len())?;
        let longest = histories.iter().map(Vec::len).max().unwrap_or(0);
        for back in (0..longest).rev() {
            let clicks = histories.iter().map(|clicks| clicks.get(back));
            let choices =
                clicks.map(|click| click.map_or(Choice::Skip, |&item| Choice::Item(item)));
            self.observe(&mut state, &choices.collect::<Vec<_>>())?;
        }
        let items: Vec<ItemId> = (0..self.items() as u32).map(ItemId).collect();
        let mut slates = Slates::with_k(items.len());
        histories.iter().for_each(|_| slates.push_certain(&items));
        self.rewards(&state, &slates)
    }

    /// r_θ of the slates, less the penalty where there is one, `[rows · k]`.
    pub(crate) fn rewards(&self, state: &LearnedState, slates: &Slates) -> Result<Vec<f32>> {
        let (context, k, first) = (self.model.counted()?, slates.k(), self.acting.first());
        let mut rewards = vec![0.0; slates.items().len()];
        let chunks = rewards.par_chunks_mut(SESSIONS * k).enumerate();
        chunks.for_each_init(Workspace::default, |workspace, (chunk, rewards)| {
            let begin = chunk * SESSIONS;
            let items = &slates.items()[begin * k..][..rewards.len()];
            let projected = |row: usize| &state.projected[(begin + row) * first..][..first];
            let history = |row: usize| state.clicks.get(begin + row).map_or(&[][..], Vec::as_slice);
            self.acting.rewards(workspace, (items, k), projected, (context, history), rewards);
        });
        Ok(rewards)
    }

    /// φ* of slates of `k` items of these rewards, `[rows · k]`, and of choosing nothing, `[rows]`,
    /// both up to a factor that each row has of its own.
    fn weights(&self, rewards: &[f32], k: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let (config, outside) = (self.model.config(), self.model.may_choose_nothing());
        if config.regulariser == Regulariser::Shannon {
            let mut weights: Vec<f64> =
                rewards.iter().map(|&reward| config.eta * f64::from(reward)).collect();
            let of_nothing =
                weights.par_chunks_exact_mut(k).with_min_len(SESSIONS).map(|weights| {
                    let lowest = if outside { 0.0 } else { f64::NEG_INFINITY };
                    let largest = weights.iter().copied().fold(lowest, f64::max);
                    weights.iter_mut().for_each(|weight| *weight = (*weight - largest).exp());
                    if outside { (-largest).exp() } else { 0.0 }
                });
            let of_nothing = of_nothing.collect();
            return Ok((weights, of_nothing));
        }
        let rewards = Tensor::from_slice(rewards, (rewards.len() / k, k), &Device::Cpu)?;
        let mask = Tensor::ones(rewards.shape(), candle_core::DType::U8, &Device::Cpu)?;
        let (log_phi, log_outside) = self.model.log_probabilities(&rewards, &mask)?;
        let exp = |log: f32| f64::from(log).exp();
        let items = log_phi.flatten_all()?.to_vec1()?.into_iter().map(exp).collect();
        let of_nothing = match outside {
            true => log_outside.to_vec1()?.into_iter().map(exp).collect(),
            false => vec![0.0; rewards.dim(0)?],
        };
        Ok((items, of_nothing))
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

    /// What users choose from slates of these rewards `[rows · k]`, are paid, and whether they
    /// leave.
    pub(crate) fn respond(
        &self,
        rewards: &[f32],
        state: &LearnedState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> Result<()> {
        let k = slates.k();
        let (weights, of_nothing) = self.weights(rewards, k)?;
        let leaving = match self.model.config().outside {
            Outside::Nothing { leaving } => leaving,
            Outside::Absent => 0.0,
        };
        let respond = |(row, stream): (usize, &mut Stream)| {
            let place = draw(&weights[row * k..][..k], of_nothing[row], stream);
            let choice = match place {
                Some(place) => Choice::Item(slates.row(row)[place]),
                None if stream.random::<f64>() < leaving => Choice::Leave,
                None => Choice::Skip,
            };
            let utility = place.map_or(0.0, |place| rewards[row * k + place]);
            let ended = choice == Choice::Leave || self.ends(state.steps[row], choice, stream);
            (choice, self.reward(choice, utility), ended)
        };
        let rows = streams.par_iter_mut().enumerate().with_min_len(SESSIONS);
        let found: Vec<_> = rows.map(respond).collect();
        responses.clear();
        found.into_iter().for_each(|(choice, reward, ended)| responses.push(choice, reward, ended));
        Ok(())
    }

    /// So many sessions that begin.
    fn begin(&self, sessions: usize) -> Result<LearnedState> {
        let memory = match self.acting.memory() {
            FrozenMemory::Clicks(clicks) => {
                Memory::Clicks(RecentClicks::new(sessions, clicks.window()))
            }
            FrozenMemory::Lstm(lstm, _) => Memory::Lstm(lstm.lstm().zero_state(sessions)?),
        };
        let remembered = if self.model.config().context.is_some() { sessions } else { 0 };
        Ok(LearnedState {
            memory,
            steps: vec![0; sessions],
            clicks: vec![Vec::new(); remembered],
            projected: self.acting.empty().repeat(sessions),
        })
    }

    pub(crate) fn observe(&self, state: &mut LearnedState, choices: &[Choice]) -> Result<()> {
        state.steps.iter_mut().for_each(|steps| *steps += 1);
        for (clicks, choice) in state.clicks.iter_mut().zip(choices) {
            clicks.extend(choice.item());
        }
        let first = self.acting.first();
        match (&mut state.memory, self.acting.memory()) {
            (Memory::Clicks(recent), FrozenMemory::Clicks(clicks)) => {
                recent.observe(choices);
                let rows = state.projected.par_chunks_exact_mut(first).zip(choices).enumerate();
                rows.with_min_len(SESSIONS).for_each(|(row, (projected, choice))| {
                    if choice.item().is_some() {
                        self.acting.after_clicks(clicks, recent.row(row), projected);
                    }
                });
            }
            (Memory::Lstm(state_of_lstm), FrozenMemory::Lstm(lstm, of_items)) => {
                let clicked = choices.iter().map(|choice| choice.item());
                let items: Vec<u32> =
                    clicked.clone().map(|item| item.unwrap_or(ItemId(0)).0).collect();
                let mask: Vec<u8> = clicked.map(|item| item.is_some().into()).collect();
                let mask = Tensor::from_vec(mask, (choices.len(), 1), of_items.device())?;
                let inputs = inputs(of_items, &items)?;
                *state_of_lstm = lstm.forward_projected(&inputs, state_of_lstm, Some(&mask))?.1;
                self.project(state_of_lstm, &mut state.projected)?;
            }
            _ => unreachable!("a state is of the users that began it"),
        }
        Ok(())
    }

    /// The part of the first layer of states of the LSTM.
    fn project(&self, state: &LstmState, projected: &mut [f32]) -> Result<()> {
        let states = state.output().to_dtype(candle_core::DType::F32)?;
        let (hidden, states) = (states.dim(1)?, states.flatten_all()?.to_vec1::<f32>()?);
        let rows = projected.par_chunks_exact_mut(self.acting.first());
        rows.zip(states.par_chunks_exact(hidden))
            .with_min_len(SESSIONS)
            .for_each(|(projected, state)| self.acting.of_state(state, projected));
        Ok(())
    }
}

impl Environment for LearnedUsers {
    type State = LearnedState;

    fn items(&self) -> usize {
        self.model.config().items
    }

    fn reset(&self, streams: &mut [Stream]) -> foretaste_sim::Result<LearnedState> {
        Ok(self.begin(streams.len())?)
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
            Memory::Lstm(state) => {
                let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
                Memory::Lstm(state.select(&rows).map_err(Error::from)?)
            }
        };
        let first = self.acting.first();
        let projected = rows.iter().flat_map(|&row| &state.projected[row * first..][..first]);
        let projected = projected.copied().collect();
        let clicks = rows.iter().filter_map(|&row| state.clicks.get(row).cloned()).collect();
        let steps = rows.iter().map(|&row| state.steps[row]).collect();
        Ok(LearnedState { memory, steps, clicks, projected })
    }

    fn replace(
        &self,
        state: &mut LearnedState,
        rows: &[usize],
        _: &mut [Stream],
    ) -> foretaste_sim::Result<()> {
        let empty = self.acting.empty();
        for &row in rows {
            state.steps[row] = 0;
            state.clicks.get_mut(row).into_iter().for_each(Vec::clear);
            state.projected[row * empty.len()..][..empty.len()].copy_from_slice(&empty);
        }
        match (&mut state.memory, self.acting.memory()) {
            (Memory::Lstm(state), FrozenMemory::Lstm(lstm, _)) => {
                let begins = lstm.lstm().zero_state(1).map_err(Error::from)?;
                *state = state.replace(rows, &begins).map_err(Error::from)?;
            }
            (Memory::Clicks(clicks), _) => rows.iter().for_each(|&row| clicks.clear(row)),
            _ => unreachable!("a state is of the users that began it"),
        }
        Ok(())
    }
}

impl ChoiceModel for LearnedUsers {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        self.model.predict(log, sessions)
    }
}

/// The drawn place, or none for choosing nothing, in proportion to their weights, by inversion with
/// one uniform draw.
fn draw(weights: &[f64], of_nothing: f64, stream: &mut Stream) -> Option<usize> {
    let mut left = stream.random::<f64>() * (weights.iter().sum::<f64>() + of_nothing);
    for (place, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return Some(place);
        }
    }
    // Rounding must invent no option of probability 0.
    match of_nothing > 0.0 {
        true => None,
        false => weights.iter().rposition(|&weight| weight > 0.0),
    }
}

impl From<Error> for foretaste_sim::Error {
    fn from(reason: Error) -> Self {
        Self::Model(Box::new(reason))
    }
}
