use std::collections::HashMap;

use candle_core::{Device, Storage, Tensor};
use rayon::prelude::*;
use understudy_data::Choice;
use understudy_nn::{LstmState, matmul};
use understudy_random::Stream;
use understudy_sim::{Environment, Policy, Responses, Slates};
use understudy_user_model::behaviour::{BehaviourModel, BehaviourState, BehaviourUsers, FrozenClicks, Head};

use crate::draw::{Drawer, top};
use crate::{Agent, Error, Result};

/// States whose logits over all items are held at a time.
const ROWS: usize = 1_024;

/// How slates come from an agent's probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Drawn without replacement in proportion to Eq 4: what the agent learns from, and its policy π.
    Sampled,
    /// The k items of the largest probabilities.
    Top,
}

/// An [`Agent`] as a policy in any environment. On the CPU a session does not depend on the sessions around it, not in the last bit.
#[derive(Debug)]
pub struct AgentPolicy {
    clicks: FrozenClicks,
    actions: Head,
    bias: Vec<f32>,
    selection: Selection,
}

impl AgentPolicy {
    /// Acts by the agent as it is now, of which it keeps a copy.
    pub fn new(agent: &Agent, selection: Selection) -> Result<Self> {
        let bias = agent.actions.bias().to_vec1()?;
        Ok(Self { clicks: agent.clicks.freeze()?, actions: agent.actions.freeze()?, bias, selection })
    }

    /// π(i ∈ a | s) of every item, Eq 4, `[rows, items]`, row by row.
    pub fn probabilities(&self, memory: &LstmState) -> Result<Vec<f64>> {
        let logits = self.actions.act(memory.output())?;
        let mut probabilities = Vec::with_capacity(logits.elem_count());
        on_host(&logits, |logits| {
            for row in logits.chunks_exact(self.bias.len()) {
                let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let weight = |logit: &f32| f64::from(logit - largest).exp();
                let sum: f64 = row.iter().map(weight).sum();
                probabilities.extend(row.iter().map(|logit| weight(logit) / sum));
            }
            Ok(())
        })?;
        Ok(probabilities)
    }

    /// Moves memories on by what was chosen, one choice a row.
    pub fn observe_choices(&self, memory: &mut LstmState, choices: &[Choice]) -> Result<()> {
        *memory = self.clicks.step(memory, choices)?;
        Ok(())
    }

    fn show(&self, states: &Tensor, k: usize, streams: &mut [Stream], slates: &mut Slates) -> Result<()> {
        let items = self.bias.len();
        let (firsts, distinct_of_row) = distinct(states)?;
        let mut chosen = vec![(Vec::new(), Vec::new()); streams.len()];
        for (chunk, firsts) in firsts.chunks(ROWS).enumerate() {
            let states = states.index_select(&Tensor::new(firsts, states.device())?, 0)?;
            let logits = match states.device() {
                Device::Cpu => matmul(&states, self.actions.weight())?,
                _ => states.matmul(self.actions.weight())?,
            };
            on_host(&logits, |logits| {
                let rows = streams.par_iter_mut().zip(&mut chosen).zip(&distinct_of_row);
                rows.try_for_each_init(
                    || Drawer::new(items),
                    |drawer, ((stream, chosen), &distinct)| {
                        if distinct / ROWS != chunk {
                            return Ok(());
                        }
                        let row = &logits[distinct % ROWS * items..][..items];
                        *chosen = match self.selection {
                            Selection::Sampled => drawer.draw(row, &self.bias, k, stream)?,
                            Selection::Top => (top(row, &self.bias, k)?, vec![1.0; k]),
                        };
                        Ok(())
                    },
                )
            })?;
        }
        slates.clear(k);
        chosen.iter().for_each(|(slate, propensity)| slates.push(slate, Some(propensity)));
        Ok(())
    }
}

impl<E: Environment + ?Sized> Policy<E> for AgentPolicy {
    type Memory = LstmState;

    fn begin(&self, rows: usize) -> understudy_sim::Result<LstmState> {
        Ok(self.clicks.begin(rows)?)
    }

    fn recommend(
        &self,
        memory: &LstmState,
        _state: &E::State,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> understudy_sim::Result<()> {
        Ok(self.show(memory.output(), k, streams, slates)?)
    }

    fn observe(&self, memory: &mut LstmState, _: &Slates, responses: &Responses) -> understudy_sim::Result<()> {
        Ok(self.observe_choices(memory, &responses.choice)?)
    }

    fn select(&self, memory: &LstmState, rows: &[usize]) -> understudy_sim::Result<LstmState> {
        let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        Ok(memory.select(&rows).map_err(Error::from)?)
    }
}

/// U as a recommender: the k items that it finds the user likeliest to click. The baselines LSTM and LSTMD (§7).
#[derive(Debug)]
pub struct Ranking {
    users: BehaviourUsers,
    /// Eq 1 has no bias of the items.
    bias: Vec<f32>,
}

impl Ranking {
    /// Ranks by the model as it is now.
    pub fn new(model: &BehaviourModel) -> Result<Self> {
        Ok(Self { users: BehaviourUsers::new(model)?, bias: vec![0.0; model.config().items] })
    }

    fn show(&self, state: &BehaviourState, k: usize, slates: &mut Slates) -> Result<()> {
        slates.clear(k);
        let certain = vec![1.0; k];
        on_host(&self.users.utilities(state)?, |utilities| {
            let rows = utilities.par_chunks_exact(self.bias.len());
            let chosen = rows.map(|row| top(row, &self.bias, k)).collect::<Result<Vec<_>>>()?;
            chosen.iter().for_each(|slate| slates.push(slate, Some(&certain)));
            Ok(())
        })
    }
}

impl<E: Environment + ?Sized> Policy<E> for Ranking {
    type Memory = BehaviourState;

    fn begin(&self, rows: usize) -> understudy_sim::Result<BehaviourState> {
        Ok(self.users.begin(rows)?)
    }

    fn recommend(
        &self,
        memory: &BehaviourState,
        _state: &E::State,
        k: usize,
        _streams: &mut [Stream],
        slates: &mut Slates,
    ) -> understudy_sim::Result<()> {
        Ok(self.show(memory, k, slates)?)
    }

    fn observe(&self, memory: &mut BehaviourState, _: &Slates, responses: &Responses) -> understudy_sim::Result<()> {
        Ok(self.users.observe(memory, &responses.choice)?)
    }

    fn select(&self, memory: &BehaviourState, rows: &[usize]) -> understudy_sim::Result<BehaviourState> {
        Ok(self.users.select(memory, rows)?)
    }
}

/// The first row of each kind of `states [rows, width]`, and for each row which kind it is.
///
/// Sessions that begin share a state, and so do branches from one step and all that clicked the same: their logits over all items, which
/// are what acting costs, are the same.
fn distinct(states: &Tensor) -> Result<(Vec<u32>, Vec<usize>)> {
    let width = states.dim(1)?;
    let (mut firsts, mut kinds, mut known) = (Vec::new(), Vec::new(), HashMap::new());
    on_host(states, |states| {
        for (row, state) in states.chunks_exact(width).enumerate() {
            let bits: Vec<u32> = state.iter().map(|value| value.to_bits()).collect();
            let kind = *known.entry(bits).or_insert(firsts.len());
            if kind == firsts.len() {
                firsts.push(row as u32);
            }
            kinds.push(kind);
        }
        Ok(())
    })?;
    Ok((firsts, kinds))
}

/// Reads a tensor in row-major order, without a copy if it is on the CPU.
fn on_host(tensor: &Tensor, read: impl FnOnce(&[f32]) -> Result<()>) -> Result<()> {
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(values) => {
            read(&values.as_slice::<f32>()?[layout.start_offset()..][..layout.shape().elem_count()])
        }
        _ => unreachable!("the tensor was moved to the CPU"),
    }
}
