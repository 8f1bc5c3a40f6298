//! LinUCB as far as it learned.

use std::iter;
use std::path::Path;

use foretaste_cascade_dqn::{LinUcb, LinUcbConfig};
use foretaste_data::Provenance;
use foretaste_random::Seed;
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Kind;
use crate::content::check_items;
use crate::in_users::{self, Learner, LearningInUsers};
use crate::training::{Effort, Job, Trained, Training, TrainingLog, Watch, check_kept};
use crate::{Content, Erased, Error, Recommender, Result, UsersEnvironment};

pub(super) const KIND: Kind = Kind {
    name: "linucb",
    model: "linucb/1",
    networks: &[],
    build: |content, catalogue, _| {
        check_items(content.settings::<Settings>()?.items, catalogue)?;
        let policy = of(content)?;
        Ok(Box::new(Erased::certain(policy).by_scores(|policy, clicks| Ok(policy.scores(clicks)))))
    },
    training: Some(Training {
        about: "a linear bandit that explores in learned users",
        takes: &["users", "iterations", "k", "epochs"],
        learns: true,
        settings,
        train,
    }),
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    config: LinUcbConfig,
    k: usize,
    items: usize,
}

impl Content {
    /// LinUCB as it is now. Its slates are as long as it was made for, and it learns no more.
    pub fn lin_ucb(policy: &LinUcb) -> Result<Self> {
        let settings = Settings { config: policy.config(), k: policy.k(), items: policy.items() };
        Self::new(KIND.name, settings, policy.tensors()?)
    }
}

fn of(content: &Content) -> Result<LinUcb> {
    let Settings { config, k, items } = content.settings()?;
    Ok(LinUcb::from_tensors(config, k, items, &content.weights)?)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Learning {
    config: LinUcbConfig,
    k: usize,
    /// Item features in addition to how often the log's users click an item: one-hot vectors under
    /// a projection to so many dimensions by random signs.
    features: usize,
    /// Users of an iteration.
    acting: usize,
    /// Steps of an iteration.
    steps: usize,
    in_users: LearningInUsers,
}

/// As much experience as Q-networks have.
fn settings(log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
    let k = in_users::slate(log, effort);
    let learning = Learning {
        config: LinUcbConfig::default(),
        k,
        features: 8,
        acting: 64,
        steps: in_users::steps(log),
        in_users: LearningInUsers::new(log, effort, k),
    };
    serde_json::to_value(learning).map_err(|reason| Error::setting("settings", reason))
}

/// A bandit on its way.
struct Bandit<'a> {
    policy: LinUcb,
    learning: &'a Learning,
    done: u64,
    seed: Seed,
    job: &'a Job<'a>,
}

fn train(log: &TrainingLog<'_>, job: &Job<'_>, watch: &mut dyn Watch) -> Result<Trained> {
    let learning: Learning = job.settings()?;
    let (items, seed) = (log.dataset.catalogue.len(), Seed::new(job.seed));
    let bandit = |policy, done| Bandit { policy, learning: &learning, done, seed, job };
    let start = || {
        let Learning { config, k, features, .. } = learning;
        let mut stream = seed.derive("LinUCB features").stream(0);
        let entry = 1.0 / (features as f32).sqrt();
        let mut feature = || if stream.random::<bool>() { entry } else { -entry };
        let rates = in_users::log_rates(log).into_iter();
        let features: Vec<f32> = rates
            .flat_map(|rate| {
                iter::once(rate).chain((0..features).map(|_| feature())).collect::<Vec<_>>()
            })
            .collect();
        Ok(bandit(LinUcb::new(config, k, items, &features)?, 0))
    };
    let resume = |folder: &Path| {
        let content = Recommender::load(folder, job.device)?.into_content();
        let policy = of(&content)?;
        check_kept(&(policy.config(), policy.k()), &(learning.config, learning.k))?;
        Ok(bandit(policy, content.iterations))
    };
    learning.in_users.train((log, job), watch, start, resume)
}

impl Learner for Bandit<'_> {
    fn done(&self) -> u64 {
        self.done
    }

    fn iterate(&mut self, users: &UsersEnvironment) -> Result<()> {
        let seed = self.seed.derive("LinUCB").index(self.done);
        self.policy.learn(users, self.learning.acting, self.learning.steps, seed)?;
        self.done += 1;
        Ok(())
    }

    fn content(&self) -> Result<Content> {
        Ok(Content::lin_ucb(&self.policy)?.after(self.done))
    }

    fn save(&self, place: &Path, provenance: Provenance<'_>) -> Result<()> {
        Recommender::new(self.content()?, provenance, self.job.device)?.save(place)
    }
}
