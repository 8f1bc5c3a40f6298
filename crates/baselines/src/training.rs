use std::ops::ControlFlow;

use candle_core::Tensor;
use foretaste_data::Batches;
use foretaste_eval::EvalError;
use foretaste_nn::{Adam, AdamConfig, Params};
use foretaste_random::Seed;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a network is trained: Adam on shuffled mini-batches, stopped early by the likelihood of the
/// validation sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Step size of Adam.
    pub learning_rate: f64,
    /// Displays, or sessions for the session RNN, in a batch.
    pub batch: usize,
    /// Updates at most.
    pub iterations: u64,
    /// Updates between two validations.
    pub validate_every: u64,
    /// Stop after this many validations in a row without a new best.
    pub patience: u64,
    /// Validate on displays with a click that show about so many items, drawn from the seed, or on
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
            return Err(Error::setting(
                "training",
                format!("{self:?}: expected every count to be at least 1"),
            ));
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
/// | W&D-CCF | update | NLL given a click, nats per display | NLL given a click |
/// | XGBOOST | tree, from 1 | log-loss, nats per shown item | log-loss, nats per shown item |
///
/// The NLL given a click of validation is in nats per display, over [`Training::validation_items`].
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

/// What the fit of a network tells its watcher of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Updates done.
    pub iteration: u64,
    /// The point of the learning curve, where one was made now.
    pub point: Option<CurvePoint>,
}

/// Told of a network before any update and of every update; may stop it.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(Update) -> ControlFlow<()>;

/// Trains `params`, leaves those of the lowest `validate`, the one before any update among them,
/// and returns the learning curve.
///
/// `examples` are shuffled into batches anew in every epoch; `loss` gets a batch of them and a seed
/// of its own.
pub(crate) fn train(
    params: &Params,
    config: &Training,
    examples: &[usize],
    seed: Seed,
    loss: impl Fn(&[usize], Seed) -> Result<Tensor>,
    validate: impl Fn() -> Result<f64>,
    watch: Watch<'_>,
) -> Result<Vec<CurvePoint>> {
    config.check()?;
    let settings = AdamConfig { learning_rate: config.learning_rate, ..AdamConfig::default() };
    let mut adam = Adam::new(params, settings)?;
    let (mut best, mut best_params, mut since_best) = (validate()?, params.snapshot()?, 0);
    let mut tell = |iteration, point| match watch(Update { iteration, point }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    };
    let first = CurvePoint { iteration: 0, training_loss: None, validation_loss: best };
    tell(0, Some(first))?;
    let mut curve = vec![first];
    let mut losses = Vec::new();
    let epochs = seed.derive("epochs");
    let (mut epoch, mut batches) = (0, Batches::shuffled(examples, config.batch, epochs.index(0)));
    for iteration in 1..=config.iterations {
        let batch = match batches.next() {
            Some(batch) => batch,
            None => {
                epoch += 1;
                batches = Batches::shuffled(examples, config.batch, epochs.index(epoch));
                batches.next().ok_or_else(|| {
                    Error::setting("training sessions", "nothing in them to learn from")
                })?
            }
        };
        let diverged = |problem: String| Error::Diverged { iteration, problem };
        let loss = loss(&batch, seed.derive("loss").index(iteration))?;
        losses.push(foretaste_nn::scalar(&loss)?);
        step(&mut adam, &loss).map_err(|reason| match reason {
            foretaste_nn::Error::NotFinite { .. } => diverged(reason.to_string()),
            other => other.into(),
        })?;
        let mut seen = None;
        if iteration % config.validate_every == 0 || iteration == config.iterations {
            let nll = validate().map_err(|reason| match reason {
                Error::Metric(EvalError::NotFinite { .. }) => diverged(reason.to_string()),
                other => other,
            })?;
            let training_loss = Some(losses.iter().sum::<f64>() / losses.len() as f64);
            seen = Some(CurvePoint { iteration, training_loss, validation_loss: nll });
            curve.extend(seen);
            losses.clear();
            since_best += 1;
            if nll < best {
                (best, best_params, since_best) = (nll, params.snapshot()?, 0);
            }
        }
        tell(iteration, seen)?;
        if since_best == config.patience {
            break;
        }
    }
    params.restore(&best_params)?;
    Ok(curve)
}

/// One update down the gradient of `loss`.
fn step(adam: &mut Adam, loss: &Tensor) -> foretaste_nn::Result<f64> {
    adam.step(&foretaste_nn::backward(loss)?)
}
