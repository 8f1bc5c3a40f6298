use foretaste_data::Log;
use foretaste_eval::metrics;

use crate::{Prediction, Result, UserModel};

/// Held-out figures of a click model (GAN-CDQN, experiment A).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Displays evaluated.
    pub displays: usize,
    /// Mean negative log-likelihood of what users did, in nats per display; infinite if any of it
    /// had probability 0, which a regulariser other than Shannon's can give.
    pub nll: f64,
    /// Mean Fenchel-Young loss of what users did, per display
    /// ([`Regulariser::loss`](crate::Regulariser::loss)): finite under every regulariser, and `nll`
    /// under Shannon. Comparable between models of one regulariser.
    pub fenchel_young: f64,
    /// Mean negative log-likelihood of the clicked item given that one was clicked, in nats per
    /// clicked display: what to hold against a model without "no click". Infinite as `nll` is. None
    /// if nothing was clicked, like the figures below.
    pub nll_given_click: Option<f64>,
    /// Share of the clicked displays whose clicked item had probability 0.
    pub clicks_ruled_out: Option<f64>,
    /// Share of the clicked displays whose clicked item is the most probable one. Items are ranked
    /// by reward, which also orders those of probability 0.
    pub precision_at_1: Option<f64>,
    /// Share of the clicked displays whose clicked item is among the two most probable ones, ranked
    /// in the same way.
    pub precision_at_2: Option<f64>,
}

/// Evaluates a model on the displays of `sessions`.
pub fn evaluate(model: &UserModel, log: &Log, sessions: &[usize]) -> Result<Evaluation> {
    let predictions = model.predict(log, sessions)?;
    let likelihood: Vec<f64> =
        predictions.iter().map(|prediction| prediction.log_likelihood().into()).collect();
    let loss: f64 = predictions.iter().map(|prediction| f64::from(prediction.loss)).sum();
    let given_click: Vec<f64> =
        predictions.iter().filter_map(Prediction::log_likelihood_given_click).collect();
    let ruled_out = given_click.iter().filter(|&&log_phi| log_phi == f64::NEG_INFINITY).count();
    let clicked = || {
        predictions
            .iter()
            .filter_map(|prediction| Some((&prediction.utility[..], prediction.chosen?)))
    };
    let any = !given_click.is_empty();
    Ok(Evaluation {
        displays: predictions.len(),
        nll: mean_nll(&likelihood)?,
        fenchel_young: loss / predictions.len() as f64,
        nll_given_click: any.then(|| mean_nll(&given_click)).transpose()?,
        clicks_ruled_out: any.then(|| ruled_out as f64 / given_click.len() as f64),
        precision_at_1: any.then(|| metrics::precision_at(1, clicked())).transpose()?,
        precision_at_2: any.then(|| metrics::precision_at(2, clicked())).transpose()?,
    })
}

impl Prediction {
    /// log φ* of what the user did; minus infinity if that had probability 0.
    pub fn log_likelihood(&self) -> f32 {
        self.chosen.map_or(self.log_outside, |place| self.log_probability[place])
    }

    /// log φ* of the clicked item given that an item is clicked.
    fn log_likelihood_given_click(&self) -> Option<f64> {
        let clicked = self.log_probability[self.chosen?];
        if clicked == f32::NEG_INFINITY {
            return Some(f64::NEG_INFINITY);
        }
        let largest = self.log_probability.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let items: f64 =
            self.log_probability.iter().map(|&log_phi| f64::from(log_phi - largest).exp()).sum();
        Some(f64::from(clicked - largest) - items.ln())
    }
}

/// [`metrics::mean_nll`], infinite if something had probability 0.
fn mean_nll(log_probability: &[f64]) -> Result<f64> {
    if log_probability.contains(&f64::NEG_INFINITY) {
        return Ok(f64::INFINITY);
    }
    Ok(metrics::mean_nll(log_probability)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{catalogue, configs, log};
    use crate::{Regulariser, UserModelConfig};
    use candle_core::Device;
    use foretaste_random::Seed;

    fn model(regulariser: Regulariser, eta: f64) -> UserModel {
        let config = UserModelConfig { regulariser, eta, ..configs()[0].clone() };
        UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap()
    }

    #[test]
    fn the_loss_is_the_negative_log_likelihood_under_shannon() {
        let found = evaluate(&model(Regulariser::Shannon, 1.5), &log(), &[0, 1, 2]).unwrap();
        assert!(
            (found.fenchel_young - found.nll).abs() < 1e-6 && found.clicks_ruled_out == Some(0.0),
            "{found:?}"
        );
    }

    /// So sharp an η makes every choice certain: what users did is then likely, or ruled out.
    #[test]
    fn what_is_ruled_out_has_no_finite_likelihood_but_a_loss_and_a_rank() {
        let (sharp, soft) = (model(Regulariser::L2, 1e4), model(Regulariser::Shannon, 1.5));
        let (found, ranked) =
            [&sharp, &soft].map(|model| evaluate(model, &log(), &[0, 1, 2]).unwrap()).into();
        assert_eq!((found.nll, found.nll_given_click), (f64::INFINITY, Some(f64::INFINITY)));
        let predictions = sharp.predict(&log(), &[0, 1, 2]).unwrap();
        let clicked: Vec<f32> = predictions
            .iter()
            .filter_map(|prediction| Some(prediction.log_probability[prediction.chosen?]))
            .collect();
        assert!(
            clicked.iter().all(|&log_phi| log_phi == 0.0 || log_phi == f32::NEG_INFINITY),
            "{clicked:?}"
        );
        let share =
            clicked.iter().filter(|&&log_phi| log_phi < 0.0).count() as f64 / clicked.len() as f64;
        assert!(share > 0.0 && found.clicks_ruled_out == Some(share), "{found:?}");
        let loss =
            predictions.iter().map(|prediction| f64::from(prediction.loss)).sum::<f64>() / 9.0;
        assert!(found.fenchel_young > 0.0 && (found.fenchel_young - loss).abs() < 1e-9);
        assert!((sharp.loss(&log(), &[0, 1, 2]).unwrap() / loss - 1.0).abs() < 1e-5);
        // The same rewards rank alike, whatever they are made into.
        let precision = |found: &Evaluation| (found.precision_at_1, found.precision_at_2);
        assert_eq!(precision(&found), precision(&ranked));
    }
}
