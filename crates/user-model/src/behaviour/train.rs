use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use foretaste_data::{Batches, Catalogue, Log, PaddedBatch, Provenance};
use foretaste_nn::{Adam, AdamConfig};
use foretaste_random::Seed;
use serde::{Deserialize, Serialize};

use super::config::BehaviourTraining;
use super::model::BehaviourModel;
use crate::train::{Step, descend};
use crate::{CurvePoint, Error, Fit, Result};

/// U in training: the model with its optimiser and the pace at which it learns.
#[derive(Debug)]
pub struct BehaviourTrainer {
    model: BehaviourModel,
    config: BehaviourTraining,
    adam: Adam,
    pace: Pace,
    gradient_norm: Option<f64>,
}

/// The learning rate, and what decides when it falls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// The learning rate.
    pub learning_rate: f64,
    /// Mean losses of the last epochs, at most three.
    pub losses: Vec<f64>,
}

/// A number for each step of a log, such as q_D, ready to be laid out as its batches are.
#[derive(Debug)]
pub struct PerStep<'a> {
    values: &'a [f32],
    /// Where each session begins, and where the last one ends.
    starts: Vec<usize>,
}

impl<'a> PerStep<'a> {
    /// `values` holds one number for each step of `log`, in order.
    pub fn new(log: &Log, values: &'a [f32]) -> Self {
        let mut starts = vec![0];
        starts.extend(log.iter().scan(0, |end, session| {
            *end += session.len();
            Some(*end)
        }));
        Self { values, starts }
    }

    /// The numbers of these sessions in the cells of their batch, `[rows · steps]`; 0 where there
    /// is no step.
    pub fn pad(&self, sessions: &[usize], batch: &PaddedBatch) -> Vec<f32> {
        let mut padded = vec![0.0; batch.rows * batch.steps];
        for (row, &session) in padded.chunks_exact_mut(batch.steps.max(1)).zip(sessions) {
            let of_session = &self.values[self.starts[session]..self.starts[session + 1]];
            row[..of_session.len()].copy_from_slice(of_session);
        }
        padded
    }
}

impl BehaviourTrainer {
    /// Trains `model` from where it is.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(model: BehaviourModel, config: BehaviourTraining) -> Result<Self> {
        config.check()?;
        let adam = Adam::new(model.params(), config.optimiser)?;
        let pace = Pace { learning_rate: config.optimiser.learning_rate, losses: Vec::new() };
        Ok(Self { model, config, adam, pace, gradient_norm: None })
    }

    /// The model in training.
    pub fn model(&self) -> &BehaviourModel {
        &self.model
    }

    /// The learning rate, and what decides when it falls.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The mean over the batches of the last epoch of the gradient's Euclidean norm before
    /// clipping; none before any epoch.
    pub fn gradient_norm(&self) -> Option<f64> {
        self.gradient_norm
    }

    /// One pass over the sessions of a log of [`sequences`](super::sequences), in batches shuffled
    /// from `seed`. Each batch is one step up Eq 3, or up Eq 7 with `weights`, which holds q_D of
    /// every step of the log in order. Returns the mean loss of the batches.
    ///
    /// The learning rate falls if that exceeds the means of the three epochs before.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no session or not one weight a step; [`Error::Diverged`] if a
    /// loss or a gradient is not finite.
    pub fn epoch(&mut self, sequences: &Log, weights: Option<&[f32]>, seed: Seed) -> Result<f64> {
        if sequences.sessions() == 0
            || weights.is_some_and(|weights| weights.len() != sequences.steps())
        {
            let found = weights.map(<[f32]>::len);
            let problem = format!(
                "{} sessions, {} steps, weights: {found:?}",
                sequences.sessions(),
                sequences.steps()
            );
            return Err(Error::setting(
                "sequences",
                problem + "; expected a session and one weight a step",
            ));
        }
        let weights = weights.map(|weights| PerStep::new(sequences, weights));
        let sessions: Vec<usize> = (0..sequences.sessions()).collect();
        let (mut sum, mut norms, mut batches) = (0.0, 0.0, 0.0);
        for chosen in Batches::shuffled(&sessions, self.config.batch, seed) {
            let batch = PaddedBatch::new(sequences, &chosen, None);
            let padded = weights.as_ref().map(|weights| weights.pad(&chosen, &batch));
            let loss = self.model.loss(&batch, padded.as_deref())?;
            let iteration = self.adam.steps() + 1;
            let Step { loss, gradient_norm } = descend(&mut self.adam, &loss, iteration)?;
            sum += loss;
            norms += gradient_norm;
            batches += 1.0;
        }
        self.gradient_norm = Some(norms / batches);
        let mean = sum / batches;
        self.adjust(mean)?;
        Ok(mean)
    }

    /// As many epochs of Eq 3 as asked for; the model then holds the parameters of the lowest loss
    /// on `validation`. An iteration of the curve is an epoch. `watch` hears of every epoch done
    /// and may stop the fit.
    ///
    /// # Errors
    /// As [`epoch`](Self::epoch); [`Error::Interrupted`] if `watch` broke off.
    pub fn fit(
        &mut self,
        train: &Log,
        validation: &Log,
        epochs: u64,
        seed: Seed,
        mut watch: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Fit> {
        let point = |trainer: &Self, iteration, train_nll: Option<f64>| {
            let validation_nll = trainer.model.mean_loss(validation)?;
            let gradient_norm = train_nll.and(trainer.gradient_norm);
            Ok::<_, Error>(CurvePoint { iteration, train_nll, validation_nll, gradient_norm })
        };
        let mut best = point(self, 0, None)?;
        let mut best_params = self.model.params().snapshot()?;
        let mut curve = vec![best];
        for iteration in 1..=epochs {
            let train_nll = Some(self.epoch(train, None, seed.index(iteration))?);
            let point = point(self, iteration, train_nll)?;
            curve.push(point);
            if point.validation_nll < best.validation_nll {
                best = point;
                best_params = self.model.params().snapshot()?;
            }
            if watch(iteration).is_break() {
                return Err(Error::Interrupted);
            }
        }
        self.model.params().restore(&best_params)?;
        Ok(Fit { curve, best })
    }

    /// Writes model and optimiser; [`pace`](Self::pace) is the caller's to keep.
    pub fn save<'a>(
        &self,
        folder: &Path,
        provenance: impl Into<Provenance<'a>>,
        iteration: u64,
        seed: u64,
    ) -> Result<()> {
        self.model.save(folder, provenance, iteration, seed, Some(&self.adam))
    }

    /// Goes on from what [`save`](Self::save) wrote, at the pace of then.
    ///
    /// # Errors
    /// [`Error::Network`] if there is no checkpoint, it is damaged, or it belongs to another
    /// catalogue.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        config: BehaviourTraining,
        pace: Pace,
        device: &Device,
    ) -> Result<Self> {
        let (model, saved) = BehaviourModel::resume(folder, catalogue, device)?;
        let mut trainer = Self::new(model, config)?;
        saved.restore_optimiser(&mut trainer.adam)?;
        trainer.set_learning_rate(pace.learning_rate)?;
        trainer.pace = pace;
        Ok(trainer)
    }

    fn adjust(&mut self, loss: f64) -> Result<()> {
        const REMEMBERED: usize = 3;
        let losses = &mut self.pace.losses;
        let worse = losses.len() == REMEMBERED && losses.iter().all(|&before| loss > before);
        if losses.len() == REMEMBERED {
            losses.remove(0);
        }
        losses.push(loss);
        if worse {
            self.set_learning_rate(self.pace.learning_rate * self.config.decay)?;
        }
        Ok(())
    }

    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        let mut adam =
            Adam::new(self.model.params(), AdamConfig { learning_rate, ..self.config.optimiser })?;
        adam.restore(&self.adam.moments()?, self.adam.steps())?;
        (self.adam, self.pace.learning_rate) = (adam, learning_rate);
        Ok(())
    }
}
