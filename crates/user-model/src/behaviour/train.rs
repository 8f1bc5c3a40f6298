//! Epochs of U by Eq 3 or, with weights by D, by Eq 7. Algorithm 1 and the fit loop both take their
//! epochs from here.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use foretaste_data::{Batches, Catalogue, Log, PaddedBatch, Provenance};
use foretaste_nn::{Adam, Params};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{
    Candidates, Descent, Fit, FitConfig, Fitted, LearningRate, Means, Network, PerStep, Progress,
    descend,
};

use super::config::BehaviourTraining;
use super::model::BehaviourModel;
use crate::{CurvePoint, Error, Result};

/// U in training: the model with its optimizer and its learning-rate schedule.
#[derive(Debug)]
pub struct BehaviourTrainer {
    model: BehaviourModel,
    config: BehaviourTraining,
    adam: Adam,
    learning_rate: LearningRate,
    gradient_norm: Option<f64>,
}

impl BehaviourTrainer {
    /// Trains `model` from where it is.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(model: BehaviourModel, config: BehaviourTraining) -> Result<Self> {
        config.check()?;
        let adam = Adam::new(model.params(), config.optimiser)?;
        let learning_rate = LearningRate::new(config.optimiser.learning_rate);
        Ok(Self { model, config, adam, learning_rate, gradient_norm: None })
    }

    /// The model in training.
    pub fn model(&self) -> &BehaviourModel {
        &self.model
    }

    /// The model, as it is.
    pub fn into_model(self) -> BehaviourModel {
        self.model
    }

    /// The learning rate, and what decides when it falls.
    pub fn learning_rate(&self) -> &LearningRate {
        &self.learning_rate
    }

    /// The mean over the batches of the last epoch of the gradient's Euclidean norm before
    /// clipping; none before any epoch.
    pub fn gradient_norm(&self) -> Option<f64> {
        self.gradient_norm
    }

    /// One pass over the sessions of a log of [`clicked_sessions`](super::clicked_sessions), in
    /// batches shuffled from `seed`. Each batch is one step up Eq 3, or up Eq 7 with `weights`,
    /// which holds q_D of every step of the log in order. Returns the mean loss of the batches.
    ///
    /// The learning rate falls if that exceeds the means of the three epochs before.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no session or not one weight a step; [`Error::Training`] if a
    /// loss or a gradient is not finite.
    pub fn epoch(&mut self, log: &Log, weights: Option<&[f32]>, seed: Seed) -> Result<f64> {
        if log.sessions() == 0 || weights.is_some_and(|weights| weights.len() != log.steps()) {
            let found = weights.map(<[f32]>::len);
            let problem =
                format!("{} sessions, {} steps, weights: {found:?}", log.sessions(), log.steps());
            let problem = problem + "; expected a session and one weight a step";
            return Err(Setting::new("sessions", problem).into());
        }
        let weights = weights.map(|weights| PerStep::new(log, weights));
        let sessions: Vec<usize> = (0..log.sessions()).collect();
        let mut means = Means::default();
        for chosen in Batches::shuffled(&sessions, self.config.batch, seed) {
            let batch = PaddedBatch::new(log, &chosen, None);
            let padded = weights.as_ref().map(|weights| weights.pad(&chosen, &batch));
            let loss = self.model.loss(&batch, padded.as_deref())?;
            let Descent { loss, gradient_norm } = descend(&mut self.adam, &loss)?;
            means.add([loss, gradient_norm]);
        }
        let [loss, gradient_norm] = means.take().unwrap_or_default();
        self.gradient_norm = Some(gradient_norm);
        self.learning_rate.after_epoch(loss, self.config.decay, &mut self.adam)?;
        Ok(loss)
    }

    /// As many epochs of Eq 3 as asked for; the model then holds the parameters of the lowest loss
    /// on `validation`. An iteration of the curve is an epoch. `callback` is called with the
    /// validation before any epoch and after every epoch, and may stop the fit.
    ///
    /// # Errors
    /// As [`epoch`](Self::epoch); [`Error::Training`] if `callback` stopped the fit.
    pub fn fit(
        &mut self,
        train: &Log,
        validation: &Log,
        epochs: u64,
        seed: Seed,
        callback: impl FnMut(Progress<CurvePoint>) -> ControlFlow<()>,
    ) -> Result<Fitted<CurvePoint>> {
        let config = FitConfig {
            iterations: epochs,
            validate_every: 1,
            patience: None,
            candidates: Candidates::All,
        };
        let mut learner = BehaviourEpochs::new(self, train, validation, seed);
        foretaste_train::fit(&mut learner, config, callback)
    }

    /// Writes model and optimizer; [`learning_rate`](Self::learning_rate) is the caller's to keep.
    pub fn save<'a>(
        &self,
        folder: &Path,
        provenance: impl Into<Provenance<'a>>,
        iteration: u64,
        seed: u64,
    ) -> Result<()> {
        self.model.save(folder, provenance, iteration, seed, Some(&self.adam))
    }

    /// Goes on from what [`save`](Self::save) wrote, with the learning rate of then.
    ///
    /// # Errors
    /// [`Error::Network`] if there is no checkpoint, it is damaged, or it belongs to another
    /// catalogue.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        config: BehaviourTraining,
        learning_rate: LearningRate,
        device: &Device,
    ) -> Result<Self> {
        let (model, saved) = BehaviourModel::resume(folder, catalogue, device)?;
        let mut trainer = Self::new(model, config)?;
        saved.restore_optimiser(&mut trainer.adam)?;
        trainer.adam.set_learning_rate(learning_rate.rate())?;
        trainer.learning_rate = learning_rate;
        Ok(trainer)
    }
}

/// What [`BehaviourTrainer::fit`] trains: an iteration is an epoch of Eq 3. For a
/// [`Fitting`](foretaste_train::Fitting), which can be saved after every epoch with its
/// [trainer](Self::trainer).
#[derive(Debug)]
pub struct BehaviourEpochs<'a> {
    trainer: &'a mut BehaviourTrainer,
    train: &'a Log,
    validation: &'a Log,
    seed: Seed,
    /// Of the last epoch.
    train_nll: Option<f64>,
}

impl<'a> BehaviourEpochs<'a> {
    /// Epochs on `train`, shuffled from `seed`; a validation is the mean loss on `validation`.
    pub fn new(
        trainer: &'a mut BehaviourTrainer,
        train: &'a Log,
        validation: &'a Log,
        seed: Seed,
    ) -> Self {
        Self { trainer, train, validation, seed, train_nll: None }
    }

    /// The trainer as it is now.
    pub fn trainer(&self) -> &BehaviourTrainer {
        self.trainer
    }
}

impl Fit for BehaviourEpochs<'_> {
    type Point = CurvePoint;
    type Error = Error;

    fn train(&mut self, iteration: u64) -> Result<()> {
        self.train_nll = Some(self.trainer.epoch(self.train, None, self.seed.index(iteration))?);
        Ok(())
    }

    fn validate(&mut self, iteration: u64) -> Result<CurvePoint> {
        let validation_nll = self.trainer.model.mean_loss(self.validation)?;
        let gradient_norm = self.train_nll.and(self.trainer.gradient_norm);
        Ok(CurvePoint {
            iteration,
            train_nll: self.train_nll,
            validation_nll,
            validation_precision: None,
            gradient_norm,
        })
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.trainer.model.params()]
    }

    fn losses(&self, point: &CurvePoint) -> Vec<f64> {
        vec![point.validation_nll]
    }
}
