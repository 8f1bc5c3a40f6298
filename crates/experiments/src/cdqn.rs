//! The experiment `cdqn`: recommenders that were trained in learned users, judged in others
//! (GAN-CDQN, experiment C).

use std::sync::Arc;

use foretaste_baselines::{ClickModel, ModelKind, Settings as ClickModelSettings};
use foretaste_cascade_dqn::{
    Architecture, QConfig, QPolicy, Reward, Storage, TrainConfig, Trainer,
};
use foretaste_eval::Metric;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Shared, Watch, in_own_pool};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Figures, Kind, View};
use foretaste_sim::Policy;
use foretaste_sim::bounds::ChoiceOracle;
use foretaste_sim::policies::UniformRandom;
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::learned::LEARNED_USERS;
use crate::policies::{self, Judging, LinUcbTraining, Training};
use crate::user_model;
use crate::worlds::{Simulator, UsersConfig, World, Worlds};

/// The experiment `cdqn`.
pub struct Cdqn {
    cells: Vec<Cell>,
    worlds: Arc<Worlds>,
    /// By data set, method and seed.
    click_models: Shared<(String, String, u64), Box<dyn ClickModel>>,
    /// The optimum by slate size and session length.
    optima: Shared<(usize, usize), f64>,
}

/// What a cell's result depends on, in addition to its data set, method and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    data: String,
    users: UsersConfig,
    judging: Judging,
    k: usize,
    method: Method,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Networks(Box<Training>),
    GreedyOnRewards,
    GreedyOnClicks { grid: Vec<ClickModelSettings> },
    LinUcb(LinUcbTraining),
    Random,
}

/// Seeds where claims are to be decided.
const SEEDS: u64 = 10;
const NAME: &str = "cdqn";
const K: [usize; 2] = [3, 5];
const CDQN: &str = "GAN-CDQN";
const GDQN: &str = "GAN-GDQN";
const RWD1: &str = "GAN-RWD1";
const GREEDY: &str = "GAN-Greedy";

impl Cdqn {
    /// Lays out the grid of cells: data sets x slate sizes x policies x seeds.
    pub fn new(settings: &Settings, worlds: Arc<Worlds>) -> anyhow::Result<Self> {
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS)).version(LEARNED_USERS);
        for world in &worlds.all {
            let dataset = &world.source.dataset;
            let users = UsersConfig::new(&world.source, settings);
            for k in K {
                for (name, method) in methods(&users, k, settings.scale) {
                    let config = Config {
                        data: world.source.digest.clone(),
                        users: users.clone(),
                        judging: policies::judging(settings.scale),
                        k,
                        method,
                    };
                    grid.arm(&dataset.name, name, &setting(k), config)?;
                }
            }
        }
        // Those of one data set, which slates of every size share.
        let click_models = Shared::new(2 * settings.seeds(SEEDS) as usize);
        Ok(Self { cells: grid.into_cells(), worlds, click_models, optima: Shared::new(K.len()) })
    }
}

fn setting(k: usize) -> String {
    format!("k = {k}")
}

fn methods(users: &UsersConfig, k: usize, scale: Scale) -> Vec<(&'static str, Method)> {
    let cascade = policies::training(users, k, scale);
    let single = QConfig { architecture: Architecture::Greedy, ..cascade.networks.clone() };
    let clicks = TrainConfig { reward: Reward::Click, ..cascade.config.clone() };
    let networks = |training| Method::Networks(Box::new(training));
    let click_model = |kind| Method::GreedyOnClicks { grid: user_model::grid(kind, scale) };
    vec![
        (CDQN, networks(cascade.clone())),
        (GDQN, networks(Training { networks: single, ..cascade.clone() })),
        (RWD1, networks(Training { config: clicks, ..cascade.clone() })),
        (GREEDY, Method::GreedyOnRewards),
        ("W&D-LR", click_model(ModelKind::WideDeepLogistic)),
        ("W&D-CCF", click_model(ModelKind::WideDeepCompetitive)),
        ("LinUCB", Method::LinUcb(LinUcbTraining::like(&cascade))),
        ("random", Method::Random),
    ]
}

impl Experiment for Cdqn {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| {
            let world = self.worlds.named(&cell.dataset)?;
            let config: Config = cell.config()?;
            let users = self.worlds.users.get(&world.source, &config.users, cell.seed, watch)?;
            let seed = Seed::new(cell.seed);
            let Config { judging, k, .. } = config;
            let judge = Judge {
                world,
                users: [&users.evaluation, &users.training],
                judging,
                k,
                seed,
                watch,
            };
            let mut curve = Vec::new();
            let mut metrics = match config.method {
                Method::Networks(training) => {
                    let trainer = training.run(&users, seed, "", watch)?;
                    curve = trainer.curve().iter().map(policies::row).collect();
                    judge.judge(&policy(&trainer)?)?
                }
                Method::GreedyOnRewards => {
                    judge.judge(&policies::greedy_on_rewards(&users.training))?
                }
                Method::GreedyOnClicks { grid } => {
                    let key = (cell.dataset.clone(), cell.method.clone(), cell.seed);
                    let fit = || policies::click_model(&world.source, &grid, seed, watch);
                    let model = self.click_models.get(key, fit)?;
                    judge.judge(&policies::greedy_on_clicks(&**model, &users.assortment))?
                }
                Method::LinUcb(training) => {
                    judge.judge(&training.learn(k, &users.training, seed, watch)?)?
                }
                Method::Random => judge.judge(&UniformRandom { items: users.assortment.len() })?,
            };
            metrics.insert(Metric::Transfer, users.transfer);
            if let Some(truth) = &world.truth {
                let steps = judging.steps;
                let optimum = self
                    .optima
                    .get((k, steps), || Ok(ChoiceOracle::new(truth, k, steps)?.value()))?;
                metrics.insert(Metric::TrueOptimum, *optimum);
            }
            Ok(Outcome { metrics, curve })
        })
    }

    fn columns(&self) -> &'static [Metric] {
        &[
            Metric::Reward,
            Metric::Ctr,
            Metric::SimulatorReward,
            Metric::SimulatorCtr,
            Metric::TrueReward,
            Metric::TrueCtr,
            Metric::TrueOptimum,
            Metric::Transfer,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    fn question(&self) -> &'static str {
        "Which recommender, trained in a model of some users, earns most from others (GAN-CDQN, \
         experiment C)?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        self.worlds.data_sets()
    }

    fn views(&self) -> Vec<View> {
        let reward = View {
            metrics: vec![(Metric::Reward, "reward")],
            panels: Some(By::Dataset),
            groups: Some(By::Method),
            series: Some(By::Setting),
            ..View::default()
        };
        vec![
            View {
                kind: Kind::Dots,
                name: "reward",
                title: "Recommenders in a model of users whom they were not trained on",
                axis: "reward (units of the learned reward, sum of a session)",
                ..reward.clone()
            },
            View { title: "reward of a session in the users that judge", over: "policy", ..reward },
            View {
                kind: Kind::Curves,
                over: "iteration of training",
                name: "training",
                title: "Click rate while recommenders train, exploration included",
                axis: "click rate (clicks per slate)",
                metrics: vec![(Metric::ClickRate, "click rate")],
                panels: Some(By::Setting),
                series: Some(By::Method),
                ..View::default()
            },
        ]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.worlds.notes();
        notes.push(
            "reward: sum of the rewards of a session, mean over sessions; ctr: clicks per slate \
             shown; both in the users that judge. simulator_*: the same in the users that the \
             policy was trained in; true_*: in the simulated users themselves. true_optimum: the \
             most that any policy can earn there, by dynamic programming. transfer: rank \
             correlation of the items' rewards in the users that judge and in those of training; \
             where it is below a half the reward in the users that judge says little of a policy, \
             and no difference in it is decidable. All policies meet the same sessions."
                .into(),
        );
        notes
    }
}

/// Plays one policy everywhere.
struct Judge<'a> {
    world: &'a World,
    /// Those that judge, those that trained.
    users: [&'a Simulator; 2],
    judging: Judging,
    k: usize,
    seed: Seed,
    watch: &'a Watch,
}

impl Judge<'_> {
    fn judge<P: Policy>(&self, policy: &P) -> anyhow::Result<Figures> {
        let Self { judging, k, seed, watch, .. } = *self;
        let mut played = Vec::new();
        let names =
            [[Metric::Reward, Metric::Ctr], [Metric::SimulatorReward, Metric::SimulatorCtr]];
        for (names, users) in names.into_iter().zip(self.users) {
            played.push((names, judging.play(users, policy, k, seed, watch)?));
        }
        if let Some(users) = &self.world.truth {
            played.push((
                [Metric::TrueReward, Metric::TrueCtr],
                judging.play(users, policy, k, seed, watch)?,
            ));
        }
        let figures = played.into_iter().flat_map(|([reward, ctr], played)| {
            [(reward, played.reward), (ctr, played.click_rate)]
        });
        Ok(figures.collect())
    }
}

fn policy(trainer: &Trainer) -> anyhow::Result<QPolicy> {
    Ok(QPolicy::new(trainer.networks(), Storage::Single)?)
}
