//! One epoch of Eq 5 on real and generated logs, and checkpoints of it. When the discriminator is
//! trained relative to the agent is decided by Algorithm 1 in `irecgan`, not here.

use std::path::Path;

use candle_core::Device;
use foretaste_data::{Batches, Catalogue, Log, PaddedBatch, Provenance};
use foretaste_nn::Adam;
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{Descent, Means, Network, descend};

use crate::{Discriminator, DiscriminatorTraining, Result};

/// D in training: the model with its optimizer.
#[derive(Debug)]
pub struct DiscriminatorTrainer {
    model: Discriminator,
    config: DiscriminatorTraining,
    adam: Adam,
    gradient_norm: Option<f64>,
}

impl DiscriminatorTrainer {
    /// Trains `model` from where it is.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range.
    pub fn new(model: Discriminator, config: DiscriminatorTraining) -> Result<Self> {
        if config.batch == 0 {
            return Err(Setting::new("training", "batches of 0, expected at least 1").into());
        }
        let adam = Adam::new(model.params(), config.optimiser)?;
        Ok(Self { model, config, adam, gradient_norm: None })
    }

    /// The model in training.
    pub fn model(&self) -> &Discriminator {
        &self.model
    }

    /// The mean over the batches of the last epoch of the gradient's Euclidean norm before
    /// clipping; none before any epoch.
    pub fn gradient_norm(&self) -> Option<f64> {
        self.gradient_norm
    }

    /// One pass over the sessions of both logs, each batch one step down Eq 5; both are shuffled
    /// from `seed`, and the pass ends with the shorter. Returns the mean loss of the batches.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a log is empty;
    /// [`Error::Training`](crate::Error::Training) if a loss or a gradient is not finite.
    pub fn epoch(&mut self, real: &Log, generated: &Log, seed: Seed) -> Result<f64> {
        let shuffled = |log: &Log, name: &str| {
            let sessions: Vec<usize> = (0..log.sessions()).collect();
            Batches::shuffled(&sessions, self.config.batch, seed.derive(name))
        };
        let mut means = Means::default();
        for (from_real, from_generated) in
            shuffled(real, "real").zip(shuffled(generated, "generated"))
        {
            let batch = |log, sessions: &[usize]| PaddedBatch::new(log, sessions, None);
            let loss =
                self.model.loss(&batch(real, &from_real), &batch(generated, &from_generated))?;
            let Descent { loss, gradient_norm } = descend(&mut self.adam, &loss)?;
            means.add([loss, gradient_norm]);
        }
        let Some([loss, gradient_norm]) = means.take() else {
            return Err(Setting::new("logs", "no real or no generated session").into());
        };
        self.gradient_norm = Some(gradient_norm);
        Ok(loss)
    }

    /// Writes model and optimizer.
    pub fn save<'a>(
        &self,
        folder: &Path,
        provenance: impl Into<Provenance<'a>>,
        iteration: u64,
        seed: u64,
    ) -> Result<()> {
        self.model.save(folder, provenance, iteration, seed, Some(&self.adam))
    }

    /// Goes on from what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network) if there is no checkpoint, it is damaged, or it
    /// belongs to another catalogue.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        config: DiscriminatorTraining,
        device: &Device,
    ) -> Result<Self> {
        let (model, saved) = Discriminator::resume(folder, catalogue, device)?;
        let mut trainer = Self::new(model, config)?;
        saved.restore_optimiser(&mut trainer.adam)?;
        Ok(trainer)
    }
}
