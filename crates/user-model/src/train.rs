use std::ops::ControlFlow;

use candle_core::Tensor;
use foretaste_data::{Batches, Log, PaddedBatch, Split};
use foretaste_nn::{Adam, backward, scalar};
use foretaste_random::Seed;

use crate::displays::Displays;
use crate::{Error, Result, TrainConfig, UserModel};

/// One validation of a fit. Its losses are Fenchel-Young losses of the model's regulariser; under
/// Shannon they are negative log-likelihoods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Updates done.
    pub iteration: u64,
    /// Mean of the batch losses since the last validation, per display (nats under Shannon); none
    /// before any update.
    pub train_nll: Option<f64>,
    /// Mean loss of the validation sessions, per display (nats under Shannon).
    pub validation_nll: f64,
    /// Mean over the batches since the last validation of the gradient's Euclidean norm before
    /// clipping; none before any update.
    pub gradient_norm: Option<f64>,
}

/// What a fit tells its watcher of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update<P = CurvePoint> {
    /// Updates done.
    pub iteration: u64,
    /// The validation, where one was made now.
    pub point: Option<P>,
}

/// What a fit found; the model then holds the parameters of the best validation.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Every validation in order, the first before any update.
    pub curve: Vec<CurvePoint>,
    /// The validation with the lowest loss.
    pub best: CurvePoint,
}

/// Fits the reward on the training sessions of `split`, keeping the parameters that are best on its
/// validation sessions: by maximum likelihood under Shannon's entropy (GAN-CDQN Lemma 2: the
/// min-max of the paper), by the least Fenchel-Young loss under another regulariser, which is the
/// same min-max with its inner maximum solved exactly. What the training sessions pay and when they
/// end is counted along with it ([`UserModel::learn_outcomes`]).
///
/// Batches are shuffled from `seed`. `watch` hears of the validation before any update and of every
/// iteration done, and may stop the fit.
///
/// # Errors
/// [`Error::Diverged`] if a gradient or a loss is not finite; [`Error::Interrupted`] if `watch`
/// broke off. The model then holds the parameters of the last update.
pub fn fit(
    model: &mut UserModel,
    log: &Log,
    split: &Split,
    config: &TrainConfig,
    seed: Seed,
    watch: impl FnMut(Update) -> ControlFlow<()>,
) -> Result<Fit> {
    config.check()?;
    model.learn_outcomes(log, &split.train)?;
    let model = &*model;
    let mut adam = Adam::new(model.params(), config.optimiser)?;
    let course = Course { log, split, config, seed };
    let update = |iteration: u64, batch: &PaddedBatch| {
        let displays = Displays::new(batch, model.params().device())?;
        let Step { loss, gradient_norm } =
            descend(&mut adam, &model.batch_loss(&displays)?, iteration)?;
        Ok([loss, gradient_norm])
    };
    let validate = |iteration, means: Option<[f64; 2]>| {
        let validation_nll = model.loss(log, &split.validation)?;
        let (train_nll, gradient_norm) = (means.map(|[loss, _]| loss), means.map(|[_, norm]| norm));
        Ok(CurvePoint { iteration, train_nll, validation_nll, gradient_norm })
    };
    let (curve, best) =
        course.run(&[model], watch, update, validate, |point| point.validation_nll)?;
    Ok(Fit { curve, best })
}

/// What every way of training shares: batches, validations, patience, the best parameters.
pub(crate) struct Course<'a> {
    pub log: &'a Log,
    pub split: &'a Split,
    pub config: &'a TrainConfig,
    pub seed: Seed,
}

impl<'a> Course<'a> {
    /// Calls `update`, which gives the values of a batch, for every iteration; `validate` makes a
    /// point of the curve from the iteration and the means of the values since the last point, and
    /// `loss` decides which one is best. `models` then hold the parameters that they had at the
    /// best point.
    pub fn run<P: Copy, const N: usize>(
        &self,
        models: &[&UserModel],
        mut watch: impl FnMut(Update<P>) -> ControlFlow<()>,
        mut update: impl FnMut(u64, &PaddedBatch) -> Result<[f64; N]>,
        validate: impl Fn(u64, Option<[f64; N]>) -> Result<P>,
        loss: impl Fn(&P) -> f64,
    ) -> Result<(Vec<P>, P)> {
        let snapshot = || {
            models.iter().map(|model| Ok(model.params().snapshot()?)).collect::<Result<Vec<_>>>()
        };
        let validate = |iteration, means| {
            let point = validate(iteration, means)?;
            finite("validation loss", loss(&point), iteration)?;
            Ok::<P, Error>(point)
        };
        let mut tell = |iteration, point| match watch(Update { iteration, point }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        };
        let mut best = validate(0, None)?;
        let mut best_params = snapshot()?;
        let mut curve = vec![best];
        tell(0, Some(best))?;
        let (mut sums, mut updates, mut since_best) = ([0.0; N], 0, 0);
        let mut batches = self.batches(self.seed)?;
        for iteration in 1..=self.config.iterations {
            let values = update(iteration, &batches.next().expect("batches do not end"))?;
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            updates += 1;
            let mut seen = None;
            if iteration % self.config.validate_every == 0 || iteration == self.config.iterations {
                let point = validate(iteration, Some(sums.map(|sum| sum / f64::from(updates))))?;
                (sums, updates, seen) = ([0.0; N], 0, Some(point));
                curve.push(point);
                since_best += 1;
                if loss(&point) < loss(&best) {
                    best = point;
                    best_params = snapshot()?;
                    since_best = 0;
                }
            }
            tell(iteration, seen)?;
            if Some(since_best) == self.config.patience {
                break;
            }
        }
        for (model, params) in models.iter().zip(&best_params) {
            model.params().restore(params)?;
        }
        Ok((curve, best))
    }

    /// Batches of the training sessions without end, shuffled anew in every epoch.
    pub fn batches(&self, seed: Seed) -> Result<impl Iterator<Item = PaddedBatch> + use<'a>> {
        let (log, train, size) = (self.log, &self.split.train, self.config.batch);
        if train.is_empty() {
            return Err(Error::setting("split", "it has no training session"));
        }
        let epochs = (0..).flat_map(move |epoch| Batches::shuffled(train, size, seed.index(epoch)));
        Ok(epochs.map(move |sessions| PaddedBatch::new(log, &sessions, None)))
    }
}

/// What a loss was before a step down it.
pub(crate) struct Step {
    pub loss: f64,
    /// Before clipping.
    pub gradient_norm: f64,
}

/// One step down `loss`.
pub(crate) fn descend(adam: &mut Adam, loss: &Tensor, iteration: u64) -> Result<Step> {
    let value = finite("loss", scalar(loss)?, iteration)?;
    match adam.step(&backward(loss)?) {
        Err(reason @ foretaste_nn::Error::NotFinite { .. }) => {
            Err(Error::Diverged { iteration, problem: reason.to_string() })
        }
        other => Ok(Step { loss: value, gradient_norm: other? }),
    }
}

fn finite(what: &str, value: f64, iteration: u64) -> Result<f64> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(Error::Diverged { iteration, problem: format!("the {what} is {value}") }),
    }
}
