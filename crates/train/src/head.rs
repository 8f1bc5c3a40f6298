//! The linear layer behind the encoder of U, A and D. For acting it uses our own matrix product, by
//! which a session does not depend on its batch.

use candle_core::{Device, Tensor};
use foretaste_nn::{Init, Result, Scope, matmul, softmax_logits};

/// A linear layer on states: W s + b.
#[derive(Debug)]
pub struct Head {
    weight: Tensor,
    bias: Tensor,
}

impl Head {
    /// Creates `weight [inputs, outputs]`, by Glorot's rule, and `bias [outputs]`, 0.
    pub fn new(inputs: usize, outputs: usize, mut scope: Scope<'_>) -> Result<Self> {
        let weight = scope.param("weight", (inputs, outputs), Init::glorot(inputs, outputs))?;
        Ok(Self { weight, bias: scope.param("bias", outputs, Init::Constant(0.0))? })
    }

    /// W, transposed: `[inputs, outputs]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// b, `[outputs]`.
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// `[rows, inputs]` to `[rows, outputs]`, for training.
    pub fn forward(&self, states: &Tensor) -> Result<Tensor> {
        softmax_logits(states, &self.weight, &self.bias)
    }

    /// The head as it is now.
    pub fn freeze(&self) -> Result<Self> {
        Ok(Self { weight: self.weight.detach().copy()?, bias: self.bias.detach().copy()? })
    }

    /// As [`forward`](Self::forward) without gradients: on the CPU a row does not depend on the
    /// rows around it.
    pub fn act(&self, states: &Tensor) -> Result<Tensor> {
        match states.device() {
            Device::Cpu => Ok(matmul(states, &self.weight)?.broadcast_add(&self.bias)?),
            _ => self.forward(states),
        }
    }
}
