//! Small dense linear systems, for the expected values of Markov chains that end.

/// Solves A x = b, A `[n, n]` row-major, by elimination with partial pivoting; `None` if A is
/// singular to rounding.
pub(super) fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|&i, &j| a[i * n + column].abs().total_cmp(&a[j * n + column].abs()))?;
        if a[pivot * n + column].abs() < 1e-13 {
            return None;
        }
        if pivot != column {
            (0..n).for_each(|j| a.swap(pivot * n + j, column * n + j));
            b.swap(pivot, column);
        }
        for row in column + 1..n {
            let factor = a[row * n + column] / a[column * n + column];
            (column..n).for_each(|j| a[row * n + j] -= factor * a[column * n + j]);
            b[row] -= factor * b[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|j| a[row * n + j] * b[j]).sum();
        b[row] = (b[row] - known) / a[row * n + row];
    }
    Some(b)
}

/// Solves x = b + Q x: the expected sum of b along a chain with the sub-stochastic transitions Q,
/// `[n, n]`, from each state.
pub(super) fn sum_until_absorbed(q: &[f64], b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    let a = (0..n * n).map(|cell| f64::from(u8::from(cell / n == cell % n)) - q[cell]).collect();
    solve(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_solution_solves(n in 1usize..8, cells in prop::collection::vec(-1.0f64..1.0, 64), x in prop::collection::vec(-1.0f64..1.0, 8)) {
            // A dominant diagonal keeps the matrix regular.
            let a: Vec<f64> = (0..n * n).map(|c| cells[c] + if c / n == c % n { 8.0 } else { 0.0 }).collect();
            let b = (0..n).map(|i| (0..n).map(|j| a[i * n + j] * x[j]).sum()).collect();
            let found = solve(a, b).unwrap();
            for (found, expected) in found.iter().zip(&x) {
                prop_assert!((found - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn rows_are_swapped_where_the_diagonal_is_zero() {
        assert_eq!(solve(vec![0.0, 2.0, 4.0, 0.0], vec![2.0, 4.0]), Some(vec![1.0, 1.0]));
    }

    #[test]
    fn a_singular_matrix_has_no_solution() {
        assert_eq!(solve(vec![1.0, 1.0, 1.0, 1.0], vec![1.0, 2.0]), None);
    }
}
