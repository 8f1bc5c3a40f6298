//! The experiment `bias`: how far off the value is that IRecGAN learns from, before and after
//! adversarial training (IRecGAN §6).

use std::sync::Arc;

use foretaste_eval::Metric;
use foretaste_irecgan::{Biases, Generated, Logged};
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Watch, in_own_pool};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Kind, View};
use foretaste_sim::Rollout;
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::simulated::{self, K, Logging, WORLDS, World};
use crate::studies::{Epoch, Studies, Study, Then};

/// The experiment `bias`.
pub struct BiasExperiment {
    cells: Vec<Cell>,
    studies: Arc<Studies>,
}

/// What a cell's result depends on, in addition to its users and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    /// The seed of the users where the cell's is 0.
    first_seed: u64,
    /// Sessions over which expectations are taken.
    sessions: u64,
    study: Study,
}

/// Seeds where claims are to be decided.
const SEEDS: u64 = 20;
const NAME: &str = "bias";
const BEFORE: &str = "before";
const AFTER: &str = "after";
const AFTER_MOST: &str = "after, 6:1";
/// λ₁ of six generated trajectories for each of the log.
const MOST: f64 = 6.0 / 7.0;

impl BiasExperiment {
    /// Lays out the grid of cells: users x logs x before and after x seeds.
    pub fn new(settings: &Settings, studies: Arc<Studies>) -> anyhow::Result<Self> {
        let sessions = if settings.scale == Scale::Smoke { 50 } else { 1_000 };
        let all = Study::all(settings);
        let first_seed = settings.first_seed();
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS));
        for (world, study) in
            WORLDS.iter().flat_map(|world| all.iter().map(move |study| (world, study)))
        {
            let after = study.with(Then::Algorithm, |_| {});
            let after_most = study.with(Then::Algorithm, |networks| networks.lambda_1 = MOST);
            let mut arms = vec![(BEFORE, study), (AFTER, &after)];
            if study.logging == Logging::Random {
                arms.push((AFTER_MOST, &after_most));
            }
            for (name, study) in arms {
                let config = Config { first_seed, sessions, study: study.clone() };
                grid.arm(world.name, name, &study.setting(), config)?;
            }
        }
        Ok(Self { cells: grid.into_cells(), studies })
    }
}

impl Experiment for BiasExperiment {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| {
            let world = World::named(&cell.dataset)?;
            let Config { first_seed, sessions, study } = cell.config()?;
            let number = first_seed + cell.seed;
            let (users, seed) = (world.users(number)?, Seed::new(number));
            let learned = self.studies.learned(world, &study, number, watch)?;
            let acting = learned.of(Epoch::Last);
            let logging = study.logging.in_users(&users);
            let logged = Logged {
                slate_probability: &|state, slate| logging.slate_probability(state, slate),
                value: logging.value(&users, sessions, seed)?,
            };
            let rollout = Rollout::new(seed.derive("biases"), 0..sessions, K);
            let lambda_1 = study.lambda_1();
            let generated = Generated { users: &acting.users, max_steps: learned.max_steps };
            let found = Biases::estimate(
                &users,
                &acting.agent_drawn,
                generated,
                logged,
                lambda_1,
                &rollout,
            )?;
            let metrics = [
                (Metric::Value, found.value),
                (Metric::Estimate, found.value + found.total()),
                (Metric::Bias, found.total()),
                (Metric::FromDelta, found.from_delta),
                (Metric::FromData, found.from_data),
                (Metric::FromWeights, found.from_weights),
                (Metric::Delta, found.delta),
                (Metric::Delta1, found.delta_1),
                (Metric::Delta2, found.delta_2),
                (Metric::Reached, found.reached),
                (Metric::AbsFromDelta, found.from_delta.abs()),
                (Metric::AbsFromData, found.from_data.abs()),
                (Metric::AbsFromWeights, found.from_weights.abs()),
            ];
            Ok(Outcome { metrics: metrics.into(), curve: Vec::new() })
        })
    }

    fn columns(&self) -> &'static [Metric] {
        &[
            Metric::Delta,
            Metric::Delta1,
            Metric::Delta2,
            Metric::Value,
            Metric::Bias,
            Metric::FromDelta,
            Metric::FromData,
            Metric::FromWeights,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![
            Metric::Estimate,
            Metric::Reached,
            Metric::AbsFromDelta,
            Metric::AbsFromData,
            Metric::AbsFromWeights,
        ]
    }

    fn question(&self) -> &'static str {
        "How wrong is the value estimate of IRecGAN, before and after adversarial training \
         (IRecGAN, section 6)?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        simulated::data_sets()
    }

    fn views(&self) -> Vec<View> {
        vec![
            View {
                kind: Kind::Bars,
                name: "gaps",
                title: "What the value estimate lacks",
                over: "log",
                axis: "Δ: mean |r̂ - r| of a step; δ: share of probability",
                metrics: vec![
                    (Metric::Delta, "Δ: error of the generated reward"),
                    (Metric::Delta1, "δ₁: generated sequences"),
                    (Metric::Delta2, "δ₂: data"),
                ],
                panels: Some(By::Metric),
                groups: Some(By::Setting),
                series: Some(By::Method),
                ..View::default()
            },
            View {
                kind: Kind::Bars,
                name: "terms",
                title: "The terms of the bias of the value estimate",
                over: "log",
                axis: "absolute bias (clicks per session)",
                metrics: vec![
                    (Metric::AbsFromDelta, "term of Δ"),
                    (Metric::AbsFromData, "term of δ₂ on the data"),
                    (Metric::AbsFromWeights, "term of the weights"),
                ],
                panels: Some(By::Metric),
                groups: Some(By::Setting),
                series: Some(By::Method),
                ..View::default()
            },
        ]
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Simulated users and runs as in online-eval, slates drawn; expectations over sessions \
             of the agent in the true users, with exact probabilities of each session. before: \
             after lines 3 and 4 of Algorithm 1; after: after all, at 1:10 unless said otherwise. delta: mean |r̂ - r| of a \
             step; delta_1, delta_2: what P_g and P_data lack of P_π, mean over steps. value: the \
             agent's true reward of a session; bias: by how much the estimate of Eq 12 under the \
             optimal discriminator exceeds it, the sum of from_delta, from_data and from_weights."
                .into(),
        ]
    }
}
