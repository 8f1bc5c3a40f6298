//! Trained Q-networks, which run on the CPU whatever the device: cascading ones, and a single one.

mod training;

use candle_core::Device;
use foretaste_cascade_dqn::{Architecture, QNetworks, QPolicy, Storage};
use foretaste_data::Catalogue;
use foretaste_train::Network;

use super::Kind;
use crate::training::Training;
use crate::{Content, DynPolicy, Erased, Error, Result};

/// GAN-CDQN; of networks that were saved for themselves, and by earlier versions, also GAN-GDQN.
pub(super) const CASCADE: Kind = Kind {
    name: "cdqn",
    model: "cdqn/1",
    networks: &[QNetworks::KIND],
    build: |content, catalogue, device| build(content, catalogue, device, None),
    training: Some(Training {
        about: "cascading Q-networks, which plan in learned users",
        takes: training::TAKES,
        learns: true,
        settings: |log, effort| training::settings(log, effort, Architecture::Cascade),
        train: training::train,
    }),
};

/// GAN-GDQN.
pub(super) const SINGLE: Kind = Kind {
    name: "gdqn",
    model: "gdqn/1",
    networks: &[],
    build: |content, catalogue, device| {
        build(content, catalogue, device, Some(Architecture::Greedy))
    },
    training: Some(Training {
        about: "a Q-network of single items, which plans in learned users",
        takes: training::TAKES,
        learns: true,
        settings: |log, effort| training::settings(log, effort, Architecture::Greedy),
        train: training::train,
    }),
};

impl Content {
    /// Q-networks, whose slates are as long as those that they were trained for. Features that they
    /// were given are those of the catalogue. They run on the CPU, on whatever device the
    /// recommender is to be.
    pub fn q_networks(networks: &QNetworks) -> Result<Self> {
        let kind = match networks.config().architecture {
            Architecture::Cascade => &CASCADE,
            Architecture::Greedy => &SINGLE,
        };
        Self::of(kind.name, networks)
    }
}

/// Networks of this architecture, if one is asked for.
fn build(
    content: &Content,
    catalogue: &Catalogue,
    device: &Device,
    expected: Option<Architecture>,
) -> Result<Box<dyn DynPolicy>> {
    let networks: QNetworks = content.network(catalogue, device)?;
    let (found, k) = (networks.config().architecture, networks.config().k);
    if let Some(expected) = expected.filter(|&expected| expected != found) {
        let name = |architecture| match architecture {
            Architecture::Cascade => "cascading",
            Architecture::Greedy => "a single one",
        };
        let problem = format!("{}, expected {}", name(found), name(expected));
        return Err(Error::setting("networks", problem));
    }
    let policy = Erased::certain(QPolicy::new(&networks, Storage::Single)?);
    Ok(Box::new(policy.of_length(k)))
}
