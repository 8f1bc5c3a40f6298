//! The training loop of Cascading DQN (GAN-CDQN), with its settings and learning curve. It works in
//! any environment, learned or simulated, and the same seed gives the same networks bit for bit.

use candle_core::{Device, Tensor};
use foretaste_data::{Choice, ItemId, RecentClicks};
use foretaste_nn::{Adam, AdamConfig};
use foretaste_random::{Seed, Stream};
use foretaste_settings::Setting;
use foretaste_sim::{Environment, Responses, Sessions, Slates};
use foretaste_train::{Descent, Means, check_finite, descend};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::argmax::{Cascade, Chosen, Storage};
use crate::replay::{Batch, Replay};
use crate::slate_values::{SlateValues, WholeSlates};
use crate::{Epsilon, Priority, QNetworks, QPolicy, Result};

/// How Q-networks are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The optimizer of all Θ_j.
    pub optimiser: AdamConfig,
    /// Training users of an iteration, who act as one batch.
    pub users: usize,
    /// T: steps of an iteration at most.
    pub steps: usize,
    /// Exploration by iteration: with probability ε a slate is a random k-subset.
    pub epsilon: Epsilon,
    /// γ: what the return of the next step counts.
    pub discount: f64,
    /// The reward r that is learned from.
    pub reward: Reward,
    /// N: transitions that the replay memory holds.
    pub capacity: usize,
    /// Prioritised replay; `None` draws uniformly.
    pub priority: Option<Priority>,
    /// Transitions in a minibatch.
    pub batch: usize,
    /// Transitions in memory before the first update.
    pub warm_up: usize,
    /// Updates after each step of the users; the paper's algorithm has 1.
    pub updates: usize,
    /// Updates between two copies of the networks to the target networks; `None` is without target
    /// networks, as the paper's algorithm.
    pub target_every: Option<u64>,
    /// Whether the networks in training choose the next slate and the target networks value it
    /// (double Q-learning, van Hasselt et al. 2016), rather than these doing both; of no effect
    /// without target networks.
    pub double: bool,
}

/// The reward that Q-networks learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reward {
    /// The environment's: r_θ if it is a learned user.
    Environment,
    /// 1 for a click, -1 for none: GAN-RWD1.
    Click,
}

impl Default for TrainConfig {
    /// The numbers are ours, because the paper has none. Target networks and the decoupled argmax
    /// are on, prioritised replay is off.
    fn default() -> Self {
        Self {
            optimiser: AdamConfig {
                learning_rate: 3e-3,
                clip: Some(10.0),
                ..AdamConfig::default()
            },
            users: 64,
            steps: 20,
            epsilon: Epsilon { start: 1.0, end: 0.2, decay: 50 },
            discount: 0.9,
            reward: Reward::Environment,
            capacity: 20_000,
            priority: None,
            batch: 128,
            warm_up: 500,
            updates: 1,
            target_every: Some(100),
            double: true,
        }
    }
}

/// One iteration of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Iterations done, this one included.
    pub iteration: u64,
    /// Its ε.
    pub epsilon: f64,
    /// Steps per user.
    pub steps: f64,
    /// RecentClicks per step.
    pub click_rate: f64,
    /// Sum of the environment's rewards per user, exploration included.
    pub reward: f64,
    /// Mean over updates, transitions and the values that learn from one of (y - Q^j)²; `None`
    /// without an update.
    pub loss: Option<f64>,
    /// Mean over updates and transitions of the target y; `None` without an update.
    pub target: Option<f64>,
    /// Mean over updates of the gradient's Euclidean norm before clipping; `None` without an
    /// update.
    pub gradient_norm: Option<f64>,
}

/// Cascading DQN: the algorithm of GAN-CDQN, which trains [`QNetworks`] in any [`Environment`].
///
/// An iteration opens sessions for a batch of users. At each step every user is shown a random
/// k-subset with probability ε, else the cascaded argmax; the transitions go to the replay memory;
/// then, for a minibatch, every Q^j descends (y - Q^j(s, A_1..j))² towards the one target y = r + γ
/// Q^k(s', A*') that all of them share, y = r where the user left. A session that is cut at T steps
/// goes on for the target.
///
/// That is training by [`WholeSlates`]. [`SlateQ`](crate::SlateQ) chooses and values slates, and
/// learns from them, in a way of its own; the rest of the algorithm is the same.
///
/// All draws belong to an iteration, so that training resumed after one is training that was not
/// stopped, bit for bit.
#[derive(Debug)]
pub struct Trainer<V = WholeSlates> {
    pub(crate) config: TrainConfig,
    pub(crate) seed: Seed,
    pub(crate) networks: QNetworks,
    pub(crate) values: V,
    pub(crate) target: Option<QNetworks>,
    pub(crate) adam: Adam,
    pub(crate) replay: Replay,
    pub(crate) updates: u64,
    pub(crate) curve: Vec<CurvePoint>,
    /// The networks in training as of the last update, once they have been asked.
    frozen: Frozen,
    frozen_target: Frozen,
    /// Loss, target and gradient norm of the updates of the present iteration.
    means: Means<3>,
}

impl Trainer {
    /// Starts from these networks, trained or not: from those of another trainer, this is a warm
    /// start.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range.
    pub fn new(networks: QNetworks, config: TrainConfig, seed: Seed) -> Result<Self> {
        Self::by(WholeSlates, networks, config, seed)
    }
}

impl<V: SlateValues> Trainer<V> {
    pub(crate) fn by(
        values: V,
        networks: QNetworks,
        config: TrainConfig,
        seed: Seed,
    ) -> Result<Self> {
        config.check()?;
        let shape = networks.config();
        Replay::check(config.capacity, shape.k, shape.state.history())?;
        let adam = Adam::new(networks.params(), config.optimiser)?;
        let target = config.target_every.map(|_| networks.copy()).transpose()?;
        let replay = Replay::new(config.capacity, shape.k, shape.state.history(), config.priority);
        Ok(Self {
            config,
            seed,
            networks,
            values,
            target,
            adam,
            replay,
            updates: 0,
            curve: Vec::new(),
            frozen: Frozen::default(),
            frozen_target: Frozen::default(),
            means: Means::default(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The networks in training.
    pub fn networks(&self) -> &QNetworks {
        &self.networks
    }

    /// The networks as they are now as a policy, which chooses slates as the training does.
    ///
    /// # Errors
    /// What the networks return on being copied.
    pub fn policy(&self, storage: Storage) -> Result<QPolicy<V>>
    where
        V: Clone,
    {
        QPolicy::by(self.values.clone(), &self.networks, storage)
    }

    /// Every iteration done, in order.
    pub fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// Updates done.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Trains for one iteration in `environment`, which may be another than that of the last.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the catalogues differ in size;
    /// [`Error::Training`](crate::Error::Training) if a loss or a gradient is not finite; what the
    /// environment returns.
    pub fn iterate<E: Environment + ?Sized>(&mut self, environment: &E) -> Result<CurvePoint> {
        let (items, expected) = (environment.items(), self.networks.config().items);
        if items != expected {
            let problem = format!("the environment has {items}, the networks {expected}");
            return Err(Setting::new("items", problem).into());
        }
        self.means = Means::default();
        let (users, k) = (self.config.users, self.networks.config().k);
        let streams = self.draws("environment").streams(0..users as u64);
        let mut sessions = Sessions::open(environment, k, streams)?;
        let mut clicks = self.networks.no_clicks(users);
        let (mut slates_shown, mut slates_clicked, mut earned) = (0, 0, 0.0);
        for step in 0..self.config.steps {
            if sessions.rows() == 0 {
                break;
            }
            let slates = self.explore(&clicks, step)?;
            let responses = sessions.show(&slates)?;
            self.remember(&clicks, &slates, responses);
            if self.replay.len() >= self.config.warm_up {
                let mut stream = self.draws("replay").stream(step as u64);
                for _ in 0..self.config.updates {
                    self.update(&mut stream)?;
                }
            }
            slates_shown += slates.rows();
            slates_clicked +=
                responses.choice.iter().filter(|choice| choice.item().is_some()).count();
            earned += responses.reward.iter().map(|&reward| f64::from(reward)).sum::<f64>();
            clicks.observe(&responses.choice);
            if let Some(live) = sessions.drop_ended()? {
                clicks = clicks.select(&live);
            }
        }
        let [loss, target, gradient_norm] = match self.means.take() {
            Some(means) => means.map(Some),
            None => [None; 3],
        };
        let point = CurvePoint {
            iteration: self.curve.len() as u64 + 1,
            epsilon: self.epsilon(),
            steps: slates_shown as f64 / users as f64,
            click_rate: slates_clicked as f64 / slates_shown as f64,
            reward: earned / users as f64,
            loss,
            target,
            gradient_norm,
        };
        check_finite(self.networks.params(), self.updates)?;
        self.curve.push(point);
        Ok(point)
    }

    fn epsilon(&self) -> f64 {
        self.config.epsilon.at(self.curve.len() as u64)
    }

    /// The seed of one kind of draws of the present iteration.
    fn draws(&self, kind: &str) -> Seed {
        self.seed.derive("training").index(self.curve.len() as u64).derive(kind)
    }

    /// A random k-subset with probability ε, else the best slate, for users with these clicks.
    fn explore(&mut self, clicks: &RecentClicks, step: usize) -> Result<Slates> {
        let (items, k, epsilon) =
            (self.networks.config().items, self.networks.config().k, self.epsilon());
        let mut stream = self.draws("exploration").stream(step as u64);
        let mut explore = |_: usize| {
            stream
                .random_bool(epsilon)
                .then(|| rand::seq::index::sample(&mut stream, items, k).into_vec())
        };
        let explored: Vec<Option<Vec<usize>>> = (0..clicks.rows()).map(&mut explore).collect();
        let greedy: Vec<usize> =
            (0..clicks.rows()).filter(|&row| explored[row].is_none()).collect();
        let best = match greedy.is_empty() {
            true => Vec::new(),
            false => {
                let clicks = clicks.select(&greedy);
                best(&self.values, &self.networks, &mut self.frozen, &clicks)?.items
            }
        };
        let (mut slates, mut best) = (Slates::with_k(k), best.chunks_exact(k));
        for explored in explored {
            match (explored, &mut best) {
                (Some(items), _) => {
                    let items: Vec<ItemId> =
                        items.into_iter().map(|item| ItemId(item as u32)).collect();
                    slates.push(&items, None);
                }
                (None, best) => slates.push(best.next().unwrap_or_default(), None),
            }
        }
        Ok(slates)
    }

    /// Puts the transitions of a step that teach anything in the replay memory; `clicks` are those
    /// before.
    fn remember(&mut self, clicks: &RecentClicks, slates: &Slates, responses: &Responses) {
        for (row, choice) in responses.choice.iter().enumerate() {
            if !self.values.learns_from(*choice) {
                continue;
            }
            let reward = match (self.config.reward, choice) {
                (Reward::Environment, _) => responses.reward[row],
                (Reward::Click, Choice::Item(_)) => 1.0,
                (Reward::Click, _) => -1.0,
            };
            self.replay.push(clicks, row, slates.row(row), *choice, reward, responses.ended[row]);
        }
    }

    /// One step of every Θ_j on a minibatch.
    fn update(&mut self, stream: &mut Stream) -> Result<()> {
        let batch = self.replay.sample(self.config.batch, stream);
        let targets = self.targets(&batch)?;
        let mean_target = targets.iter().map(|&y| f64::from(y)).sum::<f64>() / targets.len() as f64;
        let column =
            |values: Vec<f32>| Tensor::from_vec(values, (self.config.batch, 1), &Device::Cpu);
        let (targets, weights) = (column(targets)?, column(batch.weights)?);
        let states = self.networks.states(&batch.before)?;
        let values = self.values.learning(&self.networks, &states, &batch.slates, &batch.chosen)?;
        let (_, learning) = values.dims2()?;
        let errors = values.broadcast_sub(&targets)?;
        // Each stage has a loss of its own; what the stages share descends their sum.
        let loss = errors.sqr()?.broadcast_mul(&weights)?.mean(0)?.sum_all()?;
        let Descent { loss, gradient_norm } = descend(&mut self.adam, &loss)?;
        if self.config.priority.is_some() {
            let errors = errors.detach().abs()?.mean(1)?.to_vec1::<f32>()?;
            self.replay.reprioritise(&batch.indices, &errors);
        }
        self.updates += 1;
        self.frozen.current = false;
        if let (Some(every), Some(target)) = (self.config.target_every, &self.target)
            && self.updates.is_multiple_of(every)
        {
            target.params().restore(&self.networks.params().snapshot()?)?;
            self.frozen_target.current = false;
        }
        self.means.add([loss / learning as f64, mean_target, gradient_norm]);
        Ok(())
    }

    /// y of every transition.
    pub(crate) fn targets(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let values = &self.values;
        let next = match &self.target {
            Some(target) if self.config.double => {
                let slates = best(values, &self.networks, &mut self.frozen, &batch.after)?.items;
                values.worth(target, &target.states(&batch.after)?, &batch.after, &slates)?
            }
            Some(target) => best(values, target, &mut self.frozen_target, &batch.after)?.values,
            None => best(values, &self.networks, &mut self.frozen, &batch.after)?.values,
        };
        let discount = self.config.discount as f32;
        let target = |((reward, ended), next): ((&f32, &bool), &f32)| {
            if *ended { *reward } else { reward + discount * next }
        };
        Ok(batch.rewards.iter().zip(&batch.ended).zip(&next).map(target).collect())
    }
}

/// The best slates by `networks`, whose item halves are computed if they are not known.
fn best<V: SlateValues>(
    values: &V,
    networks: &QNetworks,
    frozen: &mut Frozen,
    clicks: &RecentClicks,
) -> Result<Chosen> {
    values.best(frozen.of(networks)?, &networks.states(clicks)?, clicks, None)
}

/// Frozen networks, in memory that stays when their parameters change.
#[derive(Debug, Default)]
struct Frozen {
    cascade: Option<Cascade>,
    /// Whether they have the parameters that the networks have now.
    current: bool,
}

impl Frozen {
    /// These networks, frozen.
    fn of(&mut self, networks: &QNetworks) -> Result<&Cascade> {
        let cascade = match self.cascade.take() {
            Some(cascade) if self.current => cascade,
            Some(mut cascade) => {
                networks.renew(&mut cascade)?;
                cascade
            }
            None => networks.freeze(Storage::Single)?,
        };
        self.current = true;
        Ok(self.cascade.insert(cascade))
    }
}

impl TrainConfig {
    fn check(&self) -> Result<()> {
        let fail = |problem: String| Err(Setting::new("training", problem).into());
        let counts =
            [self.users, self.steps, self.capacity, self.batch, self.updates, self.warm_up];
        if counts.contains(&0) || self.target_every == Some(0) {
            let expected = "users, steps, sizes and periods of at least 1";
            return Err(Setting::of("training", self, expected).into());
        }
        if self.warm_up > self.capacity {
            return fail(format!(
                "a memory of {} transitions never holds the {} of the warm-up",
                self.capacity, self.warm_up
            ));
        }
        let fine = |Priority { alpha, beta }: Priority| {
            (0.0..=1.0).contains(&alpha) && (0.0..=1.0).contains(&beta)
        };
        if !(0.0..=1.0).contains(&self.discount) || !self.priority.is_none_or(fine) {
            let found = (self.discount, self.priority);
            return Err(Setting::of("discount and priority", &found, "numbers in [0, 1]").into());
        }
        self.epsilon.check()
    }
}
