//! Trained Q-networks, which run on the CPU whatever the device.

use foretaste_cascade_dqn::{QNetworks, QPolicy, Storage};
use foretaste_train::Network;

use super::Kind;
use crate::{Content, Erased, Result};

pub(super) const KIND: Kind = Kind {
    name: "cdqn",
    model: "cdqn/1",
    networks: &[QNetworks::KIND],
    build: |content, catalogue, device| {
        let networks: QNetworks = content.network(catalogue, device)?;
        let policy = Erased::certain(QPolicy::new(&networks, Storage::Single)?);
        Ok(Box::new(policy.of_length(networks.config().k)))
    },
    training: None,
};

impl Content {
    /// Q-networks, whose slates are as long as those that they were trained for. Features that they
    /// were given are those of the catalogue. They run on the CPU, on whatever device the
    /// recommender is to be.
    pub fn q_networks(networks: &QNetworks) -> Result<Self> {
        Self::of(KIND.name, networks)
    }
}
