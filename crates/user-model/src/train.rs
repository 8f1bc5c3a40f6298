use std::ops::ControlFlow;

use understudy_data::{Batches, Log, PaddedBatch, Split};
use understudy_nn::{Adam, backward, scalar};
use understudy_random::Seed;

use crate::{Error, Result, TrainConfig, UserModel};

/// One validation of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Updates done.
    pub iteration: u64,
    /// Mean of the batch losses since the last validation, in nats per display; none before any update.
    pub train_nll: Option<f64>,
    /// Negative log-likelihood of the validation sessions, in nats per display.
    pub validation_nll: f64,
}

/// What a fit found; the model then holds the parameters of the best validation.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Every validation in order, the first before any update.
    pub curve: Vec<CurvePoint>,
    /// The validation with the lowest negative log-likelihood.
    pub best: CurvePoint,
}

/// Fits the reward by maximum likelihood (GAN-CDQN Lemma 2: the min-max of the paper under Shannon's entropy) on the
/// training sessions of `split`, keeping the parameters that are best on its validation sessions.
///
/// Batches are shuffled from `seed`. `watch` hears of every iteration done and may stop the fit.
///
/// # Errors
/// [`Error::Diverged`] if a gradient or a loss is not finite; [`Error::Interrupted`] if `watch` broke off. The model then
/// holds the parameters of the last update.
pub fn fit(
    model: &UserModel,
    log: &Log,
    split: &Split,
    config: &TrainConfig,
    seed: Seed,
    mut watch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Fit> {
    config.check()?;
    let mut adam = Adam::new(model.params(), config.optimiser)?;
    let validate = |iteration: u64, train_nll: Option<f64>| {
        let validation_nll = model.nll(log, &split.validation)?;
        if !validation_nll.is_finite() {
            return Err(Error::Diverged { iteration, problem: format!("validation NLL is {validation_nll}") });
        }
        Ok(CurvePoint { iteration, train_nll, validation_nll })
    };
    let mut best = validate(0, None)?;
    let mut best_params = model.params().snapshot()?;
    let mut curve = vec![best];
    let (mut epoch, mut batches) = (0, Batches::shuffled(&split.train, config.batch, seed.index(0)));
    let (mut loss_sum, mut since_best) = (0.0, 0);
    for iteration in 1..=config.iterations {
        let sessions = match batches.next() {
            Some(sessions) => sessions,
            None => {
                epoch += 1;
                batches = Batches::shuffled(&split.train, config.batch, seed.index(epoch));
                batches.next().ok_or_else(|| Error::setting("split", "it has no training session"))?
            }
        };
        let loss = model.loss(&PaddedBatch::new(log, &sessions, None))?;
        let loss = loss.expect("a session has at least one step");
        loss_sum += scalar(&loss)?;
        adam.step(&backward(&loss)?).map_err(|reason| match reason {
            understudy_nn::Error::NotFinite { .. } => Error::Diverged { iteration, problem: reason.to_string() },
            other => other.into(),
        })?;
        if iteration % config.validate_every == 0 || iteration == config.iterations {
            let updates = iteration - curve[curve.len() - 1].iteration;
            let point = validate(iteration, Some(std::mem::take(&mut loss_sum) / updates as f64))?;
            curve.push(point);
            since_best += 1;
            if point.validation_nll < best.validation_nll {
                best = point;
                best_params = model.params().snapshot()?;
                since_best = 0;
            }
        }
        if watch(iteration).is_break() {
            return Err(Error::Interrupted);
        }
        if Some(since_best) == config.patience {
            break;
        }
    }
    model.params().restore(&best_params)?;
    Ok(Fit { curve, best })
}
