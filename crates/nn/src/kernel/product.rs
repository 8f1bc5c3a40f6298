//! The matrix product of the kernels. Each entry is summed in a fixed order, so results depend on
//! neither the number of threads nor the other rows of a batch.

use std::array::from_fn;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Panels, Real, WIDTH, worth_splitting};

/// Inner indices per pass: a panel of the right factor then stays in the first-level cache.
const DEPTH: usize = 256;
/// Rows per pass: [`DEPTH`] of their entries then stay in the second-level cache.
const HEIGHT: usize = 256;

/// The left factor A `[m, k]` of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Left<'a, T> {
    /// Rows of a matrix, from the given one on.
    Rows(&'a Panels<T>, usize),
    /// The transpose of rows of a matrix, from the given one on: its columns are A's rows.
    Columns(&'a Panels<T>, usize),
}

/// `out += A B`, with `out [m, n]` and B the `k` rows of `right [.., n]` from `first` on. Panels
/// are shared out among the threads where that pays.
pub(crate) fn multiply<T: Real>(
    left: Left<'_, T>,
    right: &Panels<T>,
    first: usize,
    k: usize,
    out: &mut Panels<T>,
) {
    let (m, count) = (out.rows(), out.count());
    let share = if worth_splitting(2 * m * k * count * WIDTH) {
        2 * rayon::current_num_threads()
    } else {
        1
    };
    let group = count.div_ceil(share).max(1);
    let run = |index: usize, panels: &mut [[T; WIDTH]]| {
        multiply_rows(left, |p| &right.panel(index * group + p)[first..first + k], panels, m, 0..m);
    };
    if m > 0 && share > 1 {
        out.values_mut()
            .par_chunks_mut(group * m)
            .enumerate()
            .for_each(|(index, panels)| run(index, panels));
    } else if m > 0 {
        run(0, out.values_mut());
    }
}

/// `out += A B` on `rows` of each panel of `out`, panels of `height` rows one after another, on
/// this thread. `right(p)` is B's panel `p`. A's first row belongs to the first of `rows`.
pub(crate) fn multiply_rows<'b, T: Real>(
    left: Left<'_, T>,
    right: impl Fn(usize) -> &'b [[T; WIDTH]],
    out: &mut [[T; WIDTH]],
    height: usize,
    rows: Range<usize>,
) {
    let arch = Arch::new();
    let k = right(0).len();
    for row in rows.clone().step_by(HEIGHT) {
        let end = (row + HEIGHT).min(rows.end);
        for depth in (0..k).step_by(DEPTH) {
            for (p, panel) in out.chunks_exact_mut(height).enumerate() {
                let right = &right(p)[depth..(depth + DEPTH).min(k)];
                arch.dispatch(Block {
                    left,
                    row: row - rows.start,
                    depth,
                    right,
                    out: &mut panel[row..end],
                });
            }
        }
    }
}

/// `out += A B` for the rows of A from `row` on and its inner indices from `depth` on.
struct Block<'a, T> {
    left: Left<'a, T>,
    row: usize,
    depth: usize,
    right: &'a [[T; WIDTH]],
    out: &'a mut [[T; WIDTH]],
}

impl<T: Real> WithSimd for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Sums of 8 x 2 or 4 x 2 registers: enough to keep the multiply-add units busy, few enough
        // to stay in registers.
        let mut done = 0;
        if S::REGISTER_COUNT >= 32 {
            done = self.tiles::<S, 8>(simd, done);
        }
        done = self.tiles::<S, 4>(simd, done);
        done = self.tiles::<S, 2>(simd, done);
        self.tiles::<S, 1>(simd, done);
    }
}

impl<T: Real> Block<'_, T> {
    /// Tiles of `M` rows from `row` of `out` on, as many as fit; returns the first row that is
    /// left.
    #[inline(always)]
    fn tiles<S: Simd, const M: usize>(&mut self, simd: S, mut row: usize) -> usize {
        while row + M <= self.out.len() {
            let mut column = 0;
            while column < WIDTH {
                self.tile::<S, M>(simd, row, column);
                column += 2 * T::lanes::<S>();
            }
            row += M;
        }
        row
    }

    #[inline(always)]
    fn tile<S: Simd, const M: usize>(&mut self, simd: S, row: usize, column: usize) {
        let columns = column..column + 2 * T::lanes::<S>();
        let out = &mut self.out[row..row + M];
        let mut sums: [[T::Vector<S>; 2]; M] = from_fn(|i| pair::<S, T>(&out[i][columns.clone()]));
        let row = self.row + row;
        match self.left {
            Left::Rows(panels, first) => {
                for (index, right) in self.right.chunks(WIDTH).enumerate() {
                    let panel =
                        &panels.panel(self.depth / WIDTH + index)[first + row..first + row + M];
                    let rows: [&[T; WIDTH]; M] = from_fn(|i| &panel[i]);
                    for (k, right) in (0..WIDTH).zip(right) {
                        let right = pair::<S, T>(&right[columns.clone()]);
                        add_outer::<S, T, M>(simd, &mut sums, |i| rows[i][k], right);
                    }
                }
            }
            Left::Columns(panels, first) => {
                let panel = &panels.panel(row / WIDTH)[first + self.depth..];
                for (left, right) in panel.iter().zip(self.right) {
                    let left = &left[row % WIDTH..row % WIDTH + M];
                    let right = pair::<S, T>(&right[columns.clone()]);
                    add_outer::<S, T, M>(simd, &mut sums, |i| left[i], right);
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            T::vectors_mut::<S>(&mut out[columns.clone()]).copy_from_slice(&sums);
        }
    }
}

#[inline(always)]
fn pair<S: Simd, T: Real>(values: &[T]) -> [T::Vector<S>; 2] {
    let vectors = T::vectors::<S>(values);
    [vectors[0], vectors[1]]
}

#[inline(always)]
fn add_outer<S: Simd, T: Real, const M: usize>(
    simd: S,
    sums: &mut [[T::Vector<S>; 2]; M],
    left: impl Fn(usize) -> T,
    right: [T::Vector<S>; 2],
) {
    for (i, sums) in sums.iter_mut().enumerate() {
        let left = T::splat(simd, left(i));
        *sums = [
            T::multiply_add(simd, left, right[0], sums[0]),
            T::multiply_add(simd, left, right[1], sums[1]),
        ];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foretaste_random::Seed;
    use proptest::prelude::*;
    use rand::Rng;

    fn matrix(rows: usize, columns: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut stream = Seed::new(seed).stream(0);
        (0..rows).map(|_| (0..columns).map(|_| stream.random_range(-1.0..1.0)).collect()).collect()
    }

    fn panels(matrix: &[Vec<f64>], columns: usize) -> Panels<f64> {
        Panels::from_rows(matrix.len(), columns, |i| &matrix[i])
    }

    fn rows(panels: &Panels<f64>, columns: usize) -> Vec<Vec<f64>> {
        let row = |i| {
            let mut row = vec![0.0; columns];
            panels.read_row(i, &mut row);
            row
        };
        (0..panels.rows()).map(row).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn products_equal_the_definition(m in 0usize..70, n in 1usize..70, k in 1usize..600, skip in 0usize..3, seed: u64) {
            let (a, b, start) = (matrix(m + skip, k, seed), matrix(k + skip, n, seed ^ 1), matrix(m, n, seed ^ 2));
            let transposed: Vec<Vec<f64>> = (0..k + skip)
                .map(|i| (0..m).map(|j| if i < skip { 9.0 } else { a[j + skip][i - skip] }).collect())
                .collect();
            let right = panels(&b, n);
            for left in [Left::Rows(&panels(&a, k), skip), Left::Columns(&panels(&transposed, m), skip)] {
                let mut out = panels(&start, n);
                multiply(left, &right, skip, k, &mut out);
                for (i, row) in rows(&out, n).iter().enumerate() {
                    for (j, found) in row.iter().enumerate() {
                        let terms = (0..k).map(|l| a[i + skip][l] * b[l + skip][j]);
                        let expected = start[i][j] + terms.sum::<f64>();
                        prop_assert!((found - expected).abs() < 1e-11, "{found} {expected}");
                    }
                }
            }
        }
    }

    /// 130 x 96 x 300 is large enough to be shared out among threads.
    #[test]
    fn entries_depend_on_neither_threads_nor_other_rows() {
        let (a, b) = (matrix(130, 300, 1), matrix(300, 96, 2));
        let right = panels(&b, 96);
        let product = |a: &[Vec<f64>], threads| {
            let mut out = Panels::zeros(a.len(), 96);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| multiply(Left::Rows(&panels(a, 300), 0), &right, 0, 300, &mut out));
            rows(&out, 96)
        };
        let whole = product(&a, 1);
        assert_eq!(product(&a, 3), whole);
        for rows in [0..1, 5..8, 100..130] {
            assert_eq!(product(&a[rows.clone()], 1), whole[rows]);
        }
    }
}
