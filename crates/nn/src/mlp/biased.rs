//! Bias and non-linearity in one pass over the entries. It is apart because it must give the same
//! numbers as candle's operations to the last bit, which its tests check.

use candle_core::{CpuStorage, DType, Device, Shape, Tensor, WithDType};
use foretaste_settings::Setting;

use super::Activation;
use crate::Result;
use crate::kernel::{Real, for_each_chunk, with_slice};
use crate::tape::{Backward, Computed, Gradient, record};

/// Rows that are handed to a thread at a time.
const ROWS: usize = 64;

impl Activation {
    /// σ(x + b), entry by entry, of `x [rows, width]` and `bias [width]`: `[rows, width]`.
    ///
    /// On the CPU this is one pass over the entries, and one more in the backward pass, where the
    /// operations of candle that it is made of take a dozen. The numbers are the same.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the sizes do not fit.
    pub fn forward_biased(self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (_, width) = x.dims2()?;
        if bias.dims() != [width] {
            let problem = format!("{:?}, expected [{width}]", bias.dims());
            return Err(Setting::new("bias", problem).into());
        }
        match (x.device(), x.dtype()) {
            (Device::Cpu, DType::F32) => self.biased::<f32>(x, bias, CpuStorage::F32),
            (Device::Cpu, DType::F64) => self.biased::<f64>(x, bias, CpuStorage::F64),
            _ => self.forward(&x.broadcast_add(bias)?),
        }
    }

    fn biased<T: Libm>(
        self,
        x: &Tensor,
        bias: &Tensor,
        store: fn(Vec<T>) -> CpuStorage,
    ) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let mut y = with_slice(x, |x: &[T]| x.to_vec())?;
        with_slice(bias, |bias: &[T]| {
            for_each_chunk(&mut y, ROWS * width, |_, y| {
                for row in y.chunks_exact_mut(width) {
                    row.iter_mut().zip(bias).for_each(|(y, &bias)| *y = T::of(self, *y + bias));
                }
            });
        })?;
        let y = Computed::Host(store(y), Shape::from((rows, width))).into_tensor()?;
        let backward = Biased { activation: self, y: y.clone() };
        record(Computed::Device(y), &[x, bias], backward)
    }
}

/// A number with the functions of the platform's mathematical library, which candle takes too.
trait Libm: Real + WithDType {
    /// σ(x).
    fn of(activation: Activation, x: Self) -> Self;

    /// The gradient of x from that of y = σ(x).
    fn back(activation: Activation, y: Self, gradient: Self) -> Self;
}

macro_rules! libm {
    ($type:ty) => {
        impl Libm for $type {
            #[inline(always)]
            fn of(activation: Activation, x: Self) -> Self {
                match activation {
                    Activation::Elu if x > 0.0 => x,
                    Activation::Elu => x.exp() - 1.0,
                    Activation::Tanh => x.tanh(),
                    Activation::Identity => x,
                }
            }

            #[inline(always)]
            fn back(activation: Activation, y: Self, gradient: Self) -> Self {
                match activation {
                    Activation::Elu if y > 0.0 => gradient,
                    Activation::Elu => gradient * (y + 1.0),
                    Activation::Tanh => -(gradient * (y * y - 1.0)),
                    Activation::Identity => gradient,
                }
            }
        }
    };
}

libm!(f32);
libm!(f64);

struct Biased {
    activation: Activation,
    y: Tensor,
}

impl Biased {
    fn gradients<T: Libm>(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
        let (rows, width) = self.y.dims2()?;
        let mut of_x = with_slice(gradient, |gradient: &[T]| gradient.to_vec())?;
        with_slice(&self.y, |y: &[T]| {
            for_each_chunk(&mut of_x, ROWS * width, |chunk, of_x| {
                let y = &y[chunk * ROWS * width..];
                let entries = of_x.iter_mut().zip(y);
                entries.for_each(|(of_x, &y)| *of_x = T::back(self.activation, y, *of_x));
            });
        })?;
        let mut of_bias = vec![T::zero(); width];
        for row in of_x.chunks_exact(width) {
            of_bias.iter_mut().zip(row).for_each(|(sum, &of_x)| *sum += of_x);
        }
        let of_x = Tensor::from_vec(of_x, (rows, width), gradient.device())?;
        let of_bias = Tensor::from_vec(of_bias, width, gradient.device())?;
        Ok([of_x, of_bias].map(|gradient| Some(Gradient::Dense(gradient))).into())
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
                Ok(activation.forward_biased(&x, &bias)?.sqr()?.sum_all()?)
            });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Also where rows are many enough for several threads.
        #[test]
        fn numbers_and_gradients_are_those_of_candles_operations_to_the_last_bit(
            rows in prop_oneof![1usize..70, 8_000usize..8_200], width in 1usize..40, seed: u64,
        ) {
            for activation in ACTIVATIONS {
                let mut params = Params::new(Seed::new(seed), DType::F32, &Device::Cpu);
                let mut scope = params.scope("p");
                let x = scope.param("x", (rows, width), Init::Normal { sd: 2.0 }).unwrap();
                let bias = scope.param("bias", width, Init::Normal { sd: 1.0 }).unwrap();
                let ours = activation.forward_biased(&x, &bias).unwrap();
                let theirs = activation.forward(&x.broadcast_add(&bias).unwrap()).unwrap();
                let bits = |tensor: &Tensor| -> Vec<u32> {
                    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                    // A zero has no sign that matters.
                    values.into_iter().map(|value| (value + 0.0).to_bits()).collect()
                };
                prop_assert_eq!(bits(&ours), bits(&theirs));
                let loss = |y: &Tensor| y.sqr().unwrap().sum_all().unwrap();
                let [ours, theirs] = [&ours, &theirs].map(|y| backward(&loss(y)).unwrap());
                for of in [&x, &bias] {
                    let [ours, theirs] = [&ours, &theirs].map(|all| all.get(of).unwrap().unwrap());
                    prop_assert_eq!(bits(&ours), bits(&theirs));
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
