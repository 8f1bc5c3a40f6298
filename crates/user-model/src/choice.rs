//! What a GAN-CDQN user model predicts for logged slates, for the evaluation that it shares with
//! all models of choice, including items to which a sparse regularizer gives probability 0.

use foretaste_data::Log;
use foretaste_eval::choice::{ChoiceModel, Prediction};

use crate::model::SlateChoice;
use crate::{Error, Result, UserModel};

impl ChoiceModel for UserModel {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let choices = self.slate_choices(log, sessions)?;
        Ok(choices.into_iter().map(SlateChoice::into_prediction).collect())
    }
}

impl UserModel {
    /// The Fenchel-Young loss of what users did on every slate of `sessions`, in order
    /// ([`Regulariser::loss`](crate::Regulariser::loss)): finite under every regularizer, and the
    /// negative log-likelihood under Shannon. Comparable between models of one regularizer.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn slate_losses(&self, log: &Log, sessions: &[usize]) -> Result<Vec<f32>> {
        let choices = self.slate_choices(log, sessions)?;
        Ok(choices.into_iter().map(|choice| choice.loss).collect())
    }
}

impl SlateChoice {
    /// Items are ranked by reward, which also orders those of probability 0.
    fn into_prediction(self) -> Prediction {
        let items = self.log_probability.iter().map(|&log_phi| f64::from(log_phi));
        let log_choice = items.chain([self.log_outside.into()]).collect();
        let log_given_choice = log_given_choice(&self.log_probability);
        Prediction {
            scores: self.utility,
            log_given_choice: Some(log_given_choice),
            log_choice: Some(log_choice),
        }
    }
}

/// log φ* of each item given that one of them is chosen.
fn log_given_choice(log_phi: &[f32]) -> Vec<f64> {
    let largest = log_phi.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let items: f64 = log_phi.iter().map(|&log_phi| f64::from(log_phi - largest).exp()).sum();
    let given = |&log_phi: &f32| match log_phi == f32::NEG_INFINITY {
        true => f64::NEG_INFINITY,
        false => f64::from(log_phi - largest) - items.ln(),
    };
    log_phi.iter().map(given).collect()
}

impl From<Error> for foretaste_eval::Error {
    fn from(reason: Error) -> Self {
        Self::Model(Box::new(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{catalogue, configs, log};
    use crate::{Regulariser, UserModelConfig};
    use candle_core::Device;
    use foretaste_eval::choice::evaluate;
    use foretaste_random::Seed;

    fn model(regulariser: Regulariser, eta: f64) -> UserModel {
        let config = UserModelConfig { regulariser, eta, ..configs()[0].clone() };
        UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap()
    }

    fn mean_loss(model: &UserModel) -> f64 {
        let losses = model.slate_losses(&log(), &[0, 1, 2]).unwrap();
        losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64
    }

    #[test]
    fn the_loss_is_the_negative_log_likelihood_under_shannon() {
        let model = model(Regulariser::Shannon, 1.5);
        let found = evaluate(&model, &log(), &[0, 1, 2]).unwrap();
        assert!((mean_loss(&model) - found.nll.unwrap()).abs() < 1e-6, "{found:?}");
        assert_eq!(found.ruled_out, Some(0.0));
    }

    /// So sharp an η makes every choice certain: what users did is then likely, or ruled out.
    #[test]
    fn what_is_ruled_out_has_no_finite_likelihood_but_a_loss_and_a_rank() {
        let (sharp, soft) = (model(Regulariser::L2, 1e4), model(Regulariser::Shannon, 1.5));
        let (found, ranked) =
            [&sharp, &soft].map(|model| evaluate(model, &log(), &[0, 1, 2]).unwrap()).into();
        let infinite = Some(f64::INFINITY);
        assert_eq!((found.nll, found.nll_given_choice), (infinite, infinite));
        let predictions = sharp.slate_choices(&log(), &[0, 1, 2]).unwrap();
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
        assert!(share > 0.0 && found.ruled_out == Some(share), "{found:?}");
        let loss =
            predictions.iter().map(|prediction| f64::from(prediction.loss)).sum::<f64>() / 9.0;
        assert!(loss > 0.0 && (mean_loss(&sharp) - loss).abs() < 1e-9);
        assert!((sharp.loss(&log(), &[0, 1, 2]).unwrap() / loss - 1.0).abs() < 1e-5);
        // The same rewards rank alike, whatever they are made into.
        let precision = |found: &foretaste_eval::choice::Evaluation| {
            (found.precision_at_1, found.precision_at_2)
        };
        assert_eq!(precision(&found), precision(&ranked));
    }
}
