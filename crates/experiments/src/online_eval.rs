//! The experiment `online-eval`: recommenders that were trained on logs of simulated users meet
//! these users (IRecGAN §7.1, Figure 2).

use std::sync::Arc;

use foretaste_eval::Metric;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Watch, in_own_pool};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Figures, Kind, Point, View};
use foretaste_sim::bounds::{MdpBelief, MdpOracle};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Mdp, Privileged};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::simulated::{self, K, Played, Slates, WORLDS, World};
use crate::studies::{Acting, Studies, Study};

/// The experiment `online-eval`.
pub struct OnlineEval {
    cells: Vec<Cell>,
    studies: Arc<Studies>,
}

/// What a cell's result depends on, beside its users, method and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    /// Sessions that judge.
    sessions: u64,
    method: Method,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Lstm(Box<Study>),
    Pg(Box<Study>),
    Lstmd(Box<Study>),
    IRecGan(Box<Study>),
    Random,
    Belief,
    Oracle,
}

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
            Scale::Quick | Scale::Paper => 1_000,
        };
        let all = Study::all(settings);
        let mut grid = Grid::new(NAME, settings.seeds);
        for world in &WORLDS {
            for study in &all {
                let study_of = || Box::new(study.clone());
                for (name, method) in [
                    (LSTM, Method::Lstm(study_of())),
                    (PG, Method::Pg(study_of())),
                    (LSTMD, Method::Lstmd(study_of())),
                    (IRECGAN, Method::IRecGan(study_of())),
                ] {
                    grid.arm(world.name, name, &study.setting(), Config { sessions, method })?;
                }
            }
            for (name, method) in
                [(RANDOM, Method::Random), (BELIEF, Method::Belief), (ORACLE, Method::Oracle)]
            {
                grid.arm(world.name, name, NO_LOG, Config { sessions, method })?;
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
            let Config { sessions, method } = cell.config()?;
            let users = world.users(cell.seed)?;
            let judge = Judge { users: &users, sessions, seed: Seed::new(cell.seed), watch };
            let learned = |study: &Study| self.studies.learned(world, study, cell.seed, watch);
            match method {
                Method::Lstm(study) => {
                    let learned = learned(&study)?;
                    judge.ranking(&learned.before, learned.users.first())
                }
                Method::Lstmd(study) => {
                    let learned = learned(&study)?;
                    judge.ranking(&learned.after, learned.users.whole())
                }
                Method::Pg(study) => {
                    let learned = learned(&study)?;
                    judge.agent(&learned.before, learned.agent.first())
                }
                Method::IRecGan(study) => {
                    let learned = learned(&study)?;
                    judge.agent(&learned.after, learned.agent.whole())
                }
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
            Metric::Coverage,
            Metric::CoverageTop,
            Metric::CoverageAt1Top,
            Metric::CoverageAt5Top,
            Metric::CoverageAt10Top,
            Metric::OracleShareTop,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        let others = [Metric::OracleShare, Metric::Gain, Metric::GainTop];
        Metric::COVERAGE_AT.into_iter().chain(Metric::COVERAGE_AT_TOP).chain(others).collect()
    }

    fn curve_label(&self) -> &'static str {
        "loss of U or A on the log, in nats"
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
             over all steps. *_top: slates of the k likeliest items instead of drawn ones; U's \
             slates are those anyway. oracle_share: reward over the exact optimum of someone who \
             sees the state; gain: the same after random slates' reward is taken from both. The \
             time of a run of Algorithm 1 stands with the first of its four methods. belief: who \
             knows the MDP and not the state. All methods meet the same sessions."
                .into(),
        ]
    }
}

/// Lets policies meet the users.
struct Judge<'a> {
    users: &'a Mdp,
    sessions: u64,
    seed: Seed,
    watch: &'a Watch,
}

impl Judge<'_> {
    fn played<P: Privileged<Mdp>>(&self, policy: &P) -> anyhow::Result<Played> {
        Played::of(policy, self.users, self.sessions, self.seed, self.watch)
    }

    /// U as a recommender.
    fn ranking(&self, acting: &Acting, curve: Vec<Point>) -> anyhow::Result<Outcome> {
        let one = self.one(&Blind(&acting.ranking))?;
        Ok(Outcome { curve, ..one })
    }

    /// A, both ways.
    fn agent(&self, acting: &Acting, curve: Vec<Point>) -> anyhow::Result<Outcome> {
        let (drawn, top) =
            (self.played(&Blind(&acting.sampled))?, self.played(&Blind(&acting.top))?);
        Ok(Outcome { metrics: self.figures(drawn, top)?, curve })
    }

    /// A policy that has one way to its slates.
    fn one<P: Privileged<Mdp>>(&self, policy: &P) -> anyhow::Result<Outcome> {
        let played = self.played(policy)?;
        Ok(Outcome { metrics: self.figures(played, played)?, curve: Vec::new() })
    }

    /// The figures of slates drawn and of the k likeliest items, with their shares of the optimum.
    fn figures(&self, drawn: Played, top: Played) -> anyhow::Result<Figures> {
        let optimum = MdpOracle::new(self.users, K)?.value();
        let random = Blind(UniformRandom { items: self.users.items() });
        let random = self.played(&random)?.reward;
        let mut metrics = Figures::new();
        for (played, slates, share, gain) in [
            (drawn, Slates::Drawn, Metric::OracleShare, Metric::Gain),
            (top, Slates::Top, Metric::OracleShareTop, Metric::GainTop),
        ] {
            metrics.extend(played.figures(slates));
            metrics.insert(share, played.reward / optimum);
            metrics.insert(gain, (played.reward - random) / (optimum - random));
        }
        Ok(metrics)
    }
}
