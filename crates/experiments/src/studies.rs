//! Algorithm 1 of IRecGAN on logs of simulated users: what the experiments on it have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use foretaste_data::Log;
use foretaste_irecgan::{
    AgentPolicy, Buffer, CurvePoint, GradientNorms, IRecGan, IRecGanConfig, Ranking, Selection,
    longest,
};
use foretaste_lab::{Interrupted, Scale, Shared, Watch};
use foretaste_nn::{AdamConfig, Params};
use foretaste_random::Seed;
use foretaste_sim::{Mdp, MdpConfig};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourUsers};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::learned::figures;
use crate::simulated::{K, Logging, World};

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
    points: Vec<BTreeMap<String, f64>>,
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
        let held_out = Buffer::real(held_out);
        let config = &study.networks;
        let total = config.users_epochs + config.agent_epochs + 1 + config.epochs;
        let step = |done: u64| {
            watch.progress(done, total);
            if watch.interrupted() { Err(Interrupted) } else { Ok(()) }
        };
        let mut run = IRecGan::new(config.clone(), seed, &self.device)?;

        let line_3 = Pretraining {
            network: Network::Users,
            epochs: config.users_epochs,
            patience: study.patience,
        };
        let mut users_points = line_3.run(&mut run, &train, &held_out, step, watch)?;
        let line_4 = Pretraining {
            network: Network::Agent,
            epochs: config.agent_epochs,
            patience: study.patience,
        };
        let mut agent_points = line_4.run(
            &mut run,
            &train,
            &held_out,
            |done| step(config.users_epochs + done),
            watch,
        )?;
        let before = Acting::new(&run)?;
        let (of_line_3, of_line_4) = (users_points.len(), agent_points.len());

        run.pretrain_discriminator(&train)?;
        let (mut best_users, mut best_agent) =
            (Best::new(Network::Users), Best::new(Network::Agent));
        for epoch in 0..config.epochs {
            step(total - config.epochs + epoch)?;
            let point = run.adversarial_epoch(&train)?;
            let GradientNorms { users, agent, discriminator } = run.gradient_norms();
            let validation = best_users.consider(&run, &held_out)?;
            let row = losses(users_points.len(), point.users_loss, validation);
            let norm = figures([("gradient_norm", users)]);
            watch.record(
                Network::Users.name(),
                users_points.len() as u64,
                row.clone().into_iter().chain(norm),
            );
            users_points.push(row);
            let validation = best_agent.consider(&run, &held_out)?;
            let mut row = losses(agent_points.len(), point.agent_loss, validation);
            row.extend(generated(&point));
            let norms =
                figures([("gradient_norm", agent), ("discriminator_gradient_norm", discriminator)]);
            watch.record(
                Network::Agent.name(),
                agent_points.len() as u64,
                row.clone().into_iter().chain(norms),
            );
            agent_points.push(row);
        }
        best_users.restore(&run)?;
        best_agent.restore(&run)?;
        Ok(Learned {
            before,
            after: Acting::new(&run)?,
            longest: longest(&train)?,
            users: Curve { points: users_points, before: of_line_3 },
            agent: Curve { points: agent_points, before: of_line_4 },
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
    pub fn first(&self) -> Vec<BTreeMap<String, f64>> {
        self.points[..self.before].to_vec()
    }

    /// Of all.
    pub fn whole(&self) -> Vec<BTreeMap<String, f64>> {
        self.points.clone()
    }
}

/// Line 3 or 4, with the parameters of its best epoch in the end.
struct Pretraining {
    network: Network,
    epochs: u64,
    patience: u64,
}

/// What is trained.
#[derive(Clone, Copy)]
enum Network {
    Users,
    Agent,
}

/// The parameters of the epoch with the lowest loss on held-out sessions.
struct Best {
    network: Network,
    lowest: f64,
    params: BTreeMap<String, Tensor>,
}

impl Pretraining {
    fn run(
        self,
        run: &mut IRecGan,
        train: &Log,
        held_out: &Buffer,
        step: impl Fn(u64) -> Result<(), Interrupted>,
        watch: &Watch,
    ) -> anyhow::Result<Vec<BTreeMap<String, f64>>> {
        let part = self.network.name();
        let mut best = Best::new(self.network);
        let mut points = vec![losses(0, None, best.consider(run, held_out)?)];
        watch.record(part, 0, points[0].clone());
        let mut since = 0;
        for epoch in 0..self.epochs {
            step(epoch)?;
            let training = match self.network {
                Network::Users => run.pretrain_users(train)?.users_loss,
                Network::Agent => run.pretrain_agent(train)?.agent_loss,
            };
            let lowest = best.lowest;
            let row = losses(points.len(), training, best.consider(run, held_out)?);
            let norm = figures([("gradient_norm", self.network.gradient_norm(run))]);
            watch.record(part, points.len() as u64, row.clone().into_iter().chain(norm));
            points.push(row);
            since = if best.lowest < lowest { 0 } else { since + 1 };
            if since >= self.patience {
                break;
            }
        }
        best.restore(run)?;
        Ok(points)
    }
}

impl Best {
    fn new(network: Network) -> Self {
        Self { network, lowest: f64::INFINITY, params: BTreeMap::new() }
    }

    /// Returns the present loss.
    fn consider(&mut self, run: &IRecGan, held_out: &Buffer) -> anyhow::Result<f64> {
        let loss = self.network.loss(run, held_out)?;
        if loss < self.lowest {
            (self.lowest, self.params) = (loss, self.network.params(run).snapshot()?);
        }
        Ok(loss)
    }

    fn restore(self, run: &IRecGan) -> anyhow::Result<()> {
        Ok(self.network.params(run).restore(&self.params)?)
    }
}

impl Network {
    fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Agent => "agent",
        }
    }

    fn gradient_norm(self, run: &IRecGan) -> Option<f64> {
        match self {
            Self::Users => run.gradient_norms().users,
            Self::Agent => run.gradient_norms().agent,
        }
    }

    fn loss(self, run: &IRecGan, held_out: &Buffer) -> anyhow::Result<f64> {
        Ok(match self {
            Self::Users => run.users().mean_loss(&held_out.log)?,
            Self::Agent => run.agent().mean_loss(held_out, &run.config().agent_training)?,
        })
    }

    fn params(self, run: &IRecGan) -> &Params {
        match self {
            Self::Users => run.users().params(),
            Self::Agent => run.agent().params(),
        }
    }
}

fn losses(epoch: usize, training: Option<f64>, validation: f64) -> BTreeMap<String, f64> {
    let training = training.map(|loss| ("train_loss".to_owned(), loss));
    [("iteration".to_owned(), epoch as f64), ("validation_loss".to_owned(), validation)]
        .into_iter()
        .chain(training)
        .collect()
}

/// The norms of the gradients of U, A and D by name, as far as they were trained.
pub fn gradient_norms(run: &IRecGan) -> impl Iterator<Item = (String, f64)> {
    let GradientNorms { users, agent, discriminator } = run.gradient_norms();
    figures([
        ("users_gradient_norm", users),
        ("agent_gradient_norm", agent),
        ("discriminator_gradient_norm", discriminator),
    ])
}

/// What the generated sequences of an epoch were like, by name.
pub fn generated(point: &CurvePoint) -> impl Iterator<Item = (String, f64)> {
    let figures = [
        ("discriminator_loss", point.discriminator_loss),
        ("score", point.score),
        ("generated_clicks", point.clicks),
        ("generated_reward", point.reward),
    ];
    figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

/// The first sessions, and the last `tenths` of ten.
fn split(log: &Log, tenths: usize) -> (Log, Log) {
    let cut = log.sessions() - log.sessions() * tenths / 10;
    (log.slice(0..cut).to_log(), log.slice(cut..log.sessions()).to_log())
}
