//! A backward pass, and the gradients of the parameters that it collects.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, TensorId};

use super::Gradient;
use crate::Result;

/// The gradients of a loss in its parameters, by [`backward`].
///
/// The gradient of a table of which a batch uses a few rows holds those rows alone.
#[derive(Debug, Default)]
pub struct Gradients {
    by_id: HashMap<TensorId, Gradient>,
}

/// The gradients of `loss`, a tensor of one entry, in every parameter that it was computed from.
///
/// The same numbers as candle's [`Tensor::backward`], which works too but spends a pass over each
/// parameter on zeros and another on adding to them, and fills a table's gradient with zeros for
/// the rows that were not used.
pub fn backward(loss: &Tensor) -> Result<Gradients> {
    let pass = Pass::open();
    let candles = loss.backward()?;
    let mut gradients = pass.close();
    gradients.add_all(&candles)?;
    Ok(gradients)
}

impl Gradients {
    /// The gradient in `tensor`, zeros included, or nothing if the loss does not depend on it.
    pub fn get(&self, tensor: &Tensor) -> Result<Option<Tensor>> {
        let stored = self.stored(tensor);
        Ok(stored.map(|gradient| gradient.dense(tensor.shape())).transpose()?)
    }

    /// The gradient in `tensor`, in the form in which it was handed over.
    pub(crate) fn stored(&self, tensor: &Tensor) -> Option<&Gradient> {
        self.by_id.get(&tensor.id())
    }

    /// Adds the gradients that candle found.
    pub(crate) fn add_all(&mut self, candles: &GradStore) -> candle_core::Result<()> {
        for &id in candles.get_ids() {
            if let Some(gradient) = candles.get_id(id) {
                self.add(id, Gradient::Dense(gradient.clone()))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, id: TensorId, gradient: Gradient) -> candle_core::Result<()> {
        let sum = match self.by_id.remove(&id) {
            None => gradient,
            Some(sum) => sum.sum(gradient)?,
        };
        self.by_id.insert(id, sum);
        Ok(())
    }
}

/// Hands a parameter's gradient to the open [`backward`] of this thread. Gives the gradient back,
/// as candle wants it, where none is open: in a pass of candle's own.
pub(super) fn hand_over(
    parameter: &Tensor,
    gradient: Gradient,
) -> candle_core::Result<Option<Tensor>> {
    OPEN.with_borrow_mut(|open| match open {
        Some(open) => open.add(parameter.id(), gradient).map(|()| None),
        None => gradient.dense(parameter.shape()).map(Some),
    })
}

thread_local! {
    /// What the open [`backward`] of this thread was handed so far.
    static OPEN: RefCell<Option<Gradients>> = const { RefCell::new(None) };
}

/// An open [`backward`]; whether it is closed or dropped, the one around it is open again.
struct Pass {
    outer: Option<Gradients>,
}

impl Pass {
    fn open() -> Self {
        Self { outer: OPEN.replace(Some(Gradients::default())) }
    }

    fn close(self) -> Gradients {
        OPEN.take().unwrap_or_default()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        OPEN.set(self.outer.take());
    }
}
