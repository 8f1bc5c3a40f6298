//! Which iteration's recommender is kept: the one that earns most in the users.

use candle_core::Device;
use foretaste_data::Provenance;
use foretaste_eval::Estimate;
use foretaste_eval::interval::{paired_difference, student_t};
use foretaste_random::Seed;
use foretaste_sim::{Blind, Rollout};
use serde::{Deserialize, Serialize};

use crate::training::{Earned, TrainingLog};
use crate::{Content, Recommender, Result, UsersEnvironment};

/// How recommenders are compared that learn in users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Validation {
    /// Iterations between two validations; the last iteration has one too.
    every: u64,
    /// Validations in a row without a new best after which training ends.
    patience: u64,
    /// Sessions of users that judge a recommender, the same ones each time.
    sessions: u64,
    /// Items on a slate.
    k: usize,
    /// Slates after which a session is cut.
    max_steps: usize,
}

/// A recommender that was validated.
#[derive(Clone, Debug)]
pub(crate) struct Validated {
    pub content: Content,
    /// What it earned in each of the sessions.
    rewards: Vec<f64>,
}

/// Sessions that a batch of the users answers at once.
const CHUNK: usize = 256;

impl Validation {
    pub fn new(k: usize, max_steps: usize) -> Self {
        Self { every: 10, patience: 10, sessions: 512, k, max_steps }
    }

    /// Whether one is due after `done` of so many iterations.
    pub fn is_due(&self, done: u64, iterations: u64) -> bool {
        done > 0 && (done == iterations || done.is_multiple_of(self.every))
    }

    /// Whether nothing better has come for long.
    pub fn is_enough(&self, done: u64, best: &Validated) -> bool {
        done.saturating_sub(best.content.iterations) >= self.patience.saturating_mul(self.every)
    }

    /// Simulates a recommender with the users.
    pub fn of(
        &self,
        content: Content,
        users: &UsersEnvironment,
        provenance: Provenance<'_>,
        (seed, device): (Seed, &Device),
    ) -> Result<Validated> {
        let policy = Recommender::new(content.clone(), provenance, device)?;
        let rollout = Rollout::new(seed.derive("validation in users"), 0..self.sessions, self.k)
            .max_steps(self.max_steps)
            .chunk(CHUNK);
        let outcomes = rollout.outcomes(users, &Blind(&policy))?;
        let rewards = outcomes.iter().map(|outcome| outcome.reward).collect();
        Ok(Validated { content, rewards })
    }

    /// What the best recommender earned compared with those that know nothing of the users.
    pub fn earned(
        &self,
        best: &Validated,
        users: &UsersEnvironment,
        log: &TrainingLog<'_>,
        (seed, device): (Seed, &Device),
    ) -> Result<Earned> {
        let provenance = Provenance::from(&log.dataset.catalogue);
        let mut clicks = vec![0.0; log.dataset.catalogue.len()];
        let chosen = log.steps().filter_map(|step| step.choice.item());
        chosen.for_each(|item| clicks[item.index()] += 1.0);
        let less = |content: Content| -> Result<Estimate> {
            let other = self.of(content, users, provenance, (seed, device))?;
            Ok(paired_difference(&best.rewards, &other.rewards)?)
        };
        Ok(Earned {
            session: student_t(&best.rewards)?,
            less_uniform: less(Content::random()?)?,
            less_popular: less(Content::top_items(clicks)?)?,
        })
    }
}

impl Validated {
    /// On average over the sessions.
    pub fn reward(&self) -> f64 {
        self.rewards.iter().sum::<f64>() / self.rewards.len() as f64
    }
}
