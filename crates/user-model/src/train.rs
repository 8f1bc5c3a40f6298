//! Fits of user models by the closed form of the min-max (GAN-CDQN Lemma 2), in updates between
//! which a fit can be saved.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Tensor;
use foretaste_data::{Log, Provenance, Split};
use foretaste_eval::metrics;
use foretaste_nn::checkpoint::Checkpoint;
use foretaste_nn::{Adam, Params};
use foretaste_random::Seed;
use foretaste_train::{
    Candidates, Descent, EndlessBatches, Fit, FitConfig, Fitted, Means, Network, Progress, descend,
};
use serde::{Deserialize, Serialize};

use crate::context::TrainingRows;
use crate::{Error, Result, TrainConfig, UserModel, UserModelConfig};

/// One validation of a fit. Its losses are Fenchel-Young losses of the model's regularizer; under
/// Shannon they are negative log-likelihoods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Updates done.
    pub iteration: u64,
    /// Mean of the batch losses since the last validation, per slate (nats under Shannon); none
    /// before any update.
    pub train_nll: Option<f64>,
    /// Mean loss of the validation sessions, per slate (nats under Shannon).
    pub validation_nll: f64,
    /// Their precision@1; none where they have no click, or it was not asked for.
    #[serde(default)]
    pub validation_precision: Option<f64>,
    /// Mean over the batches since the last validation of the gradient's Euclidean norm before
    /// clipping; none before any update.
    pub gradient_norm: Option<f64>,
}

/// Fits the reward on the training sessions of `split`, keeping the parameters that are best on its
/// validation sessions: by maximum likelihood under Shannon's entropy (GAN-CDQN Lemma 2: the
/// min-max of the paper), by the least Fenchel-Young loss under another regularizer, which is the
/// same min-max with its inner maximum solved exactly. What the training sessions pay and when they
/// end is counted along with it ([`UserModel::learn_outcomes`]).
///
/// An iteration is an update on one batch; batches are shuffled from `seed`. `callback` is called
/// with the validation before any update and after every iteration, and may stop the fit. The model
/// then holds the parameters of the best validation.
///
/// # Errors
/// [`Error::Training`] if a gradient or a loss is not finite, or if `callback` stopped the fit. The
/// model then holds the parameters of the last update.
pub fn fit(
    model: &mut UserModel,
    log: &Log,
    split: &Split,
    config: &TrainConfig,
    seed: Seed,
    callback: impl FnMut(Progress<CurvePoint>) -> ControlFlow<()>,
) -> Result<Fitted<CurvePoint>> {
    Ok(fit_for_both(model, log, split, config, seed, callback)?.0)
}

/// As [`fit`], and keeps the parameters of another validation too: that of the highest precision@1,
/// the earliest of those that are equal, by which GAN-CDQN's released code chooses.
///
/// # Errors
/// As [`fit`].
pub fn fit_for_both(
    model: &mut UserModel,
    log: &Log,
    split: &Split,
    config: &TrainConfig,
    seed: Seed,
    callback: impl FnMut(Progress<CurvePoint>) -> ControlFlow<()>,
) -> Result<(Fitted<CurvePoint>, Option<MostPrecise>)> {
    let mut updates = Updates::new(model, log, split, config, seed)?;
    let fitted = foretaste_train::fit(&mut updates, config.fit(), callback)?;
    Ok((fitted, updates.most_precise))
}

/// The validation of a fit with the highest precision@1.
pub struct MostPrecise {
    /// The validation.
    pub point: CurvePoint,
    params: BTreeMap<String, Tensor>,
}

impl MostPrecise {
    /// Puts the model that was fitted back to this validation.
    ///
    /// # Errors
    /// An error of the network if it is another model.
    pub fn restore(&self, model: &UserModel) -> Result<()> {
        Ok(model.params().restore(&self.params)?)
    }
}

impl TrainConfig {
    /// The same for the loop over [`Updates`].
    pub fn fit(&self) -> FitConfig {
        FitConfig {
            iterations: self.iterations,
            validate_every: self.validate_every,
            patience: self.patience,
            candidates: Candidates::All,
        }
    }
}

/// What [`fit`] trains: an iteration is an update on one batch. For a
/// [`Fitting`](foretaste_train::Fitting), which can be saved between two iterations with it.
pub struct Updates<'a> {
    model: &'a UserModel,
    adam: Adam,
    batches: EndlessBatches<'a>,
    log: &'a Log,
    split: &'a Split,
    rows: TrainingRows,
    /// Loss and gradient norm.
    train: Means<2>,
    most_precise: Option<MostPrecise>,
}

impl<'a> Updates<'a> {
    /// Of a model, which counts in the training sessions what it takes from them.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range or there is no training session.
    pub fn new(
        model: &'a mut UserModel,
        log: &'a Log,
        split: &'a Split,
        config: &TrainConfig,
        seed: Seed,
    ) -> Result<Self> {
        config.check()?;
        model.learn_outcomes(log, &split.train)?;
        let rows = model.learn_context(log, &split.train, seed)?;
        let model = &*model;
        let adam = Adam::new(model.params(), config.optimiser)?;
        let batches = EndlessBatches::new(&split.train, config.batch, seed)?;
        let train = Means::default();
        Ok(Self { model, adam, batches, log, split, rows, train, most_precise: None })
    }

    /// Writes model and optimizer, to go on later after so many iterations.
    ///
    /// # Errors
    /// [`Error::Network`] if they cannot be written.
    pub fn save<'b>(
        &self,
        folder: &Path,
        provenance: impl Into<Provenance<'b>>,
        iteration: u64,
        seed: u64,
    ) -> Result<()> {
        self.model.save(folder, provenance, iteration, seed, Some(&self.adam))
    }

    /// The same, of the model that was [saved](Self::save) and [resumed](Network::resume), after
    /// the iterations that were done then. All that differs from a fit that was not stopped are the
    /// means of a validation in whose midst it was stopped, which tell of the batches since.
    ///
    /// # Errors
    /// [`Error::Network`] if what was saved is of other parameters, or has no optimizer.
    pub fn after(mut self, saved: &Checkpoint<UserModelConfig>, iterations: u64) -> Result<Self> {
        saved.restore_optimiser(&mut self.adam)?;
        (0..iterations).for_each(|_| drop(self.batches.next_batch()));
        Ok(self)
    }
}

impl Fit for Updates<'_> {
    type Point = CurvePoint;
    type Error = Error;

    fn train(&mut self, _iteration: u64) -> Result<()> {
        let sessions = self.batches.next_batch();
        let impressions = self.model.impressions_of(self.log, &sessions, &self.rows)?;
        let loss = self.model.batch_loss(&impressions)?;
        let Descent { loss, gradient_norm } = descend(&mut self.adam, &loss)?;
        self.train.add([loss, gradient_norm]);
        Ok(())
    }

    fn validate(&mut self, iteration: u64) -> Result<CurvePoint> {
        let means = self.train.take();
        let choices = self.model.slate_choices(self.log, &self.split.validation)?;
        let losses: f64 = choices.iter().map(|choice| f64::from(choice.loss)).sum();
        let ranked =
            choices.iter().filter_map(|choice| Some((&choice.utility[..], choice.chosen?)));
        let point = CurvePoint {
            iteration,
            train_nll: means.map(|[loss, _]| loss),
            validation_nll: losses / choices.len() as f64,
            validation_precision: metrics::precision_at(1, ranked).ok(),
            gradient_norm: means.map(|[_, norm]| norm),
        };
        let before = self.most_precise.as_ref().and_then(|best| best.point.validation_precision);
        if point.validation_precision > before {
            let params = self.model.params().snapshot()?;
            self.most_precise = Some(MostPrecise { point, params });
        }
        Ok(point)
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.model.params()]
    }

    fn losses(&self, point: &CurvePoint) -> Vec<f64> {
        vec![point.validation_nll]
    }
}
