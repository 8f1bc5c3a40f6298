//! The settings of the discriminator and of its training. The first are saved with the network,
//! because they determine its shapes and whether leaving counts; the published values are here.

use foretaste_nn::AdamConfig;
use foretaste_settings::Setting;
use foretaste_train::FirstInput;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Everything that fixes a [`Discriminator`](crate::Discriminator) but its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// Number of items in the catalogue.
    pub items: usize,
    /// Width of the item embedding e^d.
    pub embedding: usize,
    /// Width of the state s^d.
    pub hidden: usize,
    /// Stacked layers of the LSTM h_d.
    pub layers: usize,
    /// What h_d sees before the first click.
    #[serde(default)]
    pub first_input: FirstInput,
    /// Temperature of the softmax that stands in for the argmax.
    pub temperature: f64,
    /// Whether the step on which a user leaves counts, with END on every slate. Off where the real
    /// log lacks those steps: the slates that were drawn for them would give it away.
    pub leaving: bool,
}

impl DiscriminatorConfig {
    /// The published model (§7.1, appendix 1): embedding 50, two LSTM layers of 512, temperature
    /// 0.1. Leaving counts.
    pub fn new(items: usize) -> Self {
        Self {
            items,
            embedding: 50,
            hidden: 512,
            layers: 2,
            first_input: FirstInput::Start,
            temperature: 0.1,
            leaving: true,
        }
    }

    /// The same with two layers of 64, for small runs.
    pub fn small(items: usize) -> Self {
        Self { hidden: 64, ..Self::new(items) }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.items == 0 || self.items > foretaste_data::ItemId::MAX_ITEMS || self.embedding == 0
        {
            let problem =
                format!("{} items, embedding {}: at least 1 of each", self.items, self.embedding);
            return Err(Setting::new("discriminator", problem).into());
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let problem = format!("{}, expected a positive number", self.temperature);
            return Err(Setting::new("discriminator's temperature", problem).into());
        }
        Ok(())
    }
}

/// How D is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorTraining {
    /// The optimizer: Adam, 1e-4, gradients clipped at norm 5.
    pub optimiser: AdamConfig,
    /// Real sessions in a batch, which has as many generated trajectories: 32.
    pub batch: usize,
}

impl Default for DiscriminatorTraining {
    fn default() -> Self {
        let optimiser =
            AdamConfig { learning_rate: 1e-4, clip: Some(5.0), ..AdamConfig::default() };
        Self { optimiser, batch: 32 }
    }
}
