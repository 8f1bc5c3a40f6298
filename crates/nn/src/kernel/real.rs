//! Arithmetic in single and double precision for the kernels, which are written once for both:
//! gradient checks in double precision check the kernels that run in single precision.

use candle_core::WithDType;
use pulp::{Arch, NullaryFnOnce, Simd};

use super::{Factors, ProductGradient};

/// Single and double precision, as scalars and as vectors of the processor's widest registers.
pub(crate) trait Real: WithDType {
    /// One register.
    type Vector<S: Simd>: Copy;

    /// Numbers to a register.
    fn lanes<S: Simd>() -> usize;
    /// The same number in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// a b + c.
    fn multiply_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// The slice as registers; its length is a multiple of [`Real::lanes`].
    fn vectors<S: Simd>(values: &[Self]) -> &[Self::Vector<S>];
    /// [`Real::vectors`], to be written.
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Vector<S>];

    /// 1 / (1 + exp(-x)).
    fn sigmoid(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The exponential.
    fn exp(self) -> Self;
    /// x for x > 0, eˣ - 1 below.
    fn elu(self) -> Self;
    /// The square root.
    fn root(self) -> Self;

    /// A gradient of this type.
    fn product(factors: Factors<Self>) -> ProductGradient;
}

/// Runs a loop compiled for the instructions that this processor has.
///
/// That takes its being inlined into a function for each set of instructions: of a closure this is
/// sure only if it is short. Longer loops are types that implement [`NullaryFnOnce`] with an
/// inlined `call`.
#[inline]
pub(crate) fn vectorised<R>(run: impl NullaryFnOnce<Output = R>) -> R {
    Arch::new().dispatch(run)
}

macro_rules! vectors {
    ($vector:ident, $lanes:ident, $splat:ident, $multiply_add:ident, $as_simd:ident, $as_mut_simd:ident) => {
        type Vector<S: Simd> = S::$vector;

        #[inline(always)]
        fn lanes<S: Simd>() -> usize {
            S::$lanes
        }

        #[inline(always)]
        fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
            simd.$splat(value)
        }

        #[inline(always)]
        fn multiply_add<S: Simd>(
            simd: S,
            a: S::$vector,
            b: S::$vector,
            c: S::$vector,
        ) -> S::$vector {
            simd.$multiply_add(a, b, c)
        }

        #[inline(always)]
        fn vectors<S: Simd>(values: &[Self]) -> &[S::$vector] {
            S::$as_simd(values).0
        }

        #[inline(always)]
        fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::$vector] {
            S::$as_mut_simd(values).0
        }
    };
}

/// exp(x) = 2ⁿ (1 + p) with |r| <= ln 2 / 2 and p = exp(r) - 1: `(2ⁿ, p)`. For x in [-87, 88].
/// Plain arithmetic, so that loops over it vectorise; p is a Taylor polynomial of degree 7, whose
/// remainder is 1e-8 of exp(r).
#[inline(always)]
fn split_exp(x: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few enough bits that n times it is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0] {
        p = p * r + coefficient;
    }
    (f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits())), p * r)
}

impl Real for f32 {
    vectors!(f32s, F32_LANES, splat_f32s, mul_add_e_f32s, as_simd_f32s, as_mut_simd_f32s);

    #[inline(always)]
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + Real::exp(-self))
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        // exp(2x) - 1 keeps its digits near 0, unlike exp(2x).
        let (scale, p) = split_exp(2.0 * self.clamp(-10.0, 10.0));
        let minus_one = scale * p + (scale - 1.0);
        minus_one / (minus_one + 2.0)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        let (scale, p) = split_exp(self.clamp(-87.0, 88.0));
        scale + scale * p
    }

    #[inline(always)]
    fn elu(self) -> Self {
        let (scale, p) = split_exp(self.clamp(-87.0, 0.0));
        let minus_one = scale * p + (scale - 1.0);
        if self > 0.0 { self } else { minus_one }
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    fn product(factors: Factors<Self>) -> ProductGradient {
        ProductGradient::F32(factors.into())
    }
}

impl Real for f64 {
    vectors!(f64s, F64_LANES, splat_f64s, mul_add_e_f64s, as_simd_f64s, as_mut_simd_f64s);

    fn sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }

    fn tanh(self) -> Self {
        f64::tanh(self)
    }

    fn exp(self) -> Self {
        f64::exp(self)
    }

    fn elu(self) -> Self {
        if self > 0.0 { self } else { self.exp_m1() }
    }

    fn root(self) -> Self {
        self.sqrt()
    }

    fn product(factors: Factors<Self>) -> ProductGradient {
        ProductGradient::F64(factors.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative to the true value, over the range where the result is a normal number of single
    /// precision.
    #[test]
    fn single_precision_functions_are_right_to_a_few_units_in_the_last_place() {
        let points = (-860_000..=860_000)
            .map(|i| i as f32 * 1e-4)
            .chain((-100..100).map(|i| i as f32 * 1e-7));
        for x in points {
            let wide = f64::from(x);
            for (found, expected) in [
                (Real::exp(x), wide.exp()),
                (Real::tanh(x), wide.tanh()),
                (Real::sigmoid(x), 1.0 / (1.0 + (-wide).exp())),
                (Real::elu(x), if x > 0.0 { wide } else { wide.exp_m1() }),
            ] {
                let error = (f64::from(found) - expected).abs();
                assert!(
                    error <= 4.0 * f64::from(f32::EPSILON) * expected.abs(),
                    "{x}: {found} against {expected}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for function in [Real::exp, Real::tanh, Real::sigmoid, Real::elu] as [fn(f32) -> f32; 4] {
            assert!(function(f32::NAN).is_nan());
        }
        assert_eq!(Real::tanh(f32::INFINITY), 1.0);
        assert_eq!(Real::sigmoid(f32::NEG_INFINITY), Real::sigmoid(-88f32));
    }
}
