//! The baseline AC of IRecGAN §7.2: does a learned value as a baseline help a policy gradient on a
//! log? It shares the agent's training and changes only the return of each click.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Catalogue, PaddedBatch, Provenance};
use foretaste_nn::{Adam, Params};
use foretaste_random::Seed;
use foretaste_train::{ClickEncoder, Head, Means, Network, descend};

use crate::agent::{AgentConfig, AgentTrainer, AgentTraining, ClickLosses};
use crate::{Buffer, Error, Result};

/// V: the return that a state of clicks promises, by an LSTM of the agent's sizes and a linear
/// head.
#[derive(Debug)]
pub struct Critic {
    config: AgentConfig,
    params: Params,
    clicks: ClickEncoder,
    value: Head,
}

impl Critic {
    /// An untrained critic with parameters drawn from `seed`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(config: AgentConfig, seed: Seed, device: &Device) -> Result<Self> {
        Self::with_type(config, seed, device, DType::F32)
    }

    pub(crate) fn with_type(
        config: AgentConfig,
        seed: Seed,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        Self::with_params(config, Params::new(seed.derive("critic"), dtype, device))
    }

    fn with_params(config: AgentConfig, mut params: Params) -> Result<Self> {
        config.check()?;
        let clicks = config.encoder(params.scope("clicks"))?;
        let value = Head::new(config.hidden, 1, params.scope("value"))?;
        Ok(Self { config, params, clicks, value })
    }

    /// The trainable parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// V(s_t) at some cells of a batch, `[cells]`.
    pub fn values(&self, batch: &PaddedBatch, cells: &[u32]) -> Result<Tensor> {
        Ok(self.value.forward(&self.clicks.states(batch, cells)?)?.squeeze(1)?)
    }

    /// The mean of (R_t - V(s_t))² over the clicks of a batch.
    pub(crate) fn loss(values: &Tensor, returns: Vec<f32>) -> Result<Tensor> {
        let returns = Tensor::new(returns, values.device())?.to_dtype(values.dtype())?;
        Ok((values - returns)?.sqr()?.mean_all()?)
    }
}

impl Network for Critic {
    const KIND: &'static str = "irecgan-critic/1";
    type Config = AgentConfig;
    type Error = Error;

    fn parts(&self) -> (&AgentConfig, &Params) {
        (&self.config, &self.params)
    }

    fn build(config: AgentConfig, _: &Catalogue, params: Params) -> Result<Self> {
        Self::with_params(config, params)
    }
}

/// The baseline AC (§7.2): an actor that learns from R_t - V(s_t) in place of R_t, and a critic
/// that learns V.
///
/// V is fitted to the returns of Eq 10 by squared error. Sessions are logged whole and are a few
/// steps long, so the return is known and free of the bias that bootstrapping has while V is
/// wrong. On trajectories of the actor's own, V(s_t) leaves the expected gradient as it is. On a
/// log of another policy it does not: a click that paid less than usual is made less likely, where
/// [`AgentTrainer::epoch`] makes every click likelier.
#[derive(Debug)]
pub struct ActorCritic {
    actor: AgentTrainer,
    critic: Critic,
    adam: Adam,
}

impl ActorCritic {
    /// Trains both from where they are, the critic by the actor's optimizer.
    pub fn new(actor: AgentTrainer, critic: Critic) -> Result<Self> {
        let adam = Adam::new(critic.params(), actor.config().optimiser)?;
        Ok(Self { actor, critic, adam })
    }

    /// The actor.
    pub fn actor(&self) -> &AgentTrainer {
        &self.actor
    }

    /// The critic.
    pub fn critic(&self) -> &Critic {
        &self.critic
    }

    /// One pass over the sessions in batches shuffled from `seed`: on each a step of the actor, by
    /// V as it is, and one of the critic. Returns the mean losses of the actor and of the critic
    /// over the batches that hold a click; 0 if none does.
    ///
    /// # Errors
    /// [`Error::Training`] if a loss or a gradient is not finite.
    pub fn epoch(&mut self, buffer: &Buffer, seed: Seed) -> Result<(f64, f64)> {
        let Self { actor, critic, adam } = self;
        let mut critic_loss = Means::default();
        let of_actor = actor.epoch_by(buffer, seed, |agent, batch, _, returns| {
            let clicks = agent.click_losses(batch)?;
            let (values, returns) =
                (critic.values(batch, &clicks.cells)?, clicks.of_cells(returns));
            let advantages = advantages(&values, &returns)?;
            // The critic's step changes nothing that the actor's takes from here on.
            critic_loss.add([descend(adam, &Critic::loss(&values, returns)?)?.loss]);
            ClickLosses::weighed(clicks, advantages)
        })?;
        Ok((of_actor, critic_loss.take().map_or(0.0, |[loss]| loss)))
    }

    /// Writes actor and critic with their optimisers.
    pub fn save<'a>(
        &self,
        folder: &Path,
        provenance: impl Into<Provenance<'a>>,
        iteration: u64,
        seed: u64,
    ) -> Result<()> {
        let provenance = provenance.into();
        self.actor.save(&folder.join("actor"), provenance, iteration, seed)?;
        let (critic, adam) = (folder.join("critic"), Some(&self.adam));
        self.critic.save(&critic, provenance, iteration, seed, adam)
    }

    /// Goes on from what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Network`] if there is no checkpoint, it is damaged, or it
    /// belongs to another catalogue.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        config: AgentTraining,
        device: &Device,
    ) -> Result<Self> {
        let actor = AgentTrainer::resume(&folder.join("actor"), catalogue, config, device)?;
        let (critic, saved) = Critic::resume(&folder.join("critic"), catalogue, device)?;
        let mut both = Self::new(actor, critic)?;
        saved.restore_optimiser(&mut both.adam)?;
        Ok(both)
    }
}

/// R_t - V(s_t), without gradients.
pub(crate) fn advantages(values: &Tensor, returns: &[f32]) -> Result<Vec<f32>> {
    let values = values.detach().to_dtype(DType::F32)?.to_vec1::<f32>()?;
    Ok(returns.iter().zip(values).map(|(r, value)| r - value).collect())
}
