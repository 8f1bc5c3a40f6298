//! The experiment `adaptation`: recommenders that meet new users, and how many interactions they
//! need (GAN-CDQN, experiment D).

use std::sync::Arc;

use foretaste_cascade_dqn::{Epsilon, QConfig, QNetworks, TrainConfig, Trainer};
use foretaste_eval::Metric;
use foretaste_lab::{
    Cell, Experiment, Grid, Interrupted, Outcome, Scale, Shared, Watch, in_own_pool,
};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Figures, Kind, View};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Environment, Policy, Rollout};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::counted::Counted;
use crate::policies::{self, LinUcbTraining, Training};
use crate::worlds::{Users, UsersConfig, World, Worlds};

/// The experiment `adaptation`.
pub struct Adaptation {
    cells: Vec<Cell>,
    worlds: Arc<Worlds>,
    levels: Shared<(String, u64), f64>,
}

/// What a cell's result depends on, beside its data set, method and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    data: String,
    users: UsersConfig,
    k: usize,
    meeting: Meeting,
    method: Method,
}

/// How new users come.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Meeting {
    /// Users who open a session together; at each interaction all of them are shown a slate.
    users: usize,
    /// Interactions after which others take their place.
    steps: usize,
    /// Such groups of users.
    groups: u64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    WarmStart { before: Box<Training>, online: TrainConfig },
    Scratch { networks: QConfig, online: TrainConfig },
    LinUcb(LinUcbTraining),
    Greedy,
    Random,
}

/// Seeds where claims are to be decided.
const SEEDS: u64 = 10;
const NAME: &str = "adaptation";
const K: usize = 3;
const SETTING: &str = "k = 3";
const WARM: &str = "CDQN warm start";
const SCRATCH: &str = "CDQN from scratch";
/// How many times fewer interactions the warm start is to need.
const FEWER: f64 = 5.0;
const HANDICAPPED: Metric = Metric::Handicapped;

impl Adaptation {
    /// Lays out the grid of cells: data sets x recommenders x seeds.
    pub fn new(settings: &Settings, worlds: Arc<Worlds>) -> anyhow::Result<Self> {
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS));
        for world in &worlds.all {
            let dataset = &world.source.dataset;
            let users = UsersConfig::new(&world.source, settings);
            for (name, method) in methods(&users, settings.scale) {
                let config = Config {
                    data: world.source.digest.clone(),
                    users: users.clone(),
                    k: K,
                    meeting: meeting(settings.scale),
                    method,
                };
                grid.arm(&dataset.name, name, SETTING, config)?;
            }
        }
        Ok(Self {
            cells: grid.into_cells(),
            worlds,
            levels: Shared::new(2 * settings.seeds(SEEDS) as usize),
        })
    }
}

fn meeting(scale: Scale) -> Meeting {
    let steps = policies::judging(scale).steps;
    match scale {
        Scale::Smoke => Meeting { users: 20, steps, groups: 2 },
        Scale::Quick | Scale::Decide => Meeting { users: 1_000, steps, groups: 4 },
        Scale::Paper => Meeting { users: 1_000, steps, groups: 20 },
    }
}

/// Networks learn online in the same way from wherever they start.
fn methods(users: &UsersConfig, scale: Scale) -> Vec<(&'static str, Method)> {
    let before = policies::training(users, K, scale);
    // From scratch, nothing is known of items.
    let networks =
        QConfig { features: QConfig::new(users.items(), K).features, ..before.networks.clone() };
    let Meeting { users, steps, groups } = meeting(scale);
    let online = TrainConfig {
        users,
        steps,
        epsilon: Epsilon::constant(0.1),
        warm_up: before.config.batch,
        updates: 5,
        ..before.config.clone()
    };
    let bandit =
        LinUcbTraining { users, steps, iterations: groups, ..LinUcbTraining::like(&before) };
    vec![
        (WARM, Method::WarmStart { before: Box::new(before), online: online.clone() }),
        (SCRATCH, Method::Scratch { networks, online }),
        ("LinUCB", Method::LinUcb(bandit)),
        ("GAN-Greedy", Method::Greedy),
        ("random", Method::Random),
    ]
}

impl Experiment for Adaptation {
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
            match &world.truth {
                Some(new) => self.meet(cell, &config, world, &users, new, watch),
                None => self.meet(cell, &config, world, &users, &users.evaluation, watch),
            }
        })
    }

    fn columns(&self) -> &'static [Metric] {
        &[
            Metric::Interactions,
            Metric::Reached,
            Metric::Level,
            Metric::FirstClickRate,
            Metric::LastClickRate,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![HANDICAPPED]
    }

    fn question(&self) -> &'static str {
        "How many interactions with new users does a recommender need, from scratch and from \
         learned users (GAN-CDQN, experiment D)?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        self.worlds.data_sets()
    }

    fn views(&self) -> Vec<View> {
        vec![View {
            kind: Kind::Curves,
            over: "interactions with each new user",
            name: "clicks",
            title: "Recommenders meet new users",
            axis: "click rate (clicks per slate)",
            metrics: vec![(Metric::ClickRate, "click rate")],
            series: Some(By::Method),
            ..View::default()
        }]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.worlds.notes();
        notes.push(format!(
            "At an interaction all users of a group are shown a slate of {K}, after which \
             networks and LinUCB learn; after some interactions a new group opens its sessions. \
             New users are the model of the test users, or the simulated users themselves. What \
             does not learn meets one group."
        ));
        notes.push(format!(
            "level: halfway from the click rate of random slates to that of greed by someone who \
             knows the new users' model. interactions: the first from which on the click rate \
             over as many as a session has is that high, or all there were (reached 0); \
             {HANDICAPPED}: less the interactions, {FEWER} times for the warm start, which is \
             what the claim compares. first_click_rate and last_click_rate: over the first and \
             the last session. Exploration of networks, 10% of slates at random, is in their rates."
        ));
        notes
    }
}

impl Adaptation {
    fn meet<E: Environment>(
        &self,
        cell: &Cell,
        config: &Config,
        world: &World,
        users: &Users,
        new: &E,
        watch: &Watch,
    ) -> anyhow::Result<Outcome> {
        let seed = Seed::new(cell.seed);
        let level = || level(config, users, new, seed, watch);
        let level = *self.levels.get((world.source.dataset.name.clone(), cell.seed), level)?;
        let interactions = config.meeting.steps as u64 * config.meeting.groups;
        // What is learned before is behind the first interaction.
        let start = match &config.method {
            Method::WarmStart { before, .. } => Some(before.run(users, seed, "before", watch)?),
            _ => None,
        };
        let counted = Counted::new(new, "", watch, interactions);
        let played = config.play(&counted, start, users, seed.derive("new users"), watch);
        if watch.interrupted() {
            return Err(Interrupted.into());
        }
        played?;
        Ok(outcome(&cell.method, config.meeting, &counted.click_rates(), level))
    }
}

impl Config {
    fn play<E: Environment>(
        &self,
        new: &Counted<'_, E>,
        start: Option<Trainer>,
        users: &Users,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<()> {
        let Meeting { users: group, steps, groups } = self.meeting;
        match &self.method {
            Method::WarmStart { online, .. } | Method::Scratch { online, .. } => {
                let networks = match (start, &self.method) {
                    (Some(trained), _) => trained.networks().copy()?,
                    (None, Method::Scratch { networks, .. }) => {
                        QNetworks::new(networks.clone(), None, seed)?
                    }
                    (None, _) => anyhow::bail!("a warm start needs trained networks"),
                };
                let mut trainer = Trainer::new(networks, online.clone(), seed)?;
                for _ in 0..groups {
                    policies::record(&trainer.iterate(new)?, "networks", watch);
                }
            }
            Method::LinUcb(training) => {
                let mut policy = training.policy(self.k, new.items(), seed)?;
                for index in 0..groups {
                    policy.learn(new, group, steps, seed.derive("LinUCB").index(index))?;
                }
            }
            Method::Greedy => {
                self.show(new, &policies::greedy_on_rewards(&users.training), seed)?
            }
            Method::Random => self.show(new, &UniformRandom { items: new.items() }, seed)?,
        }
        Ok(())
    }

    /// One group meets a policy that does not learn.
    fn show<E: Environment, P: Policy>(
        &self,
        new: &E,
        policy: &P,
        seed: Seed,
    ) -> anyhow::Result<()> {
        let Meeting { users, steps, .. } = self.meeting;
        let rollout = Rollout::new(seed, 0..users as u64, self.k).max_steps(steps).chunk(users);
        rollout.outcomes(new, &Blind(policy))?;
        Ok(())
    }
}

/// The click rate that is to be reached.
fn level<E: Environment>(
    config: &Config,
    users: &Users,
    new: &E,
    seed: Seed,
    watch: &Watch,
) -> anyhow::Result<f64> {
    let (seed, steps) = (seed.derive("level"), config.meeting.steps as u64);
    let (random, greedy) = (
        Counted::new(new, "level/random", watch, steps),
        Counted::new(new, "level/greedy", watch, steps),
    );
    config.show(&random, &UniformRandom { items: new.items() }, seed)?;
    config.show(&greedy, &policies::greedy_on_rewards(&users.evaluation), seed)?;
    Ok(f64::midpoint(mean(&random.click_rates()), mean(&greedy.click_rates())))
}

fn outcome(
    method: &str,
    Meeting { steps, groups, .. }: Meeting,
    rates: &[f64],
    level: f64,
) -> Outcome {
    let session = steps.min(rates.len());
    let reached =
        rates.windows(session).position(|rates| mean(rates) >= level).map(|at| at as f64 + 1.0);
    let interactions = reached.unwrap_or(steps as f64 * groups as f64);
    let mut metrics = Figures::from([
        (Metric::Interactions, interactions),
        (Metric::Reached, f64::from(u8::from(reached.is_some()))),
        (Metric::Level, level),
        (Metric::FirstClickRate, mean(&rates[..session])),
        (Metric::LastClickRate, mean(&rates[rates.len() - session..])),
    ]);
    let handicap = [(WARM, FEWER), (SCRATCH, 1.0)].into_iter().find(|(name, _)| *name == method);
    metrics.extend(handicap.map(|(_, times)| (HANDICAPPED, -times * interactions)));
    let point = |(at, rate): (usize, &f64)| {
        [("iteration".to_owned(), at as f64 + 1.0), ("click_rate".to_owned(), *rate)].into()
    };
    Outcome { metrics, curve: rates.iter().enumerate().map(point).collect() }
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / rates.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, rates: &[f64], level: f64) -> Figures {
        outcome(method, Meeting { users: 1, steps: 2, groups: 2 }, rates, level).metrics
    }

    #[test]
    fn interactions_count_until_the_level_holds_for_a_session() {
        let metrics = found(WARM, &[0.1, 0.6, 0.3, 0.7], 0.4);
        assert_eq!(
            [metrics[&Metric::Interactions], metrics[&Metric::Reached], metrics[&HANDICAPPED]],
            [2.0, 1.0, -10.0]
        );
        assert_eq!(
            [metrics[&Metric::FirstClickRate], metrics[&Metric::LastClickRate]],
            [0.35, 0.5]
        );
    }

    #[test]
    fn a_level_that_is_never_reached_counts_all_interactions() {
        let metrics = found(SCRATCH, &[0.1, 0.9, 0.1, 0.3], 0.6);
        assert_eq!(
            [metrics[&Metric::Interactions], metrics[&Metric::Reached], metrics[&HANDICAPPED]],
            [4.0, 0.0, -4.0]
        );
        let metrics = found("random", &[0.1], 0.5);
        assert_eq!((metrics[&Metric::Interactions], metrics.get(&HANDICAPPED)), (4.0, None));
    }
}
