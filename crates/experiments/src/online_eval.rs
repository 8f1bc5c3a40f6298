//! The experiment `online-eval`: recommenders that were trained on logs of simulated users meet
//! these users (IRecGAN §7.1, Figure 2).

use std::sync::Arc;

use foretaste_eval::Metric;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Watch, in_own_pool};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Kind, View};
use foretaste_sim::Blind;
use foretaste_sim::bounds::{MdpBelief, MdpOracle};
use foretaste_sim::policies::UniformRandom;
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::judged::{Judge, Learner, Network, Trained};
use crate::simulated::{self, K, WORLDS, World};
use crate::studies::{Epoch, Studies, Study, Then};

/// The experiment `online-eval`.
pub struct OnlineEval {
    cells: Vec<Cell>,
    studies: Arc<Studies>,
}

/// What a cell's result depends on, in addition to its users, method and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    /// The seed of the users where the cell's is 0.
    first_seed: u64,
    /// Sessions that judge.
    sessions: u64,
    method: Method,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Learned(Box<Learner>),
    Recommender(Box<Trained>),
    Random,
    Belief,
    Oracle,
}

/// Seeds where claims are to be decided.
const SEEDS: u64 = 20;
const NAME: &str = "online-eval";
const LSTM: &str = "LSTM";
const PG: &str = "PG";
const LSTMD: &str = "LSTMD";
const IRECGAN: &str = "IRecGAN";
const RANDOM: &str = "random";
const BELIEF: &str = "belief";
const ORACLE: &str = "oracle";
const NO_LOG: &str = "no log";
/// The ranks r of coverage@r.
const RANKS: [&str; K] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];

impl OnlineEval {
    /// Lays out the grid of cells: users x logs x methods x seeds.
    pub fn new(settings: &Settings, studies: Arc<Studies>) -> anyhow::Result<Self> {
        let sessions = match settings.scale {
            Scale::Smoke => 20,
            Scale::Quick | Scale::Decide | Scale::Paper => 1_000,
        };
        let all = Study::all(settings);
        let first_seed = settings.first_seed();
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS));
        for world in &WORLDS {
            for study in &all {
                let adversarial = study.with(Then::Algorithm, |_| {});
                for (name, study, network) in [
                    (LSTM, study, Network::Users),
                    (PG, study, Network::Agent),
                    (LSTMD, &adversarial, Network::Users),
                    (IRECGAN, &adversarial, Network::Agent),
                ] {
                    let learner = Learner { study: study.clone(), network, epoch: Epoch::Last };
                    let method = Method::Learned(Box::new(learner));
                    grid.arm(
                        world.name,
                        name,
                        &study.setting(),
                        Config { first_seed, sessions, method },
                    )?;
                }
                for trained in Trained::all(study) {
                    let (name, setting) = (trained.method.clone(), study.setting());
                    let method = Method::Recommender(Box::new(trained));
                    let config = Config { first_seed, sessions, method };
                    grid.arm(world.name, &name, &setting, config)?;
                }
            }
            for (name, method) in
                [(RANDOM, Method::Random), (BELIEF, Method::Belief), (ORACLE, Method::Oracle)]
            {
                grid.arm(world.name, name, NO_LOG, Config { first_seed, sessions, method })?;
            }
        }
        Ok(Self { cells: grid.into_cells(), studies })
    }
}

impl Experiment for OnlineEval {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| {
            let world = World::named(&cell.dataset)?;
            let Config { first_seed, sessions, method } = cell.config()?;
            let seed = first_seed + cell.seed;
            let users = world.users(seed)?;
            let judge = Judge { users: &users, sessions, seed: Seed::new(seed), watch };
            match method {
                Method::Learned(learner) => learner.outcome(&self.studies, world, &judge, seed),
                Method::Recommender(trained) => trained.outcome(&judge, seed),
                Method::Random => judge.one(&Blind(UniformRandom { items: users.items() })),
                Method::Belief => judge.one(&Blind(MdpBelief::new(&users, K)?)),
                Method::Oracle => judge.one(&MdpOracle::new(&users, K)?),
            }
        })
    }

    fn columns(&self) -> &'static [Metric] {
        &[
            Metric::Reward,
            Metric::RewardTop,
            Metric::RewardIfClicked,
            Metric::Coverage,
            Metric::CoverageTop,
            Metric::CoverageAt1Top,
            Metric::CoverageAt5Top,
            Metric::CoverageAt10Top,
            Metric::OracleShareTop,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        let others =
            [Metric::RewardIfClickedTop, Metric::OracleShare, Metric::Gain, Metric::GainTop];
        Metric::COVERAGE_AT.into_iter().chain(Metric::COVERAGE_AT_TOP).chain(others).collect()
    }

    fn curve_label(&self) -> &'static str {
        "loss of U or A on further sessions, in nats"
    }

    fn question(&self) -> &'static str {
        "What do recommenders that learned from a log of simulated users earn from these users \
         (IRecGAN, Figure 2)?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        simulated::data_sets()
    }

    fn views(&self) -> Vec<View> {
        let bars = |name, title, axis, metrics| View {
            kind: Kind::Bars,
            name,
            title,
            axis,
            metrics,
            methods: &[LSTM, LSTMD, PG, IRECGAN],
            series: Some(By::Method),
            ..View::default()
        };
        let coverage = |name, title, metrics: [Metric; K]| View {
            panels: Some(By::Setting),
            groups: Some(By::Metric),
            over: "r",
            ..bars(name, title, "coverage@r (share)", metrics.into_iter().zip(RANKS).collect())
        };
        let reward = |name, title, metric| View {
            groups: Some(By::Setting),
            over: "log: policy(sessions)",
            references: &[RANDOM, BELIEF],
            ..bars(name, title, "reward (clicks per session)", vec![(metric, "reward")])
        };
        vec![
            coverage(
                "coverage-top",
                "Coverage of the most rewarding items after learning from a log, k likeliest items",
                Metric::COVERAGE_AT_TOP,
            ),
            reward(
                "reward-top",
                "Reward after learning from a log, k likeliest items",
                Metric::RewardTop,
            ),
            coverage(
                "coverage-drawn",
                "Coverage of the most rewarding items after learning from a log, slates drawn",
                Metric::COVERAGE_AT,
            ),
            reward(
                "reward-drawn",
                "Reward after learning from a log, slates drawn",
                Metric::Reward,
            ),
        ]
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Simulated users by construction (IRecGAN §7.1): 10 hidden states, 50 items, slates \
             of 10, another MDP and another log for every seed. mdp: transitions as the authors \
             build them, nearly uniform; mdp-dirichlet: Dirichlet(0.1), where a click tells the \
             next state."
                .into(),
            "reward: clicks of a session, mean over sessions; coverage: mean of coverage@1 to @10 \
             over all steps. *_top: slates of the k likeliest items instead of drawn ones. oracle_share: reward over the exact optimum of someone who \
             sees the state; gain: the same after random slates' reward is taken from both. The \
             time of lines 3 and 4 stands with LSTM, that of the rest with LSTMD. belief: who knows \
             the MDP and not the state. All methods meet the same sessions. popularity: what \
             `foretaste train` makes of the sessions that the others learn from and stop by."
                .into(),
        ]
    }
}
