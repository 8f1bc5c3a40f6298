//! The worlds: users, logs of theirs, and how they are learned.

use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};
use foretaste_lab::{Cell, Scale};
use foretaste_nn::{Activation, AdamConfig};
use foretaste_random::Seed;
use foretaste_sim::policies::{EpsilonGreedy, TopItems, UniformRandom};
use foretaste_sim::{
    Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Mdp, MdpConfig, Outside, Rollout,
};
use foretaste_user_model::trust::Effort;
use foretaste_user_model::{Context, ItemFeatures, StateEncoder, TrainConfig, UserModelConfig};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::Settings;

/// What a cell's result depends on, in addition to its seed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Config {
    /// The seed of the users where the cell's is 0.
    pub first_seed: u64,
    pub device: String,
    pub population: Population,
    pub logging: Logging,
    /// Sessions of the log.
    pub sessions: u64,
    /// Steps after which sessions are cut.
    pub steps: usize,
    pub learning: Learning,
    pub training: TrainConfig,
    /// The training of a model of another form, which is never brief.
    pub whole: TrainConfig,
    /// Sessions that each policy plays in learned users, and in the true ones.
    pub played: [u64; 2],
}

/// Simulated users.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Population {
    Choice(ChoiceUsersConfig),
    Mdp(MdpConfig),
}

/// Who made the log.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logging {
    Uniform,
    /// A popularity that knows what users like up to noise, and explores with this probability.
    Popularity {
        epsilon: f64,
    },
    /// Uniform slates, of which another item was written down as clicked, drawn at random.
    Shuffled,
}

/// How users are modeled.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learning {
    /// Item features, and the memory that the users have.
    Features,
    /// Item features, and a memory of one click.
    ShortMemory,
    /// One-hot items and counts of the log.
    Counts,
    /// One-hot items alone.
    OneHot,
    /// As with features, but the training ends after a few steps.
    Brief,
}

/// A kind of world.
pub struct Kind {
    pub family: &'static str,
    sessions: u64,
    logging: Logging,
    learning: Learning,
}

/// Users, of either sort.
pub enum World {
    Choice(Box<ChoiceUsers>),
    Mdp(Mdp),
}

/// The first seed of the recorded worlds; the limits of the rule were chosen on worlds of smaller
/// seeds.
const RECORDED: u64 = 3_000;
/// Items on a slate.
pub const K: usize = 3;
const ITEMS: usize = 30;
const STEPS: usize = 10;
/// Clicks that users remember.
const MEMORY: usize = 2;

/// All kinds: every family with small and large logs, good and bad logging, good and bad learning.
pub fn kinds() -> Vec<Kind> {
    use Learning::{Brief, Counts, Features, OneHot, ShortMemory};
    use Logging::{Popularity, Shuffled, Uniform};
    let explored = Popularity { epsilon: 0.3 };
    let bare = Popularity { epsilon: 0.02 };
    let table = [
        ("boredom", 5_000, Uniform, Features),
        ("boredom", 1_000, Uniform, Features),
        ("boredom", 300, Uniform, Counts),
        ("boredom", 1_000, explored, Counts),
        ("boredom", 2_000, bare, Counts),
        ("boredom", 1_000, Shuffled, Counts),
        ("boredom", 2_000, Uniform, Brief),
        ("no boredom", 1_000, Uniform, Counts),
        ("no boredom", 2_000, explored, Features),
        ("no boredom", 300, bare, Features),
        ("no boredom", 100, Uniform, Features),
        ("strong boredom", 1_000, Uniform, OneHot),
        ("strong boredom", 2_000, Uniform, ShortMemory),
        ("strong boredom", 2_000, explored, Counts),
        ("strong boredom", 300, explored, Features),
        ("four types", 1_000, Uniform, Counts),
        ("four types", 5_000, Uniform, Features),
        ("four types", 1_000, bare, Brief),
        ("mdp", 2_000, Uniform, Counts),
        ("mdp", 1_000, explored, OneHot),
    ];
    let kind = |(family, sessions, logging, learning)| Kind { family, sessions, logging, learning };
    table.into_iter().map(kind).collect()
}

impl Kind {
    /// What distinguishes it within its family, but for the size of its log.
    pub fn method(&self) -> String {
        let logging = match self.logging {
            Logging::Uniform => "uniform",
            Logging::Popularity { epsilon } if epsilon > 0.1 => "explored popularity",
            Logging::Popularity { .. } => "popularity",
            Logging::Shuffled => "shuffled clicks",
        };
        let learning = match self.learning {
            Learning::Features => "features",
            Learning::ShortMemory => "short memory",
            Learning::Counts => "counts",
            Learning::OneHot => "one-hot",
            Learning::Brief => "brief",
        };
        format!("{logging}, {learning}")
    }

    /// Sessions of the log.
    pub fn setting(&self, scale: Scale) -> String {
        format!("{} sessions", self.sessions(scale))
    }

    fn sessions(&self, scale: Scale) -> u64 {
        match scale {
            Scale::Smoke => 80,
            Scale::Quick => self.sessions.min(1_000),
            Scale::Decide | Scale::Paper => self.sessions,
        }
    }
}

impl Population {
    /// The families, in the order of the tables.
    pub const NAMES: [&str; 5] = ["boredom", "no boredom", "strong boredom", "four types", "mdp"];

    /// What users like resembles what they clicked (α = 2) until they had enough of it (β).
    fn named(family: &str) -> Self {
        let (boredom, types) = match family {
            "mdp" => return Self::Mdp(MdpConfig { items: ITEMS, ..MdpConfig::default() }),
            "no boredom" => (0.0, 1),
            "strong boredom" => (4.0, 1),
            "four types" => (1.5, 4),
            _ => (1.5, 1),
        };
        Self::Choice(ChoiceUsersConfig {
            types,
            items: ITEMS,
            position_weights: vec![1.0, 0.7],
            base: -1.0,
            boredom,
            outside: Outside::Skip { leaving: 0.3 },
            ..ChoiceUsersConfig::default()
        })
    }
}

impl Config {
    /// Of a kind of world.
    pub fn new(kind: &Kind, settings: &Settings) -> Self {
        let smoke = settings.scale == Scale::Smoke;
        let brief = smoke || kind.learning == Learning::Brief;
        let iterations = |brief: bool| if brief { 20 } else { 600 };
        let optimiser = AdamConfig { learning_rate: 5e-3, ..AdamConfig::default() };
        let training = TrainConfig {
            optimiser,
            iterations: iterations(brief),
            validate_every: 30,
            patience: Some(6),
            ..TrainConfig::default()
        };
        Self {
            first_seed: match settings.scale {
                Scale::Decide => RECORDED,
                _ => settings.first_seed(),
            },
            device: settings.device.to_string(),
            population: Population::named(kind.family),
            logging: kind.logging,
            sessions: kind.sessions(settings.scale),
            steps: STEPS,
            learning: kind.learning,
            whole: TrainConfig { iterations: iterations(smoke), ..training.clone() },
            training,
            played: if smoke { [20, 100] } else { [1_000, 4_000] },
        }
    }

    /// What all of a cell is drawn from.
    pub fn seed(&self, cell: &Cell) -> Seed {
        let kind = format!("{}, {}, {}", cell.dataset, cell.method, cell.setting);
        Seed::new(self.first_seed + cell.seed).derive(&kind)
    }

    /// How much is simulated.
    pub fn effort(&self) -> Effort {
        Effort { replicates: 4, played: self.played[0], ..Effort::new(self.steps) }
    }

    /// A log of these users.
    pub fn log<E: Environment>(
        &self,
        users: &E,
        liking: &[f64],
        seed: Seed,
    ) -> anyhow::Result<Log> {
        let rollout = Rollout::new(seed.derive("log"), 0..self.sessions, K).max_steps(self.steps);
        let log = match self.logger(users.items(), liking, seed)? {
            Logger::Uniform(policy) => rollout.run(users, &Blind(policy))?,
            Logger::Popularity(policy) => rollout.run(users, &Blind(policy))?,
        };
        Ok(match self.logging {
            Logging::Shuffled => shuffled(&log, seed.derive("shuffled clicks"))?,
            _ => log,
        })
    }

    /// Who made it.
    pub fn logger(&self, items: usize, liking: &[f64], seed: Seed) -> anyhow::Result<Logger> {
        Ok(match self.logging {
            Logging::Uniform | Logging::Shuffled => Logger::Uniform(UniformRandom { items }),
            Logging::Popularity { epsilon } => {
                let mut stream = seed.derive("what popularity knows").stream(0);
                let spread = deviation(liking);
                let mut noisy = |liking: &f64| liking + spread * stream.random_range(-1.5f64..1.5);
                let known: Vec<f64> = liking.iter().map(&mut noisy).collect();
                Logger::Popularity(EpsilonGreedy::new(TopItems::new(&known), epsilon, items)?)
            }
        })
    }

    /// The model, of users who may choose nothing where `outside` says so.
    pub fn model(&self, outside: foretaste_user_model::Outside) -> UserModelConfig {
        let history = if self.learning == Learning::ShortMemory { 1 } else { MEMORY };
        let short = StateEncoder::PositionWeights {
            history,
            columns: 2,
            initial: 0.1,
            activation: Activation::Elu,
            bias: true,
        };
        let published = UserModelConfig { outside, ..UserModelConfig::new(ITEMS) };
        let state = StateEncoder::position_weights();
        match self.learning {
            Learning::Features | Learning::ShortMemory | Learning::Brief => {
                UserModelConfig { features: ItemFeatures::Given, state: short, ..published }
            }
            Learning::Counts => {
                let context = Some(Context::Counts { place: false });
                UserModelConfig { context, state, ..published }
            }
            Learning::OneHot => UserModelConfig { state, ..published },
        }
    }
}

/// A logging policy.
pub enum Logger {
    Uniform(UniformRandom),
    Popularity(EpsilonGreedy<TopItems>),
}

impl World {
    /// The users of a seed.
    pub fn new(config: &Config, seed: Seed) -> anyhow::Result<Self> {
        let drawn: u64 = seed.derive("users").stream(0).random();
        Ok(match &config.population {
            Population::Choice(users) => {
                let users = ChoiceUsersConfig { seed: drawn, ..users.clone() };
                Self::Choice(Box::new(ChoiceUsers::new(&users)?))
            }
            Population::Mdp(users) => Self::Mdp(Mdp::new(&MdpConfig { seed: drawn, ..*users })?),
        })
    }
}

/// What users like before any click, mean over types.
pub fn liking(users: &ChoiceUsers) -> Vec<f64> {
    let items: Vec<ItemId> = (0..users.items() as u32).map(ItemId).collect();
    let types = users.config().types;
    let mut liking = vec![0.0; items.len()];
    for user_type in 0..types {
        let of_type = users.utilities(user_type, &[], &items);
        liking.iter_mut().zip(of_type).for_each(|(sum, of_type)| *sum += of_type / types as f64);
    }
    liking
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// The log with each click on an item of the same slate that is drawn uniformly.
fn shuffled(log: &Log, seed: Seed) -> anyhow::Result<Log> {
    let mut shuffled = LogBuilder::new(log.facts());
    for session in log.iter() {
        let mut stream = seed.stream(session.index() as u64);
        for step in session.steps() {
            let choice = match step.choice {
                Choice::Item(_) => {
                    Choice::Item(step.slate[stream.random_range(0..step.slate.len())])
                }
                other => other,
            };
            shuffled.push(Step { choice, ..step })?;
        }
        shuffled.end_session(None)?;
    }
    Ok(shuffled.build())
}
