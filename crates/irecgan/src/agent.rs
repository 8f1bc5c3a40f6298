//! The agent A as a trainable network (Eq 4) and its policy gradient (Eq 8 and 10), for any returns
//! of clicks. How it acts is in `policy`, and what it learns from is decided by Algorithm 1.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Batches, Catalogue, Log, PaddedBatch, Provenance};
use foretaste_eval::choice::{ChoiceModel, Prediction, log_softmax};
use foretaste_nn::{Adam, AdamConfig, Params, Scope, scalar, softmax_cross_entropy};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{ClickEncoder, Descent, FirstInput, Head, Means, Network, PerStep, descend};
use serde::{Deserialize, Serialize};

use crate::host::on_host;
use crate::{Buffer, Result};

/// Sessions that are evaluated at a time.
const CHUNK: usize = 256;

/// Everything that fixes an [`Agent`] but its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// |C|: number of items in the catalogue.
    pub items: usize,
    /// Width of the item embedding e^a.
    pub embedding: usize,
    /// Width of the state s^a.
    pub hidden: usize,
    /// Stacked layers of the LSTM h^a.
    pub layers: usize,
    /// What h^a sees before the first click.
    #[serde(default)]
    pub first_input: FirstInput,
}

impl AgentConfig {
    /// The published agent (§7.1): embedding 50, two LSTM layers of 512.
    pub fn new(items: usize) -> Self {
        let first_input = FirstInput::Start;
        Self { items, embedding: 50, hidden: 512, layers: 2, first_input }
    }

    /// The same with two layers of 64, for small runs.
    pub fn small(items: usize) -> Self {
        Self { hidden: 64, ..Self::new(items) }
    }

    /// h^a.
    pub(crate) fn encoder(&self, scope: Scope<'_>) -> Result<ClickEncoder> {
        let Self { items, embedding, hidden, layers, first_input } = *self;
        Ok(ClickEncoder::new(items, embedding, hidden, layers, first_input, scope)?)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let Self { items, embedding, .. } = self;
        if *items == 0 || *items > foretaste_data::ItemId::MAX_ITEMS || *embedding == 0 {
            let problem = format!("{items} items, embedding {embedding}: at least 1 of each");
            return Err(Setting::new("agent", problem).into());
        }
        Ok(())
    }
}

/// How A is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentTraining {
    /// The optimizer: Adam, 1e-4, gradients clipped at norm 5.
    pub optimiser: AdamConfig,
    /// Sessions in a batch: 32.
    pub batch: usize,
    /// γ: what the next step counts in a return.
    pub discount: f64,
    /// λ_r: the weight of a reward relative to the score of the trajectory.
    pub lambda_r: f64,
}

impl Default for AgentTraining {
    fn default() -> Self {
        let optimiser =
            AdamConfig { learning_rate: 1e-4, clip: Some(5.0), ..AdamConfig::default() };
        Self { optimiser, batch: 32, discount: 0.9, lambda_r: 3.0 }
    }
}

/// A: a state from the clicks so far and, by Eq 4, π(i ∈ a_t | s^a_t) = softmax(W^a s^a_t + b^a)_i
/// over all items.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    params: Params,
    pub(crate) clicks: ClickEncoder,
    /// W^a, b^a.
    pub(crate) actions: Head,
}

impl Agent {
    /// An untrained agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range.
    pub fn new(config: AgentConfig, seed: Seed, device: &Device) -> Result<Self> {
        Self::with_type(config, seed, device, DType::F32)
    }

    pub(crate) fn with_type(
        config: AgentConfig,
        seed: Seed,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        Self::with_params(config, Params::new(seed.derive("agent"), dtype, device))
    }

    fn with_params(config: AgentConfig, mut params: Params) -> Result<Self> {
        config.check()?;
        let clicks = config.encoder(params.scope("clicks"))?;
        let AgentConfig { items, hidden, .. } = config;
        let actions = Head::new(hidden, items, params.scope("actions"))?;
        Ok(Self { config, params, clicks, actions })
    }

    /// The configuration.
    pub fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// The trainable parameters Θ_a.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// -R_t log π(c_t ∈ a_t | s^a_t) summed over the clicks of a batch and divided by their number:
    /// a scalar tensor whose gradient is the negative of Eq 10, for the R_t of each cell in
    /// `returns [rows · steps]`.
    ///
    /// π(c_t ∈ a_t) stands for π(a_t), as in §5.1: the agent is to promote what was clicked. END is
    /// no item, so it has no term.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the batch has no click.
    pub fn loss(&self, batch: &PaddedBatch, returns: &[f32]) -> Result<Tensor> {
        let clicks = self.click_losses(batch)?;
        let returns = clicks.of_cells(returns);
        clicks.weighed(returns)
    }

    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the batch has no click.
    pub(crate) fn click_losses(&self, batch: &PaddedBatch) -> Result<ClickLosses> {
        let cells: Vec<u32> = (0..batch.clicked_mask.len() as u32)
            .filter(|&cell| batch.clicked_mask[cell as usize])
            .collect();
        if cells.is_empty() {
            return Err(Setting::new("batch", "no click in it").into());
        }
        let clicked: Vec<u32> = cells.iter().map(|&cell| batch.clicked[cell as usize]).collect();
        let states = self.clicks.states(batch, &cells)?;
        let losses =
            softmax_cross_entropy(&states, self.actions.weight(), self.actions.bias(), &clicked)?;
        Ok(ClickLosses { cells, losses })
    }

    /// log π(c_t ∈ a_t | s^a_t) of every step of a log, in order; 0 where nothing was clicked.
    pub fn click_log_probabilities(&self, log: &Log) -> Result<Vec<f32>> {
        let (mut all, sessions) =
            (Vec::with_capacity(log.steps()), (0..log.sessions()).collect::<Vec<_>>());
        for chunk in sessions.chunks(CHUNK) {
            let batch = PaddedBatch::new(log, chunk, None);
            let mut of_batch = vec![0.0; batch.step_mask.len()];
            if batch.clicked_mask.contains(&true) {
                let clicks = self.click_losses(&batch)?;
                for (&cell, log_probability) in clicks.cells.iter().zip(clicks.log_probabilities()?)
                {
                    of_batch[cell as usize] = log_probability;
                }
            }
            all.extend(
                of_batch
                    .into_iter()
                    .zip(&batch.step_mask)
                    .filter(|(_, exists)| **exists)
                    .map(|(value, _)| value),
            );
        }
        Ok(all)
    }

    /// Eq 4's logits of the items of each slate on which one was clicked, in the order shown, with
    /// the place of that one: how A reranks the lists of a log after the clicks before. The steps
    /// are those of the batch, session by session.
    pub fn rerank(&self, batch: &PaddedBatch) -> Result<Vec<(Vec<f32>, usize)>> {
        let cells: Vec<u32> = (0..batch.clicked_mask.len() as u32)
            .filter(|&cell| batch.clicked_mask[cell as usize])
            .collect();
        let places = cells.iter().map(|&cell| batch.chosen[cell as usize] as usize);
        Ok(self.slate_logits(batch, &cells)?.into_iter().zip(places).collect())
    }

    /// Eq 4's logits of the items of the slates at these cells, in the order shown.
    fn slate_logits(&self, batch: &PaddedBatch, cells: &[u32]) -> Result<Vec<Vec<f32>>> {
        let mut all = Vec::with_capacity(cells.len());
        for cells in cells.chunks(CHUNK) {
            let logits = self.actions.act(&self.clicks.states(batch, cells)?.detach())?;
            on_host(&logits.to_dtype(DType::F32)?, |logits| {
                for (logits, &cell) in logits.chunks_exact(self.config.items).zip(cells) {
                    let places = cell as usize * batch.places..(cell as usize + 1) * batch.places;
                    let shown = places.filter(|&place| batch.shown_mask[place]);
                    all.push(shown.map(|place| logits[batch.shown[place] as usize]).collect());
                }
                Ok(())
            })?;
        }
        Ok(all)
    }

    /// The mean of [`loss`](Self::loss) over the clicks of all sessions, with the returns of
    /// `training`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is no click.
    pub fn mean_loss(&self, buffer: &Buffer, training: &AgentTraining) -> Result<f64> {
        let returns = buffer.returns(training.discount, training.lambda_r);
        let returns = PerStep::new(&buffer.log, &returns);
        let sessions: Vec<usize> = (0..buffer.log.sessions()).collect();
        let (mut sum, mut clicks) = (0.0, 0);
        for chunk in sessions.chunks(CHUNK) {
            let batch = PaddedBatch::new(&buffer.log, chunk, None);
            let clicked = batch.clicked_mask.iter().filter(|&&clicked| clicked).count();
            if clicked > 0 {
                sum += scalar(&self.loss(&batch, &returns.pad(chunk, &batch))?)? * clicked as f64;
                clicks += clicked;
            }
        }
        match clicks {
            0 => Err(Setting::new("sessions", "no click to evaluate").into()),
            clicks => Ok(sum / clicks as f64),
        }
    }
}

impl Network for Agent {
    const KIND: &'static str = "irecgan-agent/1";
    type Config = AgentConfig;
    type Error = crate::Error;

    fn parts(&self) -> (&AgentConfig, &Params) {
        (&self.config, &self.params)
    }

    fn build(config: AgentConfig, _: &Catalogue, params: Params) -> Result<Self> {
        Self::with_params(config, params)
    }
}

/// π restricted to a slate, as the probability of a click on each of its items given that one is
/// clicked: how A ranks what others chose to show.
impl ChoiceModel for Agent {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let mut all = Vec::new();
        for chunk in sessions.chunks(CHUNK) {
            let batch = PaddedBatch::new(log, chunk, None);
            let cells: Vec<u32> = (0..batch.step_mask.len() as u32)
                .filter(|&cell| batch.step_mask[cell as usize])
                .collect();
            all.extend(self.slate_logits(&batch, &cells)?.into_iter().map(|scores| Prediction {
                log_given_choice: Some(log_softmax(&scores)),
                log_choice: None,
                scores,
            }));
        }
        Ok(all)
    }
}

/// The clicks of a batch, each with -log π(c_t ∈ a_t | s^a_t).
pub(crate) struct ClickLosses {
    /// Where they are in the batch.
    pub cells: Vec<u32>,
    /// `[clicks]`.
    losses: Tensor,
}

impl ClickLosses {
    /// The numbers of the clicks out of those of all cells.
    pub fn of_cells(&self, values: &[f32]) -> Vec<f32> {
        self.cells.iter().map(|&cell| values[cell as usize]).collect()
    }

    /// log π of each click as it is now, without gradients.
    pub fn log_probabilities(&self) -> Result<Vec<f32>> {
        Ok(self.losses.detach().to_dtype(DType::F32)?.neg()?.to_vec1()?)
    }

    /// The mean of the losses, each times its weight: a scalar tensor.
    pub fn weighed(self, weights: Vec<f32>) -> Result<Tensor> {
        let weights = Tensor::new(weights, self.losses.device())?.to_dtype(self.losses.dtype())?;
        Ok((self.losses * weights)?.mean_all()?)
    }
}

/// A in training: the agent with its optimizer.
#[derive(Debug)]
pub struct AgentTrainer {
    agent: Agent,
    config: AgentTraining,
    adam: Adam,
    gradient_norm: Option<f64>,
}

impl AgentTrainer {
    /// Trains `agent` from where it is.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range.
    pub fn new(agent: Agent, config: AgentTraining) -> Result<Self> {
        if config.batch == 0
            || !(0.0..=1.0).contains(&config.discount)
            || !config.lambda_r.is_finite()
        {
            let problem = format!(
                "{config:?}: expected a batch of at least 1, a discount in [0, 1], a finite λ_r"
            );
            return Err(Setting::new("agent's training", problem).into());
        }
        let adam = Adam::new(agent.params(), config.optimiser)?;
        Ok(Self { agent, config, adam, gradient_norm: None })
    }

    /// The agent in training.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// How it is trained.
    pub fn config(&self) -> &AgentTraining {
        &self.config
    }

    /// The mean over the batches of the last epoch that held a click of the gradient's Euclidean
    /// norm before clipping; none if none did.
    pub fn gradient_norm(&self) -> Option<f64> {
        self.gradient_norm
    }

    /// One pass over the sessions, in batches shuffled from `seed`, each one step up Eq 10.
    /// Returns the mean loss of the batches that hold a click; 0 if none does.
    ///
    /// # Errors
    /// [`Error::Training`](crate::Error::Training) if a loss or a gradient is not finite.
    pub fn epoch(&mut self, buffer: &Buffer, seed: Seed) -> Result<f64> {
        self.epoch_by(buffer, seed, |agent, batch, _, returns| agent.loss(batch, returns))
    }

    /// The same down another loss, which gets the agent, a batch, its sessions and their returns.
    pub(crate) fn epoch_by(
        &mut self,
        buffer: &Buffer,
        seed: Seed,
        mut loss: impl FnMut(&Agent, &PaddedBatch, &[usize], &[f32]) -> Result<Tensor>,
    ) -> Result<f64> {
        let returns = buffer.returns(self.config.discount, self.config.lambda_r);
        let returns = PerStep::new(&buffer.log, &returns);
        let sessions: Vec<usize> = (0..buffer.log.sessions()).collect();
        let mut means = Means::default();
        for chosen in Batches::shuffled(&sessions, self.config.batch, seed) {
            let batch = PaddedBatch::new(&buffer.log, &chosen, None);
            if !batch.clicked_mask.contains(&true) {
                continue;
            }
            let loss = loss(&self.agent, &batch, &chosen, &returns.pad(&chosen, &batch))?;
            let Descent { loss, gradient_norm } = descend(&mut self.adam, &loss)?;
            means.add([loss, gradient_norm]);
        }
        let means = means.take();
        self.gradient_norm = means.map(|[_, norm]| norm);
        Ok(means.map_or(0.0, |[loss, _]| loss))
    }

    /// Writes agent and optimizer.
    pub fn save<'a>(
        &self,
        folder: &Path,
        provenance: impl Into<Provenance<'a>>,
        iteration: u64,
        seed: u64,
    ) -> Result<()> {
        self.agent.save(folder, provenance, iteration, seed, Some(&self.adam))
    }

    /// Goes on from what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network) if there is no checkpoint, it is damaged, or it
    /// belongs to another catalogue.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        config: AgentTraining,
        device: &Device,
    ) -> Result<Self> {
        let (agent, saved) = Agent::resume(folder, catalogue, device)?;
        let mut trainer = Self::new(agent, config)?;
        saved.restore_optimiser(&mut trainer.adam)?;
        Ok(trainer)
    }
}
