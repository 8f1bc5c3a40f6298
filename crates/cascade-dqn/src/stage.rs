//! One network of the cascade as plain tensors. It is apart from the networks because the frozen
//! argmax takes the same tensors and computes their values in another way.

use candle_core::Tensor;
use foretaste_nn::Activation;

use crate::Result;

/// The parameters of one Q^j: L_jᵀ `[w + j d, l]`, c_j `[l]` and q_j `[l]`.
#[derive(Debug)]
pub(crate) struct Stage {
    pub weight: Tensor,
    pub bias: Tensor,
    pub output: Tensor,
}

impl Stage {
    /// Q^j `[rows, 1]` of `inputs` whose first columns are its own.
    pub fn value(&self, inputs: &Tensor, activation: Activation) -> Result<Tensor> {
        let inputs = inputs.narrow(1, 0, self.weight.dim(0)?)?.contiguous()?;
        let hidden = activation.forward_biased(&inputs.matmul(&self.weight)?, &self.bias)?;
        Ok(hidden.matmul(&self.output.unsqueeze(1)?)?)
    }
}
