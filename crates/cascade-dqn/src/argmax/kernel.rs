//! The fused pass: hidden sums, σ and the output layer for sixteen items at a time, in registers.
//! `cuda/cascade.cu` does the same operations in the same order, so that a GPU finds the same bits.

use foretaste_nn::Activation;
use pulp::{Arch, Simd, WithSimd};

use super::panels::{Panels, WIDTH, Widen};

/// The vector parts of a stage for one user: all that is added to an item's half, and the output
/// layer.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// c_j plus what state and earlier items add to each hidden unit, `[units]`.
    pub sums: &'a [f32],
    /// q_j, `[units]`.
    pub output: &'a [f32],
}

/// Calls `visit(user, panel, values)` with the stage's values of the items of every panel for every
/// user. A value is one chain of fused multiply-adds in the order of the hidden units: the same
/// bits whatever the processor, the threads and the other users.
pub(super) fn pass<'a>(
    panels: &Panels,
    activation: Activation,
    of: impl Iterator<Item = usize>,
    users: usize,
    row: impl Fn(usize) -> Row<'a>,
    visit: impl FnMut(usize, usize, &[f32; WIDTH]),
) {
    match panels {
        Panels::Single(panels) => dispatch(panels, activation, of, users, row, visit),
        Panels::Half(panels) => dispatch(panels, activation, of, users, row, visit),
    }
}

/// A loop of its own for every layout, σ and set of instructions.
fn dispatch<'a, P: Widen>(
    panels: &P,
    activation: Activation,
    of: impl Iterator<Item = usize>,
    users: usize,
    row: impl Fn(usize) -> Row<'a>,
    visit: impl FnMut(usize, usize, &[f32; WIDTH]),
) {
    let arch = Arch::new();
    match activation {
        Activation::Elu => arch.dispatch(Pass { panels, sigma: Elu, of, users, row, visit }),
        Activation::Tanh => arch.dispatch(Pass { panels, sigma: Tanh, of, users, row, visit }),
        Activation::Identity => {
            arch.dispatch(Pass { panels, sigma: Identity, of, users, row, visit })
        }
    }
}

struct Pass<'p, P, A, I, R, V> {
    panels: &'p P,
    sigma: A,
    of: I,
    users: usize,
    row: R,
    visit: V,
}

impl<'a, P, A, I, R, V> WithSimd for Pass<'_, P, A, I, R, V>
where
    P: Widen,
    A: Sigma,
    I: Iterator<Item = usize>,
    R: Fn(usize) -> Row<'a>,
    V: FnMut(usize, usize, &[f32; WIDTH]),
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { panels, sigma, of, users, row, mut visit } = self;
        let mut values = [0.0; WIDTH];
        for panel in of {
            let rows = panels.panel(panel);
            for user in 0..users {
                evaluate::<S, P, A>(simd, panels, sigma, rows, row(user), &mut values);
                visit(user, panel, &values);
            }
        }
    }
}

#[inline(always)]
fn evaluate<S: Simd, P: Widen, A: Sigma>(
    simd: S,
    panels: &P,
    sigma: A,
    rows: &[P::Pair],
    user: Row<'_>,
    values: &mut [f32; WIDTH],
) {
    let (registers, _) = S::as_mut_simd_f32s(values);
    let (sums, _) = user.sums.as_chunks::<2>();
    let (outputs, _) = user.output.as_chunks::<2>();
    for (register, value) in registers.iter_mut().enumerate() {
        let mut chain = simd.splat_f32s(0.0);
        for (pair, ((rows, sums), outputs)) in rows.iter().zip(sums).zip(outputs).enumerate() {
            let sums = panels.widen_and_add::<S>(
                simd,
                rows,
                pair,
                register,
                sums.map(|sum| simd.splat_f32s(sum)),
            );
            for (sum, &output) in sums.into_iter().zip(outputs) {
                chain = simd.mul_add_f32s(simd.splat_f32s(output), sigma.apply(simd, sum), chain);
            }
        }
        *value = chain;
    }
}

/// σ on registers.
pub(super) trait Sigma: Copy {
    fn apply<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s;
}

/// x for x > 0, eˣ - 1 below.
#[derive(Clone, Copy)]
pub(super) struct Elu;

/// The hyperbolic tangent.
#[derive(Clone, Copy)]
pub(super) struct Tanh;

#[derive(Clone, Copy)]
pub(super) struct Identity;

impl Sigma for Elu {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let negative = simd.min_f32s(x, simd.splat_f32s(0.0));
        // Not max(x, 0), which would hide what is not a number.
        let positive = simd.sub_f32s(x, negative);
        let (scale, p) = split_exp(simd, simd.max_f32s(negative, simd.splat_f32s(LOWEST)));
        let minus_one = simd.mul_add_f32s(scale, p, simd.sub_f32s(scale, simd.splat_f32s(1.0)));
        simd.add_f32s(positive, minus_one)
    }
}

impl Sigma for Tanh {
    /// -e / (e + 2) with e = exp(-2|x|) - 1, and the sign of x.
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let sign = simd.and_u32s(simd.transmute_u32s_f32s(x), simd.splat_u32s(1 << 31));
        let (x, lowest) =
            (simd.mul_f32s(simd.splat_f32s(-2.0), simd.abs_f32s(x)), simd.splat_f32s(LOWEST));
        // A maximum may hide what is not a number.
        let (scale, p) =
            split_exp(simd, simd.select_f32s(simd.less_than_f32s(x, lowest), lowest, x));
        let e = simd.mul_add_f32s(scale, p, simd.sub_f32s(scale, simd.splat_f32s(1.0)));
        let tanh = simd.div_f32s(simd.neg_f32s(e), simd.add_f32s(e, simd.splat_f32s(2.0)));
        simd.transmute_f32s_u32s(simd.or_u32s(simd.transmute_u32s_f32s(tanh), sign))
    }
}

impl Sigma for Identity {
    #[inline(always)]
    fn apply<S: Simd>(self, _simd: S, x: S::f32s) -> S::f32s {
        x
    }
}

/// Below it the exponential is no normal number.
const LOWEST: f32 = -87.0;

/// exp(x) = 2ⁿ (1 + p) for [`LOWEST`] <= x <= 0, with p = exp(r) - 1 and |r| <= ln 2 / 2:
/// `(2ⁿ, p)`. p is a Taylor polynomial of degree 6, whose remainder is 1.2e-7 of exp(r).
#[inline(always)]
fn split_exp<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    // Adding 1.5 · 2²³ rounds to an integer, which then stands in the lowest bits.
    let round = simd.splat_f32s(12_582_912.0);
    let shifted = simd.mul_add_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), round);
    let n = simd.sub_f32s(shifted, round);
    let r = simd.mul_add_f32s(n, simd.splat_f32s(-std::f32::consts::LN_2), x);
    let mut p = simd.splat_f32s(1.0 / 720.0);
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0] {
        p = simd.mul_add_f32s(p, r, simd.splat_f32s(coefficient));
    }
    let exponent =
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let scale = simd.add_u32s(exponent, simd.splat_u32s(1.0f32.to_bits()));
    (simd.transmute_f32s_u32s(scale), simd.mul_f32s(p, r))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(sigma: impl Sigma, x: f32) -> f32 {
        sigma.apply(pulp::Scalar, x)
    }

    #[test]
    fn activations_are_right_to_a_few_units_of_single_precision() {
        let points = (-1_000_000..=1_000_000)
            .map(|i| i as f32 * 1e-4)
            .chain((-100..100).map(|i| i as f32 * 1e-7));
        for x in points {
            let wide = f64::from(x);
            for (found, expected) in [
                (scalar(Elu, x), if x > 0.0 { wide } else { wide.exp_m1() }),
                (scalar(Tanh, x), wide.tanh()),
                (scalar(Identity, x), wide),
            ] {
                let error = (f64::from(found) - expected).abs();
                assert!(
                    error <= 6.0 * f64::from(f32::EPSILON) * expected.abs().max(1e-30),
                    "{x}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        assert!(scalar(Elu, f32::NAN).is_nan() && scalar(Tanh, f32::NAN).is_nan());
    }

    /// The widest registers of this processor against scalars, bit for bit.
    #[test]
    fn registers_and_scalars_give_the_same_bits() {
        struct Check<A>(A);
        impl<A: Sigma> WithSimd for Check<A> {
            type Output = ();
            fn with_simd<S: Simd>(self, simd: S) {
                for i in -3_000..3_000 {
                    let x = i as f32 * 0.011;
                    let mut values = [0.0; WIDTH];
                    S::as_mut_simd_f32s(&mut values).0.fill(self.0.apply(simd, simd.splat_f32s(x)));
                    assert_eq!(
                        values.map(f32::to_bits),
                        [scalar(self.0, x).to_bits(); WIDTH],
                        "{x}"
                    );
                }
            }
        }
        Arch::new().dispatch(Check(Elu));
        Arch::new().dispatch(Check(Tanh));
    }
}
