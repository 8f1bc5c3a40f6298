use understudy_data::Log;
use understudy_eval::metrics;

use crate::{Prediction, Result, UserModel};

/// Held-out figures of a click model (GAN-CDQN, experiment A).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Displays evaluated.
    pub displays: usize,
    /// Mean negative log-likelihood of what users did, in nats per display.
    pub nll: f64,
    /// Mean negative log-likelihood of the clicked item given that one was clicked, in nats per clicked display: what to
    /// hold against a model without "no click". None if nothing was clicked, like the figures below.
    pub nll_given_click: Option<f64>,
    /// Share of the clicked displays whose clicked item is the most probable one.
    pub precision_at_1: Option<f64>,
    /// Share of the clicked displays whose clicked item is among the two most probable ones.
    pub precision_at_2: Option<f64>,
}

/// Evaluates a model on the displays of `sessions`.
pub fn evaluate(model: &UserModel, log: &Log, sessions: &[usize]) -> Result<Evaluation> {
    let predictions = model.predict(log, sessions)?;
    let likelihood: Vec<f64> = predictions.iter().map(|prediction| prediction.log_likelihood().into()).collect();
    let given_click = predictions.iter().filter_map(|prediction| {
        let log_phi = &prediction.log_probability;
        let largest = log_phi.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let items: f64 = log_phi.iter().map(|&log_phi| f64::from(log_phi - largest).exp()).sum();
        Some(f64::from(log_phi[prediction.chosen?] - largest) - items.ln())
    });
    let clicked =
        || predictions.iter().filter_map(|prediction| Some((&prediction.log_probability[..], prediction.chosen?)));
    let any = predictions.iter().any(|prediction| prediction.chosen.is_some());
    Ok(Evaluation {
        displays: predictions.len(),
        nll: metrics::mean_nll(&likelihood)?,
        nll_given_click: any.then(|| metrics::mean_nll(&given_click.collect::<Vec<_>>())).transpose()?,
        precision_at_1: any.then(|| metrics::precision_at(1, clicked())).transpose()?,
        precision_at_2: any.then(|| metrics::precision_at(2, clicked())).transpose()?,
    })
}

impl Prediction {
    /// log φ of what the user did.
    pub fn log_likelihood(&self) -> f32 {
        self.chosen.map_or(self.log_outside, |place| self.log_probability[place])
    }
}
