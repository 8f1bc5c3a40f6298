//! The CPU's inner loops: matrices in panels, their product, also one that is left in its factors,
//! and the functions that gates need.
//!
//! Every entry of a product is one chain of fused multiply-adds in the order of the inner index. It
//! depends on neither the number of threads nor the other rows of the batch.

mod factors;
mod host;
mod panels;
mod product;
mod real;

use rayon::prelude::*;

pub(crate) use factors::{Factors, ProductGradient};
pub(crate) use host::with_slice;
pub(crate) use panels::{Panels, WIDTH, copy, filled};
pub(crate) use product::{Left, multiply, multiply_rows};
pub(crate) use real::{Real, vectorised};

/// Work below this many floating-point operations is not worth handing to another thread.
const PARALLEL_FLOPS: usize = 1 << 21;

/// Whether `flops` operations are worth splitting among the threads of the current pool.
pub(crate) fn worth_splitting(flops: usize) -> bool {
    flops >= PARALLEL_FLOPS && rayon::current_num_threads() > 1
}

/// Whether writing so many bytes is worth splitting among the threads of the current pool.
pub(crate) fn worth_sharing(bytes: usize) -> bool {
    // A megabyte takes some 100 µs, a handful of times what handing over work costs.
    bytes >= 1 << 20 && rayon::current_num_threads() > 1
}

/// Calls `run` with each piece of `size` values and its index, on several threads where the values
/// are many.
pub(crate) fn for_each_chunk<T: Send>(
    values: &mut [T],
    size: usize,
    run: impl Fn(usize, &mut [T]) + Sync,
) {
    if worth_sharing(size_of_val(values)) {
        values.par_chunks_mut(size.max(1)).enumerate().for_each(|(index, chunk)| run(index, chunk));
    } else {
        values.chunks_mut(size.max(1)).enumerate().for_each(|(index, chunk)| run(index, chunk));
    }
}
