//! A plain matrix product, which shows what the processor can do: the other cases are compared with
//! it.

use foretaste_nn::matmul;

use super::{Run, normal};

/// The product that the others' rates are compared with.
pub fn prepare(m: usize, n: usize, k: usize) -> anyhow::Result<Run> {
    let (a, b) = (normal((m, k))?, normal((k, n))?);
    Ok(Box::new(move || {
        std::hint::black_box(matmul(&a, &b)?);
        Ok(())
    }))
}
