//! The experiment `online-eval`: recommenders that were trained on logs of simulated users meet these users (IRecGAN §7.1, Figure 2).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use understudy_random::Seed;
use understudy_sim::bounds::{MdpBelief, MdpOracle};
use understudy_sim::policies::UniformRandom;
use understudy_sim::{Mdp, Policy};

use super::shared::in_own_pool;
use super::simulated::{K, Logging, Played, WORLDS, World};
use super::studies::{Acting, Studies, Study};
use crate::claims::{Arm, Better, Claim, Comparison, Pairing, Rule};
use crate::experiment::{Cell, Experiment, Outcome, Watch};
use crate::settings::{Scale, Settings};

/// The experiment `online-eval`.
pub struct OnlineEval {
    cells: Vec<Cell>,
    settings: Vec<Study>,
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

const LSTM: &str = "LSTM";
const PG: &str = "PG";
const LSTMD: &str = "LSTMD";
const IRECGAN: &str = "IRecGAN";
const RANDOM: &str = "random";
const BELIEF: &str = "belief";
const ORACLE: &str = "oracle";
const NO_LOG: &str = "no log";
/// Behind the names of figures of the k likeliest items.
const TOP: &str = "_top";
/// What the paper calls few data.
const FEW: u64 = 200;

impl OnlineEval {
    /// Lays out the grid of cells: users x logs x methods x seeds.
    pub fn new(settings: &Settings, studies: Arc<Studies>) -> anyhow::Result<Self> {
        let sessions = match settings.scale {
            Scale::Smoke => 20,
            Scale::Quick | Scale::Paper => 1_000,
        };
        let of_study = |study: &Study| {
            let method =
                |name, method: fn(Box<Study>) -> Method| (name, study.setting(), method(Box::new(study.clone())));
            [
                method(LSTM, Method::Lstm),
                method(PG, Method::Pg),
                method(LSTMD, Method::Lstmd),
                method(IRECGAN, Method::IRecGan),
            ]
        };
        let bounds = [(RANDOM, Method::Random), (BELIEF, Method::Belief), (ORACLE, Method::Oracle)];
        let bounds = bounds.map(|(name, method)| (name, NO_LOG.to_owned(), method));
        let all = Study::all(settings);
        let methods: Vec<_> = all.iter().flat_map(of_study).chain(bounds).collect();
        let mut cells = Vec::new();
        for world in &WORLDS {
            for (name, setting, method) in &methods {
                let config = serde_json::to_value(Config { sessions, method: method.clone() })?;
                cells.extend((0..settings.seeds).map(|seed| Cell {
                    experiment: "online-eval".into(),
                    dataset: world.name.into(),
                    method: (*name).into(),
                    setting: setting.clone(),
                    seed,
                    config: config.clone(),
                }));
            }
        }
        Ok(Self { cells, settings: all, studies })
    }
}

impl Experiment for OnlineEval {
    fn name(&self) -> &'static str {
        "online-eval"
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| {
            let world = World::named(&cell.dataset)?;
            let Config { sessions, method } = serde_json::from_value(cell.config.clone())?;
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
                Method::Random => judge.one(&UniformRandom { items: users.items() }),
                Method::Belief => judge.one(&MdpBelief::new(&users, K)?),
                Method::Oracle => judge.one(&MdpOracle::new(&users, K)?),
            }
        })
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "reward",
            "reward_top",
            "coverage",
            "coverage_top",
            "coverage_1_top",
            "coverage_5_top",
            "coverage_10_top",
            "oracle_share",
        ]
    }

    fn curve_label(&self) -> &'static str {
        "loss of U or A on the log, in nats,"
    }

    fn claims(&self) -> Vec<Claim> {
        let users = WORLDS[0].name;
        let arm = |method: &str, study: &Study| Arm { method: method.into(), setting: study.setting() };
        let compare = |metric, better, ours: &str, rivals: &[&str], study: &Study| Comparison {
            dataset: users.into(),
            metric,
            better,
            ours: arm(ours, study),
            rivals: rivals.iter().map(|rival| arm(rival, study)).collect(),
        };
        let claim = |sentence: &str, comparisons: Vec<Comparison>| Claim {
            source: "IRecGAN §7.1, Figure 2; simulated users".into(),
            sentence: sentence.into(),
            rule: Rule::Better,
            pairing: Pairing::Independent,
            comparisons,
        };
        let random = |study: &&Study| study.logging == Logging::Random;
        let sparse = |study: &&Study| random(study) && study.sessions == FEW;
        let baselines = [LSTM, PG, LSTMD];
        let earns = |metric| {
            let others = self.settings.iter().filter(|study| !sparse(study));
            others.map(|study| compare(metric, Better::Larger, IRECGAN, &baselines, study)).collect()
        };
        let by_coverage = |ours, rival, chosen: &dyn Fn(&&Study) -> bool| {
            let studies = self.settings.iter().filter(|study| chosen(study));
            studies.map(|study| compare("coverage_top", Better::Larger, ours, &[rival], study)).collect()
        };
        let steady = |metric| {
            let studies = self.settings.iter().filter(sparse);
            studies
                .flat_map(|study| baselines.map(|rival| compare(metric, Better::Steadier, IRECGAN, &[rival], study)))
                .collect()
        };
        let claims = vec![
            claim(
                "IRecGAN earns more than LSTM, PG and LSTMD, after every log but random(200); slates drawn",
                earns("reward"),
            ),
            claim(
                "IRecGAN earns more than LSTM, PG and LSTMD, after every log but random(200); k likeliest items",
                earns("reward_top"),
            ),
            claim(
                "after random(200) IRecGAN's reward varies less than that of others; slates drawn, as a share of the oracle's, over seeds",
                steady("oracle_share"),
            ),
            claim(
                "LSTM covers more of the relevant items than PG after π_random (mean of coverage@1 to @10; k likeliest items)",
                by_coverage(LSTM, PG, &random),
            ),
            claim(
                "LSTMD covers more than LSTM where data are few, random(200) (mean of coverage@1 to @10)",
                by_coverage(LSTMD, LSTM, &sparse),
            ),
        ];
        claims.into_iter().filter(|claim| !claim.comparisons.is_empty()).collect()
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Simulated users by construction (IRecGAN §7.1): 10 hidden states, 50 items, slates of 10, another MDP and another log for every seed. \
             mdp: transitions as the authors build them, nearly uniform; mdp-dirichlet: Dirichlet(0.1), where a click tells the next state."
                .into(),
            "reward: clicks of a session, mean over sessions; coverage: mean of coverage@1 to @10 over all steps. *_top: slates of the k likeliest items \
             instead of drawn ones; U's slates are those anyway. oracle_share: reward over the exact optimum of someone who sees the state. belief: who \
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
    fn figures<P: Policy<Mdp>>(&self, policy: &P, suffix: &str) -> anyhow::Result<BTreeMap<String, f64>> {
        Ok(Played::of(policy, self.users, self.sessions, self.seed, self.watch)?.figures(suffix))
    }

    /// U as a recommender.
    fn ranking(&self, acting: &Acting, curve: Vec<BTreeMap<String, f64>>) -> anyhow::Result<Outcome> {
        let one = self.one(&acting.ranking)?;
        Ok(Outcome { curve, ..one })
    }

    /// A, both ways.
    fn agent(&self, acting: &Acting, curve: Vec<BTreeMap<String, f64>>) -> anyhow::Result<Outcome> {
        let metrics =
            [self.figures(&acting.sampled, "")?, self.figures(&acting.top, TOP)?].into_iter().flatten().collect();
        Ok(Outcome { metrics: self.with_share(metrics)?, curve })
    }

    /// A policy that has one way to its slates.
    fn one<P: Policy<Mdp>>(&self, policy: &P) -> anyhow::Result<Outcome> {
        let figures = self.figures(policy, "")?;
        let again: Vec<_> = figures.iter().map(|(name, value)| (format!("{name}{TOP}"), *value)).collect();
        let metrics = self.with_share(figures.into_iter().chain(again).collect())?;
        Ok(Outcome { metrics, curve: Vec::new() })
    }

    fn with_share(&self, mut metrics: BTreeMap<String, f64>) -> anyhow::Result<BTreeMap<String, f64>> {
        let optimum = MdpOracle::new(self.users, K)?.value();
        metrics.insert("oracle_share".into(), metrics["reward"] / optimum);
        Ok(metrics)
    }
}
