use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use understudy_data::{Batches, Catalogue, PaddedBatch};
use understudy_nn::checkpoint::{self, Checkpoint};
use understudy_nn::{Adam, AdamConfig, Params, backward, scalar, softmax_cross_entropy};
use understudy_random::Seed;
use understudy_user_model::behaviour::{ClickEncoder, Head, PerStep};

use crate::{Buffer, Error, Result};

const KIND: &str = "irecgan-agent/1";
/// Sequences that are evaluated at a time.
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
}

impl AgentConfig {
    /// The published agent (§7.1): embedding 50, two LSTM layers of 512.
    pub fn new(items: usize) -> Self {
        Self { items, embedding: 50, hidden: 512, layers: 2 }
    }

    /// The same with two layers of 64, for small runs.
    pub fn small(items: usize) -> Self {
        Self { hidden: 64, ..Self::new(items) }
    }
}

/// How A is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentTraining {
    /// The optimiser: Adam, 1e-4, gradients clipped at norm 5.
    pub optimiser: AdamConfig,
    /// Sequences in a batch: 32.
    pub batch: usize,
    /// γ: what the next step counts in a return.
    pub discount: f64,
    /// λ_r: what a reward counts beside the score of the sequence.
    pub lambda_r: f64,
}

impl Default for AgentTraining {
    fn default() -> Self {
        let optimiser = AdamConfig { learning_rate: 1e-4, clip: Some(5.0), ..AdamConfig::default() };
        Self { optimiser, batch: 32, discount: 0.9, lambda_r: 3.0 }
    }
}

/// A: a state from the clicks so far and, by Eq 4, π(i ∈ a_t | s^a_t) = softmax(W^a s^a_t + b^a)_i over all items.
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
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(config: AgentConfig, seed: Seed, device: &Device) -> Result<Self> {
        Self::with_type(config, seed, device, DType::F32)
    }

    pub(crate) fn with_type(config: AgentConfig, seed: Seed, device: &Device, dtype: DType) -> Result<Self> {
        let AgentConfig { items, embedding, hidden, layers } = config;
        if items == 0 || items > understudy_data::ItemId::MAX_ITEMS || embedding == 0 {
            return Err(Error::setting("agent", format!("{items} items, embedding {embedding}: at least 1 of each")));
        }
        let mut params = Params::new(seed.derive("agent"), dtype, device);
        let clicks = ClickEncoder::new(items, embedding, hidden, layers, params.scope("clicks"))?;
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

    /// -R_t log π(c_t ∈ a_t | s^a_t) summed over the clicks of a batch and divided by their number: a scalar tensor whose gradient is the
    /// negative of Eq 10, for the R_t of each cell in `returns [rows · steps]`.
    ///
    /// π(c_t ∈ a_t) stands for π(a_t), as in §5.1: the agent is to promote what was clicked. END is no item, so it has no term.
    ///
    /// # Errors
    /// [`Error::Setting`] if the batch has no click.
    pub fn loss(&self, batch: &PaddedBatch, returns: &[f32]) -> Result<Tensor> {
        let cells: Vec<u32> =
            (0..batch.clicked_mask.len() as u32).filter(|&cell| batch.clicked_mask[cell as usize]).collect();
        if cells.is_empty() {
            return Err(Error::setting("batch", "no click in it"));
        }
        let clicked: Vec<u32> = cells.iter().map(|&cell| batch.clicked[cell as usize]).collect();
        let returns: Vec<f32> = cells.iter().map(|&cell| returns[cell as usize]).collect();
        let states = self.clicks.states(batch, &cells)?;
        let losses = softmax_cross_entropy(&states, self.actions.weight(), self.actions.bias(), &clicked)?;
        let returns = Tensor::new(returns, self.params.device())?.to_dtype(self.params.dtype())?;
        Ok((losses * returns)?.mean_all()?)
    }

    /// The mean of [`loss`](Self::loss) over the clicks of all sequences, with the returns of `training`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no click.
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
            0 => Err(Error::setting("sequences", "no click to evaluate")),
            clicks => Ok(sum / clicks as f64),
        }
    }

    /// Writes a checkpoint, with the optimiser if training is to go on; see [`understudy_nn::checkpoint`].
    pub fn save(
        &self,
        folder: &Path,
        catalogue: &Catalogue,
        iteration: u64,
        seed: u64,
        optimiser: Option<&Adam>,
    ) -> Result<()> {
        let vocabulary = catalogue.names().digest();
        let description =
            checkpoint::Description { model: KIND, config: &self.config, vocabulary: &vocabulary, iteration, seed };
        Ok(checkpoint::save(folder, description, &self.params, optimiser)?)
    }

    /// Reads a checkpoint of an agent of this catalogue; it holds the optimiser's state too, if that was saved.
    ///
    /// # Errors
    /// [`Error::Network`] if there is none, it is damaged, or it belongs to another catalogue.
    pub fn load(folder: &Path, catalogue: &Catalogue, device: &Device) -> Result<(Self, Checkpoint<AgentConfig>)> {
        let saved = checkpoint::load::<AgentConfig>(folder, KIND, |_| catalogue.names().digest())?;
        let agent = Self::new(saved.manifest.config.clone(), Seed::new(saved.manifest.seed), device)?;
        saved.restore(&agent.params)?;
        Ok((agent, saved))
    }
}

/// A in training: the agent with its optimiser.
#[derive(Debug)]
pub struct AgentTrainer {
    agent: Agent,
    config: AgentTraining,
    adam: Adam,
}

impl AgentTrainer {
    /// Trains `agent` from where it is.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(agent: Agent, config: AgentTraining) -> Result<Self> {
        if config.batch == 0 || !(0.0..=1.0).contains(&config.discount) || !config.lambda_r.is_finite() {
            let problem = format!("{config:?}: expected a batch of at least 1, a discount in [0, 1], a finite λ_r");
            return Err(Error::setting("agent's training", problem));
        }
        let adam = Adam::new(agent.params(), config.optimiser)?;
        Ok(Self { agent, config, adam })
    }

    /// The agent in training.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// One pass over the sequences, in batches shuffled from `seed`, each one step up Eq 10. Returns the mean loss of the batches that
    /// hold a click; 0 if none does.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a loss or a gradient is not finite.
    pub fn epoch(&mut self, buffer: &Buffer, seed: Seed) -> Result<f64> {
        let returns = buffer.returns(self.config.discount, self.config.lambda_r);
        let returns = PerStep::new(&buffer.log, &returns);
        let sessions: Vec<usize> = (0..buffer.log.sessions()).collect();
        let (mut sum, mut batches) = (0.0, 0u32);
        for chosen in Batches::shuffled(&sessions, self.config.batch, seed) {
            let batch = PaddedBatch::new(&buffer.log, &chosen, None);
            if !batch.clicked_mask.contains(&true) {
                continue;
            }
            sum += self.descend(&self.agent.loss(&batch, &returns.pad(&chosen, &batch))?)?;
            batches += 1;
        }
        Ok(sum / f64::from(batches.max(1)))
    }

    fn descend(&mut self, loss: &Tensor) -> Result<f64> {
        let (value, updates) = (scalar(loss)?, self.adam.steps());
        let diverged = |problem| Error::Diverged { updates, problem };
        if !value.is_finite() {
            return Err(diverged(format!("the loss is {value}")));
        }
        match self.adam.step(&backward(loss)?) {
            Err(reason @ understudy_nn::Error::NotFinite { .. }) => Err(diverged(reason.to_string())),
            other => Ok(other.map(|_| value)?),
        }
    }

    /// Writes agent and optimiser.
    pub fn save(&self, folder: &Path, catalogue: &Catalogue, iteration: u64, seed: u64) -> Result<()> {
        self.agent.save(folder, catalogue, iteration, seed, Some(&self.adam))
    }

    /// Goes on from what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Network`] if there is no checkpoint, it is damaged, or it belongs to another catalogue.
    pub fn resume(folder: &Path, catalogue: &Catalogue, config: AgentTraining, device: &Device) -> Result<Self> {
        let (agent, saved) = Agent::load(folder, catalogue, device)?;
        let mut trainer = Self::new(agent, config)?;
        saved.restore_optimiser(&mut trainer.adam)?;
        Ok(trainer)
    }
}
