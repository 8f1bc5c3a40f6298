//! Algorithm 1 of IRecGAN on logs of simulated users: what the experiments on it have in common.

use std::sync::Arc;

use candle_core::Device;
use foretaste_data::Log;
use foretaste_irecgan::{
    AgentPolicy, Buffer, CurvePoint, GradientNorms, IRecGan, IRecGanConfig, Ranking, Selection,
    longest,
};
use foretaste_lab::{Scale, Shared, Watch};
use foretaste_nn::{AdamConfig, Params};
use foretaste_random::Seed;
use foretaste_sim::{Mdp, MdpConfig};
use foretaste_train::{Candidates, Fit, FitConfig};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourUsers};
use serde::{Deserialize, Serialize};

use crate::epochs::{self, NetworkPoint, Row, joined};
use crate::learned::{figures, interruptible};
use crate::simulated::{K, Logging, World};
use crate::Settings;

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
        let (train, held_out) = (&train, &Buffer::real(held_out));
        let config = &study.networks;
        let total = config.users_epochs + config.agent_epochs + 1 + config.epochs;
        let mut run = IRecGan::new(config.clone(), seed, &self.device)?;

        let pretrain = |run: &mut IRecGan, network, epochs, done| {
            let fit = FitConfig {
                iterations: epochs,
                validate_every: 1,
                patience: Some(study.patience),
                candidates: Candidates::All,
            };
            let mut line = Pretraining { network, run, train, held_out, loss: None };
            let fitted = foretaste_train::fit(&mut line, fit, |progress| {
                watch.progress(done + progress.iteration, total);
                epochs::record(watch, &progress.point.unwrap_or_default());
                watch.control_flow()
            });
            Ok::<_, anyhow::Error>(epochs::curves(interruptible(fitted)?).remove(0))
        };
        let users = pretrain(&mut run, Network::Users, config.users_epochs, 0)?;
        let agent = pretrain(&mut run, Network::Agent, config.agent_epochs, config.users_epochs)?;
        let before = Acting::new(&run)?;

        run.pretrain_discriminator(train)?;
        let fit = FitConfig {
            iterations: config.epochs,
            validate_every: 1,
            patience: None,
            candidates: Candidates::Trained,
        };
        let lengths = [users.len(), agent.len()];
        let mut lines =
            Adversarial { run: &mut run, train, held_out, before: lengths, point: None };
        let fitted = foretaste_train::fit(&mut lines, fit, |progress| {
            watch.progress(total - config.epochs + progress.iteration, total);
            // What is validated before any epoch is what lines 3 and 4 left.
            if progress.iteration > 0 {
                epochs::record(watch, &progress.point.unwrap_or_default());
            }
            watch.control_flow()
        });
        let mut curves =
            joined(&[users, agent], epochs::curves(interruptible(fitted)?)).into_iter();
        let mut curve = |before| Curve { points: curves.next().unwrap_or_default(), before };
        let [of_users, of_agent] = lengths;
        Ok(Learned {
            before,
            after: Acting::new(&run)?,
            longest: longest(train)?,
            users: curve(of_users),
            agent: curve(of_agent),
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

/// U or A.
#[derive(Clone, Copy)]
enum Network {
    Users,
    Agent,
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

    /// Its loss on held-out sessions.
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

/// Line 3 or 4.
struct Pretraining<'a> {
    network: Network,
    run: &'a mut IRecGan,
    train: &'a Log,
    held_out: &'a Buffer,
    /// Of the last epoch.
    loss: Option<f64>,
}

impl Fit for Pretraining<'_> {
    type Point = Vec<NetworkPoint>;
    type Error = anyhow::Error;

    fn train(&mut self, _epoch: u64) -> anyhow::Result<()> {
        self.loss = match self.network {
            Network::Users => self.run.pretrain_users(self.train)?.users_loss,
            Network::Agent => self.run.pretrain_agent(self.train)?.agent_loss,
        };
        Ok(())
    }

    fn validate(&mut self, epoch: u64) -> anyhow::Result<Vec<NetworkPoint>> {
        let Self { network, run, .. } = self;
        let validation = network.loss(run, self.held_out)?;
        let point = NetworkPoint::new(network.name(), epoch, self.loss, validation);
        let norm = figures([("gradient_norm", network.gradient_norm(run))]);
        Ok(vec![point.with_norms(norm)])
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.network.params(self.run)]
    }

    fn losses(&self, networks: &Vec<NetworkPoint>) -> Vec<f64> {
        networks.iter().map(NetworkPoint::loss).collect()
    }
}

/// Lines 8 to 19.
struct Adversarial<'a> {
    run: &'a mut IRecGan,
    train: &'a Log,
    held_out: &'a Buffer,
    /// Lengths of the learning curves of U and A so far.
    before: [usize; 2],
    /// What came of the last epoch.
    point: Option<CurvePoint>,
}

impl Fit for Adversarial<'_> {
    type Point = Vec<NetworkPoint>;
    type Error = anyhow::Error;

    fn train(&mut self, _epoch: u64) -> anyhow::Result<()> {
        self.point = Some(self.run.adversarial_epoch(self.train)?);
        Ok(())
    }

    fn validate(&mut self, epoch: u64) -> anyhow::Result<Vec<NetworkPoint>> {
        let point = |network: Network, train_loss, before: usize| {
            let validation = network.loss(self.run, self.held_out)?;
            let epoch = before as u64 + epoch - 1;
            let norm = figures([("gradient_norm", network.gradient_norm(self.run))]);
            let point = NetworkPoint::new(network.name(), epoch, train_loss, validation);
            Ok::<_, anyhow::Error>(point.with_norms(norm))
        };
        let [of_users, of_agent] = self.before;
        let users = point(Network::Users, self.point.and_then(|p| p.users_loss), of_users)?;
        let agent = point(Network::Agent, self.point.and_then(|p| p.agent_loss), of_agent)?;
        let norm = self.run.gradient_norms().discriminator;
        let norm = figures([("discriminator_gradient_norm", norm)]);
        let agent = agent.with(self.point.iter().flat_map(generated)).with_norms(norm);
        Ok(vec![users, agent])
    }

    fn params(&self) -> Vec<&Params> {
        [Network::Users, Network::Agent].map(|network| network.params(self.run)).into()
    }

    fn losses(&self, networks: &Vec<NetworkPoint>) -> Vec<f64> {
        networks.iter().map(NetworkPoint::loss).collect()
    }
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
