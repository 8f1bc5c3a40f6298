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
    /// Share of the clicked displays whose clicked item is the most probable one.
    pub precision_at_1: f64,
    /// Share of the clicked displays whose clicked item is among the two most probable ones.
    pub precision_at_2: f64,
}

/// Evaluates a model on the displays of `sessions`.
pub fn evaluate(model: &UserModel, log: &Log, sessions: &[usize]) -> Result<Evaluation> {
    let predictions = model.predict(log, sessions)?;
    let likelihood: Vec<f64> = predictions.iter().map(|prediction| prediction.log_likelihood().into()).collect();
    let clicked =
        || predictions.iter().filter_map(|prediction| Some((&prediction.log_probability[..], prediction.chosen?)));
    Ok(Evaluation {
        displays: predictions.len(),
        nll: metrics::mean_nll(&likelihood)?,
        precision_at_1: metrics::precision_at(1, clicked())?,
        precision_at_2: metrics::precision_at(2, clicked())?,
    })
}

impl Prediction {
    /// log φ of what the user did.
    pub fn log_likelihood(&self) -> f32 {
        self.chosen.map_or(self.log_outside, |place| self.log_probability[place])
    }
}
