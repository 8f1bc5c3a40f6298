//! The settings of Algorithm 1, and the numbers of trajectories that follow from them. Rounds and
//! endings can be those of the printed algorithm or those of the authors' code.

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
    /// What D is for.
    #[serde(default)]
    pub adversary: Adversary,
    /// What lines 8 to 19 are made of.
    #[serde(default)]
    pub round: Round,
    /// The slates on which U sees users leave.
    #[serde(default)]
    pub endings: Endings,
    /// How much D learns from at a time.
    #[serde(default)]
    pub judged: Judged,
    /// On how many slates of the offline data every two items of a generated slate must have stood
    /// together for it to count, if any: without it every generated slate counts, as in the paper.
    /// A trajectory counts up to its first slate that does not.
    #[serde(default)]
    pub support: Option<u32>,
    /// Whether a logged session takes the place of every generated trajectory of which not even
    /// the first slate counts, so that an epoch has as many sessions to learn from with `support`
    /// as without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace_unsupported: bool,
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

/// What lines 8 to 19 of Algorithm 1 are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Round {
    /// r-steps and d-steps as printed: each r-step is an epoch of U and one of A on the same
    /// trajectories.
    #[default]
    Printed,
    /// The authors' code: three times three epochs of A, each on the offline data and a pool of the
    /// latest m generated trajectories, to which a sixth is added before the epoch; after each
    /// three an epoch of U on the pool by Eq 7 and one on the offline data by Eq 3; in the end
    /// three epochs of D on the offline data and the pool. Their pool goes on from round to round;
    /// here each begins with an empty one.
    Authors,
}

/// What D is for in lines 8 to 19.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adversary {
    /// As printed: A and U learn from generated trajectories as D scores them.
    #[default]
    Full,
    /// A learns from them as D scores them; U stays as line 3 left it.
    ScoresForAgent,
    /// D takes no part. This is the baseline PGU: generated trajectories count as much as real
    /// ones, A alone learns from them, and U stays as line 3 left it.
    None,
}

/// The slates on which U sees users leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endings {
    /// Those of the log and of the generated trajectories.
    #[default]
    Logged,
    /// Random ones of 15 to 99 items, others at every epoch, as in the authors' code. D is not to
    /// see users leave then ([`leaving`](DiscriminatorConfig::leaving) is off).
    Random,
}

/// How much D learns from at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// As many trajectories of either kind as an r-step generates, m, or as the offline data hold
    /// if that is less.
    #[default]
    AsGenerated,
    /// As many of either kind as the offline data hold.
    AsLogged,
}

impl IRecGanConfig {
    /// The published sizes and rates (§7.1) for slates of `k` out of `items` items. The numbers of
    /// epochs and steps are ours, because the paper has none.
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
            adversary: Adversary::Full,
            round: Round::Printed,
            endings: Endings::Logged,
            judged: Judged::AsGenerated,
            support: None,
            replace_unsupported: false,
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
        if self.endings == Endings::Random && self.discriminator.leaving {
            let problem = "random slates end sessions, which the discriminator's `leaving` sees";
            return Err(Setting::new("endings", problem).into());
        }
        if self.replace_unsupported && (self.support.is_none() || self.round == Round::Authors) {
            let problem = "replaces unsupported trajectories of printed rounds: expected `support`";
            return Err(Setting::new("replace_unsupported", problem).into());
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

    /// Trajectories of either kind that D learns from at a time: none where it takes no part or
    /// nothing is generated.
    pub(crate) fn judged(&self, offline: usize) -> usize {
        match self.judged {
            _ if self.adversary == Adversary::None || self.lambda_1 == 0.0 => 0,
            Judged::AsLogged => offline,
            Judged::AsGenerated => self.generated(offline).min(offline),
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
