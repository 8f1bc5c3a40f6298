use std::ops::ControlFlow;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use understudy_data::Batches;
use understudy_eval::EvalError;
use understudy_nn::{Adam, AdamConfig, Params};
use understudy_random::Seed;

use crate::{Error, Result};

/// How a network is trained: Adam on shuffled mini-batches, stopped early by the likelihood of the validation sessions.
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
    /// Validate on so many displays: whole validation sessions, drawn from the seed, until there are as many. The choice
    /// among models takes all validation sessions.
    pub validation_displays: usize,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            learning_rate: 2e-3,
            batch: 50,
            iterations: 2_000,
            validate_every: 20,
            patience: 10,
            validation_displays: 2_000,
        }
    }
}

impl Training {
    fn check(&self) -> Result<()> {
        let counts = [self.iterations, self.validate_every, self.patience];
        if self.batch == 0 || self.validation_displays == 0 || counts.contains(&0) {
            return Err(Error::setting("training", format!("{self:?}: expected every count to be at least 1")));
        }
        Ok(())
    }
}

/// Told of every update of a network; may stop it.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// Trains `params` and leaves those of the lowest `validate`, the one before any update among them.
///
/// `examples` are shuffled into batches anew in every epoch; `loss` gets a batch of them and a seed of its own.
pub(crate) fn train(
    params: &Params,
    config: &Training,
    examples: &[usize],
    seed: Seed,
    loss: impl Fn(&[usize], Seed) -> Result<Tensor>,
    validate: impl Fn() -> Result<f64>,
    watch: Watch<'_>,
) -> Result<()> {
    config.check()?;
    let settings = AdamConfig { learning_rate: config.learning_rate, ..AdamConfig::default() };
    let mut adam = Adam::new(params, settings)?;
    let (mut best, mut best_params, mut since_best) = (validate()?, params.snapshot()?, 0);
    let epochs = seed.derive("epochs");
    let (mut epoch, mut batches) = (0, Batches::shuffled(examples, config.batch, epochs.index(0)));
    for iteration in 1..=config.iterations {
        let batch = match batches.next() {
            Some(batch) => batch,
            None => {
                epoch += 1;
                batches = Batches::shuffled(examples, config.batch, epochs.index(epoch));
                batches.next().ok_or_else(|| Error::setting("training sessions", "nothing in them to learn from"))?
            }
        };
        let diverged = |problem: String| Error::Diverged { iteration, problem };
        step(&mut adam, &loss(&batch, seed.derive("loss").index(iteration))?).map_err(|reason| match reason {
            understudy_nn::Error::NotFinite { .. } => diverged(reason.to_string()),
            other => other.into(),
        })?;
        if iteration % config.validate_every == 0 || iteration == config.iterations {
            let nll = validate().map_err(|reason| match reason {
                Error::Metric(EvalError::NotFinite { .. }) => diverged(reason.to_string()),
                other => other,
            })?;
            since_best += 1;
            if nll < best {
                (best, best_params, since_best) = (nll, params.snapshot()?, 0);
            }
        }
        if watch(iteration).is_break() {
            return Err(Error::Interrupted);
        }
        if since_best == config.patience {
            break;
        }
    }
    Ok(params.restore(&best_params)?)
}

/// One update down the gradient of `loss`.
fn step(adam: &mut Adam, loss: &Tensor) -> understudy_nn::Result<f64> {
    adam.step(&understudy_nn::backward(loss)?)
}
