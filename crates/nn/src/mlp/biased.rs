//! Bias and non-linearity in one pass over the entries, and one more in the backward pass, where
//! the operations of candle that they are made of take a dozen.

use candle_core::{CpuStorage, DType, Device, Tensor};
use foretaste_settings::Setting;
use pulp::NullaryFnOnce;

use super::Activation;
use crate::Result;
use crate::kernel::{Real, for_each_chunk, vectorised, with_slice};
use crate::tape::{Backward, Computed, Gradient, record};

/// Rows that are handed to a thread at a time.
const ROWS: usize = 64;

impl Activation {
    /// σ(x + b), entry by entry, of `x [rows, width]` and `bias [width]`: `[rows, width]`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the sizes do not fit.
    pub fn forward_biased(self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (_, width) = x.dims2()?;
        if bias.dims() != [width] {
            let problem = format!("{:?}, expected [{width}]", bias.dims());
            return Err(Setting::new("bias", problem).into());
        }
        match self.on_cpu(x, Some(bias)) {
            Some(result) => result,
            None => self.composed(&x.broadcast_add(bias)?),
        }
    }

    /// The kernel's result, where there is a kernel.
    pub(super) fn on_cpu(self, x: &Tensor, bias: Option<&Tensor>) -> Option<Result<Tensor>> {
        match (x.device(), x.dtype()) {
            (Device::Cpu, DType::F32) => Some(self.kernel::<f32>(x, bias, CpuStorage::F32)),
            (Device::Cpu, DType::F64) => Some(self.kernel::<f64>(x, bias, CpuStorage::F64)),
            _ => None,
        }
    }

    fn kernel<T: Real>(
        self,
        x: &Tensor,
        bias: Option<&Tensor>,
        store: fn(Vec<T>) -> CpuStorage,
    ) -> Result<Tensor> {
        let width = x.dims().last().copied().unwrap_or(1);
        let mut y = with_slice(x, |x: &[T]| x.to_vec())?;
        let mut apply = |bias: &[T]| {
            for_each_chunk(&mut y, ROWS * width, |_, y| {
                vectorised(Forward { activation: self, y, bias });
            });
        };
        match bias {
            Some(bias) => with_slice(bias, apply)?,
            None => apply(&vec![T::zero(); width]),
        }
        let y = Computed::Host(store(y), x.shape().clone()).into_tensor()?;
        let backward = Biased { activation: self, y: y.clone(), has_bias: bias.is_some() };
        let inputs: Vec<&Tensor> = [Some(x), bias].into_iter().flatten().collect();
        record(Computed::Device(y), &inputs, backward)
    }
}

/// σ of each row plus the bias, in its place.
struct Forward<'a, T> {
    activation: Activation,
    y: &'a mut [T],
    bias: &'a [T],
}

impl<T: Real> NullaryFnOnce for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        match self.activation {
            Activation::Elu => self.each(Real::elu),
            Activation::Tanh => self.each(Real::tanh),
            Activation::Identity => self.each(|x| x),
        }
    }
}

impl<T: Real> Forward<'_, T> {
    #[inline(always)]
    fn each(self, function: impl Fn(T) -> T) {
        for row in self.y.chunks_exact_mut(self.bias.len().max(1)) {
            row.iter_mut().zip(self.bias).for_each(|(y, &bias)| *y = function(*y + bias));
        }
    }
}

/// The gradient of the sums from that of σ, in its place.
struct Back<'a, T> {
    activation: Activation,
    y: &'a [T],
    gradient: &'a mut [T],
}

impl<T: Real> NullaryFnOnce for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let one = T::one();
        match self.activation {
            // eˣ = y + 1 below 0.
            Activation::Elu => {
                self.each(|y, gradient| gradient * if y > T::zero() { one } else { y + one })
            }
            Activation::Tanh => self.each(|y, gradient| gradient * (one - y * y)),
            Activation::Identity => {}
        }
    }
}

impl<T: Real> Back<'_, T> {
    #[inline(always)]
    fn each(self, function: impl Fn(T, T) -> T) {
        let entries = self.gradient.iter_mut().zip(self.y);
        entries.for_each(|(gradient, &y)| *gradient = function(y, *gradient));
    }
}

struct Biased {
    activation: Activation,
    y: Tensor,
    has_bias: bool,
}

impl Biased {
    fn gradients<T: Real>(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
        let width = self.y.dims().last().copied().unwrap_or(1);
        let mut of_x = with_slice(gradient, |gradient: &[T]| gradient.to_vec())?;
        with_slice(&self.y, |y: &[T]| {
            for_each_chunk(&mut of_x, ROWS * width, |chunk, gradient| {
                let y = &y[chunk * ROWS * width..];
                vectorised(Back { activation: self.activation, y, gradient });
            });
        })?;
        let of_bias = self.has_bias.then(|| {
            let mut of_bias = vec![T::zero(); width];
            for row in of_x.chunks_exact(width.max(1)) {
                of_bias.iter_mut().zip(row).for_each(|(sum, &of_x)| *sum += of_x);
            }
            Tensor::from_vec(of_bias, width, gradient.device())
        });
        let of_x = Tensor::from_vec(of_x, self.y.shape(), gradient.device())?;
        let all = [Some(of_x), of_bias.transpose()?].into_iter().flatten();
        Ok(all.map(|gradient| Some(Gradient::Dense(gradient))).collect())
    }
}

impl Backward for Biased {
    fn name(&self) -> &'static str {
        "biased activation"
    }

    fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
        match gradient.dtype() {
            DType::F32 => self.gradients::<f32>(gradient),
            _ => self.gradients::<f64>(gradient),
        }
    }
}

#[cfg(test)]
mod tests {
    use foretaste_random::Seed;
    use proptest::prelude::*;

    use super::*;
    use crate::{Init, Params, backward, check_gradients};

    const ACTIVATIONS: [Activation; 3] = [Activation::Elu, Activation::Tanh, Activation::Identity];

    #[test]
    fn gradients_match_finite_differences() {
        for activation in ACTIVATIONS {
            let mut params = Params::new(Seed::new(5), DType::F64, &Device::Cpu);
            let mut scope = params.scope("p");
            let x = scope.param("x", (5, 3), Init::Normal { sd: 1.0 }).unwrap();
            let bias = scope.param("bias", 3, Init::Normal { sd: 1.0 }).unwrap();
            check_gradients(&params, || {
                let again = activation.forward(&activation.forward_biased(&x, &bias)?)?;
                Ok(again.sqr()?.sum_all()?)
            });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Also where rows are many enough for several threads.
        #[test]
        fn numbers_and_gradients_are_those_of_candles_operations(
            rows in prop_oneof![1usize..70, 8_000usize..8_200], width in 1usize..40, seed: u64,
        ) {
            for activation in ACTIVATIONS {
                let mut params = Params::new(Seed::new(seed), DType::F32, &Device::Cpu);
                let mut scope = params.scope("p");
                let x = scope.param("x", (rows, width), Init::Normal { sd: 2.0 }).unwrap();
                let bias = scope.param("bias", width, Init::Normal { sd: 1.0 }).unwrap();
                let ours = activation.forward_biased(&x, &bias).unwrap();
                let theirs = activation.composed(&x.broadcast_add(&bias).unwrap()).unwrap();
                let values = |tensor: &Tensor| -> Vec<f32> {
                    tensor.flatten_all().unwrap().to_vec1().unwrap()
                };
                // Candle's eˣ - 1 has lost digits near 0; a sum over rows adds up its errors.
                let close = |ours: &Tensor, theirs: &Tensor, terms: usize| {
                    let bound = 4.0 * f32::EPSILON * terms as f32;
                    values(ours).into_iter().zip(values(theirs)).all(|(ours, theirs)| {
                        (ours - theirs).abs() <= bound * theirs.abs().max(1.0)
                    })
                };
                prop_assert!(close(&ours, &theirs, 1));
                let loss = |y: &Tensor| y.sqr().unwrap().sum_all().unwrap();
                let [ours, theirs] = [&ours, &theirs].map(|y| backward(&loss(y)).unwrap());
                for (of, terms) in [(&x, 2), (&bias, 2 * rows)] {
                    let [ours, theirs] = [&ours, &theirs].map(|all| all.get(of).unwrap().unwrap());
                    prop_assert!(close(&ours, &theirs, terms));
                }
            }
        }
    }

    #[test]
    fn a_bias_of_another_size_is_refused() {
        let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        let bias = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        assert!(Activation::Elu.forward_biased(&x, &bias).is_err());
    }
}
