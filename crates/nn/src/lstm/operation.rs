//! The LSTM over a batch as one operation on candle's tape, whichever way it is computed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use candle_core::Tensor;

use super::{Input, Layer, LstmState};
use crate::tape::{Backward, Computed, Gradient, attach, record};
use crate::{Result, lock};

/// What a forward pass computed, with all that the backward pass needs of it.
pub(super) trait Pass: Send + Sized + 'static {
    /// The top layer's h after each step, `[rows, time, hidden]`.
    fn outputs(&self) -> candle_core::Result<Computed>;

    /// The last h and c of each layer, `[rows, hidden]`.
    fn last(&self) -> candle_core::Result<Vec<[Computed; 2]>>;

    /// The backward pass, from the gradient in the outputs and those in the last states, with the
    /// layers as they were.
    fn back(
        self,
        layers: &[Layer],
        outputs: &Tensor,
        last: LastGradients,
        gradients: &mut Gradients<'_>,
    ) -> candle_core::Result<()>;
}

/// The gradients in the last h and c of each layer, where the loss depends on them.
#[derive(Debug, Default)]
pub(super) struct LastGradients(BTreeMap<Argument, Tensor>);

impl LastGradients {
    /// Those of layer `layer`.
    pub(super) fn take(&mut self, layer: usize) -> [Option<Tensor>; 2] {
        [Argument::H(layer), Argument::C(layer)].map(|state| self.0.remove(&state))
    }
}

/// An argument of the operation, by layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Argument {
    Input,
    InputWeight(usize),
    HiddenWeight(usize),
    Bias(usize),
    H(usize),
    C(usize),
}

impl Argument {
    fn index(self) -> usize {
        match self {
            Self::Input => 0,
            Self::InputWeight(layer) => 1 + 5 * layer,
            Self::HiddenWeight(layer) => 2 + 5 * layer,
            Self::Bias(layer) => 3 + 5 * layer,
            Self::H(layer) => 4 + 5 * layer,
            Self::C(layer) => 5 + 5 * layer,
        }
    }
}

/// The gradients in the arguments, of those that want one.
#[derive(Debug)]
pub(super) struct Gradients<'a> {
    wanted: &'a [bool],
    found: Vec<Option<Gradient>>,
}

impl Gradients<'_> {
    /// Whether the argument wants a gradient.
    pub(super) fn want(&self, argument: Argument) -> bool {
        self.wanted[argument.index()]
    }

    /// Computes a gradient if it is wanted.
    pub(super) fn set(
        &mut self,
        argument: Argument,
        compute: impl FnOnce() -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<()> {
        if self.want(argument) {
            self.found[argument.index()] = Some(Gradient::Dense(compute()?));
        }
        Ok(())
    }
}

/// The outputs and last states of a pass, without a tape.
pub(super) fn untracked(pass: &impl Pass) -> Result<(Tensor, LstmState)> {
    let layers = pass.last()?.into_iter().map(|[h, c]| Ok((h.into_tensor()?, c.into_tensor()?)));
    Ok((pass.outputs()?.into_tensor()?, LstmState { layers: layers.collect::<Result<_>>()? }))
}

/// The outputs and last states of a pass, on candle's tape.
pub(super) fn tracked(
    pass: impl Pass,
    layers: &[Layer],
    input: Input<'_>,
    state: &LstmState,
) -> Result<(Tensor, LstmState)> {
    let mut arguments = vec![input.tensor()];
    for (layer, (h, c)) in layers.iter().zip(&state.layers) {
        arguments.extend([&layer.input_weight, &layer.hidden_weight, &layer.bias, h, c]);
    }
    let unused = layers[0].input_weight.detach();
    if let Input::Projected(_) = input {
        arguments[Argument::InputWeight(0).index()] = &unused;
    }
    let wanted: Vec<bool> = arguments.iter().map(|argument| argument.track_op()).collect();
    if !wanted.contains(&true) {
        return untracked(&pass);
    }
    let (outputs, states) = (pass.outputs()?, pass.last()?);
    let last = Arc::new(Mutex::new(LastGradients::default()));
    let backward = PassBack {
        pass: Mutex::new(Some(pass)),
        layers: layers.iter().map(Layer::detach).collect(),
        wanted,
        last: last.clone(),
    };
    let outputs = record(outputs, &arguments, backward)?;
    // The last states hang on the outputs, so that their gradients are known before the outputs'
    // own.
    let on_tape = |state, value| {
        let last = last.clone();
        attach(&outputs, "lstm-last-state", value, move |gradient| {
            lock(&last).0.insert(state, gradient.clone());
            Ok(())
        })
    };
    let states = states.into_iter().enumerate().map(|(layer, [h, c])| {
        Ok((on_tape(Argument::H(layer), h)?, on_tape(Argument::C(layer), c)?))
    });
    let layers = states.collect::<Result<_>>()?;
    Ok((outputs, LstmState { layers }))
}

/// The backward pass, which uses up what the forward pass kept.
struct PassBack<P> {
    pass: Mutex<Option<P>>,
    layers: Vec<Layer>,
    wanted: Vec<bool>,
    last: Arc<Mutex<LastGradients>>,
}

impl<P: Pass> Backward for PassBack<P> {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
        let Some(pass) = lock(&self.pass).take() else {
            candle_core::bail!(
                "an LSTM's backward pass uses up what its forward pass kept: run it forward again"
            )
        };
        let last = std::mem::take(&mut *lock(&self.last));
        let mut gradients =
            Gradients { wanted: &self.wanted, found: self.wanted.iter().map(|_| None).collect() };
        pass.back(&self.layers, gradient, last, &mut gradients)?;
        Ok(gradients.found)
    }
}
