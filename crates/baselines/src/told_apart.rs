//! Whether two samples can be distinguished.

use foretaste_eval::{Estimate, auc};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use forust_ml::objective::ObjectiveType;
use forust_ml::{GradientBooster, Matrix};
use rand::seq::SliceRandom;

use crate::Result;

/// Parts of the samples, each of which is scored by trees that the others grew.
const FOLDS: usize = 5;

/// How well boosted trees tell rows of the first sample from those of the second, both `[rows,
/// columns]`: the area under the ROC curve of rows that the trees did not see, with its interval. A
/// classifier two-sample test (Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests"):
/// 0.5 where the samples are alike, as far as trees can tell. NaN stands for a missing number.
///
/// Rows of the same index are left out together, so that what they have in common, the slates of a
/// session say, tells nothing of the sample. The folds are drawn from `seed`; 50 trees of depth 3.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if a sample has fewer than ten rows, or the rows
/// differ in length.
pub fn told_apart(first: &[Vec<f64>], second: &[Vec<f64>], seed: Seed) -> Result<Estimate> {
    let rows = first.len().max(second.len());
    let columns = first.first().map_or(0, Vec::len);
    if first.len().min(second.len()) < 2 * FOLDS {
        let problem = format!(
            "{} and {} rows, expected at least {} of each",
            first.len(),
            second.len(),
            2 * FOLDS
        );
        return Err(Setting::new("samples to tell apart", problem).into());
    }
    if columns == 0 || first.iter().chain(second).any(|row| row.len() != columns) {
        let problem = "rows of different lengths, or of none";
        return Err(Setting::new("samples to tell apart", problem).into());
    }
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut seed.derive("told apart").stream(0));
    let mut fold_of = vec![0; rows];
    order.iter().enumerate().for_each(|(rank, &row)| fold_of[row] = rank % FOLDS);

    let mut scores = [vec![0.0; first.len()], vec![0.0; second.len()]];
    for fold in 0..FOLDS {
        let of = |held_out: bool| -> Vec<(usize, usize)> {
            let of_sample = |(which, sample): (usize, &[Vec<f64>])| {
                (0..sample.len()).map(move |row| (which, row)).collect::<Vec<_>>()
            };
            let all = [(0, first), (1, second)].into_iter().flat_map(of_sample);
            all.filter(|&(_, row)| (fold_of[row] == fold) == held_out).collect()
        };
        let table = |rows: &[(usize, usize)]| -> Vec<f64> {
            let at = |&(which, row): &(usize, usize)| [first, second][which][row].as_slice();
            (0..columns).flat_map(|column| rows.iter().map(move |row| at(row)[column])).collect()
        };
        let (grown, held_out) = (of(false), of(true));
        let labels: Vec<f64> =
            grown.iter().map(|&(which, _)| f64::from(u8::from(which == 0))).collect();
        let mut trees = GradientBooster::default()
            .set_objective_type(ObjectiveType::LogLoss)
            .set_max_depth(3)
            .set_learning_rate(0.1)
            .set_iterations(50);
        let values = table(&grown);
        trees.fit_unweighted(&Matrix::new(&values, grown.len(), columns), &labels, None)?;
        let values = table(&held_out);
        let margins = trees.predict(&Matrix::new(&values, held_out.len(), columns), true);
        for ((which, row), margin) in held_out.into_iter().zip(margins) {
            scores[which][row] = margin;
        }
    }
    Ok(auc(&scores[0], &scores[1])?)
}

#[cfg(test)]
mod tests {
    use foretaste_random::Stream;
    use rand::Rng;

    use super::*;

    fn rows(stream: &mut Stream, count: usize, shift: f64) -> Vec<Vec<f64>> {
        let row = |_| vec![stream.random::<f64>() + shift, stream.random(), f64::NAN];
        (0..count).map(row).collect()
    }

    /// An interval misses what is so in 5% of seeds; the seed is fixed.
    #[test]
    fn samples_that_are_alike_are_not_told_apart_and_others_are() {
        let mut stream = Seed::new(1).stream(0);
        let (a, b) = (rows(&mut stream, 300, 0.0), rows(&mut stream, 200, 0.0));
        let alike = told_apart(&a, &b, Seed::new(2)).unwrap();
        let interval = alike.interval.unwrap();
        assert!(interval.low < 0.5 && interval.high > 0.5, "{alike}");
        let other = told_apart(&a, &rows(&mut stream, 200, 0.5), Seed::new(2)).unwrap();
        // Uniform numbers half a unit apart: by the first alone 7 pairs in 8 are in order.
        assert!((other.mean - 0.875).abs() < 0.05, "{other}");
        assert!(told_apart(&a[..9], &b, Seed::new(2)).is_err());
    }
}
