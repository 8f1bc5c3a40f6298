//! Algorithm 1 of IRecGAN on logs of simulated users: what the experiments on it have in common.

use std::sync::Arc;

use candle_core::Device;
use foretaste_data::Log;
use foretaste_irecgan::{
    AgentPolicy, Buffer, IRecGan, IRecGanConfig, Ranking, Selection, max_trajectory_length,
};
use foretaste_lab::{Scale, Shared, Watch};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_sim::{Mdp, MdpConfig};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourUsers};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::epochs::Row;
use crate::simulated::{K, Logging, World};
use crate::study_training::Validated;

/// Runs of Algorithm 1, those that several cells need kept for them.
pub struct Studies {
    /// By data set, setting and seed.
    learned: Shared<(String, String, u64), Learned>,
    device: Device,
}

/// A log, and how Algorithm 1 runs on it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Study {
    device: String,
    /// Who made the log.
    pub logging: Logging,
    /// Its sessions.
    pub sessions: u64,
    /// How many of ten sessions say when lines 3 and 4 stop; the others are learned from.
    held_out: usize,
    /// Epochs of line 3 or 4 without a new best on the held-out sessions after which it stops.
    patience: u64,
    networks: IRecGanConfig,
}

/// What a run of Algorithm 1 leaves.
pub struct Learned {
    /// U and A after lines 3 and 4: LSTM and PG.
    pub before: Acting,
    /// U and A after all: LSTMD and IRecGAN.
    pub after: Acting,
    /// Steps after which generated sequences are cut.
    pub longest: usize,
    /// The losses of U.
    pub users: Curve,
    /// The losses of A, and what the generated sequences were like.
    pub agent: Curve,
}

/// U and A at one time, as environment and policies.
pub struct Acting {
    /// U as users.
    pub users: BehaviourUsers,
    /// U as a recommender.
    pub ranking: Ranking,
    /// A, slates drawn from its policy.
    pub sampled: AgentPolicy,
    /// A, its k likeliest items.
    pub top: AgentPolicy,
}

/// A learning curve in two parts: one row per epoch, those before the adversarial training first.
pub struct Curve {
    points: Vec<Row>,
    before: usize,
}

/// Sizes of the networks and lengths of the training by scale. The paper gives sizes and rates, not
/// epochs; at `quick` networks are small, and rates higher so that they need fewer epochs.
pub fn networks(scale: Scale) -> IRecGanConfig {
    let items = MdpConfig::default().items;
    let published = IRecGanConfig::new(items, K);
    // A click and its reward are one in these users: no class is rare.
    let published = IRecGanConfig {
        users: BehaviourConfig { purchase_weight: 1.0, ..published.users },
        ..published
    };
    let mut networks = IRecGanConfig {
        users_epochs: 100,
        agent_epochs: 100,
        discriminator_epochs: 20,
        ..published
    };
    let hidden = match scale {
        Scale::Smoke => 8,
        Scale::Quick => 64,
        Scale::Paper => return networks,
    };
    (networks.users.hidden, networks.agent.hidden, networks.discriminator.hidden) =
        (hidden, hidden, hidden);
    let rate = |optimiser: AdamConfig| AdamConfig { learning_rate: 1e-3, ..optimiser };
    networks.users_training.optimiser = rate(networks.users_training.optimiser);
    networks.agent_training.optimiser = rate(networks.agent_training.optimiser);
    networks.discriminator_training.optimiser = rate(networks.discriminator_training.optimiser);
    if scale == Scale::Smoke {
        networks = IRecGanConfig {
            users_epochs: 2,
            agent_epochs: 2,
            discriminator_epochs: 1,
            epochs: 2,
            ..networks
        };
    }
    networks
}

impl Study {
    /// The studies of a scale: every logging policy and size of log.
    pub fn all(settings: &Settings) -> Vec<Self> {
        let (sizes, patience): (&[u64], u64) = match settings.scale {
            Scale::Smoke => (&[100], 1),
            Scale::Quick => (&[200, 1_000], 5),
            Scale::Paper => (&[200, 1_000, 10_000], 10),
        };
        let study = |logging, sessions| Self {
            device: settings.device.to_string(),
            logging,
            sessions,
            held_out: 1,
            patience,
            networks: networks(settings.scale),
        };
        Logging::ALL
            .into_iter()
            .flat_map(|logging| sizes.iter().map(move |&sessions| study(logging, sessions)))
            .collect()
    }

    /// The paper's name of it: random(200).
    pub fn setting(&self) -> String {
        format!("{}({})", self.logging.name(), self.sessions)
    }

    /// λ₁.
    pub fn lambda_1(&self) -> f64 {
        self.networks.lambda_1
    }
}

impl Studies {
    /// On the device of the settings.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        // Methods of a study follow each other, and need the runs of all seeds. At the published
        // size a run leaves networks of 200 MB.
        let kept = if settings.scale == Scale::Paper { settings.seeds as usize + 1 } else { 256 };
        Ok(Self { learned: Shared::new(kept), device: settings.device.open()? })
    }

    /// What Algorithm 1 leaves on the log of a study.
    pub fn learned(
        &self,
        world: &World,
        study: &Study,
        seed: u64,
        watch: &Watch,
    ) -> anyhow::Result<Arc<Learned>> {
        self.learned.get((world.name.into(), study.setting(), seed), || {
            self.learn(world, study, seed, watch)
        })
    }

    fn learn(
        &self,
        world: &World,
        study: &Study,
        seed: u64,
        watch: &Watch,
    ) -> anyhow::Result<Learned> {
        let (users, seed): (Mdp, _) = (world.users(seed)?, Seed::new(seed));
        let log = study.logging.in_users(&users).log(&users, study.sessions, seed)?;
        let (train, held_out) = split(&log, study.held_out);
        let (held_out, config) = (Buffer::real(held_out), study.networks.clone());
        let run = IRecGan::new(config, seed, &self.device)?;
        let mut training =
            Validated { run, train: &train, held_out: &held_out, patience: study.patience, watch };
        let (users, agent) = (training.line_3()?, training.line_4()?);
        let before = Acting::new(&training.run)?;
        let lengths = [users.len(), agent.len()];
        let [users, agent] = training.lines_5_to_19([users, agent])?;
        Ok(Learned {
            before,
            after: Acting::new(&training.run)?,
            longest: max_trajectory_length(&train)?,
            users: Curve { points: users, before: lengths[0] },
            agent: Curve { points: agent, before: lengths[1] },
        })
    }
}

impl Acting {
    fn new(run: &IRecGan) -> anyhow::Result<Self> {
        Ok(Self {
            users: BehaviourUsers::new(run.users())?,
            ranking: Ranking::new(run.users())?,
            sampled: AgentPolicy::new(run.agent(), Selection::Sampled)?,
            top: AgentPolicy::new(run.agent(), Selection::Top)?,
        })
    }
}

impl Curve {
    /// Of the training before the adversarial one.
    pub fn first(&self) -> Vec<Row> {
        self.points[..self.before].to_vec()
    }

    /// Of all.
    pub fn whole(&self) -> Vec<Row> {
        self.points.clone()
    }
}

/// The first sessions, and the last `tenths` of ten.
fn split(log: &Log, tenths: usize) -> (Log, Log) {
    let cut = log.sessions() - log.sessions() * tenths / 10;
    (log.slice(0..cut).to_log(), log.slice(cut..log.sessions()).to_log())
}
