//! The experiment `adaptation`: recommenders that learn with new users, and how many interactions
//! they need (GAN-CDQN, experiment D).

use std::sync::Arc;

use foretaste_cascade_dqn::{Epsilon, QConfig, QNetworks, QPolicy, Storage, TrainConfig, Trainer};
use foretaste_eval::Metric;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Shared, Watch, in_own_pool};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Figures, Kind, View};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Environment, Policy};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::learned::LEARNED_USERS;
use crate::policies::{self, Judging, LinUcbTraining, Training};
use crate::worlds::{Users, UsersConfig, World, Worlds};

/// The experiment `adaptation`.
pub struct Adaptation {
    cells: Vec<Cell>,
    worlds: Arc<Worlds>,
    levels: Shared<(String, u64), Levels>,
}

/// What a cell's result depends on, in addition to its data set, method and seed.
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
    /// Further users, who judge the policy as it is after each group.
    judging: Judging,
}

/// Click rates on the way from random slates to greed by someone who knows the new users' model.
#[derive(Clone, Copy)]
struct Levels {
    half: f64,
    nine_tenths: f64,
}

/// A policy that was judged after so many interactions.
#[derive(Clone, Copy)]
struct Score {
    interactions: u64,
    click_rate: f64,
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

impl Adaptation {
    /// Lays out the grid of cells: data sets x recommenders x seeds.
    pub fn new(settings: &Settings, worlds: Arc<Worlds>) -> anyhow::Result<Self> {
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS)).version(LEARNED_USERS);
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
    let judging = policies::judging(scale);
    let (users, steps) = (50, judging.steps);
    let judging = Judging { sessions: 2 * judging.sessions, ..judging };
    match scale {
        Scale::Smoke => Meeting { users: 20, steps, groups: 2, judging },
        Scale::Quick => Meeting { users, steps, groups: 20, judging },
        Scale::Decide => Meeting { users, steps, groups: 40, judging },
        Scale::Paper => Meeting { users, steps, groups: 400, judging },
    }
}

/// Networks learn online in the same way from wherever they start.
fn methods(users: &UsersConfig, scale: Scale) -> Vec<(&'static str, Method)> {
    let before = policies::training(users, K, scale);
    // From scratch, nothing is known of items.
    let networks =
        QConfig { features: QConfig::new(users.items(), K).features, ..before.networks.clone() };
    let Meeting { users, steps, groups, .. } = meeting(scale);
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
            Metric::Interactions90,
            Metric::Reached90,
            Metric::FirstClickRate,
            Metric::LastClickRate,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![Metric::Handicapped, Metric::Handicapped90, Metric::Level, Metric::Level90]
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
            over: "interactions with new users, slates shown to each of 50 at a time",
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
        notes.push(
            "At an interaction every user of a group is shown a slate of 3, after which networks and \
             LinUCB learn; after some interactions a new group opens its sessions. After each group \
             the policy as it is then, without exploration, is judged by further users. New users \
             are the model of the test users, or the simulated users themselves."
                .into(),
        );
        notes.push(format!(
            "interactions: those after which the click rate first reaches half of the way from \
             random slates to greed by someone who knows the new users' model, or all there were \
             (reached 0); interactions_90: nine tenths of the way. {} and {}: less the \
             interactions, {FEWER} times for the warm start, which is what the claims compare. \
             first_click_rate: before any interaction; last_click_rate: after all.",
            Metric::Handicapped,
            Metric::Handicapped90
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
        let levels = || levels(config, users, new, seed, watch);
        let levels = *self.levels.get((world.source.dataset.name.clone(), cell.seed), levels)?;
        let scores = config.scores(users, new, seed, watch)?;
        Ok(outcome(&cell.method, &scores, config.meeting.interactions(), levels))
    }
}

impl Meeting {
    fn interactions(&self) -> u64 {
        self.steps as u64 * self.groups
    }
}

impl Config {
    /// How a policy does with further users, before any interaction and after each group.
    fn scores<E: Environment>(
        &self,
        users: &Users,
        new: &E,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<Vec<Score>> {
        let Meeting { users: group, steps, groups, .. } = self.meeting;
        let meeting = seed.derive("new users");
        match &self.method {
            Method::WarmStart { before, online } => {
                let trained = before.run(users, seed, "before", watch)?;
                self.learning(trained.networks().copy()?, online, new, seed, watch)
            }
            Method::Scratch { networks, online } => {
                let networks = QNetworks::new(networks.clone(), None, meeting)?;
                self.learning(networks, online, new, seed, watch)
            }
            Method::LinUcb(training) => {
                let mut policy = training.policy(self.k, new.items(), meeting)?;
                self.meet(watch, |index| {
                    if index > 0 {
                        let seed = meeting.derive("LinUCB").index(index - 1);
                        policy.learn(new, group, steps, seed)?;
                    }
                    self.click_rate(new, &policy, seed, watch)
                })
            }
            Method::Greedy => {
                let policy = policies::greedy_on_rewards(&users.training);
                let click_rate = self.click_rate(new, &policy, seed, watch)?;
                Ok(constant(click_rate, steps, groups))
            }
            Method::Random => {
                let policy = UniformRandom { items: new.items() };
                let click_rate = self.click_rate(new, &policy, seed, watch)?;
                Ok(constant(click_rate, steps, groups))
            }
        }
    }

    /// The scores of networks that learn on from where they are.
    fn learning<E: Environment>(
        &self,
        networks: QNetworks,
        online: &TrainConfig,
        new: &E,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<Vec<Score>> {
        let mut trainer = Trainer::new(networks, online.clone(), seed.derive("new users"))?;
        self.meet(watch, |group| {
            if group > 0 {
                policies::record(&trainer.iterate(new)?, "networks", watch);
            }
            let policy = QPolicy::new(trainer.networks(), Storage::Single)?;
            self.click_rate(new, &policy, seed, watch)
        })
    }

    /// The scores before any group, 0, and after each.
    fn meet(
        &self,
        watch: &Watch,
        mut score: impl FnMut(u64) -> anyhow::Result<f64>,
    ) -> anyhow::Result<Vec<Score>> {
        let Meeting { steps, groups, .. } = self.meeting;
        let mut scores = Vec::new();
        for group in 0..=groups {
            policies::going_on(watch, group, groups)?;
            let (interactions, click_rate) = (group * steps as u64, score(group)?);
            watch.record("", interactions, [("click_rate".to_owned(), click_rate)]);
            scores.push(Score { interactions, click_rate });
        }
        Ok(scores)
    }

    /// Clicks per slate of users from whom nothing is learned.
    fn click_rate<E: Environment, P: Policy>(
        &self,
        new: &E,
        policy: &P,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<f64> {
        Ok(self.meeting.judging.play(new, policy, self.k, seed, watch)?.click_rate)
    }
}

/// The scores of a policy that does not learn.
fn constant(click_rate: f64, steps: usize, groups: u64) -> Vec<Score> {
    (0..=groups).map(|group| Score { interactions: group * steps as u64, click_rate }).collect()
}

fn levels<E: Environment>(
    config: &Config,
    users: &Users,
    new: &E,
    seed: Seed,
    watch: &Watch,
) -> anyhow::Result<Levels> {
    let random = UniformRandom { items: new.items() };
    let random = config.click_rate(new, &random, seed, watch)?;
    let greedy = policies::greedy_on_rewards(&users.evaluation);
    let greedy = config.click_rate(new, &greedy, seed, watch)?;
    let way = |share: f64| random + share * (greedy - random);
    Ok(Levels { half: way(0.5), nine_tenths: way(0.9) })
}

fn outcome(method: &str, scores: &[Score], all: u64, levels: Levels) -> Outcome {
    let reached = |level: f64| {
        let first = scores.iter().find(|score| score.click_rate >= level);
        (first.map_or(all, |score| score.interactions) as f64, f64::from(first.is_some()))
    };
    let (half, nine_tenths) = (reached(levels.half), reached(levels.nine_tenths));
    let rate = |score: Option<&Score>| score.map_or(f64::NAN, |score| score.click_rate);
    let mut metrics = Figures::from([
        (Metric::Interactions, half.0),
        (Metric::Reached, half.1),
        (Metric::Level, levels.half),
        (Metric::Interactions90, nine_tenths.0),
        (Metric::Reached90, nine_tenths.1),
        (Metric::Level90, levels.nine_tenths),
        (Metric::FirstClickRate, rate(scores.first())),
        (Metric::LastClickRate, rate(scores.last())),
    ]);
    let handicap = [(WARM, FEWER), (SCRATCH, 1.0)].into_iter().find(|(name, _)| *name == method);
    if let Some((_, times)) = handicap {
        metrics.insert(Metric::Handicapped, -times * half.0);
        metrics.insert(Metric::Handicapped90, -times * nine_tenths.0);
    }
    let point = |score: &Score| {
        let interactions = score.interactions as f64;
        [("iteration".to_owned(), interactions), ("click_rate".to_owned(), score.click_rate)].into()
    };
    Outcome { metrics, curve: scores.iter().map(point).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: Levels = Levels { half: 0.4, nine_tenths: 0.7 };

    fn found(method: &str, rates: &[f64]) -> Figures {
        let score = |(group, &click_rate)| Score { interactions: 10 * group as u64, click_rate };
        let scores: Vec<Score> = rates.iter().enumerate().map(score).collect();
        outcome(method, &scores, 30, LEVELS).metrics
    }

    #[test]
    fn interactions_are_those_before_a_level_is_first_reached() {
        let metrics = found(WARM, &[0.1, 0.6, 0.3, 0.7]);
        let figures = [Metric::Interactions, Metric::Interactions90, Metric::Handicapped90];
        assert_eq!(figures.map(|name| metrics[&name]), [10.0, 30.0, -150.0]);
        assert_eq!(metrics[&Metric::Handicapped], -50.0);
        assert_eq!((metrics[&Metric::FirstClickRate], metrics[&Metric::LastClickRate]), (0.1, 0.7));
    }

    #[test]
    fn a_level_that_is_never_reached_counts_all_interactions() {
        let metrics = found(SCRATCH, &[0.1, 0.5, 0.1, 0.3]);
        let figures = [Metric::Interactions90, Metric::Reached90, Metric::Handicapped90];
        assert_eq!(figures.map(|name| metrics[&name]), [30.0, 0.0, -30.0]);
        assert_eq!((metrics[&Metric::Interactions], metrics[&Metric::Reached]), (10.0, 1.0));
        assert_eq!(found("random", &[0.1]).get(&Metric::Handicapped), None);
    }

    #[test]
    fn who_starts_above_the_level_needs_no_interaction() {
        let metrics = found(WARM, &[0.8, 0.2]);
        assert_eq!((metrics[&Metric::Interactions], metrics[&Metric::Reached90]), (0.0, 1.0));
    }
}
