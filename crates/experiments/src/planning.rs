//! The experiment `planning`: where it pays to plan in learned users, in worlds whose users are
//! known.

use std::sync::Arc;

use anyhow::Context;
use candle_core::Device;
use foretaste_cascade_dqn::anchor::Anchor;
use foretaste_cascade_dqn::{
    Architecture, Epsilon, ItemFeatures as QFeatures, QConfig, QNetworks, Reward, SlateValues,
    StateEncoder as QState, Storage, TrainConfig as QTraining, Trainer,
};
use foretaste_data::{Catalogue, Fractions, Split};
use foretaste_eval::Metric;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Shared, Watch, in_own_pool};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Figures, Kind, Point, View};
use foretaste_sim::bounds::{ChoiceBelief, ChoiceGreedy, ChoiceOracle, ShortMemory};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{
    Blind, ChoiceUsers, ChoiceUsersConfig, ClickReward, Environment, Policy, Rollout,
};
use foretaste_user_model::{
    Combining, EnsembleUsers, ItemFeatures, LearnedUsers, Outside, RewardTable, StateEncoder,
    TrainConfig, UserModel, UserModelConfig, fit, fit_ensemble,
};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::learned::{LEARNED_USERS, interruptible};
use crate::policies::{self, Judging};
use crate::worlds::planned_in;

/// The experiment `planning`.
pub struct Planning {
    cells: Vec<Cell>,
    worlds: Shared<(String, u64, u64), World>,
    device: Device,
}

/// What a cell's result depends on, in addition to its seed.
#[derive(Clone, Serialize, Deserialize)]
struct Config {
    /// The seed of the users where the cell's is 0.
    first_seed: u64,
    device: String,
    family: Family,
    /// Sessions of the log that users are learned from.
    sessions: u64,
    /// Items on a slate.
    k: usize,
    judging: Judging,
    model: UserModelConfig,
    fitting: TrainConfig,
    /// Members of the ensemble.
    members: usize,
    method: Method,
}

/// Simulated users, who choose and are paid by the same reward.
#[derive(Clone, Serialize, Deserialize)]
struct Family {
    name: String,
    /// None for those of [`Anchor`], of which there is one population.
    drawn: Option<ChoiceUsersConfig>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Random,
    /// The k items of the largest reward.
    Greedy(Users),
    /// The optimal policy, by dynamic programming.
    Plan(Users),
    /// The plan, in these users or those, that earns most in a model of further users.
    ChosenPlan(Vec<Users>),
    Networks(Learner),
    /// SlateQ, which knows by what chances these users choose.
    SlateQ(Learner),
}

impl Method {
    /// The users in which the simulator's reward is measured.
    fn users(&self) -> Users {
        match self {
            Self::Random => Users::True,
            Self::Greedy(users) | Self::Plan(users) => *users,
            Self::ChosenPlan(_) => Users::Learned,
            Self::Networks(learner) | Self::SlateQ(learner) => learner.users,
        }
    }
}

/// Q-networks, and how they are trained in the users that they know.
#[derive(Clone, Serialize, Deserialize)]
struct Learner {
    users: Users,
    networks: QConfig,
    training: Box<QTraining>,
    iterations: u64,
}

/// The users that a recommender knows.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Users {
    /// The simulated ones themselves.
    True,
    /// One model of them.
    Learned,
    /// The same model, with a penalty far from the log: less one standard deviation of r_θ.
    LearnedWithPenalty,
    /// An ensemble of models.
    Ensemble(Combining),
}

/// The users of a seed, and what was learned of them.
struct World {
    users: ChoiceUsers,
    optimum: f64,
    learned: LearnedUsers,
    with_penalty: LearnedUsers,
    members: Arc<[LearnedUsers]>,
    /// A model of further users of the log, who choose among plans.
    held_out: LearnedUsers,
    /// The reward tables of the learned users, of those with a penalty and of the members.
    table: RewardTable,
    penalized: RewardTable,
    tables: Vec<RewardTable>,
}

/// Worlds where claims are to be decided.
const SEEDS: u64 = 20;
const NAME: &str = "planning";
/// Recommenders that are left out at `quick`: those whose training takes time, and the penalty.
const LONG: [&str; 8] = [
    "plan, penalty far from the log",
    "GAN-CDQN, penalty far from the log",
    "GAN-RWD1",
    "GAN-SlateQ",
    "GAN-SlateQ, mean of models",
    "GAN-CDQN, mean of models",
    "GAN-CDQN, mean less one deviation",
    "GAN-CDQN, a model per session",
];
const ITEMS: usize = 40;
const K: usize = 3;

impl Planning {
    /// Lays out the grid of cells: families of users x sizes of log x recommenders x seeds.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS)).version(LEARNED_USERS);
        let sizes: &[u64] = match settings.scale {
            Scale::Smoke => &[60],
            Scale::Quick => &[2_000],
            Scale::Decide | Scale::Paper => &[500, 2_000, 10_000],
        };
        for family in families(settings.scale) {
            for &sessions in sizes {
                for (name, method) in methods(&family, settings.scale) {
                    if settings.scale == Scale::Quick && LONG.contains(&name) {
                        continue;
                    }
                    let config = Config {
                        first_seed: settings.first_seed(),
                        device: settings.device.to_string(),
                        sessions,
                        k: family.k(),
                        judging: judging(&family, settings.scale),
                        model: model(&family),
                        fitting: fitting(settings.scale, sessions),
                        members: if settings.scale == Scale::Smoke { 2 } else { 5 },
                        family: family.clone(),
                        method,
                    };
                    grid.arm(&family.name, name, &setting(sessions), config)?;
                }
            }
        }
        let worlds = Shared::new(2 * settings.seeds(SEEDS) as usize);
        Ok(Self { cells: grid.into_cells(), worlds, device: settings.device.open()? })
    }
}

fn setting(sessions: u64) -> String {
    format!("{sessions} sessions")
}

/// What users like resembles what they clicked (α) until they had enough of it (β).
fn families(scale: Scale) -> Vec<Family> {
    let drawn = |name: &str, boredom| Family {
        name: name.to_owned(),
        drawn: Some(ChoiceUsersConfig {
            items: ITEMS,
            position_weights: vec![1.0, 0.7],
            boredom,
            click_reward: ClickReward::Utility,
            ..ChoiceUsersConfig::default()
        }),
    };
    let mut families = vec![
        drawn("no boredom", 0.0),
        drawn("boredom", ChoiceUsersConfig::default().boredom),
        drawn("strong boredom", 4.0),
        Family { name: "anchor".into(), drawn: None },
    ];
    match scale {
        Scale::Smoke => families.truncate(1),
        Scale::Quick => families.truncate(2),
        Scale::Decide | Scale::Paper => {}
    }
    families
}

impl Family {
    fn users(&self, seed: u64) -> anyhow::Result<ChoiceUsers> {
        Ok(match &self.drawn {
            Some(drawn) => ChoiceUsers::new(&ChoiceUsersConfig { seed, ..drawn.clone() })?,
            None => Anchor::new()?.users().clone(),
        })
    }

    fn k(&self) -> usize {
        if self.drawn.is_some() { K } else { Anchor::K }
    }

    fn items_and_dims(&self) -> (usize, usize) {
        self.drawn.as_ref().map_or((18, 2), |drawn| (drawn.items, drawn.dims))
    }

    fn memory(&self) -> usize {
        self.drawn.as_ref().map_or(1, |drawn| drawn.position_weights.len())
    }
}

fn judging(family: &Family, scale: Scale) -> Judging {
    let steps = if family.drawn.is_some() { 10 } else { Anchor::STEPS };
    match scale {
        Scale::Smoke => Judging { sessions: 20, steps },
        Scale::Quick => Judging { sessions: 1_000, steps },
        Scale::Decide | Scale::Paper => Judging { sessions: 5_000, steps },
    }
}

/// A model that looks as far back as the users do and knows the features of the items.
fn model(family: &Family) -> UserModelConfig {
    let state = StateEncoder::PositionWeights {
        history: family.memory(),
        columns: 2,
        initial: 0.1,
        activation: foretaste_nn::Activation::Elu,
        bias: true,
    };
    let items = family.items_and_dims().0;
    UserModelConfig { features: ItemFeatures::Given, state, ..UserModelConfig::new(items) }
}

/// A fit that stops after 600 updates without a new best. A quarter of the sessions validate, so
/// that in large logs it does so more rarely: half of the time would otherwise go into it.
fn fitting(scale: Scale, sessions: u64) -> TrainConfig {
    let optimiser = AdamConfig { learning_rate: 2e-3, ..AdamConfig::default() };
    let validate_every = (sessions / 100).max(20);
    let config = TrainConfig { optimiser, validate_every, ..TrainConfig::default() };
    match scale {
        Scale::Smoke => TrainConfig { iterations: 20, ..config },
        _ => TrainConfig { iterations: 4_000, patience: Some(600 / validate_every), ..config },
    }
}

/// Every recommender with its name.
fn methods(family: &Family, scale: Scale) -> Vec<(&'static str, Method)> {
    let (items, dim) = family.items_and_dims();
    let k = family.k();
    let networks = QConfig {
        features: QFeatures::Given { dim },
        state: QState::PositionWeights { history: family.memory(), columns: 2 },
        hidden: 64,
        ..QConfig::new(items, k)
    };
    let training = QTraining {
        steps: judging(family, scale).steps,
        optimiser: AdamConfig { learning_rate: 2e-3, ..QTraining::default().optimiser },
        epsilon: Epsilon { start: 1.0, end: 0.1, decay: 50 },
        discount: 0.9,
        target_every: Some(200),
        ..QTraining::default()
    };
    let (training, iterations) = match scale {
        Scale::Smoke => {
            (QTraining { users: 8, warm_up: 8, batch: 8, capacity: 100, ..training }, 3)
        }
        Scale::Quick => (training, 150),
        Scale::Decide | Scale::Paper => (training, 300),
    };
    let learned = |users, networks: &QConfig, training: &QTraining| Learner {
        users,
        networks: networks.clone(),
        training: Box::new(training.clone()),
        iterations,
    };
    let learner = |users, networks: &QConfig, training: &QTraining| {
        Method::Networks(learned(users, networks, training))
    };
    let slate_q = |users, networks: &QConfig| Method::SlateQ(learned(users, networks, &training));
    let single = QConfig { architecture: Architecture::Greedy, ..networks.clone() };
    let clicks = QTraining { reward: Reward::Click, ..training.clone() };
    let minimum = Users::Ensemble(Combining::Minimum);
    let mean = Users::Ensemble(Combining::Mean);
    let cautious = Users::Ensemble(Combining::MeanLessDeviations(1.0));
    let one_each = Users::Ensemble(Combining::MemberPerSession);
    vec![
        ("random", Method::Random),
        ("greedy, true users", Method::Greedy(Users::True)),
        ("plan, true users", Method::Plan(Users::True)),
        ("GAN-Greedy", Method::Greedy(Users::Learned)),
        ("greedy, mean of models", Method::Greedy(mean)),
        ("plan", Method::Plan(Users::Learned)),
        ("plan, mean of models", Method::Plan(mean)),
        ("plan, mean less one deviation", Method::Plan(cautious)),
        ("plan, least of models", Method::Plan(minimum)),
        (
            "plan, chosen by held-out users",
            Method::ChosenPlan(vec![Users::Learned, mean, cautious, minimum]),
        ),
        ("GAN-CDQN", learner(Users::Learned, &networks, &training)),
        ("GAN-GDQN", learner(Users::Learned, &single, &training)),
        ("GAN-SlateQ", slate_q(Users::Learned, &single)),
        ("GAN-SlateQ, mean of models", slate_q(mean, &single)),
        ("GAN-RWD1", learner(Users::Learned, &networks, &clicks)),
        ("GAN-CDQN, mean of models", learner(mean, &networks, &training)),
        ("GAN-CDQN, mean less one deviation", learner(cautious, &networks, &training)),
        ("GAN-CDQN, least of models", learner(minimum, &networks, &training)),
        ("GAN-CDQN, a model per session", learner(one_each, &networks, &training)),
        ("plan, penalty far from the log", Method::Plan(Users::LearnedWithPenalty)),
        (
            "GAN-CDQN, penalty far from the log",
            learner(Users::LearnedWithPenalty, &networks, &training),
        ),
    ]
}

impl Experiment for Planning {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| {
            let config: Config = cell.config()?;
            let seed = config.first_seed + cell.seed;
            let key = (config.family.name.clone(), config.sessions, seed);
            let world = self.worlds.get(key, || World::new(&config, seed, &self.device, watch))?;
            let mut curve = Vec::new();
            let judge = Judge { world: &world, config: &config, seed: Seed::new(seed), watch };
            let mut metrics = match &config.method {
                Method::Random => judge.judge(&UniformRandom { items: world.users.items() })?,
                Method::Greedy(Users::True) => judge.greedy(&world.users)?,
                Method::Greedy(users) => judge.greedy(&world.table(*users)?)?,
                Method::Plan(Users::True) => judge.plan(&world.users)?,
                Method::Plan(users) => judge.plan(&world.table(*users)?)?,
                Method::ChosenPlan(candidates) => judge.plan(&judge.chosen(candidates)?)?,
                Method::Networks(learner) => {
                    let trainer = Trainer::new(
                        judge.networks(learner)?,
                        (*learner.training).clone(),
                        judge.seed,
                    )?;
                    judge.learner(learner, trainer, &mut curve)?
                }
                Method::SlateQ(learner) if learner.users == Users::True => {
                    judge.slate_q(learner, world.users.clone(), &mut curve)?
                }
                Method::SlateQ(learner) => {
                    judge.slate_q(learner, world.table(learner.users)?, &mut curve)?
                }
            };
            metrics.insert(Metric::TrueOptimum, world.optimum);
            metrics.insert(Metric::OracleShare, metrics[&Metric::TrueReward] / world.optimum);
            Ok(Outcome { metrics, curve })
        })
    }

    fn columns(&self) -> &'static [Metric] {
        &[Metric::TrueReward, Metric::OracleShare, Metric::TrueCtr, Metric::SimulatorReward]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![Metric::TrueOptimum]
    }

    fn question(&self) -> &'static str {
        "Where does it pay to plan in learned users, and where does the model's error eat what \
         planning gains?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        let mut names: Vec<&str> = self.cells.iter().map(|cell| cell.dataset.as_str()).collect();
        names.dedup();
        let data_set = |name: &str| DataSet {
            name: name.to_owned(),
            caveat: "simulated users, not the paper's".into(),
            test_per_train: 0.0,
        };
        names.into_iter().map(data_set).collect()
    }

    fn views(&self) -> Vec<View> {
        vec![View {
            kind: Kind::Dots,
            name: "map",
            title: "Where planning in learned users pays",
            axis: "true reward, share of the optimum",
            metrics: vec![(Metric::OracleShare, "share of the optimum")],
            panels: Some(By::Dataset),
            groups: Some(By::Method),
            series: Some(By::Setting),
            ..View::default()
        }]
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Every seed has users, a log of random slates and models of its own. true_reward: mean \
             sum of a session's rewards in the simulated users, who choose by the reward that they \
             pay; simulator_reward: the same in the users that the recommender knows; oracle_share: \
             true_reward over the exact optimum (dynamic programming over the clicks that users \
             remember). plan: the exact optimum of the users that it knows. All meet the same \
             sessions."
                .into(),
            format!(
                "Users remember two clicks; slates of {K} of {ITEMS} items, sessions of at most 10 \
                 steps. Boredom: β of r = p·f + α g - β g², g the likeness to the last clicks, α = 2: \
                 0, 1.5, 4. anchor: the population of docs/cascade-dqn.md. Models of users: GAN-PW \
                 over the items' features with as long a memory, fitted to 50% of the sessions and \
                 stopped by 25%. Ensembles: five models of sessions drawn with replacement. \
                 Penalty far from the log: r_θ less one standard deviation, by the Laplace \
                 approximation of its last layer."
            ),
        ]
    }
}

impl World {
    fn new(config: &Config, seed: u64, device: &Device, watch: &Watch) -> anyhow::Result<Self> {
        let users = config.family.users(seed)?;
        let (items, dim) = config.family.items_and_dims();
        let (steps, seed) = (config.judging.steps, Seed::new(seed));
        let log = Rollout::new(seed.derive("log"), 0..config.sessions, config.k)
            .max_steps(steps)
            .run(&users, &Blind(UniformRandom { items }))?;
        let catalogue = Catalogue::numbered(items).with_features(users.features().to_vec(), dim)?;
        let split = Split::by_session(&log, Fractions::default(), seed.derive("split"))?;
        let model = UserModelConfig { outside: Outside::observed(&log), ..config.model.clone() };
        let fitting = &config.fitting;
        let fitted = |split: &Split, seed: Seed| -> anyhow::Result<UserModel> {
            let mut users = UserModel::new(model.clone(), &catalogue, seed, device)?;
            let (seed, callback) = (seed.derive("training"), |_| watch.control_flow());
            interruptible(fit(&mut users, &log, split, fitting, seed, callback))?;
            Ok(users)
        };
        let single = fitted(&split, seed)?;
        let table = single.reward_table()?;
        let learned = planned_in(single)?;
        let with_penalty = learned.with_penalty_far_from(&log, &split.train, 1.0)?;
        let further = Split { train: split.test.clone(), ..split.clone() };
        let held_out = planned_in(fitted(&further, seed.derive("held-out users"))?)?;
        let members = interruptible(fit_ensemble(
            &model,
            &catalogue,
            &log,
            &split,
            fitting,
            config.members,
            (seed, device),
            |_, _| watch.control_flow(),
        ))?;
        let optimum = ChoiceOracle::new(&users, config.k, steps)?.value();
        let tables = members.iter().map(UserModel::reward_table).collect::<Result<_, _>>()?;
        Ok(Self {
            users,
            optimum,
            table,
            penalized: with_penalty.reward_table()?,
            tables,
            learned,
            with_penalty,
            held_out,
            members: members.into_iter().map(planned_in).collect::<anyhow::Result<_>>()?,
        })
    }

    /// What is known of the users' rewards.
    fn table(&self, users: Users) -> anyhow::Result<RewardTable> {
        Ok(match users {
            Users::Ensemble(combining) => RewardTable::combined(&self.tables, combining)?,
            Users::LearnedWithPenalty => self.penalized.clone(),
            Users::True | Users::Learned => self.table.clone(),
        })
    }
}

/// Plays one policy.
struct Judge<'a> {
    world: &'a World,
    config: &'a Config,
    seed: Seed,
    watch: &'a Watch,
}

impl Judge<'_> {
    fn greedy<U: ShortMemory>(&self, users: &U) -> anyhow::Result<Figures> {
        self.judge(&ChoiceGreedy::new(users.clone())?)
    }

    fn plan<U: ShortMemory>(&self, users: &U) -> anyhow::Result<Figures> {
        let Config { k, judging, .. } = self.config;
        self.judge(&ChoiceBelief::new(ChoiceOracle::new(users, *k, judging.steps)?))
    }

    fn networks(&self, learner: &Learner) -> anyhow::Result<QNetworks> {
        let features = Some(self.world.users.features());
        Ok(QNetworks::new(learner.networks.clone(), features, self.seed)?)
    }

    /// SlateQ in users who choose as these do.
    fn slate_q<U: ShortMemory>(
        &self,
        learner: &Learner,
        users: U,
        curve: &mut Vec<Point>,
    ) -> anyhow::Result<Figures> {
        let (networks, training) = (self.networks(learner)?, (*learner.training).clone());
        let trainer = Trainer::slate_q(networks, users, training, self.seed)?;
        self.learner(learner, trainer, curve)
    }

    /// Trains in the users that the learner knows, and plays what came of it.
    fn learner<V: SlateValues + Clone>(
        &self,
        learner: &Learner,
        mut trainer: Trainer<V>,
        curve: &mut Vec<Point>,
    ) -> anyhow::Result<Figures> {
        let (world, iterations) = (self.world, learner.iterations);
        match learner.users {
            Users::True => trained(&mut trainer, &world.users, iterations, self.watch)?,
            Users::Learned => trained(&mut trainer, &world.learned, iterations, self.watch)?,
            Users::LearnedWithPenalty => {
                trained(&mut trainer, &world.with_penalty, iterations, self.watch)?;
            }
            Users::Ensemble(combining) => {
                let users = EnsembleUsers::new(world.members.clone(), combining)?;
                trained(&mut trainer, &users, iterations, self.watch)?;
            }
        }
        *curve = trainer.curve().iter().map(policies::row).collect();
        self.judge(&trainer.policy(Storage::Single)?)
    }

    /// The candidate whose plan earns most in the held-out users.
    fn chosen(&self, candidates: &[Users]) -> anyhow::Result<RewardTable> {
        let Self { world, config, seed, watch } = *self;
        let Config { k, judging, .. } = config;
        let mut best: Option<(f64, RewardTable)> = None;
        for &candidate in candidates {
            let table = world.table(candidate)?;
            let plan = ChoiceBelief::new(ChoiceOracle::new(&table, *k, judging.steps)?);
            let earned = judging.play(&world.held_out, &plan, *k, seed, watch)?.reward;
            if best.as_ref().is_none_or(|(most, _)| earned > *most) {
                best = Some((earned, table));
            }
        }
        Ok(best.context("a plan to choose")?.1)
    }

    fn judge<P: Policy>(&self, policy: &P) -> anyhow::Result<Figures> {
        let Self { world, config, seed, watch } = *self;
        let Config { k, judging, .. } = config;
        let truly = judging.play(&world.users, policy, *k, seed, watch)?;
        let known = match config.method.users() {
            Users::True => truly,
            Users::Learned => judging.play(&world.learned, policy, *k, seed, watch)?,
            Users::LearnedWithPenalty => {
                judging.play(&world.with_penalty, policy, *k, seed, watch)?
            }
            Users::Ensemble(combining) => {
                let users = EnsembleUsers::new(world.members.clone(), combining)?;
                judging.play(&users, policy, *k, seed, watch)?
            }
        };
        Ok([
            (Metric::TrueReward, truly.reward),
            (Metric::TrueCtr, truly.click_rate),
            (Metric::SimulatorReward, known.reward),
        ]
        .into())
    }
}

/// Trains in these users.
fn trained<V: SlateValues, E: Environment>(
    trainer: &mut Trainer<V>,
    users: &E,
    iterations: u64,
    watch: &Watch,
) -> anyhow::Result<()> {
    for iteration in 0..iterations {
        policies::going_on(watch, iteration, iterations)?;
        policies::record(&trainer.iterate(users)?, "", watch);
    }
    Ok(())
}
