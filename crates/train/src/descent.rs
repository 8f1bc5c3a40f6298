//! A step of an optimizer, with the checks that make divergence an error where it happens. All
//! trainings take their steps here.

use candle_core::Tensor;
use foretaste_nn::{Adam, Params, backward, scalar};

use crate::{Error, Result};

/// One step of an optimizer down a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// The loss before the step.
    pub loss: f64,
    /// The gradient's Euclidean norm before clipping.
    pub gradient_norm: f64,
}

/// Takes one step down `loss`, a scalar tensor.
///
/// # Errors
/// [`Error::Diverged`] if the loss or its gradient is not finite: nothing is then changed.
pub fn descend(adam: &mut Adam, loss: &Tensor) -> Result<Descent> {
    let iteration = adam.steps() + 1;
    let value = scalar(loss)?;
    if !value.is_finite() {
        return Err(Error::Diverged { iteration, problem: format!("the loss is {value}") });
    }
    match adam.step(&backward(loss)?) {
        Ok(gradient_norm) => Ok(Descent { loss: value, gradient_norm }),
        Err(reason @ foretaste_nn::Error::NotFinite { .. }) => {
            Err(Error::Diverged { iteration, problem: reason.to_string() })
        }
        Err(reason) => Err(reason.into()),
    }
}

/// Refuses parameters that the `iteration`s so far left with a number that is not finite: an update
/// can be too large for its type though loss and gradient are not.
///
/// # Errors
/// [`Error::Diverged`] that names the parameter.
pub fn check_finite(params: &Params, iteration: u64) -> Result<()> {
    match params.not_finite()? {
        None => Ok(()),
        Some(name) => {
            let problem = format!("the parameter {name} holds a number that is not finite");
            Err(Error::Diverged { iteration, problem })
        }
    }
}

/// The means of N figures over the batches since they were last taken.
#[derive(Clone, Copy, Debug)]
pub struct Means<const N: usize> {
    sums: [f64; N],
    batches: u32,
}

impl<const N: usize> Default for Means<N> {
    fn default() -> Self {
        Self { sums: [0.0; N], batches: 0 }
    }
}

impl<const N: usize> Means<N> {
    /// Counts one more batch.
    pub fn add(&mut self, figures: [f64; N]) {
        self.sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        self.batches += 1;
    }

    /// The means, and a fresh start; `None` if there was no batch.
    pub fn take(&mut self) -> Option<[f64; N]> {
        let Self { sums, batches } = std::mem::take(self);
        (batches > 0).then(|| sums.map(|sum| sum / f64::from(batches)))
    }
}
