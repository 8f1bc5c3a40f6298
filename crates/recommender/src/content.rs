//! What a recommender is made of, before it has items: what training returns and what a folder
//! holds. Weights that do not fit the settings are refused here, by their shapes, before they are
//! read.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, WithDType};
use foretaste_data::Catalogue;
use foretaste_nn::checkpoint::Weights;
use foretaste_train::Network;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// What makes a recommender: its kind, its settings and its weights. It becomes a
/// [`Recommender`](crate::Recommender) together with its items.
///
/// Every kind has a function here that takes what was trained: [`Content::agent`],
/// [`Content::policy_gradient`], [`Content::ranking`], [`Content::q_networks`],
/// [`Content::lin_ucb`], [`Content::greedy`], [`Content::assortment`], [`Content::click_model`],
/// [`Content::popularity`], [`Content::top_items`], [`Content::random`].
#[derive(Clone, Debug)]
pub struct Content {
    pub(crate) kind: &'static str,
    pub(crate) settings: Value,
    pub(crate) weights: Weights,
    pub(crate) iterations: u64,
}

impl Content {
    pub(crate) fn new(
        kind: &'static str,
        settings: impl Serialize,
        weights: BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let settings =
            serde_json::to_value(settings).map_err(|reason| Error::setting("settings", reason))?;
        Ok(Self { kind, settings, weights: weights.into(), iterations: 0 })
    }

    /// The same with a note of how many iterations of training led here.
    #[must_use]
    pub fn after(self, iterations: u64) -> Self {
        Self { iterations, ..self }
    }

    /// The configuration and the parameters of a network.
    pub(crate) fn of<N: Network>(kind: &'static str, network: &N) -> Result<Self>
    where
        Error: From<N::Error>,
    {
        Self::new(kind, network.parts().0, weights_of(network)?)
    }

    /// The network of which this is the content.
    pub(crate) fn network<N: Network>(&self, catalogue: &Catalogue, device: &Device) -> Result<N>
    where
        Error: From<N::Error>,
    {
        network(self.settings()?, &self.weights, catalogue, device)
    }

    pub(crate) fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.settings).map_err(|reason| Error::setting("settings", reason))
    }

    /// The entries of a tensor that must have this shape.
    pub(crate) fn numbers<T: WithDType>(&self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        self.expect(name, (T::DTYPE, shape))?;
        Ok(self.weights.tensors()?[name].flatten_all()?.to_vec1()?)
    }

    /// Refuses a tensor of another type or shape, of which nothing is read.
    pub(crate) fn expect(&self, name: &str, (dtype, shape): (DType, &[usize])) -> Result<()> {
        let found = self.weights.shapes().get(name);
        if found == Some((dtype, shape)) {
            return Ok(());
        }
        let found = found.map_or_else(
            || "missing".to_owned(),
            |(dtype, dims)| format!("{dims:?} of {}", dtype.as_str()),
        );
        let problem = format!("{name} is {found}, expected {shape:?} of {}", dtype.as_str());
        Err(Error::setting("weights", problem))
    }

    /// Refuses any tensor.
    pub(crate) fn expect_none(&self) -> Result<()> {
        match self.weights.shapes().names().next() {
            None => Ok(()),
            Some(name) => Err(Error::setting("weights", format!("{name}, expected none"))),
        }
    }
}

/// A network of this configuration with these weights.
pub(crate) fn network<N: Network>(
    config: N::Config,
    weights: &Weights,
    catalogue: &Catalogue,
    device: &Device,
) -> Result<N>
where
    Error: From<N::Error>,
{
    Ok(N::with_weights(weights, config, catalogue, device)?)
}

/// The parameters and tables of a network.
pub(crate) fn weights_of<N: Network>(network: &N) -> Result<BTreeMap<String, Tensor>>
where
    Error: From<N::Error>,
{
    let moved = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(&Device::Cpu)?));
    network.weights()?.into_iter().map(moved).collect()
}

/// Refuses weights of another number of items.
pub(crate) fn check_items(found: usize, catalogue: &Catalogue) -> Result<()> {
    match catalogue.len() {
        items if items == found => Ok(()),
        items => {
            let problem = format!("its settings are of {found}, but it holds {items}");
            Err(Error::setting("items of the recommender", problem))
        }
    }
}
