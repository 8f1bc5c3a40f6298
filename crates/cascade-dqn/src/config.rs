//! The settings of the Q-networks, which are saved with them and determine the shapes of all
//! parameters. How the networks are trained is not part of them.

use foretaste_data::RecentClicks;
use foretaste_nn::Activation;
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Everything that fixes [`QNetworks`](crate::QNetworks) but their parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QConfig {
    /// K: number of items in the catalogue.
    pub items: usize,
    /// k: items on a slate.
    pub k: usize,
    /// Cascading networks or a single one.
    pub architecture: Architecture,
    /// The item features f_a.
    pub features: ItemFeatures,
    /// The state encoder s = h(clicks).
    pub state: StateEncoder,
    /// l: width of the hidden layer of every Q-network.
    pub hidden: usize,
    /// σ of the Q-networks.
    pub activation: Activation,
}

/// How a slate's value is made of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// GAN-CDQN: Q^1 .. Q^k, each with parameters of its own; the slate is their cascaded argmax.
    Cascade,
    /// GAN-GDQN: one Q(s, a) for single items; the slate is the k items of the largest values.
    ///
    /// Q(s, a) is fitted to the return of the slates that hold a, so a slate is valued at the mean
    /// of its items' values. The paper does not say how it values the next slate.
    Greedy,
}

/// The item features f_a ∈ R^d.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemFeatures {
    /// An embedding that is learned with the Q-networks. It stands in for the one-hot features of
    /// the released code: a layer on one-hot features of which the embedding is the first factor.
    Learned {
        /// d.
        dim: usize,
    },
    /// Features that the caller gives, as they are.
    Given {
        /// d.
        dim: usize,
    },
}

/// The state encoder s = h(features of the clicked items): GAN-CDQN §"Model Parameterization", as
/// in the user model. It is trained with the Q-networks, which share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateEncoder {
    /// s = vec[ELU(Fᵀ W + B)] over the last `history` clicked items, W `[history, columns]`, B
    /// `[columns, d]`.
    PositionWeights {
        /// m: how many clicks back the state looks.
        history: usize,
        /// n: how many weightings of the history stand side by side.
        columns: usize,
    },
    /// The output of an LSTM after the last `history` clicks, oldest first; zeros before the first
    /// click.
    Lstm {
        /// m: how many clicks back the state looks.
        history: usize,
        /// Width of the state.
        hidden: usize,
    },
}

impl ItemFeatures {
    /// d.
    pub fn dim(&self) -> usize {
        match *self {
            Self::Learned { dim } | Self::Given { dim } => dim,
        }
    }
}

impl StateEncoder {
    /// m: how many clicks back the state looks.
    pub fn history(&self) -> usize {
        match *self {
            Self::PositionWeights { history, .. } | Self::Lstm { history, .. } => history,
        }
    }
}

impl QConfig {
    /// Cascading networks for slates of `k` out of `items` items: a learned embedding of width 16,
    /// four position weightings of the last 20 clicks as in the released user model, hidden layers
    /// of 64, ELU.
    pub fn new(items: usize, k: usize) -> Self {
        Self {
            items,
            k,
            architecture: Architecture::Cascade,
            features: ItemFeatures::Learned { dim: 16 },
            state: StateEncoder::PositionWeights { history: 20, columns: 4 },
            hidden: 64,
            activation: Activation::Elu,
        }
    }

    /// Number of networks.
    pub(crate) fn stages(&self) -> usize {
        match self.architecture {
            Architecture::Cascade => self.k,
            Architecture::Greedy => 1,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let fail = |problem: String| Err(Setting::new("Q-networks", problem).into());
        if self.k == 0 || self.k > self.items || self.items > foretaste_data::ItemId::MAX_ITEMS {
            return fail(format!("slates of {} out of {} items", self.k, self.items));
        }
        if self.features.dim() == 0 || self.hidden == 0 {
            return fail(format!(
                "{} features, hidden {}: at least 1 of each",
                self.features.dim(),
                self.hidden
            ));
        }
        RecentClicks::check_window(self.state.history())?;
        match self.state {
            StateEncoder::PositionWeights { history: 0, .. }
            | StateEncoder::PositionWeights { columns: 0, .. }
            | StateEncoder::Lstm { history: 0, .. }
            | StateEncoder::Lstm { hidden: 0, .. } => {
                Err(Setting::of("Q-networks", &self.state, "sizes of at least 1").into())
            }
            _ => Ok(()),
        }
    }
}
