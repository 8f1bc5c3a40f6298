use std::collections::BTreeMap;

use candle_core::{Device, Tensor, WithDType};
use foretaste_data::Catalogue;
use foretaste_random::Seed;
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
/// [`Content::ranking`], [`Content::q_networks`], [`Content::lin_ucb`], [`Content::greedy`],
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
    pub(crate) fn of<N: Network>(kind: &'static str, network: &N) -> Result<Self> {
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
                let found = tensor.map(|tensor| (tensor.dims(), tensor.dtype()));
                let problem = format!("{name} is {found:?}, expected {shape:?} of {:?}", T::DTYPE);
                Err(Error::setting("weights", problem))
            }
        }
    }
}

/// A network of this configuration with these weights. No size that the weights cannot have is
/// asked of memory.
pub(crate) fn network<N: Network>(
    config: N::Config,
    weights: &Weights,
    catalogue: &Catalogue,
    device: &Device,
) -> Result<N>
where
    Error: From<N::Error>,
{
    check_sizes(&config, weights, catalogue)?;
    let network = N::build(config, catalogue, Seed::new(0), device)?;
    network.parts().1.restore(weights)?;
    Ok(network)
}

/// The parameters of a network.
pub(crate) fn weights_of<N: Network>(network: &N) -> Result<Weights> {
    let moved = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(&Device::Cpu)?));
    network.parts().1.snapshot()?.into_iter().map(moved).collect()
}

/// Refuses a network with a size beyond what these weights and items can have.
fn check_sizes(config: &impl Serialize, weights: &Weights, catalogue: &Catalogue) -> Result<()> {
    let config =
        serde_json::to_value(config).map_err(|reason| Error::setting("settings", reason))?;
    let numbers: usize = weights.values().map(Tensor::elem_count).sum();
    let most = (numbers + catalogue.len()) as u64 + UNSEEN;
    match beyond(&config, most) {
        None => Ok(()),
        Some((path, size)) => {
            let problem = format!(
                "{path} is {size}, too large for {numbers} weights and {} items",
                catalogue.len()
            );
            Err(Error::setting("settings", problem))
        }
    }
}

/// Sizes that no weight shows, such as how many clicks back a state looks, are at most so much
/// above the others.
const UNSEEN: u64 = 64;

/// What is no size of a network: a log's sessions may be longer than a network is large.
const OUTCOMES: &str = "outcomes";

/// The first count above `most`, with where it stands.
fn beyond(settings: &Value, most: u64) -> Option<(String, u64)> {
    let within = |(name, value): (String, &Value)| {
        let (path, size) = beyond(value, most)?;
        Some((if path.is_empty() { name } else { format!("{name}.{path}") }, size))
    };
    match settings {
        Value::Number(number) => {
            let size = number.as_u64().filter(|&size| size > most)?;
            Some((String::new(), size))
        }
        Value::Array(values) => {
            values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).find_map(within)
        }
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != OUTCOMES)
            .map(|(name, value)| (name.clone(), value))
            .find_map(within),
        _ => None,
    }
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
