//! When the learning rate of IRecGAN's U falls. It is a state of its own because checkpoints of a
//! run must keep it.

use foretaste_nn::Adam;
use serde::{Deserialize, Serialize};

use crate::Result;

/// A learning-rate schedule that reacts to a plateau: the rate falls after an epoch whose mean loss
/// exceeds those of the three epochs before, as in the code of IRecGAN's authors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningRate {
    #[serde(rename = "learning_rate")]
    rate: f64,
    /// Mean losses of the last epochs, at most three.
    losses: Vec<f64>,
}

impl LearningRate {
    const REMEMBERED: usize = 3;

    /// Starts at `rate`.
    pub fn new(rate: f64) -> Self {
        Self { rate, losses: Vec::new() }
    }

    /// The learning rate now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes note of the mean loss of an epoch; where that is higher than those of the last three,
    /// the rate of `adam` is multiplied by `decay`.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network) if the optimizer refuses the new rate.
    pub fn after_epoch(&mut self, loss: f64, decay: f64, adam: &mut Adam) -> Result<()> {
        let remembered = self.losses.len() == Self::REMEMBERED;
        let worse = remembered && self.losses.iter().all(|&before| loss > before);
        if remembered {
            self.losses.remove(0);
        }
        self.losses.push(loss);
        if worse {
            self.rate *= decay;
            adam.set_learning_rate(self.rate)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use foretaste_nn::{AdamConfig, Params};
    use foretaste_random::Seed;

    #[test]
    fn the_rate_falls_after_a_loss_above_those_of_the_three_epochs_before() {
        let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
        let mut adam = Adam::new(&params, AdamConfig::default()).unwrap();
        let mut schedule = LearningRate::new(0.1);
        let losses = [1.0, 0.9, 0.8, 0.95, 0.96, 0.97, 0.5, 0.97];
        let rates = losses.map(|loss| {
            schedule.after_epoch(loss, 0.5, &mut adam).unwrap();
            schedule.rate()
        });
        assert_eq!(rates, [0.1, 0.1, 0.1, 0.1, 0.05, 0.025, 0.025, 0.025]);
    }

    #[test]
    fn the_serialized_form_is_that_of_earlier_checkpoints() {
        let text = r#"{"learning_rate":0.05,"losses":[1.0,0.5]}"#;
        let schedule: LearningRate = serde_json::from_str(text).unwrap();
        assert_eq!(schedule, LearningRate { rate: 0.05, losses: vec![1.0, 0.5] });
        assert_eq!(serde_json::to_string(&schedule).unwrap(), text);
    }
}
