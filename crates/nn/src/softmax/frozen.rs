//! The softmax over all items for acting: logits of states, ready to be drawn from.

use std::ops::Range;

use candle_core::{Device, Tensor};
use foretaste_settings::Setting;
use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::fused::{LOWEST, larger};
use crate::Result;
use crate::kernel::{
    Left, Panels, Real, WIDTH, copy, multiply_rows, vectorised, with_slice, worth_splitting,
};

/// Panels to a block: with 512 rows half a megabyte of the weight, which then stays in the
/// second-level cache.
const PANELS: usize = Logits::BLOCK / WIDTH;

/// `states weight + bias` for all items, with the weight as it is now: packed for the processor
/// once.
#[derive(Debug)]
pub struct FrozenSoftmax {
    weight: Weight,
    bias: Vec<f32>,
}

#[derive(Debug)]
enum Weight {
    Packed(Panels<f32>),
    /// On another device than the CPU.
    Remote(Tensor),
}

/// Logits `[rows, items]` on the host, in blocks of [`Logits::BLOCK`] items of which the weights
/// exp(logit) are summed already.
///
/// Drawing an item from the softmax takes those sums and the logits of one block.
#[derive(Debug)]
pub struct Logits {
    items: usize,
    rows: usize,
    /// Padded by the lowest to whole panels.
    values: Panels<f32>,
    /// Of each block the sums of all rows.
    sums: Vec<BlockSum>,
}

/// The weights of a block's items: their sum is `sum · exp(largest)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BlockSum {
    /// The largest logit.
    pub largest: f32,
    /// Σ exp(logit - largest). It is not a number if a logit is not one or is infinite.
    pub sum: f32,
}

/// One row of [`Logits`].
#[derive(Clone, Copy, Debug)]
pub struct LogitsRow<'a> {
    logits: &'a Logits,
    row: usize,
}

impl FrozenSoftmax {
    /// From `weight [width, items]` and `bias [items]`, in single precision.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if sizes do not fit.
    pub fn new(weight: &Tensor, bias: &Tensor) -> Result<Self> {
        let (width, items) = weight.dims2()?;
        if bias.dims() != [items] || width * items == 0 {
            let problem = format!(
                "weight {:?}, bias {:?}, expected [width, items], [items]",
                weight.dims(),
                bias.dims()
            );
            return Err(Setting::new("softmax", problem).into());
        }
        let weight = match weight.device() {
            Device::Cpu => Weight::Packed(with_slice(weight, |values: &[f32]| {
                Panels::from_rows(width, items, |i| &values[i * items..][..items])
            })?),
            _ => Weight::Remote(weight.detach().copy()?),
        };
        Ok(Self { weight, bias: bias.to_vec1()? })
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.bias.len()
    }

    /// Computes the logits of `states [rows, width]` into `logits`, whose memory is used again.
    ///
    /// On the CPU a row depends on neither the number of threads nor the other rows.
    pub fn logits(&self, states: &Tensor, logits: &mut Logits) -> Result<()> {
        let (rows, width) = states.dims2()?;
        match &self.weight {
            Weight::Packed(weight) if weight.rows() == width => {
                let states = with_slice(states, |values: &[f32]| {
                    Panels::from_rows(rows, width, |i| &values[i * width..][..width])
                })?;
                logits.fill(rows, &self.bias, 2 * rows * width * self.items(), |block, panels| {
                    let right = |p: usize| weight.panel(block * PANELS + p);
                    multiply_rows(Left::Rows(&states, 0), right, panels, rows, 0..rows);
                });
            }
            Weight::Packed(weight) => {
                let problem =
                    format!("states {:?}, expected [.., {}]", states.dims(), weight.rows());
                return Err(Setting::new("softmax", problem).into());
            }
            Weight::Remote(weight) => {
                let product = states.matmul(weight)?.to_device(&Device::Cpu)?;
                with_slice(&product, |values: &[f32]| logits.set(rows, &self.bias, values))?;
            }
        }
        Ok(())
    }
}

impl Logits {
    /// Items to a block; the last may have fewer.
    pub const BLOCK: usize = 256;

    /// No rows, for `items` items.
    pub fn new(items: usize) -> Self {
        Self { items, rows: 0, values: Panels::zeros(0, 0), sums: Vec::new() }
    }

    /// Takes over `products [rows, items]`, to each row of which `bias` is added.
    ///
    /// # Panics
    /// If there are fewer products, or the bias is not one of the items.
    pub fn set(&mut self, rows: usize, bias: &[f32], products: &[f32]) {
        let items = self.items;
        self.fill(rows, bias, rows * items, |block, panels| {
            for (p, panel) in panels.chunks_exact_mut(rows).enumerate() {
                let first = (block * PANELS + p) * WIDTH;
                for (row, values) in panel.iter_mut().enumerate() {
                    let products = &products[row * items..][first..items.min(first + WIDTH)];
                    values.iter_mut().zip(products).for_each(|(value, product)| *value += product);
                }
            }
        });
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> LogitsRow<'_> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        LogitsRow { logits: self, row }
    }

    /// Adds products to rows of the bias, block by block, and sums the weights.
    fn fill(
        &mut self,
        rows: usize,
        bias: &[f32],
        work: usize,
        add: impl Fn(usize, &mut [[f32; WIDTH]]) + Sync,
    ) {
        assert_eq!(bias.len(), self.items, "one number for each item");
        self.rows = rows;
        self.values.resize(rows, self.items);
        self.sums.resize(rows * self.items.div_ceil(Self::BLOCK), BlockSum::default());
        if rows == 0 {
            return;
        }
        let block = |(block, (panels, sums)): (usize, (&mut [[f32; WIDTH]], &mut [BlockSum]))| {
            let bias = &bias[block * Self::BLOCK..];
            for (panel, bias) in panels.chunks_exact_mut(rows).zip(bias.chunks(WIDTH)) {
                let mut row = [LOWEST as f32; WIDTH];
                row[..bias.len()].copy_from_slice(bias);
                panel.fill(row);
            }
            add(block, panels);
            vectorised(Sums { panels, rows, sums });
        };
        let values = self.values.values_mut();
        if worth_splitting(work) {
            values
                .par_chunks_mut(PANELS * rows)
                .zip(self.sums.par_chunks_mut(rows))
                .enumerate()
                .for_each(block);
        } else {
            values
                .chunks_mut(PANELS * rows)
                .zip(self.sums.chunks_mut(rows))
                .enumerate()
                .for_each(block);
        }
    }
}

impl<'a> LogitsRow<'a> {
    /// Number of items.
    pub fn items(self) -> usize {
        self.logits.items
    }

    /// The sum of each block.
    pub fn sums(self) -> impl Iterator<Item = BlockSum> + 'a {
        self.logits.sums[self.row..].iter().step_by(self.logits.rows).copied()
    }

    /// The items of a block.
    pub fn block(self, block: usize) -> Range<usize> {
        block * Logits::BLOCK..self.logits.items.min((block + 1) * Logits::BLOCK)
    }

    /// exp(logit - shift) of the items of a block, 0 below e^-87 and behind the last item.
    pub fn weights(self, block: usize, shift: f32) -> [f32; Logits::BLOCK] {
        let mut weights = [LOWEST as f32; Logits::BLOCK];
        for (p, part) in weights.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
            if block * PANELS + p < self.logits.values.count() {
                *part = self.logits.values.panel(block * PANELS + p)[self.row];
            }
        }
        vectorised(Weights { values: &mut weights, shift });
        weights
    }

    /// The logits of all items.
    pub fn to_vec(self) -> Vec<f32> {
        let mut values = vec![0.0; self.logits.items];
        for (panel, part) in values.chunks_mut(WIDTH).enumerate() {
            copy(&self.logits.values.panel(panel)[self.row], part);
        }
        values
    }
}

/// exp(value - shift), 0 if that is below e^-87.
#[inline(always)]
fn weight(value: f32, shift: f32) -> f32 {
    let below = value - shift;
    if below < -87.0 { 0.0 } else { Real::exp(below) }
}

struct Weights<'a> {
    values: &'a mut [f32; Logits::BLOCK],
    shift: f32,
}

impl NullaryFnOnce for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.values.iter_mut().for_each(|value| *value = weight(*value, self.shift));
    }
}

/// Sums each row of some panels.
struct Sums<'a> {
    panels: &'a [[f32; WIDTH]],
    rows: usize,
    sums: &'a mut [BlockSum],
}

impl NullaryFnOnce for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (row, found) in self.sums.iter_mut().enumerate() {
            let mut shifts = [LOWEST as f32; WIDTH];
            for panel in self.panels.chunks_exact(self.rows) {
                for (shift, value) in shifts.iter_mut().zip(&panel[row]) {
                    *shift = larger(*shift, *value);
                }
            }
            let largest = fold(shifts, larger);
            let mut sums = [0.0; WIDTH];
            for panel in self.panels.chunks_exact(self.rows) {
                for (sum, value) in sums.iter_mut().zip(&panel[row]) {
                    *sum += weight(*value, largest);
                }
            }
            *found = BlockSum { largest, sum: fold(sums, |a, b| a + b) };
        }
    }
}

/// The numbers joined by halves, which takes few steps one after another.
#[inline(always)]
fn fold(mut values: [f32; WIDTH], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = WIDTH / 2;
    while half > 0 {
        for i in 0..half {
            values[i] = join(values[i], values[i + half]);
        }
        half /= 2;
    }
    values[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;
    use foretaste_random::Seed;
    use rand::Rng;

    fn normal(shape: &[usize], seed: u64) -> Tensor {
        let mut stream = Seed::new(seed).stream(0);
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|_| stream.random_range(-3.0..3.0)).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// Logits of 21 states over 1,003 items: the last panel and the last block are not full.
    fn case() -> (Tensor, FrozenSoftmax, Tensor) {
        let (states, weight, bias) =
            (normal(&[21, 40], 1), normal(&[40, 1_003], 2), normal(&[1_003], 3));
        let expected = states.matmul(&weight).unwrap().broadcast_add(&bias).unwrap();
        (states, FrozenSoftmax::new(&weight, &bias).unwrap(), expected)
    }

    #[test]
    fn logits_and_sums_equal_those_of_candles_operations() {
        let (states, softmax, expected) = case();
        let mut logits = Logits::new(softmax.items());
        // Of other rows first, whose memory is used again.
        softmax.logits(&states.narrow(0, 0, 5).unwrap(), &mut logits).unwrap();
        softmax.logits(&states, &mut logits).unwrap();
        assert_eq!(logits.rows(), 21);
        for (row, expected) in expected.to_vec2::<f32>().unwrap().iter().enumerate() {
            let row = logits.row(row);
            for (found, expected) in row.to_vec().iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
            assert_eq!(row.sums().count(), 4);
            for (block, sum) in row.sums().enumerate() {
                let values = &expected[row.block(block)];
                let total: f64 = values.iter().map(|&value| f64::from(value).exp()).sum();
                let found = f64::from(sum.largest).exp() * f64::from(sum.sum);
                assert!((found / total - 1.0).abs() < 2e-4, "{found} {total}");
                let weights = row.weights(block, 1.0);
                for (found, &value) in weights.iter().zip(values) {
                    assert!((f64::from(*found) / f64::from(value - 1.0).exp() - 1.0).abs() < 2e-4);
                }
                assert!(weights[values.len()..].iter().all(|&weight| weight == 0.0));
            }
        }
    }

    #[test]
    fn logits_that_were_computed_elsewhere_are_the_same() {
        let (states, softmax, expected) = case();
        let (mut ours, mut taken) = (Logits::new(1_003), Logits::new(1_003));
        softmax.logits(&states, &mut ours).unwrap();
        let bias = vec![0.0; 1_003];
        taken.set(21, &bias, &expected.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        for row in 0..21 {
            for (a, b) in ours.row(row).sums().zip(taken.row(row).sums()) {
                assert!(
                    (a.largest - b.largest).abs() < 1e-4 && (a.sum / b.sum - 1.0).abs() < 1e-3,
                    "{a:?} {b:?}"
                );
            }
        }
    }

    /// 64 x 40 x 1,003 is large enough to be shared out among threads.
    #[test]
    fn rows_depend_on_neither_threads_nor_other_rows() {
        let (_, softmax, _) = case();
        let states = normal(&[64, 40], 5);
        let run = |threads, first, rows| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut logits = Logits::new(1_003);
            pool.install(|| softmax.logits(&states.narrow(0, first, rows).unwrap(), &mut logits))
                .unwrap();
            let row =
                |row: usize| (logits.row(row).to_vec(), logits.row(row).sums().collect::<Vec<_>>());
            (0..rows).map(row).collect::<Vec<_>>()
        };
        let whole = run(1, 0, 64);
        assert_eq!(run(3, 0, 64), whole);
        assert_eq!(run(1, 7, 2), whole[7..9]);
    }

    #[test]
    fn what_is_not_finite_shows_in_the_sum() {
        let mut logits = Logits::new(300);
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut values = vec![0.0; 300];
            values[270] = wrong;
            logits.set(1, &[0.0; 300], &values);
            let sums: Vec<BlockSum> = logits.row(0).sums().collect();
            assert!(
                sums[0] == BlockSum { largest: 0.0, sum: 256.0 } && sums[1].sum.is_nan(),
                "{sums:?}"
            );
        }
    }

    #[test]
    fn sizes_are_checked() {
        let (states, softmax, _) = case();
        let narrow = states.narrow(1, 0, 39).unwrap().to_dtype(DType::F32).unwrap();
        let message = softmax.logits(&narrow, &mut Logits::new(1_003)).unwrap_err().to_string();
        assert!(message.contains("expected [.., 40]"), "{message}");
        assert!(FrozenSoftmax::new(&normal(&[3, 4], 1), &normal(&[3], 1)).is_err());
    }
}
