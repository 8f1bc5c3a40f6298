//! The deep part that wide & deep and DeepFM have in common.

use candle_core::Tensor;
use foretaste_nn::{Activation, Init, Mlp, Scope};

use crate::Result;

/// Hidden layers with ELU and a logit for every entry, from inputs of the entry and inputs of its
/// slate.
///
/// The layers are those of an MLP on both side by side; the slate's part of the first is computed
/// once for all its entries.
#[derive(Debug)]
pub(crate) struct Deep {
    /// `[outputs, inputs]`, those of the entry first.
    weight: Tensor,
    bias: Tensor,
    rest: Option<Mlp>,
}

impl Deep {
    /// Layers of the widths `hidden` on so many inputs.
    pub fn new(inputs: usize, hidden: &[usize], mut scope: Scope<'_>) -> Result<Self> {
        let outputs = hidden.first().copied().unwrap_or(1);
        let mut first = scope.scope("first");
        let weight = first.param("weight", (outputs, inputs), Init::glorot(inputs, outputs))?;
        let bias = first.param("bias", outputs, Init::Constant(0.0))?;
        let widths: Vec<usize> = hidden.iter().copied().chain([1]).collect();
        let rest = match hidden.is_empty() {
            false => Some(Mlp::new(&widths, Activation::Elu, scope.scope("rest"))?),
            true => None,
        };
        Ok(Self { weight, bias, rest })
    }

    /// `entries [entries, some]`, `impressions [impressions, others]` and the slate of each entry
    /// to logits `[entries, 1]`.
    pub fn forward(
        &self,
        entries: &Tensor,
        impressions: &Tensor,
        slate_of_entry: &Tensor,
    ) -> Result<Tensor> {
        let (inner, outer) = (entries.dim(1)?, impressions.dim(1)?);
        let of_entries = entries.matmul(&self.weight.narrow(1, 0, inner)?.t()?)?;
        let of_impressions = impressions
            .matmul(&self.weight.narrow(1, inner, outer)?.t()?)?
            .broadcast_add(&self.bias)?;
        let first = (of_entries + of_impressions.index_select(slate_of_entry, 0)?)?;
        match &self.rest {
            Some(rest) => Ok(rest.forward(&Activation::Elu.forward(&first)?)?),
            None => Ok(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use foretaste_nn::Params;
    use foretaste_random::Seed;

    /// Three entries of two slates: (1, 2), (3, 4) and (5, 6) with (7) and (8), the first two
    /// of the second slate.
    #[test]
    fn without_hidden_layers_the_logit_is_linear() {
        let mut params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let deep = Deep::new(3, &[], params.scope("deep")).unwrap();
        let set = |name: &str, values: Tensor| params.get(name).unwrap().set(&values).unwrap();
        set("deep.first.weight", Tensor::new(&[[1.0, 10.0, 100.0]], &Device::Cpu).unwrap());
        set("deep.first.bias", Tensor::new(&[0.5], &Device::Cpu).unwrap());
        let entries = Tensor::new(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu).unwrap();
        let impressions = Tensor::new(&[[7.0], [8.0]], &Device::Cpu).unwrap();
        let slate_of_entry = Tensor::new(&[1u32, 1, 0], &Device::Cpu).unwrap();
        let logits = deep.forward(&entries, &impressions, &slate_of_entry).unwrap();
        assert_eq!(logits.to_vec2::<f64>().unwrap(), [[821.5], [843.5], [765.5]]);
    }
}
