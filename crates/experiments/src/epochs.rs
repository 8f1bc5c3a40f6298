//! Trainings in epochs: the learning curves of one or more networks.

use std::collections::BTreeMap;

use foretaste_irecgan::{CurvePoint, GradientNorms, IRecGan};
use foretaste_lab::Watch;
use foretaste_train::Fitted;

use crate::learned::figures;

/// A row of a learning curve.
pub type Row = BTreeMap<String, f64>;

/// A network after an epoch, or before any.
#[derive(Clone)]
pub struct NetworkPoint {
    /// The part of the cell that the network's training is.
    pub part: String,
    /// The row of its learning curve.
    pub row: Row,
    /// The norms of its gradients in this epoch, which are shown but enter no outcome.
    pub norms: Vec<(String, f64)>,
}

impl NetworkPoint {
    const ITERATION: &str = "iteration";
    const VALIDATION_LOSS: &str = "validation_loss";

    /// Of the epoch with this number in the learning curve.
    pub fn new(part: impl Into<String>, epoch: u64, train_loss: Option<f64>, loss: f64) -> Self {
        let figures = [
            (Self::ITERATION, Some(epoch as f64)),
            (Self::VALIDATION_LOSS, Some(loss)),
            ("train_loss", train_loss),
        ];
        let row = figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Self { part: part.into(), row: row.collect(), norms: Vec::new() }
    }

    /// The same with more figures in its row.
    pub fn with(mut self, figures: impl IntoIterator<Item = (String, f64)>) -> Self {
        self.row.extend(figures);
        self
    }

    /// The same with more norms of gradients.
    pub fn with_norms(mut self, norms: impl IntoIterator<Item = (String, f64)>) -> Self {
        self.norms.extend(norms);
        self
    }
}

/// The validation loss of each network.
pub fn losses(networks: &[NetworkPoint]) -> Vec<f64> {
    networks.iter().map(|network| network.row[NetworkPoint::VALIDATION_LOSS]).collect()
}

/// Shows the networks of one epoch.
pub fn record(watch: &Watch, networks: &[NetworkPoint]) {
    for NetworkPoint { part, row, norms } in networks {
        let epoch = row[NetworkPoint::ITERATION] as u64;
        watch.record(part, epoch, row.clone().into_iter().chain(norms.clone()));
    }
}

/// The learning curve of each network.
pub fn curves(fitted: Fitted<Vec<NetworkPoint>>) -> Vec<Vec<Row>> {
    let mut curves = vec![Vec::new(); fitted.best.len()];
    for networks in fitted.curve {
        for (curve, network) in curves.iter_mut().zip(networks) {
            curve.push(network.row);
        }
    }
    curves
}

/// Learning curves after those of the stage before, numbered on; the first row of each, which is
/// the last stage's best epoch again, is left out.
pub fn joined(before: &[Vec<Row>], after: Vec<Vec<Row>>) -> Vec<Vec<Row>> {
    let join = |(before, after): (&Vec<Row>, Vec<Row>)| {
        let mut rows = before.clone();
        for (mut row, at) in after.into_iter().skip(1).zip(before.len()..) {
            row.insert(NetworkPoint::ITERATION.to_owned(), at as f64);
            rows.push(row);
        }
        rows
    };
    before.iter().zip(after).map(join).collect()
}

/// What the generated sequences of an epoch were like, by name.
pub fn generated(point: &CurvePoint) -> impl Iterator<Item = (String, f64)> {
    let figures = [
        ("discriminator_loss", point.discriminator_loss),
        ("score", point.score),
        ("generated_clicks", point.clicks),
        ("generated_reward", point.reward),
    ];
    figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

/// The norms of the gradients of U, A and D by name, as far as they were trained.
pub fn gradient_norms(run: &IRecGan) -> impl Iterator<Item = (String, f64)> {
    let GradientNorms { users, agent, discriminator } = run.gradient_norms();
    figures([
        ("users_gradient_norm", users),
        ("agent_gradient_norm", agent),
        ("discriminator_gradient_norm", discriminator),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_on_where_the_one_before_ended() {
        let rows = |count: usize| -> Vec<Row> {
            (0..count)
                .map(|at| {
                    Row::from([("iteration".to_owned(), at as f64), ("x".to_owned(), count as f64)])
                })
                .collect()
        };
        let found = joined(&[rows(3)], vec![rows(2)]).remove(0);
        let expected: Vec<(f64, f64)> = vec![(0.0, 3.0), (1.0, 3.0), (2.0, 3.0), (3.0, 2.0)];
        assert_eq!(
            found.iter().map(|row| (row["iteration"], row["x"])).collect::<Vec<_>>(),
            expected
        );
    }
}
