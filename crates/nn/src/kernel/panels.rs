//! The layout in which all kernels keep matrices. Panels are packed once and then read by several
//! products, which a library that packs at every call cannot do.

use rayon::prelude::*;

use super::{Real, for_each_chunk, worth_sharing};

/// Columns to a panel: 128 or 256 bytes, a whole number of registers and cache lines.
pub(crate) const WIDTH: usize = 32;

/// A matrix cut into panels of [`WIDTH`] columns, each panel its rows one after another; the last
/// is filled up with zeros.
///
/// A product reads its right factor, and the transpose of its left, panel by panel without packing
/// them again; and a panel of the result is one piece of memory, which one thread can own.
#[derive(Clone, Debug)]
pub(crate) struct Panels<T> {
    rows: usize,
    values: Vec<[T; WIDTH]>,
}

impl<T: Real> Panels<T> {
    /// Zeros, `columns` rounded up to whole panels.
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, values: vec![[T::zero(); WIDTH]; rows * columns.div_ceil(WIDTH)] }
    }

    /// The matrix whose panels hold `part(panel, row)`.
    pub(crate) fn build(
        rows: usize,
        columns: usize,
        part: impl Fn(usize, usize) -> [T; WIDTH] + Sync,
    ) -> Self {
        let count = columns.div_ceil(WIDTH);
        let mut values = Vec::with_capacity(count * rows);
        if worth_sharing(count * rows * size_of::<[T; WIDTH]>()) {
            let place = (0..count * rows).into_par_iter();
            values.par_extend(place.map(|index| part(index / rows, index % rows)));
        } else {
            for panel in 0..count {
                values.extend((0..rows).map(|row| part(panel, row)));
            }
        }
        Self { rows, values }
    }

    /// The matrix whose row `i` is `row(i)`, all of the length `columns`.
    pub(crate) fn from_rows<'a>(
        rows: usize,
        columns: usize,
        row: impl Fn(usize) -> &'a [T] + Sync,
    ) -> Self {
        Self::build(rows, columns, |panel, i| {
            filled(&row(i)[panel * WIDTH..columns.min((panel + 1) * WIDTH)])
        })
    }

    /// Makes this a matrix of another size, whatever its entries, in the same memory as far as that
    /// goes.
    pub(crate) fn resize(&mut self, rows: usize, columns: usize) {
        self.rows = rows;
        self.values.resize(rows * columns.div_ceil(WIDTH), [T::zero(); WIDTH]);
    }

    /// The transpose of the first `columns` columns.
    pub(crate) fn transposed(&self, columns: usize) -> Self {
        Self::build(columns, self.rows, |panel, i| {
            let mut part = [T::zero(); WIDTH];
            let rows = &self.panel(i / WIDTH)[panel * WIDTH..self.rows.min((panel + 1) * WIDTH)];
            part.iter_mut().zip(rows).for_each(|(value, row)| *value = row[i % WIDTH]);
            part
        })
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The rows of a panel.
    pub(crate) fn panel(&self, index: usize) -> &[[T; WIDTH]] {
        &self.values[index * self.rows..(index + 1) * self.rows]
    }

    /// The rows of a panel, to be written.
    pub(crate) fn panel_mut(&mut self, index: usize) -> &mut [[T; WIDTH]] {
        &mut self.values[index * self.rows..(index + 1) * self.rows]
    }

    /// All panels in one piece.
    pub(crate) fn values(&self) -> &[[T; WIDTH]] {
        &self.values
    }

    /// All panels in one piece: chunks of `k * rows` are groups of `k` panels.
    pub(crate) fn values_mut(&mut self) -> &mut [[T; WIDTH]] {
        &mut self.values
    }

    /// Number of panels.
    pub(crate) fn count(&self) -> usize {
        self.values.len().checked_div(self.rows).unwrap_or(0)
    }

    /// Copies the start of row `i` into `row`.
    pub(crate) fn read_row(&self, i: usize, row: &mut [T]) {
        for (panel, part) in row.chunks_mut(WIDTH).enumerate() {
            copy(&self.values[panel * self.rows + i], part);
        }
    }

    /// Adds each row of `values [.., columns]` to the row of this matrix that `place` names, if
    /// any.
    pub(crate) fn add_rows(
        &mut self,
        values: &[T],
        columns: usize,
        place: impl Fn(usize) -> Option<usize> + Sync,
    ) {
        for_each_chunk(&mut self.values, self.rows, |panel, sums| {
            let part = panel * WIDTH..columns.min((panel + 1) * WIDTH);
            for (i, row) in values.chunks_exact(columns).enumerate() {
                if let Some(place) = place(i) {
                    add(&mut sums[place], &row[part.clone()]);
                }
            }
        });
    }

    /// Adds a matrix of the same size.
    pub(crate) fn add(&mut self, other: &Self) {
        self.values.iter_mut().zip(&other.values).for_each(|(sum, value)| add(sum, value));
    }
}

/// The values, and zeros behind them.
pub(crate) fn filled<T: Real>(values: &[T]) -> [T; WIDTH] {
    if let Ok(whole) = values.try_into() {
        return whole;
    }
    let mut part = [T::zero(); WIDTH];
    part[..values.len()].copy_from_slice(values);
    part
}

/// Copies the start of `values` that fits into `part`.
pub(crate) fn copy<T: Real>(values: &[T; WIDTH], part: &mut [T]) {
    match <&mut [T; WIDTH]>::try_from(&mut *part) {
        Ok(whole) => *whole = *values,
        Err(_) => part.copy_from_slice(&values[..part.len()]),
    }
}

fn add<T: Real>(sums: &mut [T; WIDTH], values: &[T]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += *value);
}
