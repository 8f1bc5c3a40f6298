use std::ops::ControlFlow;

use foretaste_data::{Log, PaddedBatch, Split};
use foretaste_nn::{Adam, Params};
use foretaste_random::Seed;
use foretaste_train::{
    Candidates, Descent, EndlessBatches, Fit, FitConfig, Fitted, Means, Progress, descend,
};
use serde::{Deserialize, Serialize};

use crate::impressions::Impressions;
use crate::{Error, Result, TrainConfig, UserModel};

/// One validation of a fit. Its losses are Fenchel-Young losses of the model's regulariser; under
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
    /// Mean over the batches since the last validation of the gradient's Euclidean norm before
    /// clipping; none before any update.
    pub gradient_norm: Option<f64>,
}

/// Fits the reward on the training sessions of `split`, keeping the parameters that are best on its
/// validation sessions: by maximum likelihood under Shannon's entropy (GAN-CDQN Lemma 2: the
/// min-max of the paper), by the least Fenchel-Young loss under another regulariser, which is the
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
    config.check()?;
    model.learn_outcomes(log, &split.train)?;
    let model = &*model;
    let adam = Adam::new(model.params(), config.optimiser)?;
    let batches = EndlessBatches::new(&split.train, config.batch, seed)?;
    let mut learner = Likelihood { model, adam, batches, log, split, train: Means::default() };
    foretaste_train::fit(&mut learner, config.fit(), callback)
}

impl TrainConfig {
    pub(crate) fn fit(&self) -> FitConfig {
        FitConfig {
            iterations: self.iterations,
            validate_every: self.validate_every,
            patience: self.patience,
            candidates: Candidates::All,
        }
    }
}

/// A model that learns by its own loss.
struct Likelihood<'a> {
    model: &'a UserModel,
    adam: Adam,
    batches: EndlessBatches<'a>,
    log: &'a Log,
    split: &'a Split,
    /// Loss and gradient norm.
    train: Means<2>,
}

impl Fit for Likelihood<'_> {
    type Point = CurvePoint;
    type Error = Error;

    fn train(&mut self, _iteration: u64) -> Result<()> {
        let batch = PaddedBatch::new(self.log, &self.batches.next_batch(), None);
        let impressions = Impressions::new(&batch, self.model.params().device())?;
        let loss = self.model.batch_loss(&impressions)?;
        let Descent { loss, gradient_norm } = descend(&mut self.adam, &loss)?;
        self.train.add([loss, gradient_norm]);
        Ok(())
    }

    fn validate(&mut self, iteration: u64) -> Result<CurvePoint> {
        let means = self.train.take();
        Ok(CurvePoint {
            iteration,
            train_nll: means.map(|[loss, _]| loss),
            validation_nll: self.model.loss(self.log, &self.split.validation)?,
            gradient_norm: means.map(|[_, norm]| norm),
        })
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.model.params()]
    }

    fn losses(&self, point: &CurvePoint) -> Vec<f64> {
        vec![point.validation_nll]
    }
}
