//! The softmax over all items on the CPU.
//!
//! Items are cut into shares, the work of one thread, and these into blocks, of which the weight's
//! columns are packed into a small scratch right before they are used. What is summed over items is
//! summed by share and then over the shares in an order that their number alone fixes.
//!
//! The gradient of the weight, as large as the weight itself, is left as a product of two factors
//! if it has few rows: an optimizer forms it piece by piece as it steps, and its norm comes from
//! the factors.

use std::ops::Range;
use std::sync::Mutex;

use candle_core::{Device, Shape, Tensor};
use pulp::NullaryFnOnce;
use rayon::prelude::*;

use crate::Result;
use crate::kernel::{
    Factors, Left, Panels, Real, WIDTH, filled, multiply, multiply_rows, vectorised, with_slice,
    worth_splitting,
};
use crate::lock;
use crate::tape::{Backward, Computed, Gradient, record};

/// Items to a block. The weight's columns, with 512 rows half a megabyte in f32, then stay in the
/// second-level cache.
const BLOCK: usize = 8 * WIDTH;
/// Items to a share.
const SHARE: usize = 4 * BLOCK;
/// Below all logits, yet finite.
pub(super) const LOWEST: f64 = f32::MIN as f64;

/// See [`softmax_cross_entropy`](super::softmax_cross_entropy), which checks the sizes.
pub(super) fn cross_entropy<T: Real>(
    hidden: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    targets: &[u32],
) -> Result<Tensor> {
    let (rows, width) = hidden.dims2()?;
    let packed = with_slice(hidden, |values: &[T]| {
        Panels::from_rows(rows, width, |i| &values[i * width..][..width])
    })?;
    let (logits, sums) = with_slice(weight, |weight: &[T]| {
        with_slice(bias, |bias: &[T]| forward(&packed, weight, bias))
    })??;
    let loss = |(row, (&target, sum)): (usize, (&u32, &ExpSum<T>))| {
        let chosen = logits.panel(target as usize / WIDTH)[row][target as usize % WIDTH];
        sum.shift - chosen + T::from_f64(sum.sum.ln())
    };
    let losses = targets.iter().zip(&sums).enumerate().map(loss).collect();
    let result = Computed::Host(T::to_cpu_storage_owned(losses), Shape::from(rows));
    let arguments = [hidden, weight, bias];
    let backward = CrossEntropy {
        hidden: packed,
        weight: weight.detach(),
        targets: targets.to_vec(),
        sums,
        logits: Mutex::new(Some(logits)),
        wanted: arguments.map(Tensor::track_op),
    };
    record(result, &arguments, backward)
}

/// Σ exp(logit - shift) over items, the shift being the largest logit.
#[derive(Clone, Copy)]
struct ExpSum<T> {
    shift: T,
    sum: f64,
}

/// The logits, padded by the lowest to whole panels, and each row's sum.
fn forward<T: Real>(hidden: &Panels<T>, weight: &[T], bias: &[T]) -> (Panels<T>, Vec<ExpSum<T>>) {
    let (rows, items) = (hidden.rows(), bias.len());
    let width = weight.len() / items;
    let mut logits = Panels::zeros(rows, items);
    let share = |(share, panels): (usize, &mut [[T; WIDTH]])| {
        let mut packed = Panels::zeros(width, BLOCK);
        for (block, panels) in panels.chunks_mut(BLOCK / WIDTH * rows).enumerate() {
            let columns = columns(share * SHARE + block * BLOCK, items);
            vectorised(Pack { weight, items, columns: columns.clone(), packed: &mut packed });
            for (panel, bias) in panels.chunks_exact_mut(rows).zip(bias[columns].chunks(WIDTH)) {
                let mut row = [T::from_f64(LOWEST); WIDTH];
                row[..bias.len()].copy_from_slice(bias);
                panel.fill(row);
            }
            multiply_rows(Left::Rows(hidden, 0), |p| packed.panel(p), panels, rows, 0..rows);
        }
        vectorised(ExpSums { panels, rows })
    };
    let size = SHARE / WIDTH * rows;
    let shares: Vec<Vec<ExpSum<T>>> = if worth_splitting(2 * rows * width * items) {
        logits.values_mut().par_chunks_mut(size).enumerate().map(share).collect()
    } else {
        logits.values_mut().chunks_mut(size).enumerate().map(share).collect()
    };
    let sums = (0..rows).map(|row| ExpSum::of(shares.iter().map(|share| share[row]))).collect();
    (logits, sums)
}

impl<T: Real> ExpSum<T> {
    fn of(parts: impl Iterator<Item = Self> + Clone) -> Self {
        let shift = parts.clone().map(|part| part.shift).fold(T::from_f64(LOWEST), larger);
        let rescaled = |part: Self| part.sum * (part.shift.to_f64() - shift.to_f64()).exp();
        Self { shift, sum: parts.map(rescaled).sum() }
    }
}

/// The sum of each of the rows of some panels.
struct ExpSums<'a, T> {
    panels: &'a [[T; WIDTH]],
    rows: usize,
}

impl<T: Real> NullaryFnOnce for ExpSums<'_, T> {
    type Output = Vec<ExpSum<T>>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let mut found = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            let mut shifts = [T::from_f64(LOWEST); WIDTH];
            for panel in self.panels.chunks_exact(self.rows) {
                for (shift, value) in shifts.iter_mut().zip(&panel[row]) {
                    *shift = larger(*shift, *value);
                }
            }
            let shift = shifts.into_iter().fold(shifts[0], larger);
            let mut sums = [T::zero(); WIDTH];
            for panel in self.panels.chunks_exact(self.rows) {
                for (sum, value) in sums.iter_mut().zip(&panel[row]) {
                    *sum += (*value - shift).exp();
                }
            }
            found.push(ExpSum { shift, sum: sums.iter().map(|sum| sum.to_f64()).sum() });
        }
        found
    }
}

#[inline(always)]
pub(super) fn larger<T: Real>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

struct CrossEntropy<T> {
    hidden: Panels<T>,
    weight: Tensor,
    targets: Vec<u32>,
    sums: Vec<ExpSum<T>>,
    /// Until the backward pass takes them.
    logits: Mutex<Option<Panels<T>>>,
    /// Which of hidden, weight and bias want a gradient.
    wanted: [bool; 3],
}

impl<T: Real> Backward for CrossEntropy<T> {
    fn name(&self) -> &'static str {
        "softmax cross-entropy"
    }

    fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
        let Some(mut logits) = lock(&self.logits).take() else {
            candle_core::bail!(
                "a softmax's backward pass uses up what its forward pass kept: run it forward again"
            )
        };
        let (width, items) = self.weight.dims2()?;
        let rows = self.targets.len();
        let left = self.hidden.transposed(width);
        // A product of few rows is left to where it is used.
        let products = (self.wanted[1] && rows < width).then(|| {
            let mut products = Panels::zeros(rows, rows);
            multiply(Left::Rows(&self.hidden, 0), &left, 0, width, &mut products);
            products
        });
        let few = products.is_some();
        let mut bias_gradient = vec![T::zero(); items];
        let Found { hidden, squares } = with_slice(&self.weight, |weight: &[T]| {
            with_slice(gradient, |gradient: &[T]| {
                let factor =
                    |(sum, gradient): (&ExpSum<T>, &T)| T::from_f64(gradient.to_f64() / sum.sum);
                let factors = self.sums.iter().zip(gradient).map(factor).collect();
                let work = Work { of: self, weight, gradient, factors, products, width, items };
                work.tree(&mut shares(rows, &mut logits, &mut bias_gradient))
            })
        })??;
        let [wants_hidden, wants_weight, wants_bias] = self.wanted;
        let dense = |values: Vec<T>, shape: &[usize]| {
            candle_core::Result::Ok(Gradient::Dense(Tensor::from_vec(values, shape, &Device::Cpu)?))
        };
        let product = || {
            // Rounding must not leave a sum of squares below 0, nor hide what is not a number.
            let squares = if squares < 0.0 { 0.0 } else { squares };
            let product = T::product(Factors { left, right: logits, columns: items, squares });
            if few { Ok(Gradient::Product(product)) } else { product.form().map(Gradient::Dense) }
        };
        Ok(vec![
            wants_hidden.then(|| dense(transposed(&hidden, rows), &[rows, width])).transpose()?,
            wants_weight.then(product).transpose()?,
            wants_bias.then(|| dense(bias_gradient, &[items])).transpose()?,
        ])
    }
}

/// What one share of the items reads and writes.
struct Share<'a, T> {
    first: usize,
    /// The logits, then their gradient.
    logits: &'a mut [[T; WIDTH]],
    bias: &'a mut [T],
}

/// What a backward pass sums over the items.
struct Found<T> {
    /// The gradient of hidden, transposed: `[width, rows]`; without columns if it is not wanted.
    hidden: Panels<T>,
    /// The sum of the squares of the weight's gradient; 0 if it is not wanted.
    squares: f64,
}

fn shares<'a, T: Real>(
    rows: usize,
    logits: &'a mut Panels<T>,
    bias: &'a mut [T],
) -> Vec<Share<'a, T>> {
    let logits = logits.values_mut().chunks_mut(SHARE / WIDTH * rows);
    let share = |(index, (logits, bias))| Share { first: index * SHARE, logits, bias };
    logits.zip(bias.chunks_mut(SHARE)).enumerate().map(share).collect()
}

/// A backward pass.
struct Work<'a, T> {
    of: &'a CrossEntropy<T>,
    weight: &'a [T],
    /// Of each row's loss.
    gradient: &'a [T],
    /// The gradient over the row's sum.
    factors: Vec<T>,
    /// hidden times its transpose, `[rows, rows]`, if the squares are wanted.
    products: Option<Panels<T>>,
    width: usize,
    items: usize,
}

impl<T: Real> Work<'_, T> {
    /// Turns the logits into their gradient and writes that of the bias.
    fn tree(&self, shares: &mut [Share<'_, T>]) -> Found<T> {
        if let [share] = shares {
            return self.share(share);
        }
        let (left, right) = shares.split_at_mut(shares.len() / 2);
        let split = worth_splitting(
            4 * self.gradient.len() * self.width * SHARE * (left.len() + right.len()),
        );
        let (mut sum, other) = if split {
            rayon::join(|| self.tree(left), || self.tree(right))
        } else {
            (self.tree(left), self.tree(right))
        };
        sum.hidden.add(&other.hidden);
        sum.squares += other.squares;
        sum
    }

    fn share(&self, share: &mut Share<'_, T>) -> Found<T> {
        let rows = self.gradient.len();
        let wants_hidden = self.of.wanted[0];
        let mut hidden = Panels::zeros(self.width, if wants_hidden { rows } else { 0 });
        let mut packed = Panels::zeros(self.width, BLOCK);
        let mut turned = Panels::zeros(BLOCK, rows);
        // The logits' gradient times its transpose, `[rows, rows]`.
        let mut products = Panels::zeros(rows, rows);
        for (block, logits) in share.logits.chunks_mut(BLOCK / WIDTH * rows).enumerate() {
            let columns = columns(share.first + block * BLOCK, self.items);
            self.differentiate(&columns, logits);
            sum_rows(
                logits,
                rows,
                &mut share.bias[columns.start - share.first..columns.end - share.first],
            );
            turn(logits, rows, &mut turned);
            let depth = logits.len() / rows * WIDTH;
            let right = |p: usize| &turned.panel(p)[..depth];
            if wants_hidden {
                let (weight, items) = (self.weight, self.items);
                vectorised(Pack { weight, items, columns, packed: &mut packed });
                multiply_rows(
                    Left::Rows(&packed, 0),
                    right,
                    hidden.values_mut(),
                    self.width,
                    0..self.width,
                );
            }
            if self.products.is_some() {
                multiply_rows(
                    Left::Columns(&turned, 0),
                    right,
                    products.values_mut(),
                    rows,
                    0..rows,
                );
            }
        }
        // |Hᵀ G|² is the sum of H Hᵀ times G Gᵀ, entry by entry: of as many rows and columns as the batch has.
        let of = |others: &Panels<T>| {
            let pairs = others.values().as_flattened().iter().zip(products.values().as_flattened());
            pairs.map(|(a, b)| a.to_f64() * b.to_f64()).sum()
        };
        Found { hidden, squares: self.products.as_ref().map_or(0.0, of) }
    }

    /// Turns logits into the gradient in them: φ less 1 at the target, times the gradient of the
    /// row's loss.
    fn differentiate(&self, columns: &Range<usize>, logits: &mut [[T; WIDTH]]) {
        let rows = self.gradient.len();
        vectorised(Probabilities { panels: logits, sums: &self.of.sums, factors: &self.factors });
        for (row, (&target, &gradient)) in self.of.targets.iter().zip(self.gradient).enumerate() {
            if columns.contains(&(target as usize)) {
                let place = target as usize - columns.start;
                logits[place / WIDTH * rows + row][place % WIDTH] -= gradient;
            }
        }
    }
}

/// Turns logits into exp(logit - shift) times the factor of their row.
struct Probabilities<'a, T> {
    panels: &'a mut [[T; WIDTH]],
    sums: &'a [ExpSum<T>],
    factors: &'a [T],
}

impl<T: Real> NullaryFnOnce for Probabilities<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for panel in self.panels.chunks_exact_mut(self.factors.len()) {
            for ((values, sum), &factor) in panel.iter_mut().zip(self.sums).zip(self.factors) {
                for value in values {
                    *value = (*value - sum.shift).exp() * factor;
                }
            }
        }
    }
}

/// The block that begins with item `first`.
fn columns(first: usize, items: usize) -> Range<usize> {
    first..items.min(first + BLOCK)
}

/// Packs columns of `weight [.., items]`.
struct Pack<'a, T> {
    weight: &'a [T],
    items: usize,
    columns: Range<usize>,
    packed: &'a mut Panels<T>,
}

impl<T: Real> NullaryFnOnce for Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let width = self.packed.rows();
        let packed = self.packed.values_mut();
        for (i, row) in self.weight.chunks_exact(self.items).enumerate() {
            let (whole, rest) = row[self.columns.clone()].as_chunks();
            for (panel, part) in whole.iter().enumerate() {
                packed[panel * width + i] = *part;
            }
            if !rest.is_empty() {
                packed[whole.len() * width + i] = filled(rest);
            }
        }
    }
}

/// Writes the sums over the rows of panels.
fn sum_rows<T: Real>(panels: &[[T; WIDTH]], rows: usize, sums: &mut [T]) {
    for (panel, sums) in panels.chunks_exact(rows).zip(sums.chunks_mut(WIDTH)) {
        let mut total = [T::zero(); WIDTH];
        for row in panel {
            for (sum, value) in total.iter_mut().zip(row) {
                *sum += *value;
            }
        }
        sums.copy_from_slice(&total[..sums.len()]);
    }
}

/// The transpose of panels of `rows` rows.
fn turn<T: Real>(panels: &[[T; WIDTH]], rows: usize, turned: &mut Panels<T>) {
    for (index, panel) in panels.chunks_exact(rows).enumerate() {
        for (part, block) in panel.chunks(WIDTH).enumerate() {
            let out = &mut turned.panel_mut(part)[index * WIDTH..][..WIDTH];
            for (column, out) in out.iter_mut().enumerate() {
                out.iter_mut().zip(block).for_each(|(value, row)| *value = row[column]);
            }
        }
    }
}

/// `[width, rows]` in panels as `[rows, width]`.
fn transposed<T: Real>(panels: &Panels<T>, rows: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(rows * panels.rows());
    for row in 0..rows {
        values.extend(panels.panel(row / WIDTH).iter().map(|values| values[row % WIDTH]));
    }
    values
}
