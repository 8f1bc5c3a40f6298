//! The forms in which a gradient is kept, and their sums.

use candle_core::{Shape, Tensor};

use crate::kernel::ProductGradient;

/// The gradient of one tensor.
#[derive(Clone, Debug)]
pub(crate) enum Gradient {
    Dense(Tensor),
    Rows(RowGradient),
    Product(ProductGradient),
}

/// The gradient of a table `[entries, width]` of which only some rows were used.
#[derive(Clone, Debug)]
pub(crate) struct RowGradient {
    /// The rows that were used, ascending.
    pub(crate) rows: Vec<u32>,
    /// Their gradients `[rows, width]`.
    pub(crate) values: Tensor,
}

impl Gradient {
    /// All entries, zeros included, for a tensor of this shape.
    pub(super) fn dense(&self, shape: &Shape) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(gradient) => Ok(gradient.clone()),
            Self::Product(product) => product.form(),
            Self::Rows(part) => {
                part.add_to(&Tensor::zeros(shape, part.values.dtype(), part.values.device())?)
            }
        }
    }

    /// The sum of two gradients of the same tensor: rows stay rows, and a product is formed.
    pub(super) fn sum(self, other: Self) -> candle_core::Result<Self> {
        Ok(match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => Self::Dense((a + b)?),
            (Self::Rows(part), Self::Dense(whole)) | (Self::Dense(whole), Self::Rows(part)) => {
                Self::Dense(part.add_to(&whole)?)
            }
            (Self::Rows(a), Self::Rows(b)) => {
                let values = Tensor::cat(&[&a.values, &b.values], 0)?;
                Self::Rows(RowGradient::collect(&[a.rows, b.rows].concat(), &values)?)
            }
            (Self::Product(product), other) | (other, Self::Product(product)) => {
                Self::Dense(product.form()?).sum(other)?
            }
        })
    }
}

impl RowGradient {
    /// The gradient of a look-up: `values [uses, width]` belong to the rows `ids [uses]`, in any
    /// order, which may repeat.
    pub(crate) fn collect(ids: &[u32], values: &Tensor) -> candle_core::Result<Self> {
        let mut rows = ids.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let place = |id| rows.partition_point(|row| row < id) as u32;
        let places: Vec<u32> = ids.iter().map(place).collect();
        let sums = Tensor::zeros((rows.len(), values.dim(1)?), values.dtype(), values.device())?;
        let values =
            sums.index_add(&Tensor::new(places, values.device())?, &values.contiguous()?, 0)?;
        Ok(Self { rows, values })
    }

    fn add_to(&self, table: &Tensor) -> candle_core::Result<Tensor> {
        table.index_add(&Tensor::new(&self.rows[..], table.device())?, &self.values, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn table(values: &[f64]) -> Tensor {
        Tensor::from_slice(values, (values.len() / 2, 2), &Device::Cpu).unwrap()
    }

    fn entries(gradient: &Gradient) -> Vec<Vec<f64>> {
        gradient.dense(&Shape::from((4, 2))).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn row_gradients_add_up_in_every_order_of_use() {
        let rows =
            RowGradient::collect(&[3, 1, 3], &table(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
        assert_eq!(rows.rows, [1, 3]);
        assert_eq!(rows.values.to_vec2::<f64>().unwrap(), [[3.0, 4.0], [6.0, 8.0]]);

        let (rows, dense) = (Gradient::Rows(rows), Gradient::Dense(table(&[1.0; 8])));
        let expected = [[1.0, 1.0], [4.0, 5.0], [1.0, 1.0], [7.0, 9.0]];
        for [first, second] in [[&rows, &dense], [&dense, &rows]] {
            assert_eq!(entries(&first.clone().sum(second.clone()).unwrap()), expected);
        }

        let others = RowGradient::collect(&[0], &table(&[1.0, 1.0])).unwrap();
        let sum = rows.sum(Gradient::Rows(others)).unwrap();
        assert!(matches!(&sum, Gradient::Rows(part) if part.rows == [0, 1, 3]));
        assert_eq!(entries(&sum), [[1.0, 1.0], [3.0, 4.0], [0.0, 0.0], [6.0, 8.0]]);
    }
}
