//! The choice under sparse regularizers, with a backward pass of its own: it is found by a search
//! for a threshold, which is no composition of candle's operations.

use candle_core::{CpuStorage, CustomOp1, D, Device, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use crate::Result;

/// Entries that a thread should at least get.
const ENTRIES_PER_THREAD: usize = 1_024;

/// α-entmax of each row of `utilities [rows, options]` for α in (1, 2], same shape (Peters, Niculae
/// & Martins 2019, §3); an option of minus infinity cannot be chosen.
///
/// φ_i = [(α - 1) u_i - τ]₊^(1 / (α - 1)) with the threshold τ at which they sum to 1. At α = 2
/// this is sparsemax.
pub(super) fn entmax(utilities: &Tensor, alpha: f64) -> Result<Tensor> {
    let op = Entmax { alpha };
    let phi = utilities.to_device(&Device::Cpu)?.contiguous()?.apply_op1(op)?;
    Ok(phi.to_device(utilities.device())?)
}

struct Entmax {
    alpha: f64,
}

impl CustomOp1 for Entmax {
    fn name(&self) -> &'static str {
        "entmax"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        fn run<T: WithDType>(
            alpha: f64,
            utilities: &[T],
            layout: &Layout,
        ) -> candle_core::Result<Vec<T>> {
            let Some((start, end)) = layout.contiguous_offsets() else {
                candle_core::bail!("entmax needs whole rows")
            };
            let options = layout.dims()[layout.dims().len() - 1].max(1);
            let mut phi = vec![T::zero(); end - start];
            phi.par_chunks_mut(options)
                .zip(utilities[start..end].par_chunks(options))
                .with_min_len(ENTRIES_PER_THREAD.div_ceil(options))
                .for_each_init(Vec::new, |gaps, (phi, utilities)| row(alpha, utilities, phi, gaps));
            Ok(phi)
        }
        let phi = match storage {
            CpuStorage::F32(utilities) => CpuStorage::F32(run(self.alpha, utilities, layout)?),
            CpuStorage::F64(utilities) => CpuStorage::F64(run(self.alpha, utilities, layout)?),
            _ => candle_core::bail!("entmax runs on f32 and f64"),
        };
        Ok((phi, layout.shape().clone()))
    }

    /// The Jacobian is diag(s) - s sᵀ / Σ s with s_i = φ_i^(2 - α) where φ_i > 0, else 0 (Peters,
    /// Niculae & Martins 2019, §3).
    fn bwd(
        &self,
        _: &Tensor,
        phi: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let support = phi.gt(0.0)?.to_dtype(phi.dtype())?;
        let s = (phi.powf(2.0 - self.alpha)? * support)?;
        let mean =
            (&s * gradient)?.sum_keepdim(D::Minus1)?.broadcast_div(&s.sum_keepdim(D::Minus1)?)?;
        Ok(Some((s * gradient.broadcast_sub(&mean)?)?))
    }
}

/// One row. `gaps` is scratch.
fn row<T: WithDType>(alpha: f64, utilities: &[T], phi: &mut [T], gaps: &mut Vec<f64>) {
    let largest = utilities.iter().map(|u| u.to_f64()).fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::INFINITY || utilities.iter().any(|u| u.to_f64().is_nan()) {
        phi.fill(T::from_f64(f64::NAN));
        return;
    }
    if largest == f64::NEG_INFINITY {
        return;
    }
    // (α - 1)(u_i - max u), and the threshold as its distance above its least possible value (α -
    // 1) max u - 1.
    gaps.clear();
    gaps.extend(utilities.iter().map(|u| (alpha - 1.0) * (u.to_f64() - largest)));
    let power = 1.0 / (alpha - 1.0);
    let mut threshold = 0.0;
    // The sum of the probabilities is convex in the threshold and falls, and at 0 the largest alone
    // counts 1: from there Newton's steps rise to the root and never pass it. At α = 2 they drop
    // options from the support until none is left to drop.
    loop {
        let (mut excess, mut slope) = (-1.0, 0.0);
        for base in gaps.iter().map(|gap| gap - threshold).filter(|&base| base > -1.0) {
            let weight = raise(base, power - 1.0);
            slope += weight;
            excess += weight * (1.0 + base);
        }
        let next = threshold + excess / (power * slope);
        if next.partial_cmp(&threshold) != Some(std::cmp::Ordering::Greater) {
            break;
        }
        threshold = next;
    }
    gaps.iter_mut().for_each(|gap| *gap = raise((*gap - threshold).max(-1.0), power));
    let sum: f64 = gaps.iter().sum();
    phi.iter_mut().zip(gaps).for_each(|(phi, weight)| *phi = T::from_f64(*weight / sum));
}

/// (1 + base)^power without losing a small base.
fn raise(base: f64, power: f64) -> f64 {
    match power {
        0.0 => 1.0,
        1.0 => 1.0 + base,
        2.0 => (1.0 + base) * (1.0 + base),
        _ => (power * base.ln_1p()).exp(),
    }
}
