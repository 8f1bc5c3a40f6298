//! A gradient that stays in two factors.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::{Left, Panels, Real, for_each_chunk, multiply};

/// The gradient of a weight `[width, columns]` that was multiplied by few rows: a product of two
/// factors, which the optimizer forms piece by piece where it is used. Writing it down and reading
/// it again would take longer than that.
#[derive(Clone, Debug)]
pub(crate) enum ProductGradient {
    F32(Arc<Factors<f32>>),
    F64(Arc<Factors<f64>>),
}

/// `left right`, of inner size `rows`.
#[derive(Debug)]
pub(crate) struct Factors<T> {
    /// `[width, rows]`.
    pub(crate) left: Panels<T>,
    /// `[rows, columns]`.
    pub(crate) right: Panels<T>,
    pub(crate) columns: usize,
    /// The sum of the squares of the product's entries.
    pub(crate) squares: f64,
}

impl ProductGradient {
    /// The sum of the squares of the entries.
    pub(crate) fn squares(&self) -> f64 {
        match self {
            Self::F32(factors) => factors.squares,
            Self::F64(factors) => factors.squares,
        }
    }

    /// The product.
    pub(crate) fn form(&self) -> candle_core::Result<Tensor> {
        match self {
            Self::F32(factors) => factors.form(),
            Self::F64(factors) => factors.form(),
        }
    }
}

impl<T: Real> Factors<T> {
    fn form(&self) -> candle_core::Result<Tensor> {
        let (width, columns) = (self.left.rows(), self.columns);
        let mut product = Panels::zeros(width, columns);
        multiply(Left::Rows(&self.left, 0), &self.right, 0, self.right.rows(), &mut product);
        let mut values = vec![T::zero(); width * columns];
        for_each_chunk(&mut values, columns, |i, row| product.read_row(i, row));
        Tensor::from_vec(values, (width, columns), &Device::Cpu)
    }
}
