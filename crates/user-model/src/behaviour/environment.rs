//! U as users that can be simulated: the same probabilities as in training, computed without
//! gradients and in the unit of the log if that is asked for.

use candle_core::{Device, Tensor};
use foretaste_data::{Choice, ItemId};
use foretaste_nn::matmul;
use foretaste_random::Stream;
use foretaste_sim::{Environment, Responses, Slates};
use foretaste_train::{ClickStates, FrozenClicks, Head};
use rand::Rng;

use super::config::Rewards;
use super::model::BehaviourModel;
use crate::{Error, Result};

/// U as an environment: a user of a slate clicks by Eq 1, or leaves if END is drawn; a click is a
/// purchase, reward 1, by Eq 2, or pays the mean of Eq 2 where rewards are amounts.
///
/// In training a purchase counts [`purchase_weight`](super::BehaviourConfig::purchase_weight) times
/// (2^5.3 = 39 as published), which makes U's odds of a purchase as many times those of the log.
/// [`as_logged`](Self::as_logged) undoes it, and pays in the unit of the log
/// ([`reward_unit`](super::BehaviourConfig::reward_unit)). Use it
/// where rewards are read in that unit; without it these are the published users.
///
/// On the CPU a session does not depend on the sessions around it, not in the last bit.
#[derive(Debug)]
pub struct BehaviourUsers {
    clicks: FrozenClicks,
    click: Head,
    reward: Head,
    /// The embeddings on the host, `[items + 1 or more, embedding]`, END behind the items.
    table: Vec<f32>,
    embedding: usize,
    items: usize,
    rewards: Rewards,
    /// The logarithm of a purchase's weight in training.
    log_weight: f64,
    /// What is taken from the log-odds of a purchase.
    discount: f64,
    /// What the log pays where U pays 1.
    log_unit: f64,
    /// What these users pay there: 1, or as the log does.
    unit: f64,
}

/// The hidden state s^u of each session.
#[derive(Clone, Debug)]
pub struct BehaviourState(ClickStates);

impl BehaviourUsers {
    /// The users that `model` describes now.
    pub fn new(model: &BehaviourModel) -> Result<Self> {
        let clicks = model.clicks.freeze()?;
        let table = clicks.table().flatten_all()?.to_vec1()?;
        let (embedding, items) = (model.config().embedding, model.config().items);
        let (click, reward) = (model.click.freeze()?, model.reward.freeze()?);
        let (rewards, log_weight) = (model.config().rewards, model.config().purchase_weight.ln());
        Ok(Self {
            clicks,
            click,
            reward,
            table,
            embedding,
            items,
            rewards,
            log_weight,
            discount: 0.0,
            log_unit: f64::from(model.config().reward_unit),
            unit: 1.0,
        })
    }

    /// The same users, who buy as often as in the log and pay in its unit: the odds of a purchase
    /// are divided by its weight in training. A weight of 0 leaves nothing to divide, and the odds
    /// as they are.
    #[must_use]
    pub fn as_logged(mut self) -> Self {
        self.unit = self.log_unit;
        self.discount = if self.log_weight.is_finite() { self.log_weight } else { 0.0 };
        self
    }

    /// What the reward of a click is.
    pub fn rewards(&self) -> Rewards {
        self.rewards
    }

    /// The state of `rows` sessions that begin.
    pub fn begin(&self, rows: usize) -> Result<BehaviourState> {
        Ok(BehaviourState(self.clicks.begin(rows)?))
    }

    /// The state of sessions before whose first slate these items were clicked.
    pub fn begin_after(&self, histories: &[Vec<ItemId>]) -> Result<BehaviourState> {
        Ok(BehaviourState(self.clicks.begin_after(histories)?))
    }

    /// Moves the states on by what was chosen, one choice a row.
    pub fn observe(&self, state: &mut BehaviourState, choices: &[Choice]) -> Result<()> {
        Ok(self.clicks.step(&mut state.0, choices)?)
    }

    /// V^c of Eq 1 for every item of the catalogue, `[rows, items]`: by it U ranks them.
    pub fn utilities(&self, state: &BehaviourState) -> Result<Tensor> {
        let queries = self.click.act(self.clicks.output(&state.0)?)?;
        let items = self.clicks.table().narrow(0, 0, self.items)?.t()?.contiguous()?;
        match queries.device() {
            Device::Cpu => Ok(matmul(&queries, &items)?),
            _ => Ok(queries.matmul(&items)?),
        }
    }

    /// Copies rows, in the given order, a row as often as it is named.
    pub fn select(&self, state: &BehaviourState, rows: &[usize]) -> Result<BehaviourState> {
        Ok(BehaviourState(self.clicks.select(&state.0, rows)?))
    }

    /// What U expects of a slate a row: for each of its places the probability of a click, Eq 1,
    /// and the mean reward of the click, Eq 2, which is the probability of a purchase where rewards
    /// are purchases of 1. The rest of the probability is END's.
    pub fn expectations(
        &self,
        state: &BehaviourState,
        slates: &[&[ItemId]],
    ) -> Result<Vec<Vec<(f64, f64)>>> {
        let (click, reward) =
            (self.queries(&self.click, state)?, self.queries(&self.reward, state)?);
        let queries = click.chunks_exact(self.embedding).zip(reward.chunks_exact(self.embedding));
        let expect = |(slate, (click, reward)): (&&[ItemId], (&[f32], &[f32]))| {
            let weights = self.weights(slate, click);
            let sum: f64 = weights.iter().sum();
            let paid = slate.iter().map(|item| self.unit * self.mean_reward(*item, reward));
            weights.iter().map(|weight| weight / sum).zip(paid).collect()
        };
        Ok(slates.iter().zip(queries).map(expect).collect())
    }

    /// exp(V^c) of the places of a slate and, at the end, of END, the largest 1.
    fn weights(&self, slate: &[ItemId], click: &[f32]) -> Vec<f64> {
        let options = slate.iter().map(|item| item.index()).chain([self.items]);
        let values: Vec<f64> = options.map(|entry| dot(click, self.embedded(entry))).collect();
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        values.into_iter().map(|value| (value - largest).exp()).collect()
    }

    /// The mean reward of a click on the item, in U's unit.
    fn mean_reward(&self, item: ItemId, reward: &[f32]) -> f64 {
        let value = dot(reward, self.embedded(item.index()));
        match self.rewards {
            Rewards::Purchases => 1.0 / (1.0 + (self.discount - value).exp()),
            Rewards::Amounts => value,
        }
    }

    fn embedded(&self, entry: usize) -> &[f32] {
        &self.table[entry * self.embedding..][..self.embedding]
    }

    /// (W s + b) of a head, on the host.
    fn queries(&self, head: &Head, state: &BehaviourState) -> Result<Vec<f32>> {
        Ok(head.act(self.clicks.output(&state.0)?)?.flatten_all()?.to_vec1()?)
    }

    fn respond(
        &self,
        slate: &[ItemId],
        click: &[f32],
        reward: &[f32],
        stream: &mut Stream,
    ) -> (Choice, f32) {
        let weights = self.weights(slate, click);
        let mut left = stream.random::<f64>() * weights.iter().sum::<f64>();
        // Rounding can leave a rest behind the last option, which is END.
        let place = weights.iter().take(slate.len()).position(|weight| {
            left -= weight;
            left < 0.0
        });
        match place.map(|place| slate[place]) {
            Some(item) => {
                let mean = self.mean_reward(item, reward);
                let paid = match self.rewards {
                    Rewards::Purchases => f64::from(u8::from(stream.random::<f64>() < mean)),
                    Rewards::Amounts => mean,
                };
                (Choice::Item(item), (self.unit * paid) as f32)
            }
            None => (Choice::Leave, 0.0),
        }
    }
}

impl Environment for BehaviourUsers {
    type State = BehaviourState;

    fn items(&self) -> usize {
        self.items
    }

    fn reset(&self, streams: &mut [Stream]) -> foretaste_sim::Result<BehaviourState> {
        Ok(self.begin(streams.len())?)
    }

    fn step(
        &self,
        state: &mut BehaviourState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> foretaste_sim::Result<()> {
        let (click, reward) =
            (self.queries(&self.click, state)?, self.queries(&self.reward, state)?);
        responses.clear();
        let queries = click.chunks_exact(self.embedding).zip(reward.chunks_exact(self.embedding));
        for ((row, stream), (click, reward)) in streams.iter_mut().enumerate().zip(queries) {
            let (choice, reward) = self.respond(slates.row(row), click, reward, stream);
            responses.push(choice, reward, choice == Choice::Leave);
        }
        Ok(self.observe(state, &responses.choice)?)
    }

    fn select(
        &self,
        state: &BehaviourState,
        rows: &[usize],
    ) -> foretaste_sim::Result<BehaviourState> {
        Ok(self.select(state, rows)?)
    }

    fn replace(
        &self,
        state: &mut BehaviourState,
        rows: &[usize],
        _: &mut [Stream],
    ) -> foretaste_sim::Result<()> {
        self.clicks.restart(&mut state.0, rows).map_err(Error::from)?;
        Ok(())
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>())
}
