//! The LSTM on the CPU: a layer over a whole packed batch, and back.

use std::mem::swap;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::plan::Plan;
use super::weights::GATES;
use crate::kernel::{Left, Panels, Real, WIDTH, multiply, multiply_rows, worth_splitting};

/// What a layer needs to go forward.
#[derive(Debug)]
pub(super) struct LayerWeights<T> {
    /// Gate panels `[inputs, 4 hidden]`.
    pub(super) input: Panels<T>,
    /// Gate panels `[hidden, 4 hidden]`.
    pub(super) hidden: Panels<T>,
    /// Gate panels `[1, 4 hidden]`.
    pub(super) bias: Panels<T>,
}

/// What a layer computed.
#[derive(Debug)]
pub(super) struct LayerRun<T> {
    /// Gate panels of the open gates `[packed, 4 hidden]`; their gradients after [`backward`].
    pub(super) gates: Panels<T>,
    /// h `[rows + packed, hidden]`, numbered as in [`Plan`].
    pub(super) h: Panels<T>,
    /// c, as h.
    pub(super) c: Panels<T>,
}

/// Runs a layer. `gates [packed, 4 hidden]` are the projected inputs without bias; `h` and `c`
/// start with the `rows` initial states and are filled up.
pub(super) fn forward<T: Real>(weights: &LayerWeights<T>, plan: &Plan, run: &mut LayerRun<T>) {
    let (packed, states, rows) = (plan.packed(), plan.rows + plan.packed(), plan.rows);
    let (hidden, columns) = (weights.hidden.rows(), run.gates.count() * WIDTH);
    // The last states on their own: others read them while a thread writes its part of `h`.
    let mut previous = Panels::zeros(rows, hidden);
    for u in 0..previous.count() {
        previous.panel_mut(u).copy_from_slice(&run.h.panel(u)[..rows]);
    }
    let mut next = previous.clone();
    for (s, &n) in plan.active.iter().enumerate() {
        let (at, before) = (plan.start[s], plan.before(s));
        let unit = |u: usize, [gates, h, c, next]: [Part<'_, T>; 4]| {
            let weight = |gate| weights.hidden.panel(GATES * u + gate);
            multiply_rows(Left::Rows(&previous, 0), weight, gates, packed, at..at + n);
            let (past, c) = c.split_at_mut(rows + at);
            let step = Step {
                gates: rows_of_gates(gates, packed, at, n),
                bias: std::array::from_fn(|gate| &weights.bias.panel(GATES * u + gate)[0]),
                past: &past[before..before + n],
                c: &mut c[..n],
                h: &mut h[rows + at..rows + at + n],
                next: &mut next[..n],
            };
            Arch::new().dispatch(step);
        };
        let parts = [
            (run.gates.values_mut(), GATES * packed),
            (run.h.values_mut(), states),
            (run.c.values_mut(), states),
            (next.values_mut(), rows),
        ];
        for_each_unit(2 * n * hidden * columns, parts, unit);
        swap(&mut previous, &mut next);
    }
}

/// The gradients of a layer's states.
#[derive(Debug)]
pub(super) struct StateGradients<T> {
    /// In h after each step, from outside the layer: `[packed, hidden]`.
    pub(super) outputs: Panels<T>,
    /// In h after the last step of each rank, from outside; after [`backward`] in the initial h:
    /// `[rows, hidden]`.
    pub(super) h: Panels<T>,
    /// The same of c.
    pub(super) c: Panels<T>,
}

/// Turns the open gates of `run` into the gradients of what they were before σ and tanh, and the
/// last states' gradients into the first ones'. `transposed` is the recurrent weight by
/// [`super::weights::transposed`].
pub(super) fn backward<T: Real>(
    transposed: &Panels<T>,
    plan: &Plan,
    run: &mut LayerRun<T>,
    state: &mut StateGradients<T>,
) {
    let (packed, rows) = (plan.packed(), plan.rows);
    let (columns, units) = (transposed.rows(), transposed.count() * WIDTH);
    // The gates' gradients of the step after and of this one, for the same reason as in `forward`.
    let (mut after, mut now) = (Panels::zeros(rows, columns), Panels::zeros(rows, columns));
    let StateGradients { outputs, h, c } = state;
    for (s, &n) in plan.active.iter().enumerate().rev() {
        let (at, before) = (plan.start[s], plan.before(s));
        let more = plan.active.get(s + 1).copied().unwrap_or(0);
        let unit = |u: usize, [gates, outputs, dc, now]: [Part<'_, T>; 4]| {
            multiply_rows(
                Left::Rows(&after, 0),
                |_| transposed.panel(u),
                outputs,
                packed,
                at..at + more,
            );
            let dh = &mut outputs[at..at + n];
            for (dh, last) in dh.iter_mut().zip(h.panel(u)).skip(more) {
                dh.iter_mut().zip(last).for_each(|(dh, last)| *dh += *last);
            }
            let states = run.c.panel(u);
            let step = StepBack {
                gates: rows_of_gates(gates, packed, at, n),
                past: &states[before..before + n],
                c: &states[rows + at..rows + at + n],
                dh,
                dc: &mut dc[..n],
                now: rows_of_gates(now, rows, 0, n),
            };
            Arch::new().dispatch(step);
        };
        let parts = [
            (run.gates.values_mut(), GATES * packed),
            (outputs.values_mut(), packed),
            (c.values_mut(), rows),
            (now.values_mut(), GATES * rows),
        ];
        for_each_unit(2 * n * columns * units, parts, unit);
        swap(&mut after, &mut now);
    }
    let first = plan.active.first().copied().unwrap_or(0);
    for u in 0..h.count() {
        h.panel_mut(u)[..first].fill([T::zero(); WIDTH]);
        multiply_rows(
            Left::Rows(&after, 0),
            |_| transposed.panel(u),
            h.panel_mut(u),
            rows,
            0..first,
        );
    }
}

/// The gradient of a weight whose inputs are the `packed` rows of `inputs` from `first` on:
/// `[width, 4 hidden]` in gate panels.
pub(super) fn weight_gradient<T: Real>(
    inputs: &Panels<T>,
    first: usize,
    width: usize,
    gates: &Panels<T>,
) -> Panels<T> {
    let mut gradient = Panels::zeros(width, gates.count() * WIDTH);
    multiply(Left::Columns(inputs, first), gates, 0, gates.rows(), &mut gradient);
    gradient
}

/// The gradient of the recurrent weight, `[hidden, 4 hidden]` in gate panels.
pub(super) fn recurrent_gradient<T: Real>(
    plan: &Plan,
    run: &LayerRun<T>,
    hidden: usize,
) -> Panels<T> {
    if plan.full() {
        return weight_gradient(&run.h, 0, hidden, &run.gates);
    }
    let mut before = Panels::zeros(plan.packed(), hidden);
    for u in 0..before.count() {
        let states = run.h.panel(u);
        for (s, &n) in plan.active.iter().enumerate() {
            let from = plan.before(s);
            before.panel_mut(u)[plan.start[s]..][..n].copy_from_slice(&states[from..from + n]);
        }
    }
    weight_gradient(&before, 0, hidden, &run.gates)
}

/// The gradient of the bias, `[1, 4 hidden]` in gate panels.
pub(super) fn bias_gradient<T: Real>(gates: &Panels<T>) -> Panels<T> {
    let mut sums = Panels::zeros(1, gates.count() * WIDTH);
    for panel in 0..gates.count() {
        Arch::new().dispatch(AddRows(gates.panel(panel), &mut sums.panel_mut(panel)[0]));
    }
    sums
}

struct AddRows<'a, T>(&'a [[T; WIDTH]], &'a mut [T; WIDTH]);

impl<T: Real> WithSimd for AddRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut sum = *self.1;
        for row in self.0 {
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
        }
        *self.1 = sum;
    }
}

/// Calls `run` with every group of units and what it owns of four buffers, each cut into pieces of
/// the given size, on several threads if so many operations are worth it.
fn for_each_unit<'a, T: Real>(
    flops: usize,
    buffers: [(Part<'a, T>, usize); 4],
    run: impl Fn(usize, [Part<'a, T>; 4]) + Sync,
) {
    let mut pieces = buffers.map(|(values, size)| values.chunks_mut(size));
    let units = std::iter::from_fn(|| {
        let [a, b, c, d] = pieces.each_mut().map(Iterator::next);
        Some([a?, b?, c?, d?])
    });
    let units = units.enumerate();
    if worth_splitting(flops) {
        units.collect::<Vec<_>>().into_par_iter().for_each(|(u, parts)| run(u, parts));
    } else {
        units.for_each(|(u, parts)| run(u, parts));
    }
}

/// Some rows of a group of panels.
type Part<'a, T> = &'a mut [[T; WIDTH]];

/// Rows `at .. at + n` of each of four panels of `height` rows.
fn rows_of_gates<T>(
    panels: Part<'_, T>,
    height: usize,
    at: usize,
    n: usize,
) -> [Part<'_, T>; GATES] {
    let mut panels = panels.chunks_exact_mut(height);
    std::array::from_fn(|_| &mut panels.next().expect("four panels")[at..at + n])
}

/// (i, f, o, g) = (σ, σ, σ, tanh)(gates + bias), c = f ∘ past + i ∘ g, h = o ∘ tanh(c), for some
/// units of some rows.
struct Step<'a, T> {
    gates: [Part<'a, T>; GATES],
    bias: [&'a [T; WIDTH]; GATES],
    past: &'a [[T; WIDTH]],
    c: Part<'a, T>,
    h: Part<'a, T>,
    next: Part<'a, T>,
}

impl<T: Real> WithSimd for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { gates: [i, f, o, g], bias, past, c, h, next } = self;
        for row in 0..past.len() {
            let (i, f, o, g) = (&mut i[row], &mut f[row], &mut o[row], &mut g[row]);
            let (past, c, h) = (&past[row], &mut c[row], &mut h[row]);
            for j in 0..WIDTH {
                i[j] = (i[j] + bias[0][j]).sigmoid();
                f[j] = (f[j] + bias[1][j]).sigmoid();
                o[j] = (o[j] + bias[2][j]).sigmoid();
                g[j] = (g[j] + bias[3][j]).tanh();
                c[j] = f[j] * past[j] + i[j] * g[j];
                h[j] = o[j] * c[j].tanh();
            }
            next[row] = *h;
        }
    }
}

/// The derivative of [`Step`]: `dh` and `dc` in, `dc` of the state before and the gates' gradients
/// out, those twice.
struct StepBack<'a, T> {
    gates: [Part<'a, T>; GATES],
    past: &'a [[T; WIDTH]],
    c: &'a [[T; WIDTH]],
    dh: Part<'a, T>,
    dc: Part<'a, T>,
    now: [Part<'a, T>; GATES],
}

impl<T: Real> WithSimd for StepBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { gates: [gi, gf, go, gg], past, c, dh, dc, mut now } = self;
        let one = T::from_f64(1.0);
        for row in 0..past.len() {
            let (gi, gf, go, gg) = (&mut gi[row], &mut gf[row], &mut go[row], &mut gg[row]);
            let (past, c, dh, dc) = (&past[row], &c[row], &dh[row], &mut dc[row]);
            for j in 0..WIDTH {
                let (i, f, o, g) = (gi[j], gf[j], go[j], gg[j]);
                let squashed = c[j].tanh();
                let in_c = dc[j] + dh[j] * o * (one - squashed * squashed);
                gi[j] = in_c * g * i * (one - i);
                gf[j] = in_c * past[j] * f * (one - f);
                go[j] = dh[j] * squashed * o * (one - o);
                gg[j] = in_c * i * (one - g * g);
                dc[j] = in_c * f;
            }
            for (copy, gradient) in now.iter_mut().zip([gi, gf, go, gg]) {
                copy[row] = *gradient;
            }
        }
    }
}
