//! What differs between the algorithms that share one training loop. The loop calls this trait, so
//! Cascading DQN, the single network and SlateQ are trained with the same exploration, replay and
//! targets.

use std::fmt::Debug;

use candle_core::Tensor;
use foretaste_data::{Choice, ItemId, RecentClicks};
use foretaste_sim::Candidates;

use crate::argmax::{Cascade, Chosen};
use crate::{QNetworks, Result};

/// How Q-networks make and value slates, and which of their values learn from a step: what differs
/// between the algorithms that a [`Trainer`](crate::Trainer) runs.
///
/// `states [rows, w]` are the networks' states after `clicks`.
pub trait SlateValues: Debug + Send + Sync {
    /// The best slates of the frozen networks, of all items or of those that are allowed.
    ///
    /// # Errors
    /// As [`Cascade::slates`].
    fn best(
        &self,
        frozen: &Cascade,
        states: &Tensor,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
    ) -> Result<Chosen>;

    /// What the slates `[rows · k]` are worth to the networks, `[rows]`.
    ///
    /// # Errors
    /// As [`QNetworks::values`].
    fn worth(
        &self,
        networks: &QNetworks,
        states: &Tensor,
        clicks: &RecentClicks,
        slates: &[ItemId],
    ) -> Result<Vec<f32>>;

    /// Whether anything is learned from a step on which a user did this.
    fn learns_from(&self, choice: Choice) -> bool;

    /// The values that learn from showing `slates [rows · k]` to users who chose these items,
    /// `[rows, values]`: all those of a row descend towards its target.
    ///
    /// # Errors
    /// As [`QNetworks::values`].
    fn learning(
        &self,
        networks: &QNetworks,
        states: &Tensor,
        slates: &[ItemId],
        chosen: &[Option<ItemId>],
    ) -> Result<Tensor>;
}

/// GAN-CDQN and GAN-GDQN: slates are the cascaded argmax and worth Q^k, or with a single network
/// the k best items and worth their mean, and all places of a slate learn from every step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WholeSlates;

impl SlateValues for WholeSlates {
    fn best(
        &self,
        frozen: &Cascade,
        states: &Tensor,
        _clicks: &RecentClicks,
        allowed: Option<&Candidates>,
    ) -> Result<Chosen> {
        frozen.slates(states, allowed)
    }

    fn worth(
        &self,
        networks: &QNetworks,
        states: &Tensor,
        _clicks: &RecentClicks,
        slates: &[ItemId],
    ) -> Result<Vec<f32>> {
        Ok(networks.slate_values(states, slates)?.to_vec1()?)
    }

    fn learns_from(&self, _choice: Choice) -> bool {
        true
    }

    fn learning(
        &self,
        networks: &QNetworks,
        states: &Tensor,
        slates: &[ItemId],
        _chosen: &[Option<ItemId>],
    ) -> Result<Tensor> {
        networks.values(states, slates)
    }
}
