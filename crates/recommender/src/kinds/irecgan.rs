//! IRecGAN's agent, as it draws its slates and by its most likely items, and after its pretraining
//! alone: PG.

mod algorithm;
mod policy_gradient;

use candle_core::Device;
use foretaste_data::Catalogue;
use foretaste_irecgan::{Agent, AgentPolicy, Selection};
use foretaste_train::Network;

use super::Kind;
use crate::content::check_items;
use crate::training::Training;
use crate::{Content, DynPolicy, Erased, Result};

pub(super) const DRAWN: Kind = Kind {
    name: "irecgan",
    model: "irecgan/1",
    networks: &[Agent::KIND],
    build: |content, catalogue, device| build(content, catalogue, device, Selection::Sampled),
    training: Some(Training {
        about: "IRecGAN's agent, which draws its slates",
        takes: &["epochs", "adversarial", "hidden", "first-click-given"],
        learns: true,
        settings: algorithm::settings,
        train: algorithm::train,
    }),
};

pub(super) const TOP: Kind = Kind {
    name: "irecgan-top",
    model: "irecgan-top/1",
    networks: &[],
    build: |content, catalogue, device| build(content, catalogue, device, Selection::Top),
    training: None,
};

pub(super) const POLICY_GRADIENT: Kind = Kind {
    name: "pg",
    model: "pg/1",
    networks: &[],
    build: |content, catalogue, device| build(content, catalogue, device, Selection::Sampled),
    training: Some(Training {
        about: "the same agent by policy gradient on the log alone",
        takes: &["epochs", "hidden", "first-click-given"],
        learns: true,
        settings: policy_gradient::settings,
        train: policy_gradient::train,
    }),
};

impl Content {
    /// IRecGAN's agent after line 4 of Algorithm 1, which draws its slates: PG.
    pub fn policy_gradient(agent: &Agent) -> Result<Self> {
        Self::of(POLICY_GRADIENT.name, agent)
    }

    /// IRecGAN's agent: slates that it draws, or its most likely items.
    pub fn agent(agent: &Agent, selection: Selection) -> Result<Self> {
        let kind = match selection {
            Selection::Sampled => &DRAWN,
            Selection::Top => &TOP,
        };
        Self::of(kind.name, agent)
    }
}

fn build(
    content: &Content,
    catalogue: &Catalogue,
    device: &Device,
    selection: Selection,
) -> Result<Box<dyn DynPolicy>> {
    let agent: Agent = content.network(catalogue, device)?;
    check_items(agent.config().items, catalogue)?;
    let policy = AgentPolicy::new(&agent, selection)?;
    let erased = match selection {
        Selection::Sampled => Erased::drawn(policy),
        Selection::Top => Erased::certain(policy),
    };
    Ok(Box::new(erased.by_scores(|policy, memory| Ok(policy.scores(memory)?))))
}
