use std::collections::BTreeMap;

use candle_core::{Device, Tensor, WithDType};
use foretaste_data::Catalogue;
use foretaste_train::Network;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// Tensors by name, on the CPU.
pub(crate) type Weights = BTreeMap<String, Tensor>;

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
        weights: Weights,
    ) -> Result<Self> {
        let settings =
            serde_json::to_value(settings).map_err(|reason| Error::setting("settings", reason))?;
        Ok(Self { kind, settings, weights, iterations: 0 })
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
        let tensor = self.weights.get(name);
        match tensor.filter(|tensor| tensor.dims() == shape && tensor.dtype() == T::DTYPE) {
            Some(tensor) => Ok(tensor.flatten_all()?.to_vec1()?),
            None => {
                let found = tensor.map_or_else(
                    || "missing".to_owned(),
                    |tensor| format!("{:?} of {}", tensor.dims(), tensor.dtype().as_str()),
                );
                let expected = T::DTYPE.as_str();
                let problem = format!("{name} is {found}, expected {shape:?} of {expected}");
                Err(Error::setting("weights", problem))
            }
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
    let network = N::build_for(weights, config, catalogue, device)?;
    network.parts().1.restore(weights)?;
    Ok(network)
}

/// The parameters and tables of a network.
pub(crate) fn weights_of<N: Network>(network: &N) -> Result<Weights>
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
