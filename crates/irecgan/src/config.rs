use foretaste_disc::{DiscriminatorConfig, DiscriminatorTraining};
use foretaste_settings::Setting;
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourTraining};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::agent::{AgentConfig, AgentTraining};

/// Everything that fixes a run of Algorithm 1 but its data and its seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IRecGanConfig {
    /// Items on a slate.
    pub k: usize,
    /// U.
    pub users: BehaviourConfig,
    /// How U is trained.
    pub users_training: BehaviourTraining,
    /// A.
    pub agent: AgentConfig,
    /// How A is trained.
    pub agent_training: AgentTraining,
    /// D.
    pub discriminator: DiscriminatorConfig,
    /// How D is trained.
    pub discriminator_training: DiscriminatorTraining,
    /// λ₁: the share of generated trajectories in what U and A learn from; λ₂ = 1 - λ₁ are offline.
    /// 1/11, so that the ratio is 1:10 (§7.1).
    pub lambda_1: f64,
    /// N: branches of a generated trajectory at each step (Eq 6): 5.
    pub branches: usize,
    /// Epochs of line 3.
    pub users_epochs: u64,
    /// Epochs of line 4.
    pub agent_epochs: u64,
    /// Passes of line 6 over as many trajectories as line 5 makes.
    pub discriminator_epochs: u64,
    /// `epoch` of line 7.
    pub epochs: u64,
    /// r-steps of line 8.
    pub r_steps: u64,
    /// d-steps of line 15.
    pub d_steps: u64,
    /// i of line 18: passes over B^r and B^s.
    pub d_epochs: u64,
    /// Trajectories that are simulated as one batch, with their branches; of no influence on what
    /// comes out.
    pub chunk: usize,
}

impl IRecGanConfig {
    /// The published sizes and rates (§7.1) for slates of `k` out of `items` items. The numbers of
    /// epochs and steps are ours, for want of the paper's.
    pub fn new(items: usize, k: usize) -> Self {
        Self {
            k,
            users: BehaviourConfig::new(items),
            users_training: BehaviourTraining::default(),
            agent: AgentConfig::new(items),
            agent_training: AgentTraining::default(),
            discriminator: DiscriminatorConfig::new(items),
            discriminator_training: DiscriminatorTraining::default(),
            lambda_1: 1.0 / 11.0,
            branches: 5,
            users_epochs: 10,
            agent_epochs: 10,
            discriminator_epochs: 5,
            epochs: 10,
            r_steps: 1,
            d_steps: 1,
            d_epochs: 1,
            chunk: 256,
        }
    }

    /// The same with LSTMs of two layers of 64, for small runs.
    pub fn small(items: usize, k: usize) -> Self {
        Self {
            users: BehaviourConfig::small(items),
            agent: AgentConfig::small(items),
            discriminator: DiscriminatorConfig::small(items),
            ..Self::new(items, k)
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let items = self.users.items;
        if self.agent.items != items || self.discriminator.items != items {
            let found = (items, self.agent.items, self.discriminator.items);
            let problem = format!("U, A and D have {found:?}, expected the same");
            return Err(Setting::new("items", problem).into());
        }
        if self.k == 0 || self.k > items || self.branches == 0 || self.chunk == 0 {
            let problem = format!(
                "k {} of {items} items, {} branches, chunks of {}",
                self.k, self.branches, self.chunk
            );
            return Err(Setting::new("IRecGAN", problem + ": expected at least 1 of each").into());
        }
        if !(0.0..1.0).contains(&self.lambda_1) {
            let problem = format!("{}, expected a share in [0, 1)", self.lambda_1);
            return Err(Setting::new("λ₁", problem).into());
        }
        Ok(())
    }

    /// m for this many offline sessions: as many generated ones as make λ₁ of both together, at
    /// least 1 unless λ₁ is 0.
    pub(crate) fn generated(&self, offline: usize) -> usize {
        match self.lambda_1 > 0.0 {
            true => {
                (offline as f64 * self.lambda_1 / (1.0 - self.lambda_1)).round().max(1.0) as usize
            }
            false => 0,
        }
    }

    /// ⌊λ₂/λ₁ m⌋ of line 11, at most what there is; all if λ₁ is 0.
    pub(crate) fn extracted(&self, offline: usize) -> usize {
        let ratio = (1.0 - self.lambda_1) / self.lambda_1;
        // A ratio that is whole must not fall short of it by rounding.
        let extracted = ratio * self.generated(offline) as f64 * (1.0 + 1e-12);
        if self.lambda_1 > 0.0 { offline.min(extracted as usize) } else { offline }
    }
}
