//! The experiment `online-learning`: recommenders that start from nothing and learn from the users
//! they meet (IRecGAN §7.1, Figure 3).

use anyhow::bail;
use candle_core::Device;
use foretaste_eval::Metric;
use foretaste_irecgan::{
    AgentPolicy, IRecGan, OnlineConfig, OnlineLearning, OnlineMethod, Ranking, Selection,
};
use foretaste_lab::{Cell, Experiment, Grid, Interrupted, Outcome, Scale, Watch, in_own_pool};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Figures, Kind, Point, View};
use foretaste_sim::{Blind, Mdp};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::epochs::{generated, gradient_norms};
use crate::learned;
use crate::simulated::{self, Played, Slates, WORLDS, World};
use crate::studies;

/// The experiment `online-learning`.
pub struct OnlineExperiment {
    cells: Vec<Cell>,
    device: Device,
}

/// What a cell's result depends on, in addition to its users and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    /// The seed of the users where the cell's is 0.
    first_seed: u64,
    device: String,
    online: OnlineConfig,
    iterations: u64,
    /// Sessions that judge what the recommender shows at an iteration.
    sessions: u64,
}

/// Seeds where claims are to be decided.
const SEEDS: u64 = 20;
const NAME: &str = "online-learning";
/// The methods that have an agent.
const METHODS: [(&str, OnlineMethod); 3] = [
    (PG_ONLINE, OnlineMethod::PgOnline),
    (PG_BOTH, OnlineMethod::PgOnlineAndOffline),
    (IRECGAN, OnlineMethod::IRecGan),
];
const PG_ONLINE: &str = "PG-online";
const PG_BOTH: &str = "PG-online&offline";
const LSTM: &str = "LSTM-offline";
const IRECGAN: &str = "IRecGAN";
/// The setting of who has no agent.
const NO_RATE: &str = "no agent";
/// The learning rates of A.
const RATES: [f64; 3] = [1e-3, 3e-3, 1e-2];
/// Iterations that count as late.
const LATE: usize = 5;

impl OnlineExperiment {
    /// Lays out the grid of cells: users x learning rates x methods x seeds.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS));
        for world in &WORLDS {
            let without = config(OnlineMethod::LstmOffline, RATES[0], settings);
            grid.arm(world.name, LSTM, NO_RATE, without)?;
            for rate in RATES {
                for (name, method) in METHODS {
                    let config = config(method, rate, settings);
                    grid.arm(world.name, name, &format!("rate {rate}"), config)?;
                }
            }
        }
        Ok(Self { cells: grid.into_cells(), device: settings.device.open()? })
    }
}

/// The paper's iterations, A at a learning rate.
fn config(method: OnlineMethod, rate_of_agent: f64, settings: &Settings) -> Config {
    let mut networks = studies::networks(settings.scale);
    let rate = |learning_rate, optimiser: AdamConfig| AdamConfig { learning_rate, ..optimiser };
    networks.users_training.optimiser = rate(1e-3, networks.users_training.optimiser);
    networks.agent_training.optimiser = rate(rate_of_agent, networks.agent_training.optimiser);
    networks.discriminator_training.optimiser =
        rate(1e-3, networks.discriminator_training.optimiser);
    let online = OnlineConfig::new(method, networks);
    let (online, iterations, sessions) = match settings.scale {
        Scale::Smoke => (OnlineConfig { sessions: 20, ..online }, 3, 20),
        Scale::Quick | Scale::Decide | Scale::Paper => (online, 20, 500),
    };
    Config {
        first_seed: settings.first_seed(),
        device: settings.device.to_string(),
        online,
        iterations,
        sessions,
    }
}

impl Experiment for OnlineExperiment {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| {
            let Config { first_seed, online, iterations, sessions, .. } = cell.config()?;
            let seed = first_seed + cell.seed;
            let users = World::named(&cell.dataset)?.users(seed)?;
            let (method, seed) = (online.method, Seed::new(seed));
            let mut learning = OnlineLearning::new(online, seed, &self.device)?;
            let mut shown_so_far = Vec::new();
            for iteration in 0..iterations {
                watch.progress(iteration, iterations);
                if watch.interrupted() {
                    bail!(Interrupted);
                }
                let figures =
                    shown(&learning, method, &users, sessions, seed.index(iteration), watch)?;
                watch.record("", iteration + 1, point(iteration, &figures));
                shown_so_far.push(figures);
                if iteration + 1 < iterations {
                    learning.iterate(&users)?;
                    watch.record("learning", iteration + 1, of_learning(learning.networks()));
                }
            }
            let curve = (0..)
                .zip(&shown_so_far)
                .map(|(iteration, figures)| point(iteration, figures))
                .collect();
            Ok(Outcome { metrics: late(&shown_so_far), curve })
        })
    }

    fn columns(&self) -> &'static [Metric] {
        &[
            Metric::CoverageAt1,
            Metric::CoverageAt10,
            Metric::Reward,
            Metric::CoverageAt1Top,
            Metric::CoverageAt10Top,
            Metric::RewardTop,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        let others = [
            Metric::Coverage,
            Metric::CoverageTop,
            Metric::RewardIfClicked,
            Metric::RewardIfClickedTop,
        ];
        Metric::COVERAGE_AT.into_iter().chain(Metric::COVERAGE_AT_TOP).chain(others).collect()
    }

    fn question(&self) -> &'static str {
        "How fast do recommenders learn that meet simulated users and reuse their sessions \
         (IRecGAN, Figure 3)?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        simulated::data_sets()
    }

    fn views(&self) -> Vec<View> {
        vec![
            View {
                kind: Kind::Curves,
                over: "iteration of 200 sessions",
                name: "coverage-drawn",
                title: "Learning online, slates drawn",
                axis: "coverage (share of the r most rewarding items)",
                metrics: vec![
                    (Metric::CoverageAt1, "coverage@1"),
                    (Metric::CoverageAt10, "coverage@10"),
                ],
                panels: Some(By::Metric),
                series: Some(By::Method),
                settings: "rate *",
                ..View::default()
            },
            View {
                kind: Kind::Curves,
                over: "iteration of 200 sessions",
                name: "coverage-top",
                title: "Learning online, the k likeliest items",
                axis: "coverage (share of the r most rewarding items)",
                metrics: vec![
                    (Metric::CoverageAt1Top, "coverage@1"),
                    (Metric::CoverageAt10Top, "coverage@10"),
                ],
                panels: Some(By::Metric),
                series: Some(By::Method),
                settings: "rate *",
                ..View::default()
            },
        ]
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "Simulated users as in online-eval. Each iteration has sessions from which methods \
             learn online, and then a pass over all sessions so far. Figures: mean over the last \
             {LATE} iterations of what is shown in them, of other sessions; slates are drawn as \
             when the recommender learns, *_top: its k likeliest items. The setting is the learning \
             rate of A; that of U and D is 0.001."
        )]
    }
}

/// How the learning of an iteration went.
fn of_learning(networks: &IRecGan) -> impl Iterator<Item = (String, f64)> {
    let losses = networks.curve().last().into_iter().flat_map(|point| {
        let losses = [("users_loss", point.users_loss), ("agent_loss", point.agent_loss)];
        learned::figures(losses).chain(generated(point))
    });
    losses.chain(gradient_norms(networks))
}

/// What the recommender shows at an iteration.
fn shown(
    learning: &OnlineLearning,
    method: OnlineMethod,
    users: &Mdp,
    sessions: u64,
    seed: Seed,
    watch: &Watch,
) -> anyhow::Result<Figures> {
    let networks = learning.networks();
    let play = |selection| match method {
        OnlineMethod::LstmOffline => {
            let ranking = Blind(Ranking::new(networks.users(), selection)?);
            Played::of(&ranking, users, sessions, seed, watch)
        }
        _ => {
            let agent = Blind(AgentPolicy::new(networks.agent(), selection)?);
            Played::of(&agent, users, sessions, seed, watch)
        }
    };
    let ways = [play(Selection::Sampled)?, play(Selection::Top)?];
    Ok(ways
        .iter()
        .zip([Slates::Drawn, Slates::Top])
        .flat_map(|(played, slates)| played.figures(slates))
        .collect())
}

/// The mean of every figure over the last iterations.
fn late(shown: &[Figures]) -> Figures {
    let last = &shown[shown.len().saturating_sub(LATE)..];
    let mean = |metric: &Metric| {
        last.iter().map(|figures| figures[metric]).sum::<f64>() / last.len() as f64
    };
    last[0].keys().map(|metric| (*metric, mean(metric))).collect()
}

/// What is shown at an iteration, counted from 0, as a point of the learning curve.
fn point(iteration: u64, figures: &Figures) -> Point {
    let named = figures.iter().map(|(metric, &value)| (metric.name().to_owned(), value));
    named.chain([("iteration".to_owned(), iteration as f64 + 1.0)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_figures_are_means_over_the_last_iterations() {
        let shown: Vec<Figures> =
            (1..=7).map(|at: u32| [(Metric::Reward, f64::from(at * at))].into()).collect();
        assert_eq!(
            late(&shown),
            [(Metric::Reward, (9.0 + 16.0 + 25.0 + 36.0 + 49.0) / 5.0)].into()
        );
        assert_eq!(late(&shown[..2]), [(Metric::Reward, 2.5)].into());
        assert_eq!(
            point(2, &shown[0]),
            [("iteration".to_owned(), 3.0), ("reward".to_owned(), 1.0)].into()
        );
    }
}
