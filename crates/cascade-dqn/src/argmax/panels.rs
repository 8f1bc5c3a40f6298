//! The memory layout of the item halves: how they are stored and how they are read back as single
//! precision. Reading them takes most of the time of an argmax over many items
//! (docs/performance.md).

use pulp::Simd;
use rayon::prelude::*;

use super::Storage;

/// Items to a panel: one cache line of single precision.
pub(super) const WIDTH: usize = 16;

/// The item half of a stage's first layer, L_j f_a for every item a: panels of [`WIDTH`] items,
/// each panel its hidden units one after another, in pairs. Items and units are filled up with
/// zeros.
#[derive(Clone, Debug)]
pub(super) enum Panels {
    Single(Single),
    Half(Half),
}

/// Single precision.
#[derive(Clone, Debug)]
pub(super) struct Single {
    pairs: usize,
    pub values: Vec<[[f32; WIDTH]; 2]>,
}

/// Fixed point of 16 bits: a value is (stored - 2¹⁵) times the scale of its unit. The low half of a
/// word is the first unit of the pair.
#[derive(Clone, Debug)]
pub(super) struct Half {
    pairs: usize,
    pub values: Vec<[u32; WIDTH]>,
    pub scales: Vec<[f32; 2]>,
}

/// A layout of which one pair of units can be added to in registers.
pub(super) trait Widen: Sync {
    /// Two units of a panel's items.
    type Pair;

    /// The pairs of a panel.
    fn panel(&self, index: usize) -> &[Self::Pair];

    /// The item halves of unit pair `pair` in the `register`-th part of the panel, plus `sums`.
    fn widen_and_add<S: Simd>(
        &self,
        simd: S,
        values: &Self::Pair,
        pair: usize,
        register: usize,
        sums: [S::f32s; 2],
    ) -> [S::f32s; 2];
}

/// Items whose halves are computed at a time: what they need in addition to their panels then stays
/// in the second-level cache.
const PIECE: usize = 1 << 9;

impl Panels {
    /// Zeros for `items` items with `units` hidden units.
    pub fn zeros(items: usize, units: usize, storage: Storage) -> Self {
        let pairs = units.div_ceil(2);
        let count = items.div_ceil(WIDTH) * pairs;
        match storage {
            Storage::Single => {
                Self::Single(Single { pairs, values: vec![[[0.0; WIDTH]; 2]; count] })
            }
            Storage::Half => Self::Half(Half {
                pairs,
                values: vec![[0; WIDTH]; count],
                scales: vec![[0.0; 2]; pairs],
            }),
        }
    }

    /// Replaces the contents, which must be for the same numbers of items and units.
    /// `rows(first, count)` are the halves of some items, `[count, units]`. With 16 bits they are
    /// asked for twice, first for the largest of each unit.
    pub fn fill<E: Send>(
        &mut self,
        (items, units): (usize, usize),
        rows: impl Fn(usize, usize) -> Result<Vec<f32>, E> + Sync,
    ) -> Result<(), E> {
        let piece = |piece: usize| rows(piece * PIECE, PIECE.min(items - piece * PIECE));
        match self {
            Self::Single(Single { pairs, values }) => {
                let pieces = values.par_chunks_mut(PIECE / WIDTH * *pairs).enumerate();
                pieces.try_for_each(|(at, panels)| {
                    lay_out(&piece(at)?, units, panels);
                    Ok(())
                })
            }
            Self::Half(half) => half.fill(items.div_ceil(PIECE), |at| {
                let rows = piece(at)?;
                let panels = rows.len().div_ceil(WIDTH * units);
                let mut single = vec![[[0.0; WIDTH]; 2]; panels * units.div_ceil(2)];
                lay_out(&rows, units, &mut single);
                Ok(single)
            }),
        }
    }

    /// Number of panels.
    pub fn count(&self) -> usize {
        match self {
            Self::Single(Single { pairs, values }) => values.len() / pairs,
            Self::Half(Half { pairs, values, .. }) => values.len() / pairs,
        }
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Single(panels) => size_of_val(&panels.values[..]),
            Self::Half(panels) => size_of_val(&panels.values[..]),
        }
    }

    /// The sum of all words.
    pub fn checksum(&self) -> u32 {
        fn sum<T: Sync>(values: &[T], word: impl Fn(&T) -> u32 + Sync) -> u32 {
            const CHUNK: usize = 1 << 14;
            let sum =
                |chunk: &[T]| chunk.iter().fold(0, |sum: u32, value| sum.wrapping_add(word(value)));
            values.par_chunks(CHUNK).map(sum).reduce(|| 0, u32::wrapping_add)
        }
        let add = |sum: u32, word: u32| sum.wrapping_add(word);
        match self {
            Self::Single(Single { values, .. }) => {
                sum(values, |pair| pair.as_flattened().iter().map(|x| x.to_bits()).fold(0, add))
            }
            Self::Half(Half { values, .. }) => {
                sum(values, |pair| pair.iter().copied().fold(0, add))
            }
        }
    }
}

impl Half {
    const ZERO: f32 = 32_768.0;

    /// Replaces the contents by so many pieces, each of which is given in single precision.
    fn fill<E: Send>(
        &mut self,
        pieces: usize,
        piece: impl Fn(usize) -> Result<Vec<[[f32; WIDTH]; 2]>, E> + Sync,
    ) -> Result<(), E> {
        let pairs = self.pairs;
        let none = || vec![[0f32; 2]; pairs];
        let largest = |at: usize| -> Result<Vec<[f32; 2]>, E> {
            let mut scales = none();
            for panel in piece(at)?.chunks_exact(pairs) {
                for (scale, values) in scales.iter_mut().flatten().zip(panel.as_flattened()) {
                    *scale = values.iter().fold(*scale, |largest, value| largest.max(value.abs()));
                }
            }
            Ok(scales)
        };
        // A maximum is the same in any order.
        let parts = (0..pieces).into_par_iter().map(largest);
        self.scales = parts.try_reduce(none, |a, b| Ok(largest_of(&a, &b)))?;
        self.scales.iter_mut().flatten().for_each(|scale| *scale /= Self::ZERO - 1.0);
        let scales = &self.scales;
        let quantise = |(index, pair): (usize, &[[f32; WIDTH]; 2])| {
            let scale = scales[index % pairs];
            let stored = |unit: usize, item: usize| {
                let value = if scale[unit] > 0.0 { pair[unit][item] / scale[unit] } else { 0.0 };
                // Rounds, as the sum is at least 1. `round` is a call on many processors.
                (value + Self::ZERO + 0.5) as u32
            };
            std::array::from_fn(|item| stored(0, item) | stored(1, item) << 16)
        };
        let parts = self.values.par_chunks_mut(PIECE / WIDTH * pairs).enumerate();
        parts.try_for_each(|(at, values)| {
            let single = piece(at)?;
            for (value, pair) in values.iter_mut().zip(single.iter().enumerate().map(quantise)) {
                *value = pair;
            }
            Ok(())
        })
    }
}

/// Writes the halves `rows [count, units]` of some items to their panels.
fn lay_out(rows: &[f32], units: usize, panels: &mut [[[f32; WIDTH]; 2]]) {
    let panels = panels.chunks_exact_mut(units.div_ceil(2));
    for (panel, rows) in panels.zip(rows.chunks(WIDTH * units)) {
        for (item, row) in rows.chunks_exact(units).enumerate() {
            for (pair, values) in panel.iter_mut().zip(row.chunks(2)) {
                pair.iter_mut().zip(values).for_each(|(lanes, &value)| lanes[item] = value);
            }
        }
    }
}

fn largest_of(a: &[[f32; 2]], b: &[[f32; 2]]) -> Vec<[f32; 2]> {
    a.iter().zip(b).map(|(a, b)| [a[0].max(b[0]), a[1].max(b[1])]).collect()
}

impl Widen for Single {
    type Pair = [[f32; WIDTH]; 2];

    #[inline(always)]
    fn panel(&self, index: usize) -> &[Self::Pair] {
        &self.values[index * self.pairs..][..self.pairs]
    }

    #[inline(always)]
    fn widen_and_add<S: Simd>(
        &self,
        simd: S,
        values: &Self::Pair,
        _pair: usize,
        register: usize,
        sums: [S::f32s; 2],
    ) -> [S::f32s; 2] {
        let unit =
            |unit: usize| simd.add_f32s(S::as_simd_f32s(&values[unit]).0[register], sums[unit]);
        [unit(0), unit(1)]
    }
}

impl Widen for Half {
    type Pair = [u32; WIDTH];

    #[inline(always)]
    fn panel(&self, index: usize) -> &[Self::Pair] {
        &self.values[index * self.pairs..][..self.pairs]
    }

    #[inline(always)]
    fn widen_and_add<S: Simd>(
        &self,
        simd: S,
        values: &Self::Pair,
        pair: usize,
        register: usize,
        sums: [S::f32s; 2],
    ) -> [S::f32s; 2] {
        // The number 2²³ + n has the bits of 2²³ with n in the lowest.
        const TWO_23: f32 = 8_388_608.0;
        let word = S::as_simd_u32s(values).0[register];
        let halves = [
            simd.and_u32s(word, simd.splat_u32s(0xffff)),
            simd.wrapping_dyn_shr_u32s(word, simd.splat_u32s(16)),
        ];
        let unit = |unit: usize| {
            let number = simd.or_u32s(halves[unit], simd.splat_u32s(TWO_23.to_bits()));
            let steps = simd
                .sub_f32s(simd.transmute_f32s_u32s(number), simd.splat_f32s(TWO_23 + Self::ZERO));
            simd.mul_add_f32s(simd.splat_f32s(self.scales[pair][unit]), steps, sums[unit])
        };
        [unit(0), unit(1)]
    }
}
