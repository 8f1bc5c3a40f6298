//! How the networks of IRecGAN choose slates: A by Eq 4, and U by Eq 1 as the baselines LSTM and
//! LSTMD. Both draw slates, or show the most likely items, by the same rules.

use std::collections::HashMap;

use candle_core::Tensor;
use foretaste_data::{Choice, ItemId};
use foretaste_nn::{FrozenSoftmax, Logits};
use foretaste_random::Stream;
use foretaste_sim::{Candidates, Policy, Propensities, Responses, Slates};
use foretaste_train::{ClickStates, FrozenClicks};
use foretaste_user_model::behaviour::{BehaviourModel, BehaviourState, BehaviourUsers};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::draw::{Among, draw, top};
use crate::host::on_host;
use crate::{Agent, Error, Result};

/// States whose logits over all items are held at a time: of 40,000 items some 40 MB.
const ROWS: usize = 256;

/// How slates come from an agent's probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Drawn without replacement in proportion to Eq 4: what the agent learns from, and its policy
    /// π.
    Sampled,
    /// The k items of the largest probabilities.
    Top,
}

/// An [`Agent`] as a policy in any environment. On the CPU a session does not depend on the
/// sessions around it, not in the last bit.
#[derive(Debug)]
pub struct AgentPolicy {
    clicks: FrozenClicks,
    actions: FrozenSoftmax,
    selection: Selection,
}

impl AgentPolicy {
    /// Acts by the agent as it is now, of which it keeps a copy.
    pub fn new(agent: &Agent, selection: Selection) -> Result<Self> {
        let actions = FrozenSoftmax::new(agent.actions.weight(), agent.actions.bias())?;
        Ok(Self { clicks: agent.clicks.freeze()?, actions, selection })
    }

    /// How it comes to its slates.
    pub fn selection(&self) -> Selection {
        self.selection
    }

    /// π(i ∈ a | s) of every item, Eq 4, a row for each of the memories.
    pub fn probabilities(&self, memory: &ClickStates) -> Result<Vec<Vec<f64>>> {
        let row = |logits: Vec<f32>| {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f64> =
                logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(|weight| weight / sum).collect()
        };
        Ok(self.logits(memory)?.into_iter().map(row).collect())
    }

    /// The logits of Eq 4 of every item, in double precision, a row for each of the memories:
    /// slates are drawn in proportion to their exponentials, or are those of the largest.
    pub fn scores(&self, memory: &ClickStates) -> Result<Vec<Vec<f64>>> {
        let row = |logits: Vec<f32>| logits.into_iter().map(f64::from).collect();
        Ok(self.logits(memory)?.into_iter().map(row).collect())
    }

    /// The logits of Eq 4 of every item, a row for each of the memories.
    fn logits(&self, memory: &ClickStates) -> Result<Vec<Vec<f32>>> {
        let mut logits = Logits::new(self.actions.items());
        self.actions.logits(self.clicks.output(memory)?, &mut logits)?;
        Ok((0..logits.rows()).map(|row| logits.row(row).to_vec()).collect())
    }

    /// The memories of sessions before whose first slate these items were clicked.
    pub fn begin_after(&self, histories: &[Vec<ItemId>]) -> Result<ClickStates> {
        Ok(self.clicks.begin_after(histories)?)
    }

    /// Moves memories on by what was chosen, one choice a row.
    pub fn observe_choices(&self, memory: &mut ClickStates, choices: &[Choice]) -> Result<()> {
        Ok(self.clicks.step(memory, choices)?)
    }

    fn show(
        &self,
        states: &Tensor,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        let (firsts, distinct_of_row) = distinct(states)?;
        let mut chosen = vec![(Vec::new(), Vec::new()); streams.len()];
        let mut logits = Logits::new(self.actions.items());
        for (chunk, firsts) in firsts.chunks(ROWS).enumerate() {
            let states = states.index_select(&Tensor::new(firsts, states.device())?, 0)?;
            self.actions.logits(&states, &mut logits)?;
            let rows = streams.par_iter_mut().zip(&mut chosen).zip(&distinct_of_row).enumerate();
            rows.filter(|(_, (_, distinct))| **distinct / ROWS == chunk).try_for_each(
                |(row, ((stream, chosen), distinct))| {
                    let logits = logits.row(distinct % ROWS);
                    let among = allowed.map(|allowed| Among { allowed, row });
                    *chosen = match self.selection {
                        Selection::Sampled => draw(logits, among, k, stream)?,
                        Selection::Top => (top(&logits.to_vec(), among, k)?, vec![1.0; k]),
                    };
                    Ok::<_, Error>(())
                },
            )?;
        }
        slates.clear(k);
        chosen.iter().for_each(|(slate, propensity)| slates.push(slate, Some(propensity)));
        Ok(())
    }
}

impl Policy for AgentPolicy {
    type Memory = ClickStates;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<ClickStates> {
        Ok(self.clicks.begin(rows).map_err(Error::from)?)
    }

    fn rank(
        &self,
        memory: &ClickStates,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        check(allowed, streams.len(), self.actions.items())?;
        let states = self.clicks.output(memory).map_err(Error::from)?;
        Ok(self.show(states, allowed, k, streams, slates)?)
    }

    fn observe(
        &self,
        memory: &mut ClickStates,
        _: &Slates,
        responses: &Responses,
    ) -> foretaste_sim::Result<()> {
        Ok(self.observe_choices(memory, &responses.choice)?)
    }

    fn select(&self, memory: &ClickStates, rows: &[usize]) -> foretaste_sim::Result<ClickStates> {
        Ok(self.clicks.select(memory, rows).map_err(Error::from)?)
    }
}

impl Propensities for AgentPolicy {
    /// Under [`Selection::Sampled`] π of an item over π of all that were left, under
    /// [`Selection::Top`] 1 for the most likely item that was left and 0 for any other. An item
    /// that is not in the catalogue is never shown.
    fn propensities(
        &self,
        memory: &ClickStates,
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> foretaste_sim::Result<Vec<f64>> {
        let items = self.actions.items();
        check(allowed, slates.rows(), items)?;
        let mut all = Vec::with_capacity(slates.items().len());
        match self.selection {
            Selection::Sampled => {
                for (row, probabilities) in self.probabilities(memory)?.iter().enumerate() {
                    let among = allowed.map(|allowed| allowed.of_row(row, items));
                    all.extend(of_drawn(probabilities, among.as_deref(), slates.row(row)));
                }
            }
            // By the logits, as the slates are: near ones have the same probability.
            Selection::Top => {
                for (row, logits) in self.logits(memory)?.iter().enumerate() {
                    let (slate, among) =
                        (slates.row(row), allowed.map(|allowed| Among { allowed, row }));
                    let best = top(logits, among, slate.len())?;
                    let agree = slate.iter().zip(&best).take_while(|(a, b)| a == b).count();
                    all.extend((0..slate.len()).map(|at| f64::from(u8::from(at < agree))));
                }
            }
        }
        Ok(all)
    }
}

/// The probability of each place of a slate that is drawn without replacement in proportion to
/// `probabilities`, which sum to 1, from all items or from those of `among`.
fn of_drawn(
    probabilities: &[f64],
    among: Option<&[ItemId]>,
    slate: &[ItemId],
) -> impl Iterator<Item = f64> {
    let mut left =
        among.map_or(1.0, |among| among.iter().map(|item| probabilities[item.index()]).sum());
    slate.iter().map(move |item| {
        let admitted = among.is_none_or(|among| among.binary_search(item).is_ok());
        let known = probabilities.get(item.index()).filter(|_| admitted);
        let probability = known.copied().unwrap_or(0.0);
        let share = (probability / left).clamp(0.0, 1.0);
        left = (left - probability).max(f64::MIN_POSITIVE);
        share
    })
}

/// Refuses candidates that do not fit.
fn check(allowed: Option<&Candidates>, rows: usize, items: usize) -> foretaste_sim::Result<()> {
    allowed.map_or(Ok(()), |allowed| allowed.check(rows, items))
}

/// U as a recommender, by V^c of Eq 1 of all items: the k that it finds the user likeliest to
/// click, or a slate drawn without replacement in proportion to exp(V^c). The baselines LSTM and
/// LSTMD (§7).
#[derive(Debug)]
pub struct Ranking {
    users: BehaviourUsers,
    items: usize,
    selection: Selection,
}

impl Ranking {
    /// Ranks by the model as it is now.
    pub fn new(model: &BehaviourModel, selection: Selection) -> Result<Self> {
        Ok(Self { users: BehaviourUsers::new(model)?, items: model.config().items, selection })
    }

    /// V^c of every item, in double precision, a row for each of the memories.
    pub fn scores(&self, memory: &BehaviourState) -> Result<Vec<Vec<f64>>> {
        let mut scores = Vec::new();
        on_host(&self.users.utilities(memory)?, |utilities| {
            let row = |row: &[f32]| row.iter().map(|&utility| f64::from(utility)).collect();
            scores.extend(utilities.chunks_exact(self.items).map(row));
            Ok(())
        })?;
        Ok(scores)
    }

    fn show(
        &self,
        state: &BehaviourState,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        slates.clear(k);
        on_host(&self.users.utilities(state)?, |utilities| {
            let no_bias = vec![0.0; self.items];
            let rows = utilities.par_chunks_exact(self.items).zip(streams).enumerate();
            let chosen = rows.map(|(row, (utilities, stream))| {
                let among = allowed.map(|allowed| Among { allowed, row });
                match self.selection {
                    Selection::Sampled => {
                        let mut logits = Logits::new(self.items);
                        logits.set(1, &no_bias, utilities);
                        draw(logits.row(0), among, k, stream)
                    }
                    Selection::Top => Ok((top(utilities, among, k)?, vec![1.0; k])),
                }
            });
            let chosen = chosen.collect::<Result<Vec<_>>>()?;
            chosen.iter().for_each(|(slate, propensity)| slates.push(slate, Some(propensity)));
            Ok(())
        })
    }
}

impl Policy for Ranking {
    type Memory = BehaviourState;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<BehaviourState> {
        Ok(self.users.begin(rows)?)
    }

    fn rank(
        &self,
        memory: &BehaviourState,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        check(allowed, streams.len(), self.items)?;
        Ok(self.show(memory, allowed, k, streams, slates)?)
    }

    fn observe(
        &self,
        memory: &mut BehaviourState,
        _: &Slates,
        responses: &Responses,
    ) -> foretaste_sim::Result<()> {
        Ok(self.users.observe(memory, &responses.choice)?)
    }

    fn select(
        &self,
        memory: &BehaviourState,
        rows: &[usize],
    ) -> foretaste_sim::Result<BehaviourState> {
        Ok(self.users.select(memory, rows)?)
    }
}

/// The first row of each kind of `states [rows, width]`, and for each row which kind it is.
///
/// Sessions that begin share a state, and so do branches from one step and all that clicked the
/// same: their logits over all items, which are what acting costs, are the same.
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
