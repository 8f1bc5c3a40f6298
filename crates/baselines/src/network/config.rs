//! The settings of the networks, which are saved with them, and the ranges that are checked before
//! any size that they state is allocated.

use foretaste_data::RecentClicks;
use foretaste_settings::Setting;
use foretaste_train::CountContext;
use serde::{Deserialize, Serialize};

use crate::{Result, Training};

/// DFM, W&D-LR and W&D-CCF: a network on sparse fields that gives every shown item a logit z.
///
/// The fields of a shown item are the item, the last clicks before the slate (a field of several
/// values, averaged), ln(1 + the number of clicks before) and, where asked for, the place in the
/// slate and the numbers that boosted trees are given. No one-hot vector is built. The papers'
/// networks use ReLU and dropout, wide & deep FTRL and AdaGrad; ours use ELU and Adam with early
/// stopping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The network.
    pub architecture: Architecture,
    /// What it is trained for.
    pub loss: Loss,
    /// Width of the embeddings, at least 1.
    pub dim: usize,
    /// Standard deviation of the entries of the embeddings before training.
    pub initial: f64,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// How many clicks back the history looks, at least 1.
    pub history: usize,
    /// Weights for pairs of a click and a shown item, which are hashed to them, at least 1; of no
    /// effect in DeepFM.
    pub buckets: u32,
    /// Whether the place in the slate is a field. Off by default: where slates were put together
    /// afterwards, their order may give the click away.
    pub place: bool,
    /// Whether the deep part gets the [`CountContext`](foretaste_train::CountContext) of the shown
    /// item in addition to its embedding.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub context: bool,
    /// How it is trained; a batch is of slates.
    pub training: Training,
}

/// The network of a [`NetworkConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Wide & deep (Cheng et al. 2016, §3). Wide: a weight for every item, and for every
    /// cross-product of an item clicked before and the shown item (their AND(user_installed_app,
    /// impression_app)). Deep: embeddings of the fields side by side, hidden layers, a logit. z is
    /// the sum of both.
    WideDeep,
    /// DeepFM (Guo et al. 2017, Eq 1-4): z = Σ w + Σ_{i<j} ⟨v_i, v_j⟩ + deep(v_1, v_2, ...), with
    /// one vector v for each field, which the factorization machine and the deep part share.
    DeepFm,
}

/// What a network is trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Every shown item by itself is clicked or not: the logistic loss, over all slates, those
    /// without a click among them. The likelihood is
    /// [`Likelihood::Derived`](crate::Likelihood::Derived): if items are clicked independently with
    /// log-odds z and exactly one was, it is an item with probability softmax(z).
    Logistic,
    /// Collaborative competitive filtering (Yang et al. 2011): the clicked item won against the
    /// others of its slate, with probability softmax(z) over the slate. Slates without a
    /// click are left out. The likelihood is [`Likelihood::Fitted`](crate::Likelihood::Fitted).
    Competitive,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            architecture: Architecture::WideDeep,
            loss: Loss::Competitive,
            dim: 16,
            initial: 0.1,
            hidden: vec![32],
            history: 20,
            buckets: 1 << 18,
            place: false,
            context: false,
            training: Training::default(),
        }
    }
}

impl NetworkConfig {
    /// Numbers of the context features.
    pub(super) fn context_width(&self) -> usize {
        if self.context { CountContext::width(self.place) } else { 0 }
    }

    /// The largest width of a layer: sums and products of widths stay far from the largest number.
    const WIDEST: usize = 1 << 20;

    /// Whether every setting is in its range.
    pub(super) fn check(&self) -> Result<()> {
        RecentClicks::check_window(self.history)?;
        if let Some(width) = self.hidden.iter().chain([&self.dim]).find(|w| **w > Self::WIDEST) {
            let problem = format!("a width of {width}, expected at most {}", Self::WIDEST);
            return Err(Setting::new("network", problem).into());
        }
        let counts = [self.dim, self.history, self.buckets as usize];
        if counts.contains(&0)
            || self.hidden.contains(&0)
            || !(self.initial > 0.0 && self.initial.is_finite())
        {
            let expected = "counts and widths of at least 1 and a positive deviation";
            return Err(Setting::of("network", self, expected).into());
        }
        Ok(())
    }
}
