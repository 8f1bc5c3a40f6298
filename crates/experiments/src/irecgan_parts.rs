//! The experiment `irecgan-parts`: what each part of IRecGAN is worth to the recommender that comes
//! of it, in the setting of `online-eval`.

use std::sync::Arc;

use foretaste_eval::Metric;
use foretaste_irecgan::{Adversary, Endings, IRecGanConfig, Judged, Round};
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Watch, in_own_pool};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Kind, View};
use foretaste_train::FirstInput;
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::judged::{Judge, Learner, Network};
use crate::simulated::{self, Logging, WORLDS, World};
use crate::studies::{Epoch, ROUNDS, Studies, Study, Then};

/// The experiment `irecgan-parts`.
pub struct Parts {
    cells: Vec<Cell>,
    studies: Arc<Studies>,
}

/// What an arm changes in the settings.
type Change<'a> = &'a dyn Fn(&mut IRecGanConfig);

/// What a cell's result depends on, in addition to its users and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    /// The seed of the users where the cell's is 0.
    first_seed: u64,
    /// Sessions that judge.
    sessions: u64,
    learner: Box<Learner>,
}

/// Seeds where claims are to be decided: what the margins and effects of their rows need for a
/// power of 80% by the spreads of five seeds at `quick`.
const SEEDS: u64 = 14;
const NAME: &str = "irecgan-parts";
/// λ₁ of the authors' code: a pool of 6,000 trajectories for a log of 1,000.
const AUTHORS: f64 = 6.0 / 7.0;
/// The arms that run at the published size.
const MAIN: [&str; 6] = ["LSTM", "PG", "PG, more epochs", "LSTMD 6:1", "PGU 6:1", "IRecGAN 6:1"];
/// Slates of the log on which two items must have stood together.
const SUPPORT: u32 = 10;
/// λ₁ by what it makes of the ratio of generated to offline sessions.
const RATIOS: [(&str, f64); 3] = [("1:10", 1.0 / 11.0), ("1:1", 0.5), ("6:1", AUTHORS)];

impl Parts {
    /// Lays out the grid of cells: users x logs x arms x seeds.
    pub fn new(settings: &Settings, studies: Arc<Studies>) -> anyhow::Result<Self> {
        let sessions = if settings.scale == Scale::Smoke { 20 } else { 1_000 };
        let first_seed = settings.first_seed();
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS));
        for (world, study) in logs(settings) {
            for (name, learner) in arms(&study) {
                if !runs(settings.scale, &study, &name) {
                    continue;
                }
                let config = Config { first_seed, sessions, learner: Box::new(learner) };
                grid.arm(world.name, &name, &study.setting(), config)?;
            }
        }
        Ok(Self { cells: grid.into_cells(), studies })
    }
}

/// All worlds and logs where the claims are to be decided. Elsewhere one log where generated
/// trajectories help and one where they harm, and at the published size, which takes hours, the log
/// of the paper's first row.
fn logs(settings: &Settings) -> Vec<(&'static World, Study)> {
    let of_scale = |first: bool, study: &Study| match settings.scale {
        Scale::Smoke => first && study.logging == Logging::Random,
        Scale::Quick => first && study.sessions <= 200 && study.logging != Logging::Mix,
        Scale::Decide => true,
        Scale::Paper => first && study.sessions == 1_000 && study.logging == Logging::Random,
    };
    let studies = Study::all(settings);
    let all = WORLDS.iter().enumerate().flat_map(|(at, world)| {
        studies
            .iter()
            .filter(move |study| of_scale(at == 0, study))
            .map(move |study| (world, study))
    });
    all.map(|(world, study)| (world, study.clone())).collect()
}

/// Whether an arm runs. To score long trajectories takes minutes a round, so some arms are left out
/// where sessions are long.
fn runs(scale: Scale, study: &Study, name: &str) -> bool {
    let short = study.logging == Logging::Random;
    let scored = name.starts_with("IRecGAN") || name.starts_with("LSTMD");
    let variant = name.starts_with("IRecGAN 6:1, ") && !name.contains(", by ");
    match scale {
        Scale::Smoke | Scale::Quick => short || !scored,
        Scale::Decide => short || study.sessions <= 200 || !variant,
        Scale::Paper => MAIN.contains(&name),
    }
}

/// Every arm with its name.
fn arms(study: &Study) -> Vec<(String, Learner)> {
    let last =
        |study: &Study, network| Learner { study: study.clone(), network, epoch: Epoch::Last };
    let algorithm = |change: Change<'_>| study.with(Then::Algorithm, change);
    let more = Then::MoreOfTheLog(updates(&study.networks, AUTHORS));
    let mut arms = vec![
        ("LSTM".to_owned(), last(study, Network::Users)),
        ("PG".to_owned(), last(study, Network::Agent)),
        ("PG, zero state".to_owned(), last(&study.with(Then::Nothing, from_zeros), Network::Agent)),
        ("LSTM, more epochs".to_owned(), last(&study.with(more, |_| {}), Network::Users)),
        ("PG, more epochs".to_owned(), last(&study.with(more, |_| {}), Network::Agent)),
        (
            "LSTM, random endings".to_owned(),
            last(&study.with(Then::Nothing, random_endings), Network::Users),
        ),
    ];
    for (ratio, lambda_1) in RATIOS {
        let full = algorithm(&|networks| networks.lambda_1 = lambda_1);
        let without_d = algorithm(&|networks| {
            (networks.lambda_1, networks.adversary) = (lambda_1, Adversary::None);
        });
        arms.push((format!("LSTMD {ratio}"), last(&full, Network::Users)));
        arms.push((format!("PGU {ratio}"), last(&without_d, Network::Agent)));
        arms.push((format!("IRecGAN {ratio}"), last(&full, Network::Agent)));
    }
    let full = algorithm(&|networks| networks.lambda_1 = AUTHORS);
    for (name, epoch) in [
        ("IRecGAN 6:1, by held-out users", Epoch::ByHeldOutUsers),
        ("IRecGAN 6:1, by likelihood", Epoch::ByLikelihood),
    ] {
        arms.push((name.to_owned(), Learner { epoch, ..last(&full, Network::Agent) }));
    }
    let of_printed = algorithm(&|networks| {
        networks.epochs = (updates(networks, AUTHORS) as f64 * (1.0 - networks.lambda_1)) as u64;
    });
    arms.push(("IRecGAN 1:10, more rounds".to_owned(), last(&of_printed, Network::Agent)));
    let passes = algorithm(&|networks| networks.judged = Judged::AsLogged);
    arms.push(("IRecGAN 1:10, D by passes".to_owned(), last(&passes, Network::Agent)));
    let changes: [(&str, Change<'_>); 7] = [
        ("IRecGAN 6:1, D for A alone", &|networks| {
            networks.adversary = Adversary::ScoresForAgent;
        }),
        ("IRecGAN 6:1, authors' round", &|networks| {
            (networks.round, networks.epochs) = (Round::Authors, 1);
            random_endings(networks);
        }),
        ("IRecGAN 6:1, supported", &|networks| networks.support = Some(SUPPORT)),
        ("PGU 6:1, supported", &|networks| {
            (networks.support, networks.adversary) = (Some(SUPPORT), Adversary::None);
        }),
        ("PGU 6:1, supported or logged", &|networks| {
            (networks.support, networks.adversary) = (Some(SUPPORT), Adversary::None);
            networks.replace_unsupported = true;
        }),
        ("IRecGAN 6:1, zero state", &from_zeros),
        ("IRecGAN 6:1, random endings", &random_endings),
    ];
    for (name, change) in changes {
        let changed = algorithm(&|networks| {
            networks.lambda_1 = AUTHORS;
            change(networks);
        });
        arms.push((name.to_owned(), last(&changed, Network::Agent)));
    }
    arms
}

/// Epochs on the log alone with as many updates of A as the rounds have.
fn updates(networks: &IRecGanConfig, lambda_1: f64) -> u64 {
    (networks.epochs as f64 / (1.0 - lambda_1)).round() as u64
}

fn from_zeros(networks: &mut IRecGanConfig) {
    let nothing = FirstInput::Nothing;
    networks.users.first_input = nothing;
    networks.agent.first_input = nothing;
    networks.discriminator.first_input = nothing;
}

fn random_endings(networks: &mut IRecGanConfig) {
    (networks.endings, networks.discriminator.leaving) = (Endings::Random, false);
}

impl Experiment for Parts {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| {
            let world = World::named(&cell.dataset)?;
            let Config { first_seed, sessions, learner } = cell.config()?;
            let seed = first_seed + cell.seed;
            let users = world.users(seed)?;
            let judge = Judge { users: &users, sessions, seed: Seed::new(seed), watch };
            learner.outcome(&self.studies, world, &judge, seed)
        })
    }

    fn columns(&self) -> &'static [Metric] {
        &[Metric::Reward, Metric::RewardTop, Metric::RewardIfClicked, Metric::Coverage]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        let others = [
            Metric::CoverageTop,
            Metric::RewardIfClickedTop,
            Metric::OracleShare,
            Metric::OracleShareTop,
            Metric::Gain,
            Metric::GainTop,
        ];
        Metric::COVERAGE_AT.into_iter().chain(Metric::COVERAGE_AT_TOP).chain(others).collect()
    }

    fn curve_label(&self) -> &'static str {
        "loss of U or A on further sessions, in nats"
    }

    fn question(&self) -> &'static str {
        "What is each part of IRecGAN worth to a recommender that learns from a log of simulated \
         users: generated trajectories, the discriminator, their ratio, the START entry, the choice \
         of the epoch?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        let runs = |data: &DataSet| self.cells.iter().any(|cell| cell.dataset == data.name);
        simulated::data_sets().into_iter().filter(runs).collect()
    }

    fn views(&self) -> Vec<View> {
        let dots = |name, title, metric| View {
            kind: Kind::Dots,
            name,
            title,
            axis: "reward (clicks per session)",
            metrics: vec![(metric, "reward")],
            panels: Some(By::Setting),
            groups: Some(By::Method),
            ..View::default()
        };
        vec![
            dots("reward-drawn", "What parts of IRecGAN earn, slates drawn", Metric::Reward),
            dots("reward-top", "What parts of IRecGAN earn, k likeliest items", Metric::RewardTop),
        ]
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "Users, logs and figures as in online-eval; {ROUNDS} rounds of lines 8 to 19, last \
             epoch unless said otherwise. PGU: generated trajectories without D, U as line 3 left \
             it. 1:10, 1:1, 6:1: generated to logged sessions. more epochs: the log alone, with as \
             many updates as 6:1 has; more rounds: the same at 1:10. D for A alone: U as line 3 left \
             it. D by passes: D learns from as many trajectories as the log holds. zero state: no \
             START entry. random endings: U sees users leave on random slates. supported: a \
             generated slate counts if every two of its items stood together on {SUPPORT} slates of \
             the log; supported or logged: a logged session takes the place of a trajectory of \
             which no slate counts. authors' round: one round of their code, with random endings; \
             it has 1.4 times the updates of A and half those of U. by held-out users: the round that earns most in \
             users fitted to further sessions of the log; by likelihood: that of the lowest loss on \
             further sessions."
        )]
    }
}
