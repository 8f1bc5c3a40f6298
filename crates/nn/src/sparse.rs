//! Sparse matrices times dense ones, with a gradient that is sparse too. Only the places of entries
//! are fixed; their values are tensors that take part in the backward pass.

use candle_core::{DType, Device, Shape, Tensor};
use foretaste_settings::Setting;
use pulp::NullaryFnOnce;

use crate::Result;
use crate::kernel::{Real, for_each_chunk, vectorised, with_slice};
use crate::tape::{Backward, Computed, Gradient, RowGradient, record};

/// Where a sparse matrix `[rows, inner]` has its entries, row by row.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use foretaste_nn::Sparse;
///
/// // [[2, 0, 3], [0, 0, 0]] times a matrix [3, 2].
/// let sparse = Sparse::new(2, 3, [(0, 0), (0, 2)])?;
/// let matrix = Tensor::new(&[[1f32, 10.], [2., 20.], [3., 30.]], &Device::Cpu)?;
/// let product = sparse.matmul(&Tensor::new(&[2f32, 3.], &Device::Cpu)?, &matrix)?;
/// assert_eq!(product.to_vec2::<f32>()?, [[11.0, 110.0], [0.0, 0.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sparse {
    /// The first entry of each row, and behind the last row the number of entries.
    starts: Vec<usize>,
    /// The column of each entry.
    columns: Vec<u32>,
    inner: usize,
}

impl Sparse {
    /// Entries at (row, column), rows in rising order; a place may be named several times, and its
    /// entries then add up.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a row comes before the one before it, or an
    /// entry lies outside the matrix.
    pub fn new(
        rows: usize,
        inner: usize,
        entries: impl IntoIterator<Item = (usize, u32)>,
    ) -> Result<Self> {
        let (mut starts, mut columns) = (vec![0], Vec::new());
        for (at, (row, column)) in entries.into_iter().enumerate() {
            if row >= rows || column as usize >= inner || row + 1 < starts.len() {
                let problem = format!(
                    "entry {at} is in row {row} and column {column}, expected rising rows of a \
                     matrix [{rows}, {inner}]"
                );
                return Err(Setting::new("sparse matrix", problem).into());
            }
            starts.resize(row + 1, at);
            columns.push(column);
        }
        starts.resize(rows + 1, columns.len());
        Ok(Self { starts, columns, inner })
    }

    /// The matrix with these entries, `values [entries]`, times `matrix [inner, width]`:
    /// `[rows, width]`.
    ///
    /// On the CPU nothing else is built, and the gradient that [`backward`](crate::backward) finds
    /// for a parameter `matrix` holds the rows that some entry multiplies. A row of the product
    /// depends on neither the number of threads nor the other rows.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the sizes do not fit.
    pub fn matmul(&self, values: &Tensor, matrix: &Tensor) -> Result<Tensor> {
        let (inner, width) = matrix.dims2()?;
        if values.dims() != [self.columns.len()] || inner != self.inner {
            let problem = format!(
                "values {:?} and a matrix {:?}, expected [{}] and [{}, _]",
                values.dims(),
                matrix.dims(),
                self.columns.len(),
                self.inner
            );
            return Err(Setting::new("sparse product", problem).into());
        }
        let product = match (matrix.device(), matrix.dtype()) {
            (Device::Cpu, DType::F32) => self.product::<f32>(values, matrix, width)?,
            (Device::Cpu, DType::F64) => self.product::<f64>(values, matrix, width)?,
            _ => return self.composed(values, matrix, width),
        };
        record(
            product,
            &[values, matrix],
            Matmul { sparse: self.clone(), values: values.detach(), matrix: matrix.detach() },
        )
    }

    fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    fn product<T: Real>(&self, values: &Tensor, matrix: &Tensor, width: usize) -> Result<Computed> {
        let mut product = vec![T::zero(); self.rows() * width];
        with_slice(values, |values: &[T]| {
            with_slice(matrix, |matrix: &[T]| {
                for_each_chunk(&mut product, width, |row, sum| {
                    let entries = self.starts[row]..self.starts[row + 1];
                    for (entry, &scale) in entries.clone().zip(&values[entries]) {
                        vectorised(AddScaled { sum, scale, row: self.row(matrix, width, entry) });
                    }
                });
            })
        })??;
        Ok(Computed::Host(T::to_cpu_storage_owned(product), Shape::from((self.rows(), width))))
    }

    fn composed(&self, values: &Tensor, matrix: &Tensor, width: usize) -> Result<Tensor> {
        let device = matrix.device();
        let zeros = Tensor::zeros((self.rows(), width), matrix.dtype(), device)?;
        if self.columns.is_empty() {
            return Ok(zeros);
        }
        let rows: Vec<u32> = (0..self.rows())
            .flat_map(|row| vec![row as u32; self.starts[row + 1] - self.starts[row]])
            .collect();
        let used = matrix.index_select(&Tensor::new(&self.columns[..], device)?, 0)?;
        Ok(zeros.index_add(
            &Tensor::new(rows, device)?,
            &used.broadcast_mul(&values.unsqueeze(1)?)?,
            0,
        )?)
    }

    /// The row of `matrix [inner, width]` that an entry multiplies.
    fn row<'m, T>(&self, matrix: &'m [T], width: usize, entry: usize) -> &'m [T] {
        &matrix[self.columns[entry] as usize * width..][..width]
    }
}

struct Matmul {
    sparse: Sparse,
    values: Tensor,
    matrix: Tensor,
}

impl Matmul {
    fn gradients<T: Real>(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
        let (sparse, device) = (&self.sparse, gradient.device());
        let width = gradient.dim(1)?;
        let mut used = sparse.columns.clone();
        used.sort_unstable();
        used.dedup();
        let mut place = vec![0u32; sparse.inner];
        used.iter().enumerate().for_each(|(at, &column)| place[column as usize] = at as u32);
        let mut of_values = vec![T::zero(); sparse.columns.len()];
        let mut of_matrix = vec![T::zero(); used.len() * width];
        with_slice(gradient, |gradient: &[T]| {
            with_slice(&self.values, |values: &[T]| {
                with_slice(&self.matrix, |matrix: &[T]| {
                    for row in 0..sparse.rows() {
                        let gradient = &gradient[row * width..][..width];
                        for entry in sparse.starts[row]..sparse.starts[row + 1] {
                            of_values[entry] = dot(gradient, sparse.row(matrix, width, entry));
                            let at = place[sparse.columns[entry] as usize] as usize * width;
                            let sum = &mut of_matrix[at..][..width];
                            vectorised(AddScaled { sum, scale: values[entry], row: gradient });
                        }
                    }
                })
            })
        })???;
        let of_values = Tensor::from_vec(of_values, sparse.columns.len(), device)?;
        let values = Tensor::from_vec(of_matrix, (used.len(), width), device)?;
        Ok(vec![
            Some(Gradient::Dense(of_values)),
            Some(Gradient::Rows(RowGradient { rows: used, values })),
        ])
    }
}

impl Backward for Matmul {
    fn name(&self) -> &'static str {
        "sparse product"
    }

    fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
        match gradient.dtype() {
            DType::F32 => self.gradients::<f32>(gradient),
            _ => self.gradients::<f64>(gradient),
        }
    }
}

/// sum += scale row.
struct AddScaled<'a, T> {
    sum: &'a mut [T],
    scale: T,
    row: &'a [T],
}

impl<T: Real> NullaryFnOnce for AddScaled<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (sum, &x) in self.sum.iter_mut().zip(self.row) {
            *sum += self.scale * x;
        }
    }
}

/// In eight sums side by side, so that it vectorises.
fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); 8];
    let (a, b) = (a.chunks(8), b.chunks(8));
    for (a, b) in a.zip(b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.into_iter().fold(T::zero(), |sum, part| sum + part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Init, Params, backward, check_gradients};
    use foretaste_random::Seed;

    /// Rows 0 and 3 empty, an entry twice in one place, rows of the matrix used by several rows.
    fn sparse() -> Sparse {
        Sparse::new(5, 6, [(1, 4), (1, 0), (1, 4), (2, 4), (4, 5), (4, 1)]).unwrap()
    }

    fn params(dtype: DType) -> Params {
        let mut params = Params::new(Seed::new(3), dtype, &Device::Cpu);
        params.scope("a").param("values", 6, Init::Normal { sd: 1.0 }).unwrap();
        params.scope("a").param("matrix", (6, 11), Init::Normal { sd: 1.0 }).unwrap();
        params
    }

    fn parts(params: &Params) -> [&Tensor; 2] {
        ["a.values", "a.matrix"].map(|name| params.get(name).unwrap().as_tensor())
    }

    fn loss(product: &Tensor) -> Result<Tensor> {
        let weights = Tensor::arange(0.0, product.elem_count() as f64, &Device::Cpu)?
            .reshape(product.shape())?;
        Ok((product.sqr()? * weights.to_dtype(product.dtype())?)?.sum_all()?)
    }

    #[test]
    fn products_equal_those_of_the_dense_matrix() {
        let params = params(DType::F64);
        let [values, matrix] = parts(&params);
        let numbers = values.to_vec1::<f64>().unwrap();
        let mut dense = vec![0.0; 5 * 6];
        for ((row, column), value) in
            [(1, 4), (1, 0), (1, 4), (2, 4), (4, 5), (4, 1)].into_iter().zip(numbers)
        {
            dense[row * 6 + column] += value;
        }
        let expected =
            Tensor::from_vec(dense, (5, 6), &Device::Cpu).unwrap().matmul(matrix).unwrap();
        for found in [
            sparse().matmul(values, matrix).unwrap(),
            sparse().composed(values, matrix, 11).unwrap(),
        ] {
            let largest = (found - &expected)
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap();
            assert!(largest < 1e-12, "{largest}");
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        let params = params(DType::F64);
        let [values, matrix] = parts(&params);
        check_gradients(&params, || loss(&sparse().matmul(values, matrix)?));
        // Behind an operation, and next to another use of the matrix.
        check_gradients(&params, || {
            let product = sparse().matmul(&(values * 2.0)?, matrix)?;
            Ok((loss(&product)? + matrix.sqr()?.sum_all()?)?)
        });
    }

    #[test]
    fn a_gradient_holds_the_rows_in_use() {
        let params = params(DType::F32);
        let [values, matrix] = parts(&params);
        let gradients =
            backward(&loss(&sparse().matmul(values, matrix).unwrap()).unwrap()).unwrap();
        assert!(
            matches!(gradients.stored(matrix), Some(Gradient::Rows(part)) if part.rows == [0, 1, 4, 5])
        );
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads() {
        let mut params = Params::new(Seed::new(3), DType::F32, &Device::Cpu);
        let rows = 6_000;
        let values = params.scope("a").param("values", 3 * rows, Init::Normal { sd: 1.0 }).unwrap();
        let matrix =
            params.scope("a").param("matrix", (100, 64), Init::Normal { sd: 1.0 }).unwrap();
        let entries = (0..3 * rows).map(|at| (at / 3, (at * at % 100) as u32));
        let sparse = Sparse::new(rows, 100, entries).unwrap();
        let run = || {
            sparse
                .matmul(&values, &matrix)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()
        };
        let bits = [1, 3].map(|threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
        });
        assert!(bits[0] == bits[1]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |result: Result<Sparse>| result.unwrap_err().to_string();
        let expected = "sparse matrix: entry 1 is in row 0 and column 1, expected rising rows of a matrix [2, 3]";
        assert_eq!(message(Sparse::new(2, 3, [(1, 0), (0, 1)])), expected);
        assert!(message(Sparse::new(2, 3, [(2, 0)])).contains("entry 0 is in row 2"));
        assert!(message(Sparse::new(2, 3, [(0, 3)])).contains("column 3"));
        let params = params(DType::F32);
        let [values, matrix] = parts(&params);
        assert!(Sparse::new(2, 6, [(1, 0)]).unwrap().matmul(values, matrix).is_err());
        assert!(Sparse::new(5, 7, [(1, 0); 6]).unwrap().matmul(values, matrix).is_err());
    }
}
