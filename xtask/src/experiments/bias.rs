//! The experiment `bias`: how far off the value is that IRecGAN learns from, before and after adversarial training (IRecGAN §6).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use understudy_irecgan::{Biases, Generated, Logged};
use understudy_random::Seed;
use understudy_sim::Rollout;

use super::shared::in_own_pool;
use super::simulated::{K, Logging, WORLDS, World};
use super::studies::{Studies, Study};
use crate::claims::{Arm, Better, Claim, Comparison, Pairing, Rule};
use crate::experiment::{Cell, Experiment, Outcome, Watch};
use crate::settings::{Scale, Settings};

/// The experiment `bias`.
pub struct BiasExperiment {
    cells: Vec<Cell>,
    settings: Vec<Study>,
    studies: Arc<Studies>,
}

/// What a cell's result depends on, beside its users and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    /// Sessions over which expectations are taken.
    sessions: u64,
    study: Study,
    when: When,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Before,
    After,
}

/// Which logs a claim is about.
type Wanted = fn(&Study) -> bool;

const BEFORE: &str = "before";
const AFTER: &str = "after";

impl BiasExperiment {
    /// Lays out the grid of cells: users x logs x before and after x seeds.
    pub fn new(settings: &Settings, studies: Arc<Studies>) -> anyhow::Result<Self> {
        let sessions = if settings.scale == Scale::Smoke { 50 } else { 1_000 };
        let all = Study::all(settings);
        let mut cells = Vec::new();
        for (world, study) in WORLDS.iter().flat_map(|world| all.iter().map(move |study| (world, study))) {
            for (name, when) in [(BEFORE, When::Before), (AFTER, When::After)] {
                let config = serde_json::to_value(Config { sessions, study: study.clone(), when })?;
                cells.extend((0..settings.seeds).map(|seed| Cell {
                    experiment: "bias".into(),
                    dataset: world.name.into(),
                    method: name.into(),
                    setting: study.setting(),
                    seed,
                    config: config.clone(),
                }));
            }
        }
        Ok(Self { cells, settings: all, studies })
    }
}

impl Experiment for BiasExperiment {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| {
            let world = World::named(&cell.dataset)?;
            let Config { sessions, study, when } = serde_json::from_value(cell.config.clone())?;
            let (users, seed) = (world.users(cell.seed)?, Seed::new(cell.seed));
            let learned = self.studies.learned(world, &study, cell.seed, watch)?;
            let acting = if when == When::Before { &learned.before } else { &learned.after };
            let logging = study.logging.in_users(&users);
            let logged = Logged {
                slate_probability: &|state, slate| logging.slate_probability(state, slate),
                value: logging.value(&users, sessions, seed)?,
            };
            let rollout = Rollout::new(seed.derive("biases"), 0..sessions, K);
            let lambda_1 = study.lambda_1();
            let generated = Generated { users: &acting.users, max_steps: learned.longest };
            let found = Biases::estimate(&users, &acting.sampled, generated, logged, lambda_1, &rollout)?;
            let metrics = [
                ("value", found.value),
                ("estimate", found.value + found.total()),
                ("bias", found.total()),
                ("from_delta", found.from_delta),
                ("from_data", found.from_data),
                ("from_weights", found.from_weights),
                ("delta", found.delta),
                ("delta_1", found.delta_1),
                ("delta_2", found.delta_2),
                ("reached", found.reached),
                ("abs_from_delta", found.from_delta.abs()),
                ("abs_from_data", found.from_data.abs()),
                ("abs_from_weights", found.from_weights.abs()),
            ];
            let metrics = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Ok(Outcome { metrics, curve: Vec::new() })
        })
    }

    fn columns(&self) -> &'static [&'static str] {
        &["delta", "delta_1", "delta_2", "value", "bias", "from_delta", "from_data", "from_weights"]
    }

    fn curve_label(&self) -> &'static str {
        "nothing"
    }

    fn claims(&self) -> Vec<Claim> {
        let compare = |metric, wanted: Wanted| {
            let comparison = |study: &Study| {
                let arm = |method: &str| Arm { method: method.into(), setting: study.setting() };
                let (ours, rivals) = (arm(AFTER), vec![arm(BEFORE)]);
                Comparison { dataset: WORLDS[0].name.into(), metric, better: Better::Smaller, ours, rivals }
            };
            self.settings.iter().filter(|study| wanted(study)).map(comparison).collect()
        };
        let claim = |(what, metric, wanted): (&str, _, Wanted)| Claim {
            source: "IRecGAN §6; simulated users".into(),
            sentence: format!("adversarial training lowers {what}"),
            rule: Rule::Better,
            pairing: Pairing::Independent,
            comparisons: compare(metric, wanted),
        };
        // Elsewhere the log's slates are none of the agent's: δ₂ is 1 and w is 0 whatever the training does.
        let reached: Wanted = |study| study.logging == Logging::Random;
        let everywhere: Wanted = |_| true;
        let quantities = [
            ("Δ, the error of the generated reward", "delta", everywhere),
            ("δ₁, what generated sequences lack of the agent's true ones", "delta_1", everywhere),
            ("δ₂, what the data lack of them, after π_random", "delta_2", reached),
            ("the bias term of Δ, after π_random", "abs_from_delta", reached),
            ("the bias term of δ₂ on the data, after π_random", "abs_from_data", reached),
            ("the bias term of the weights, after π_random", "abs_from_weights", reached),
        ];
        quantities.into_iter().map(claim).collect()
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Simulated users and runs as in online-eval, slates drawn; expectations over sessions of the agent in the true users, with exact \
             probabilities of each session. before: after lines 3 and 4 of Algorithm 1; after: after all. delta: mean |r̂ - r| of a step; delta_1, \
             delta_2: what P_g and P_data lack of P_π, mean over steps. value: the agent's true reward of a session; bias: by how much the estimate \
             of Eq 12 under the optimal discriminator exceeds it, the sum of from_delta, from_data and from_weights."
                .into(),
        ]
    }
}
