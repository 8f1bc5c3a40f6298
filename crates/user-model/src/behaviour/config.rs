//! The settings of U and of its training, with the published values. The first are saved with the
//! model, because they determine its shapes and how often its users buy.

use foretaste_nn::AdamConfig;
use foretaste_settings::Setting;
use foretaste_train::FirstInput;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Everything that fixes a [`BehaviourModel`](super::BehaviourModel) but its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehaviourConfig {
    /// Number of items in the catalogue.
    pub items: usize,
    /// Width of the item embedding e^u.
    pub embedding: usize,
    /// Width of the state s^u.
    pub hidden: usize,
    /// Stacked layers of the LSTM h^u.
    pub layers: usize,
    /// What h^u sees before the first click.
    #[serde(default)]
    pub first_input: FirstInput,
    /// λ_p: the weight of the likelihood of a reward relative to that of a click (Eq 3).
    pub lambda_p: f64,
    /// What a purchase counts in the likelihood of the rewards, where no purchase counts 1.
    pub purchase_weight: f64,
    /// What the reward of a click is.
    #[serde(default, skip_serializing_if = "Rewards::are_purchases")]
    pub rewards: Rewards,
    /// What the log pays where U pays 1: the rewards that U learns from are those of the log,
    /// divided by it ([`in_unit`](super::in_unit)).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub reward_unit: f32,
}

fn one() -> f32 {
    1.0
}

fn is_one(unit: &f32) -> bool {
    *unit == 1.0
}

/// f_r of Eq 2, and with it the likelihood of a reward in Eq 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rewards {
    /// 1 for a purchase and 0 for none: f_r is the logistic function.
    #[default]
    Purchases,
    /// Any real number, whose mean Eq 2 gives: f_r is the identity, and the likelihood is that of a
    /// normal distribution with variance 1, so that rewards should be of the order of 1. Users pay
    /// the mean.
    Amounts,
}

impl Rewards {
    /// Those that fit all of these rewards of clicks.
    pub fn of(rewards: impl IntoIterator<Item = f32>) -> Self {
        match rewards.into_iter().all(|reward| reward == 0.0 || reward == 1.0) {
            true => Self::Purchases,
            false => Self::Amounts,
        }
    }

    fn are_purchases(&self) -> bool {
        *self == Self::Purchases
    }
}

impl BehaviourConfig {
    /// The published model (§7.1): embedding 50, two LSTM layers of 512, λ_p = 1; purchases count
    /// 2^5.3, as in the authors' code, and sessions begin with an item, as theirs do.
    pub fn new(items: usize) -> Self {
        Self {
            items,
            embedding: 50,
            hidden: 512,
            layers: 2,
            first_input: FirstInput::Start,
            lambda_p: 1.0,
            purchase_weight: 5.3f64.exp2(),
            rewards: Rewards::Purchases,
            reward_unit: 1.0,
        }
    }

    /// The same with two layers of 64, for small runs.
    pub fn small(items: usize) -> Self {
        Self { hidden: 64, ..Self::new(items) }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.items == 0 || self.items > foretaste_data::ItemId::MAX_ITEMS || self.embedding == 0
        {
            let problem =
                format!("{} items, embedding {}: at least 1 of each", self.items, self.embedding);
            return Err(Setting::new("behavior model", problem).into());
        }
        if !(self.reward_unit > 0.0 && self.reward_unit.is_finite()) {
            let problem = format!("reward unit {}: expected a number above 0", self.reward_unit);
            return Err(Setting::new("behavior model", problem).into());
        }
        let fine = |value: f64| value >= 0.0 && value.is_finite();
        if !fine(self.lambda_p) || !fine(self.purchase_weight) {
            let problem =
                format!("λ_p {}, purchase weight {}", self.lambda_p, self.purchase_weight);
            return Err(
                Setting::new("behavior model", problem + ": expected numbers from 0").into()
            );
        }
        Ok(())
    }
}

/// How U is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehaviourTraining {
    /// The optimizer: Adam, 5e-4, gradients clipped at norm 5.
    pub optimiser: AdamConfig,
    /// Sessions in a batch: 32.
    pub batch: usize,
    /// What the learning rate is multiplied by after an epoch whose loss exceeds those of the three
    /// before: 0.95, as in the authors' code.
    pub decay: f64,
}

impl Default for BehaviourTraining {
    fn default() -> Self {
        let optimiser =
            AdamConfig { learning_rate: 5e-4, clip: Some(5.0), ..AdamConfig::default() };
        Self { optimiser, batch: 32, decay: 0.95 }
    }
}

impl BehaviourTraining {
    pub(super) fn check(&self) -> Result<()> {
        if self.batch == 0 || !(self.decay > 0.0 && self.decay <= 1.0) {
            let problem = format!(
                "batch {}, decay {}: expected at least 1, and in (0, 1]",
                self.batch, self.decay
            );
            return Err(Setting::new("training", problem).into());
        }
        Ok(())
    }
}
