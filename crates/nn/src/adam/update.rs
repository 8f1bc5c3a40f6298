//! The arithmetic of one Adam step, for gradients that are dense, on rows, or left as two factors.
//! All forms give the same numbers, which do not depend on the number of threads.

use std::sync::Mutex;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, InplaceOp2, Layout, Tensor, Var};
use foretaste_settings::Setting;
use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::AdamConfig;
use crate::kernel::{
    self, Left, ProductGradient, Real, WIDTH, multiply_rows, vectorised, with_slice, worth_sharing,
};
use crate::lock;
use crate::tape::Gradient;
use crate::{Result, scalar};

/// Entries that a thread takes at a time. Squares are summed by chunk, then over the chunks in
/// their order.
const CHUNK: usize = 1 << 14;

/// First moments of all entries, then second moments.
#[derive(Debug)]
pub(super) enum Moments {
    /// On the CPU, for the fused step.
    F32(Vec<f32>),
    /// The same in double precision.
    F64(Vec<f64>),
    /// `[2, entries]` anywhere else, for a step of candle's operations.
    Composed(Var),
}

impl Moments {
    /// From `[2, entries]`.
    pub(super) fn new(moments: &Tensor) -> Result<Self> {
        Ok(match (moments.device(), moments.dtype()) {
            (Device::Cpu, DType::F32) => Self::F32(moments.flatten_all()?.to_vec1()?),
            (Device::Cpu, DType::F64) => Self::F64(moments.flatten_all()?.to_vec1()?),
            _ => Self::Composed(Var::from_tensor(&moments.copy()?)?),
        })
    }

    /// As `[2, entries]`.
    pub(super) fn read(&self) -> Result<Tensor> {
        Ok(match self {
            Self::F32(moments) => {
                Tensor::from_slice(moments, (2, moments.len() / 2), &Device::Cpu)?
            }
            Self::F64(moments) => {
                Tensor::from_slice(moments, (2, moments.len() / 2), &Device::Cpu)?
            }
            Self::Composed(moments) => moments.as_tensor().detach().copy()?,
        })
    }
}

/// The sum of a gradient's squares; not finite if it is not so in the gradient's type.
pub(super) fn squares(gradient: &Gradient) -> Result<f64> {
    let values = match gradient {
        Gradient::Dense(values) => values,
        Gradient::Rows(part) => &part.values,
        Gradient::Product(product) => return Ok(product.squares()),
    };
    match (values.device(), values.dtype()) {
        (Device::Cpu, DType::F32) => Ok(with_slice(values, sum_of_squares::<f32>)?),
        (Device::Cpu, DType::F64) => Ok(with_slice(values, sum_of_squares::<f64>)?),
        _ => scalar(&values.sqr()?.sum_all()?),
    }
}

fn sum_of_squares<T: Real>(values: &[T]) -> f64 {
    let chunk = |values| vectorised(Squares(values));
    let sums: Vec<f64> = if worth_sharing(size_of_val(values)) {
        values.par_chunks(CHUNK).map(chunk).collect()
    } else {
        values.chunks(CHUNK).map(chunk).collect()
    };
    let sum = sums.iter().sum::<f64>();
    let narrow = T::from_f64(sum).to_f64();
    if narrow.is_finite() { sum } else { narrow }
}

/// The sum of the squares of these numbers.
struct Squares<'a, T>(&'a [T]);

impl<T: Real> NullaryFnOnce for Squares<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        // Four registers of sums, or more narrower ones, hide what an addition takes.
        let mut sums = [[0.0; 8]; 4];
        let (whole, rest) = self.0.as_chunks::<32>();
        for values in whole {
            for (sums, values) in sums.iter_mut().zip(values.as_chunks::<8>().0) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value.to_f64() * value.to_f64();
                }
            }
        }
        let rest = rest.iter().map(|value| value.to_f64() * value.to_f64());
        sums.as_flattened().iter().sum::<f64>() + rest.sum::<f64>()
    }
}

/// One step: m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², θ ← θ - step · m / (√v / √(1-β₂ᵗ) + ε).
pub(super) struct Update {
    config: AdamConfig,
    scale: f64,
    root_correction: f64,
    step_size: f64,
}

impl Update {
    /// Step number `step`, from 1 on, with gradients of this norm.
    pub(super) fn new(config: AdamConfig, step: u64, norm: f64) -> Self {
        let exponent = i32::try_from(step).unwrap_or(i32::MAX);
        Self {
            config,
            scale: config.clip.map_or(1.0, |clip| (clip / norm).min(1.0)),
            root_correction: (1.0 - config.beta2.powi(exponent)).sqrt(),
            step_size: config.learning_rate / (1.0 - config.beta1.powi(exponent)),
        }
    }

    pub(super) fn apply(
        &self,
        parameter: &Var,
        moments: &mut Moments,
        gradient: &Gradient,
    ) -> Result<()> {
        let (values, rows) = match gradient {
            Gradient::Dense(values) => (values, None),
            Gradient::Rows(part) => (&part.values, Some(&part.rows[..])),
            Gradient::Product(product) => {
                if let Moments::Composed(moments) = moments {
                    return self.apply_composed(parameter, moments, &product.form()?);
                }
                let formed = Formed { update: self, product, moments: Mutex::new(moments) };
                return Ok(parameter.inplace_op1(&formed)?);
            }
        };
        match (moments, rows) {
            (Moments::Composed(moments), None) => self.apply_composed(parameter, moments, values),
            (Moments::Composed(_), Some(_)) => Err(Setting::new(
                "Adam",
                "a gradient of rows on another device than the CPU".to_owned(),
            )
            .into()),
            (moments, rows) => {
                let fused = Fused { update: self, rows, moments: Mutex::new(moments) };
                Ok(parameter.inplace_op2(&values.contiguous()?, &fused)?)
            }
        }
    }

    fn apply_composed(&self, parameter: &Var, moments: &Var, gradient: &Tensor) -> Result<()> {
        let AdamConfig { beta1, beta2, epsilon, .. } = self.config;
        let g = (gradient.flatten_all()? * self.scale)?;
        let m = ((moments.get(0)? * beta1)? + (&g * (1.0 - beta1))?)?;
        let v = ((moments.get(1)? * beta2)? + (g.sqr()? * (1.0 - beta2))?)?;
        let step = ((&m / ((v.sqrt()? / self.root_correction)? + epsilon)?)? * self.step_size)?;
        parameter.set(&parameter.sub(&step.reshape(parameter.shape())?)?)?;
        moments.set(&Tensor::stack(&[m, v], 0)?)?;
        Ok(())
    }
}

/// The step of one parameter on the CPU, in one pass.
struct Fused<'a> {
    update: &'a Update,
    /// The rows to which the gradient belongs, ascending; none means all.
    rows: Option<&'a [u32]>,
    moments: Mutex<&'a mut Moments>,
}

impl InplaceOp2 for Fused<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        if layout.start_offset() != 0 || !layout.is_contiguous() {
            candle_core::bail!("a parameter owns its whole buffer");
        }
        let start = gradient_layout.start_offset();
        let window = start..start + gradient_layout.shape().elem_count();
        let mut moments = lock(&self.moments);
        match (parameter, &mut **moments, gradient) {
            (CpuStorage::F32(parameter), Moments::F32(moments), CpuStorage::F32(gradient)) => {
                self.run(parameter, moments, &gradient[window]);
            }
            (CpuStorage::F64(parameter), Moments::F64(moments), CpuStorage::F64(gradient)) => {
                self.run(parameter, moments, &gradient[window]);
            }
            _ => candle_core::bail!("parameter and gradient are of two types"),
        }
        Ok(())
    }
}

impl Fused<'_> {
    fn run<T: Real>(&self, parameter: &mut [T], moments: &mut [T], gradient: &[T]) {
        let factors = Factors::new(self.update);
        let (first, second) = moments.split_at_mut(parameter.len());
        let step = |((p, (m, v)), g)| vectorised(Step { factors, rows: None, p, m, v, g });
        match self.rows {
            Some(_) => vectorised(Step {
                factors,
                rows: self.rows,
                p: parameter,
                m: first,
                v: second,
                g: gradient,
            }),
            None if worth_sharing(size_of_val(gradient)) => {
                let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
                parameter
                    .par_chunks_mut(CHUNK)
                    .zip(moments)
                    .zip(gradient.par_chunks(CHUNK))
                    .for_each(step);
            }
            None => step(((parameter, (first, second)), gradient)),
        }
    }
}

/// Columns of a parameter whose gradient is a product that a thread takes at a time, and rows of
/// which it forms the gradient at a time: that then stays in the second-level cache, and a row's
/// part is a page of memory.
const COLUMNS: usize = 1_024;
const ROWS: usize = 128;

/// The step on the CPU of one parameter whose gradient is a product.
struct Formed<'a> {
    update: &'a Update,
    product: &'a ProductGradient,
    moments: Mutex<&'a mut Moments>,
}

impl InplaceOp1 for Formed<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(&self, parameter: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        if layout.start_offset() != 0 || !layout.is_contiguous() {
            candle_core::bail!("a parameter owns its whole buffer");
        }
        match (parameter, &mut **lock(&self.moments), self.product) {
            (CpuStorage::F32(parameter), Moments::F32(moments), ProductGradient::F32(gradient)) => {
                self.run(parameter, moments, gradient);
            }
            (CpuStorage::F64(parameter), Moments::F64(moments), ProductGradient::F64(gradient)) => {
                self.run(parameter, moments, gradient);
            }
            _ => candle_core::bail!("parameter and gradient are of two types"),
        }
        Ok(())
    }
}

impl Formed<'_> {
    fn run<T: Real>(&self, parameter: &mut [T], moments: &mut [T], gradient: &kernel::Factors<T>) {
        let factors = Factors::new(self.update);
        let (first, second) = moments.split_at_mut(parameter.len());
        let mut shares: Vec<Vec<Row<'_, T>>> = Vec::new();
        shares.resize_with(gradient.columns.div_ceil(COLUMNS), Vec::new);
        let split = worth_sharing(size_of_val(first));
        let width = gradient.columns;
        for ((p, m), v) in
            parameter.chunks_mut(width).zip(first.chunks_mut(width)).zip(second.chunks_mut(width))
        {
            let parts = p.chunks_mut(COLUMNS).zip(m.chunks_mut(COLUMNS)).zip(v.chunks_mut(COLUMNS));
            shares
                .iter_mut()
                .zip(parts)
                .for_each(|(share, ((p, m), v))| share.push(Row { p, m, v }));
        }
        let step = |(share, rows): (usize, &mut Vec<Row<'_, T>>)| {
            let right = |p: usize| gradient.right.panel(share * (COLUMNS / WIDTH) + p);
            let panels = rows.first().map_or(0, |row| row.p.len().div_ceil(WIDTH));
            let mut formed = vec![[T::zero(); WIDTH]; panels * ROWS];
            for (chunk, rows) in rows.chunks_mut(ROWS).enumerate() {
                let formed = &mut formed[..panels * rows.len()];
                formed.fill([T::zero(); WIDTH]);
                multiply_rows(
                    Left::Rows(&gradient.left, chunk * ROWS),
                    right,
                    formed,
                    rows.len(),
                    0..rows.len(),
                );
                vectorised(StepOnRows { factors, rows, gradient: formed });
            }
        };
        if split {
            shares.par_iter_mut().enumerate().for_each(step);
        } else {
            shares.iter_mut().enumerate().for_each(step);
        }
    }
}

/// Part of a row of a parameter, with its moments.
struct Row<'a, T> {
    p: &'a mut [T],
    m: &'a mut [T],
    v: &'a mut [T],
}

/// A step of parts of rows whose gradient stands in panels.
struct StepOnRows<'a, 'b, T> {
    factors: Factors<T>,
    rows: &'a mut [Row<'b, T>],
    gradient: &'a [[T; WIDTH]],
}

impl<T: Real> NullaryFnOnce for StepOnRows<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let count = self.rows.len();
        for (i, row) in self.rows.iter_mut().enumerate() {
            let parts =
                row.p.chunks_mut(WIDTH).zip(row.m.chunks_mut(WIDTH)).zip(row.v.chunks_mut(WIDTH));
            for (panel, ((p, m), v)) in parts.enumerate() {
                self.factors.step(p, m, v, &self.gradient[panel * count + i]);
            }
        }
    }
}

/// What is the same for all entries, in their type.
#[derive(Clone, Copy)]
struct Factors<T> {
    beta1: T,
    beta2: T,
    rest1: T,
    rest2: T,
    scale: T,
    step: T,
    inverse_root: T,
    epsilon: T,
}

impl<T: Real> Factors<T> {
    fn new(update: &Update) -> Self {
        let AdamConfig { beta1, beta2, epsilon, .. } = update.config;
        Self {
            beta1: T::from_f64(beta1),
            beta2: T::from_f64(beta2),
            rest1: T::from_f64(1.0 - beta1),
            rest2: T::from_f64(1.0 - beta2),
            scale: T::from_f64(update.scale),
            step: T::from_f64(update.step_size),
            inverse_root: T::from_f64(1.0 / update.root_correction),
            epsilon: T::from_f64(epsilon),
        }
    }

    #[inline(always)]
    fn step(&self, p: &mut [T], m: &mut [T], v: &mut [T], g: &[T]) {
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = *g * self.scale;
            *m = self.beta1 * *m + self.rest1 * g;
            *v = self.beta2 * *v + self.rest2 * g * g;
            *p -= self.step * *m / (v.root() * self.inverse_root + self.epsilon);
        }
    }
}

/// A step of entries `p` and their moments `m` and `v`: of all, or of those in `rows`, to which `g`
/// belongs.
struct Step<'a, T> {
    factors: Factors<T>,
    rows: Option<&'a [u32]>,
    p: &'a mut [T],
    m: &'a mut [T],
    v: &'a mut [T],
    g: &'a [T],
}

impl<T: Real> NullaryFnOnce for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { factors, rows, p, m, v, g } = self;
        let Some(rows) = rows else {
            return factors.step(p, m, v, g);
        };
        let width = g.len() / rows.len().max(1);
        for (index, &row) in rows.iter().enumerate() {
            let part = row as usize * width..(row as usize + 1) * width;
            let g = &g[index * width..][..width];
            factors.step(&mut p[part.clone()], &mut m[part.clone()], &mut v[part], g);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Init, Params};
    use foretaste_random::Seed;

    #[test]
    fn the_composed_step_equals_the_fused_one() {
        let mut params = Params::new(Seed::new(9), DType::F64, &Device::Cpu);
        let mut param = |name: &str| {
            params.scope("m").param(name, (4, 5), Init::Normal { sd: 1.0 }).unwrap();
            params.get(&format!("m.{name}")).unwrap().clone()
        };
        let (fused, gradient, composed) = (param("fused"), param("gradient"), param("composed"));
        composed.set(&fused.copy().unwrap()).unwrap();
        let start = Tensor::zeros((2, 20), DType::F64, &Device::Cpu).unwrap();
        let mut ours = Moments::new(&start).unwrap();
        let mut theirs = Moments::Composed(Var::from_tensor(&start).unwrap());
        let config = AdamConfig { learning_rate: 0.1, clip: Some(0.5), ..AdamConfig::default() };
        for step in 1..=3u32 {
            let gradient = Gradient::Dense(gradient.affine(f64::from(step), 0.0).unwrap());
            let norm = squares(&gradient).unwrap().sqrt();
            let update = Update::new(config, step.into(), norm);
            update.apply(&fused, &mut ours, &gradient).unwrap();
            update.apply(&composed, &mut theirs, &gradient).unwrap();
        }
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let pairs = [
            (values(&fused), values(&composed)),
            (values(&ours.read().unwrap()), values(&theirs.read().unwrap())),
        ];
        for (fused, composed) in pairs {
            assert!(
                fused.iter().zip(&composed).all(|(a, b)| (a - b).abs() < 1e-14),
                "{fused:?} {composed:?}"
            );
        }
    }
}
