//! The recommenders of GAN-CDQN's comparison: made from learned users and logs, played in
//! environments.

use std::collections::BTreeMap;

use anyhow::bail;
use foretaste_baselines::{ClickModel, Data, Settings as ClickModelSettings, select_among};
use foretaste_cascade_dqn::{
    CurvePoint, Greedy, ItemFeatures, LinUcb, LinUcbConfig, QConfig, QNetworks, StateEncoder,
    TrainConfig, Trainer,
};
use foretaste_eval::choice::ChoiceModel;
use foretaste_lab::{Interrupted, Scale, Watch};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_sim::{Blind, Environment, Outcome, Policy, Rollout};
use foretaste_user_model::UserModel;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::assortment::{Assorted, Assortment};
use crate::learned::{figures, grid_callback, interruptible};
use crate::sources::{Source, Splitting};
use crate::worlds::{Simulator, Users, UsersConfig};

/// How Q-networks are trained in learned users.
#[derive(Clone, Serialize, Deserialize)]
pub struct Training {
    /// The networks.
    pub networks: QConfig,
    /// The training.
    pub config: TrainConfig,
    /// Its iterations.
    pub iterations: u64,
}

/// How LinUCB learns.
#[derive(Clone, Serialize, Deserialize)]
pub struct LinUcbTraining {
    /// The policy.
    pub config: LinUcbConfig,
    /// Item features: one-hot vectors under a projection to so many dimensions by random signs.
    pub features: usize,
    /// Users of an iteration.
    pub users: usize,
    /// Steps of an iteration.
    pub steps: usize,
    /// Iterations.
    pub iterations: u64,
}

/// Sessions that judge a policy, the same ones for every policy.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Judging {
    /// Sessions.
    pub sessions: u64,
    /// Steps at which a session is cut.
    pub steps: usize,
}

/// What came of sessions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Played {
    /// Mean sum of rewards of a session.
    pub reward: f64,
    /// Clicks per step.
    pub click_rate: f64,
}

/// How many clicks back greedy policies look: as far as the position weights of the learned users.
const HISTORY: usize = 20;
/// Sessions that are played together.
const CHUNK: u64 = 50;

/// Sessions and their length by scale; the paper's are not known.
pub fn judging(scale: Scale) -> Judging {
    match scale {
        Scale::Smoke => Judging { sessions: 10, steps: 4 },
        Scale::Quick | Scale::Decide => Judging { sessions: 100, steps: 10 },
        Scale::Paper => Judging { sessions: 1_000, steps: 20 },
    }
}

/// The training of cascading networks for slates of k in these users; the paper's sizes are not
/// known. With a discount of 0.9 the targets must be slow, and 30 iterations are too few: both were
/// seen by the rewards in the users of training alone.
pub fn training(users: &UsersConfig, k: usize, scale: Scale) -> Training {
    let features = ItemFeatures::Given { dim: users.features() };
    let networks = QConfig { features, ..QConfig::new(users.items(), k) };
    let published = TrainConfig::default();
    let config = TrainConfig {
        steps: judging(scale).steps,
        warm_up: 640,
        optimiser: AdamConfig { learning_rate: 2e-3, ..published.optimiser },
        target_every: Some(200),
        ..published
    };
    match scale {
        Scale::Smoke => Training {
            networks: QConfig { hidden: 8, ..networks },
            config: TrainConfig { users: 8, warm_up: 8, batch: 8, capacity: 100, ..config },
            iterations: 3,
        },
        Scale::Quick | Scale::Decide => Training {
            networks: QConfig {
                state: StateEncoder::PositionWeights { history: 10, columns: 2 },
                hidden: 64,
                ..networks
            },
            config,
            iterations: if scale == Scale::Decide { 300 } else { 150 },
        },
        Scale::Paper => Training { networks, config, iterations: 1_000 },
    }
}

impl LinUcbTraining {
    /// As much experience as Q-networks have.
    pub fn like(training: &Training) -> Self {
        let (users, steps) = (training.config.users, training.config.steps);
        Self {
            config: LinUcbConfig::default(),
            features: 8,
            users,
            steps,
            iterations: training.iterations,
        }
    }

    /// The policy before it has learned.
    pub fn policy(&self, k: usize, items: usize, seed: Seed) -> anyhow::Result<LinUcb> {
        let mut stream = seed.derive("LinUCB features").stream(0);
        let entry = 1.0 / (self.features as f32).sqrt();
        let mut feature = || if stream.random::<bool>() { entry } else { -entry };
        let features: Vec<f32> = (0..items * self.features).map(|_| feature()).collect();
        Ok(LinUcb::new(self.config, k, items, &features)?)
    }

    /// The policy after learning in these users.
    pub fn learn(
        &self,
        k: usize,
        users: &Simulator,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<LinUcb> {
        let mut policy = self.policy(k, users.items(), seed)?;
        for iteration in 0..self.iterations {
            going_on(watch, iteration, self.iterations)?;
            let seed = seed.derive("LinUCB").index(iteration);
            policy.learn(users, self.users, self.steps, seed)?;
        }
        Ok(policy)
    }
}

impl Training {
    /// A trainer that has trained in the training users, as `part` of the cell.
    pub fn run(
        &self,
        users: &Users,
        seed: Seed,
        part: &str,
        watch: &Watch,
    ) -> anyhow::Result<Trainer> {
        let networks = QNetworks::new(self.networks.clone(), Some(&users.features), seed)?;
        let mut trainer = Trainer::new(networks, self.config.clone(), seed)?;
        for iteration in 0..self.iterations {
            going_on(watch, iteration, self.iterations)?;
            record(&trainer.iterate(&users.training)?, part, watch);
        }
        Ok(trainer)
    }
}

/// Shows an iteration of Q-networks to the watcher of the cell.
pub fn record(point: &CurvePoint, part: &str, watch: &Watch) {
    let norm = figures([("gradient_norm", point.gradient_norm)]);
    watch.record(part, point.iteration, row(point).into_iter().chain(norm));
}

/// A row of the learning curve of Q-networks.
pub fn row(point: &CurvePoint) -> BTreeMap<String, f64> {
    figures([
        ("iteration", Some(point.iteration as f64)),
        ("click_rate", Some(point.click_rate)),
        ("reward", Some(point.reward)),
        ("loss", point.loss),
        ("target", point.target),
    ])
    .collect()
}

/// Greedy on the learned reward: GAN-Greedy.
pub fn greedy_on_rewards(users: &Simulator) -> Greedy<Assorted<'_, UserModel>> {
    greedy(users.users.model(), &users.assortment)
}

/// Greedy on the scores of a click model: W&D-LR, W&D-CCF.
pub fn greedy_on_clicks<'a>(
    model: &'a dyn ClickModel,
    assortment: &'a Assortment,
) -> Greedy<Assorted<'a, dyn ClickModel + 'a>> {
    greedy(model, assortment)
}

/// Greedy on a model of all items of the catalogue.
fn greedy<'a, M: ChoiceModel + ?Sized>(
    model: &'a M,
    assortment: &'a Assortment,
) -> Greedy<Assorted<'a, M>> {
    Greedy::new(Assorted { model, assortment }, assortment.len(), HISTORY)
}

/// The click model that is best on the validation users.
pub fn click_model(
    source: &Source,
    grid: &[ClickModelSettings],
    seed: Seed,
    watch: &Watch,
) -> anyhow::Result<Box<dyn ClickModel>> {
    let split = source.split(Splitting::BySeed, seed)?;
    let data = Data::new(&source.dataset.log, source.dataset.catalogue.len(), &split);
    let selected = select_among(grid, &data, seed.derive("baseline"), grid_callback(watch));
    Ok(interruptible(selected)?.model)
}

impl Judging {
    /// Plays `policy` with slates of k to users who are drawn from `seed` alone.
    pub fn play<E: Environment, P: Policy>(
        &self,
        users: &E,
        policy: &P,
        k: usize,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<Played> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        for start in (0..self.sessions).step_by(CHUNK as usize) {
            going_on(watch, start, self.sessions)?;
            let sessions = start..self.sessions.min(start + CHUNK);
            let rollout = Rollout::new(seed.derive("judging"), sessions, k).max_steps(self.steps);
            outcomes.extend(rollout.outcomes(users, &Blind(policy))?);
        }
        Ok(Played::of(&outcomes))
    }
}

impl Played {
    fn of(outcomes: &[Outcome]) -> Self {
        let sum = |part: fn(&Outcome) -> f64| outcomes.iter().map(part).sum::<f64>();
        let (steps, clicks) =
            (sum(|outcome| outcome.steps.into()), sum(|outcome| outcome.clicks.into()));
        Self {
            reward: sum(|outcome| outcome.reward) / outcomes.len() as f64,
            click_rate: clicks / steps,
        }
    }
}

/// Shows progress; breaks off if that is asked for.
pub fn going_on(watch: &Watch, done: u64, total: u64) -> anyhow::Result<()> {
    watch.progress(done, total);
    if watch.interrupted() {
        bail!(Interrupted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn click_rates_are_per_step_and_rewards_per_session() {
        let outcome = |steps, clicks, reward| Outcome { steps, clicks, reward, left: false };
        let played = Played::of(&[outcome(4, 1, 2.0), outcome(1, 1, -1.0)]);
        assert_eq!(played, Played { reward: 0.5, click_rate: 0.4 });
    }
}
