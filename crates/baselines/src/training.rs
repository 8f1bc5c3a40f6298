//! Training with early stopping, as all networks of this crate use it, and the learning curve that
//! networks and trees report in the same form.

use std::ops::ControlFlow;

use candle_core::Tensor;
use foretaste_nn::{Adam, AdamConfig, Params};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{Candidates, EndlessBatches, Fit, FitConfig, Means, Progress, descend};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a network is trained: Adam on shuffled mini-batches, stopped early by the likelihood of the
/// validation sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Step size of Adam.
    pub learning_rate: f64,
    /// Slates, or sessions for the session RNN, in a batch.
    pub batch: usize,
    /// Updates at most.
    pub iterations: u64,
    /// Updates between two validations.
    pub validate_every: u64,
    /// Stop after this many validations in a row without a new best.
    pub patience: u64,
    /// Validate on slates with a click that show about so many items, drawn from the seed, or on
    /// all if they show no more: scoring an item costs about a third of training on it. The choice
    /// among models takes all validation sessions.
    pub validation_items: usize,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            learning_rate: 2e-3,
            batch: 50,
            iterations: 1_500,
            validate_every: 20,
            patience: 10,
            validation_items: 10_000,
        }
    }
}

impl Training {
    fn check(&self) -> Result<()> {
        let counts = [self.iterations, self.validate_every, self.patience];
        if self.batch == 0 || self.validation_items == 0 || counts.contains(&0) {
            return Err(Setting::of("training", self, "every count to be at least 1").into());
        }
        Ok(())
    }
}

/// What was seen of a fit at one point of it.
///
/// | model | iteration | training loss | validation loss |
/// |---|---|---|---|
/// | S-RNN | update | cross-entropy, nats per click | NLL given a click |
/// | DFM, W&D-LR | update | log-loss, nats per shown item | NLL given a click |
/// | W&D-CCF | update | NLL given a click, nats per choice | NLL given a click |
/// | XGBOOST | tree, from 1 | log-loss, nats per shown item | log-loss, nats per shown item |
///
/// The NLL given a click of validation is in nats per choice, over [`Training::validation_items`].
/// A network's training loss is the mean over the updates since the point before, each taken before
/// its update; trees are judged on the rows that they are grown on, respectively stopped by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Updates or trees up to here.
    pub iteration: u64,
    /// The loss of training; `None` before the first update.
    pub training_loss: Option<f64>,
    /// The loss of validation, which chooses where to stop.
    pub validation_loss: f64,
}

/// Called for a network before any update and after every one; may stop it.
pub(crate) type Callback<'a> = &'a mut dyn FnMut(Progress<CurvePoint>) -> ControlFlow<()>;

/// Trains `params`, leaves those of the lowest `validate`, the one before any update among them,
/// and returns the learning curve.
///
/// `examples` are shuffled into batches again in every epoch; `loss` gets a batch of them and a
/// seed of its own.
pub(crate) fn train(
    params: &Params,
    config: &Training,
    examples: &[usize],
    seed: Seed,
    loss: impl Fn(&[usize], Seed) -> Result<Tensor>,
    validate: impl Fn() -> Result<f64>,
    callback: Callback<'_>,
) -> Result<Vec<CurvePoint>> {
    config.check()?;
    let settings = AdamConfig { learning_rate: config.learning_rate, ..AdamConfig::default() };
    let mut learner = Learner {
        params,
        adam: Adam::new(params, settings)?,
        batches: EndlessBatches::new(examples, config.batch, seed.derive("epochs"))?,
        seed: seed.derive("loss"),
        loss,
        validate,
        training_loss: Means::default(),
    };
    let fit = FitConfig {
        iterations: config.iterations,
        validate_every: config.validate_every,
        patience: Some(config.patience),
        candidates: Candidates::All,
    };
    Ok(foretaste_train::fit(&mut learner, fit, callback)?.curve)
}

/// A network with its optimizer and its examples.
struct Learner<'a, L, V> {
    params: &'a Params,
    adam: Adam,
    batches: EndlessBatches<'a>,
    seed: Seed,
    loss: L,
    validate: V,
    training_loss: Means<1>,
}

impl<L, V> Fit for Learner<'_, L, V>
where
    L: Fn(&[usize], Seed) -> Result<Tensor>,
    V: Fn() -> Result<f64>,
{
    type Point = CurvePoint;
    type Error = Error;

    fn train(&mut self, iteration: u64) -> Result<()> {
        let loss = (self.loss)(&self.batches.next_batch(), self.seed.index(iteration))?;
        self.training_loss.add([descend(&mut self.adam, &loss)?.loss]);
        Ok(())
    }

    fn validate(&mut self, iteration: u64) -> Result<CurvePoint> {
        let validation_loss = (self.validate)().map_err(|reason| match reason {
            Error::Metric(foretaste_eval::Error::NotFinite { .. }) => {
                foretaste_train::Error::Diverged { iteration, problem: reason.to_string() }.into()
            }
            other => other,
        })?;
        let training_loss = self.training_loss.take().map(|[loss]| loss);
        Ok(CurvePoint { iteration, training_loss, validation_loss })
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.params]
    }

    fn losses(&self, point: &CurvePoint) -> Vec<f64> {
        vec![point.validation_loss]
    }
}
