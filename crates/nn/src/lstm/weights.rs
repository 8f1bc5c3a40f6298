//! The layout of the LSTM's weights in panels, which puts the four gates of a unit side by side,
//! and the way back to the layout of the parameters.

use crate::kernel::{Panels, Real, WIDTH, copy, filled, for_each_chunk};

/// Gates of a unit: i, f, o, g.
pub(super) const GATES: usize = 4;

/// A weight `[rows, 4 hidden]`, gates in the order i, f, o, g, with the four panels of the same
/// [`WIDTH`] units side by side: panel `4 u + gate` holds the gate of units `u WIDTH ..`. One
/// thread then computes all that a unit's cell needs.
pub(super) fn gate_panels<T: Real>(weight: &[T], rows: usize, hidden: usize) -> Panels<T> {
    to_gate_panels(rows, hidden, |row| &weight[row * GATES * hidden..][..GATES * hidden])
}

/// Gate panels `[rows, 4 hidden]` of the rows that `row` names, gates in the order i, f, o, g.
pub(super) fn to_gate_panels<'a, T: Real>(
    rows: usize,
    hidden: usize,
    row: impl Fn(usize) -> &'a [T] + Sync,
) -> Panels<T> {
    Panels::build(rows, GATES * padded(hidden), |panel, i| filled(&row(i)[columns(panel, hidden)]))
}

/// The transpose of [`gate_panels`]: `[4 hidden', rows]` where hidden' is rounded up to whole
/// panels and the rows are in the order of the gate panels' columns.
pub(super) fn transposed<T: Real>(weight: &[T], rows: usize, hidden: usize) -> Panels<T> {
    let height = GATES * padded(hidden);
    let mut panels = Panels::zeros(height, rows);
    for_each_chunk(panels.values_mut(), height, |panel, values| {
        let part = panel * WIDTH * GATES * hidden..rows.min((panel + 1) * WIDTH) * GATES * hidden;
        for (gate, values) in values.chunks_exact_mut(WIDTH).enumerate() {
            let columns = columns(gate, hidden);
            for (lane, row) in weight[part.clone()].chunks_exact(GATES * hidden).enumerate() {
                for (value, weight) in values.iter_mut().zip(&row[columns.clone()]) {
                    value[lane] = *weight;
                }
            }
        }
    });
    panels
}

/// The weight, or its gradient, that stands in gate panels.
pub(super) fn from_gate_panels<T: Real>(panels: &Panels<T>, hidden: usize) -> Vec<T> {
    let mut weight = vec![T::zero(); panels.rows() * GATES * hidden];
    for_each_chunk(&mut weight, GATES * hidden, |row, weight| read_gate_row(panels, row, weight));
    weight
}

/// Copies row `row` of gate panels into `values [4 hidden]`, gates in the order i, f, o, g.
pub(super) fn read_gate_row<T: Real>(panels: &Panels<T>, row: usize, values: &mut [T]) {
    for panel in 0..panels.count() {
        let columns = columns(panel, values.len() / GATES);
        copy(&panels.panel(panel)[row], &mut values[columns]);
    }
}

/// The columns of the weight that stand in a gate panel.
fn columns(panel: usize, hidden: usize) -> std::ops::Range<usize> {
    let (first, gate) = (panel / GATES * WIDTH, panel % GATES * hidden);
    gate + first..gate + hidden.min(first + WIDTH)
}

fn padded(hidden: usize) -> usize {
    hidden.next_multiple_of(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_hold_every_weight_once_and_come_back() {
        for hidden in [1, 31, 32, 33, 70] {
            let weight: Vec<f64> = (0..40 * GATES * hidden).map(|i| i as f64 + 1.0).collect();
            let panels = gate_panels(&weight, 40, hidden);
            assert_eq!(from_gate_panels(&panels, hidden), weight);
            let transposed = transposed(&weight, 40, hidden);
            assert_eq!(transposed.rows(), panels.count() * WIDTH);
            for panel in 0..panels.count() {
                for row in 0..40 {
                    for lane in 0..WIDTH {
                        let found =
                            transposed.panel(row / WIDTH)[panel * WIDTH + lane][row % WIDTH];
                        assert_eq!(found, panels.panel(panel)[row][lane]);
                    }
                }
            }
        }
    }
}
