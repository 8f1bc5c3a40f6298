//! Multilayer perceptrons, as in GAN-CDQN's reward and Q-networks, and their non-linearities.

mod biased;
mod frozen;

use candle_core::Tensor;
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::kernel::Real;
use crate::{Init, Result, Scope};

pub use frozen::{FrozenMlp, Workspace, add_rows};

/// The non-linearity σ between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x for x > 0, eˣ - 1 below (Clevert et al. 2016): what GAN-CDQN's released code uses.
    Elu,
    /// Hyperbolic tangent.
    Tanh,
    /// No non-linearity.
    Identity,
}

impl Activation {
    /// σ(x), entry by entry; keeps the shape.
    ///
    /// # Errors
    /// An error of the network if the device fails.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self.on_cpu(x, None) {
            Some(result) if self != Self::Identity => result,
            _ => self.composed(x),
        }
    }

    /// The same by candle's operations.
    fn composed(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Elu => x.elu(1.0)?,
            Self::Tanh => x.tanh()?,
            Self::Identity => x.clone(),
        })
    }

    /// σ(x) of one number: what [`FrozenMlp`] takes of each.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::Elu => Real::elu(x),
            Self::Tanh => Real::tanh(x),
            Self::Identity => x,
        }
    }
}

/// Linear layers with an [`Activation`] between them, none after the last.
#[derive(Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    activation: Activation,
}

impl Mlp {
    /// Layers of the given widths, inputs first and outputs last; layer `i` is named `i`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there are fewer than two widths or one is 0.
    pub fn new(widths: &[usize], activation: Activation, mut scope: Scope<'_>) -> Result<Self> {
        if widths.len() < 2 || widths.contains(&0) {
            let problem =
                format!("{widths:?}: expected inputs, layers and outputs, all at least 1");
            return Err(Setting::new("MLP widths", problem).into());
        }
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(i, pair)| Linear::new(pair[0], pair[1], scope.scope(&i.to_string())))
            .collect::<Result<_>>()?;
        Ok(Self { layers, activation })
    }

    /// `[rows, inputs]` to `[rows, outputs]`.
    ///
    /// # Errors
    /// An error of the network if the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.last(&self.hidden(x)?)
    }

    /// `[rows, inputs]` to what the last layer takes, `[rows, width]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn hidden(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = &self.layers[..self.layers.len() - 1];
        hidden.iter().try_fold(x.clone(), |x, layer| layer.forward(&x, self.activation))
    }

    /// The last layer alone: what it takes, `[rows, width]`, to `[rows, outputs]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn last(&self, hidden: &Tensor) -> Result<Tensor> {
        let last = self.layers.last().expect("an MLP has a layer");
        last.forward(hidden, Activation::Identity)
    }
}

/// y = x Wᵀ + b, W drawn by Glorot's rule, b = 0.
#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Creates `weight [outputs, inputs]` and `bias [outputs]` in `scope`.
    fn new(inputs: usize, outputs: usize, mut scope: Scope<'_>) -> Result<Self> {
        let weight = scope.param("weight", (outputs, inputs), Init::glorot(inputs, outputs))?;
        let bias = scope.param("bias", outputs, Init::Constant(0.0))?;
        Ok(Self { weight, bias })
    }

    /// σ(y): `[rows, inputs]` to `[rows, outputs]`.
    fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        activation.forward_biased(&x.matmul(&self.weight.t()?)?, &self.bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;
    use crate::gradient_check::check_gradients;
    use candle_core::{DType, Device};
    use foretaste_random::Seed;

    #[test]
    fn gradients_match_finite_differences() {
        for activation in [Activation::Elu, Activation::Tanh, Activation::Identity] {
            let mut params = Params::new(Seed::new(5), DType::F64, &Device::Cpu);
            let mlp = Mlp::new(&[3, 4, 2], activation, params.scope("m")).unwrap();
            let x = params.scope("data").param("x", (5, 3), Init::Normal { sd: 1.0 }).unwrap();
            check_gradients(&params, || Ok(mlp.forward(&x)?.sqr()?.sum_all()?));
        }
    }

    #[test]
    fn a_layer_of_known_weights() {
        let mut params = Params::new(Seed::new(5), DType::F32, &Device::Cpu);
        let mlp = Mlp::new(&[2, 1, 1], Activation::Elu, params.scope("m")).unwrap();
        for (name, values) in
            [("m.0.weight", vec![1f32, -2.0]), ("m.0.bias", vec![0.5]), ("m.1.weight", vec![3.0])]
        {
            let var = params.get(name).unwrap();
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        let x = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        let y = mlp.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y[0][0], 4.5);
        assert!((y[1][0] - 3.0 * ((-1.5f32).exp() - 1.0)).abs() < 1e-6);
    }

    #[test]
    fn a_frozen_mlp_scores_every_row_as_the_layers_do_whatever_stands_beside_it() {
        for (activation, widths) in [
            (Activation::Elu, vec![70, 40, 33, 1]),
            (Activation::Tanh, vec![3, 64, 1]),
            (Activation::Identity, vec![5, 1]),
        ] {
            let mut params = Params::new(Seed::new(5), DType::F32, &Device::Cpu);
            let mlp = Mlp::new(&widths, activation, params.scope("m")).unwrap();
            let x = (37, widths[0]);
            let x = params.scope("data").param("x", x, Init::Normal { sd: 1.5 }).unwrap();
            let expected = mlp.forward(&activation.forward(&x).unwrap()).unwrap();
            let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
            let (rows, frozen) = (x.to_vec2::<f32>().unwrap(), mlp.freeze().unwrap());
            let mut workspace = Workspace::default();
            let mut scored = |first: usize, count: usize| {
                let mut scores = vec![0.0; count];
                let fill = |row: usize, values: &mut [f32]| {
                    values.copy_from_slice(&rows[first + row]);
                };
                frozen.scores(&mut workspace, fill, &mut scores);
                scores
            };
            let all = scored(0, 37);
            for (found, expected) in all.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
            assert_eq!([scored(0, 1), scored(1, 20), scored(21, 16)].concat(), all);
        }
        let mut params = Params::new(Seed::new(5), DType::F32, &Device::Cpu);
        assert!(Mlp::new(&[2, 3], Activation::Elu, params.scope("m")).unwrap().freeze().is_err());
    }

    #[test]
    fn scores_less_norms_are_those_of_the_layers_less_the_norms_whatever_stands_beside_a_row() {
        for (widths, count) in [(vec![70, 40, 33, 1], 33), (vec![5, 1], 7), (vec![3, 64, 1], 40)] {
            let mut params = Params::new(Seed::new(5), DType::F32, &Device::Cpu);
            let activation = Activation::Elu;
            let mlp = Mlp::new(&widths, activation, params.scope("m")).unwrap();
            let (x, width) = ((37, widths[0]), widths[widths.len() - 2]);
            let normal = Init::Normal { sd: 1.5 };
            let x = params.scope("data").param("x", x, normal).unwrap();
            let map = params.scope("data").param("map", (count, width), normal).unwrap();
            let hidden = mlp.hidden(&activation.forward(&x).unwrap()).unwrap();
            let norms = hidden.matmul(&map.t().unwrap()).unwrap().sqr().unwrap().sum(1).unwrap();
            let norms = norms.sqrt().unwrap().to_vec1::<f32>().unwrap();
            let map: Vec<f32> = map.flatten_all().unwrap().to_vec1().unwrap();
            let rows = x.to_vec2::<f32>().unwrap();
            let mut workspace = Workspace::default();
            let mut scored = |frozen: &FrozenMlp, first: usize, count: usize| {
                let mut scores = vec![0.0; count];
                let fill = |row: usize, values: &mut [f32]| {
                    values.copy_from_slice(&rows[first + row]);
                };
                frozen.scores(&mut workspace, fill, &mut scores);
                scores
            };
            let plain = mlp.freeze().unwrap();
            let less = plain.clone().less_norms(&map).unwrap();
            let (before, after) = (scored(&plain, 0, 37), scored(&less, 0, 37));
            for ((before, after), norm) in before.iter().zip(&after).zip(&norms) {
                assert!((before - after - norm).abs() < 1e-5 * (1.0 + norm), "{before} {after}");
            }
            let parts = [(0, 1), (1, 20), (21, 16)].map(|(at, count)| scored(&less, at, count));
            assert_eq!(parts.concat(), after);
            let none = plain.clone().less_norms(&vec![0.0; map.len()]).unwrap();
            assert_eq!(scored(&none, 0, 37), before);
            assert!(plain.clone().less_norms(&map[1..]).is_err());
            assert!(plain.less_norms(&[]).is_err());
        }
    }

    #[test]
    fn widths_are_checked() {
        let mut params = Params::new(Seed::new(5), DType::F32, &Device::Cpu);
        assert!(Mlp::new(&[3], Activation::Elu, params.scope("a")).is_err());
        assert!(Mlp::new(&[3, 0, 1], Activation::Elu, params.scope("b")).is_err());
    }
}
