//! What learned users predict for policies. It is shown next to the log's estimate and is no
//! evidence for it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use candle_core::Device;
use comfy_table::Table;
use foretaste_data::{Catalogue, Origin};
use foretaste_eval::interval::{Method, student_t};
use foretaste_eval::text::significant;
use foretaste_eval::{Estimate, Interval};
use foretaste_random::Seed;
use foretaste_recommender::{Recommender, Users, UsersEnvironment};
use foretaste_sim::{Outcome, Rollout};
use serde_json::{Value, json};

use super::page::{interval, signed};
use crate::policy::PolicySpec;
use crate::progress::Progress;
use crate::saved;
use crate::simulate::CHUNK;
use crate::simulate::player::Player;
use crate::users::{self, LEARNED_IN, check_known};

/// Learned users with which policies are simulated.
pub struct Simulated {
    path: PathBuf,
    users: Users,
    digest: String,
    environment: UsersEnvironment,
    sessions: u64,
    seed: Seed,
}

/// How the sessions are that are played.
#[derive(Clone, Copy)]
pub struct Length {
    /// Items on a slate: as most of the judged slates have.
    pub k: usize,
    /// Slates after which a session is cut.
    pub max_steps: usize,
}

/// What users made of a policy.
pub struct Played {
    /// The reward of a slate, in the log's unit.
    slate: Estimate,
    /// The same of a session.
    session: Estimate,
    /// Slates of a session, on average.
    slates: f64,
    /// Whether it was trained in these very users, who then flatter it.
    trained_in_them: bool,
}

/// What is said of a policy, or why nothing is.
pub type Word = Result<Played, String>;

impl Simulated {
    /// The users at `path`, with which each policy is simulated for so many sessions.
    ///
    /// # Errors
    /// Where they do not say what they learned from, or what they pay.
    pub fn load(path: &Path, sessions: u64, seed: u64, device: &Device) -> anyhow::Result<Self> {
        let users = saved::users(path, device)?;
        users::origin(&users, path)?;
        let environment = users.environment()?;
        let seed = Seed::new(seed).derive("learned users");
        let (path, digest) = (path.to_owned(), users::digest(path)?);
        Ok(Self { path, users, digest, environment, sessions, seed })
    }

    /// What they are called.
    pub fn name(&self) -> String {
        format!("the users {}", self.path.display())
    }

    /// What they learned from.
    pub fn origin(&self) -> anyhow::Result<&Origin> {
        users::origin(&self.users, &self.path)
    }

    /// Slates of `k` items in sessions that are no longer than those that they learned from.
    pub fn length(&self, k: usize) -> Length {
        Length { k, max_steps: users::longest_session(&self.users) }
    }

    /// Sessions that are played with each policy.
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// Refuses items that they do not know.
    ///
    /// # Errors
    /// With the first of these.
    pub fn check(&self, items: &Catalogue, whose: &str) -> anyhow::Result<()> {
        check_known(items, self.users.catalogue(), whose)
    }

    /// Simulates a recommender of ours, in the same sessions as every policy.
    ///
    /// # Errors
    /// Where it knows items that they do not, or does not show slates of this length.
    pub fn play(
        &self,
        called: &str,
        spec: &PolicySpec,
        recommender: &Recommender,
        length: Length,
        shown: Progress,
    ) -> anyhow::Result<Played> {
        let Length { k, max_steps } = length;
        self.check(recommender.catalogue(), called)?;
        if k > recommender.catalogue().len() {
            bail!("{called} knows fewer items than the {k} of the log's most common slate size");
        }
        let stop = AtomicBool::new(false);
        let actor = recommender.acting(spec.acting)?;
        let player = Player::new(actor, self.users.catalogue(), &stop, shown);
        let rollout =
            Rollout::new(self.seed, 0..self.sessions, k).max_steps(max_steps).chunk(CHUNK);
        let outcomes = rollout.outcomes(&self.environment, &player);
        player.end();
        let outcomes = outcomes.with_context(|| {
            format!("cannot simulate {called} with the users {}", self.path.display())
        })?;
        let learned_in = recommender.origin().and_then(|of| of.settings.get(LEARNED_IN)?.as_str());
        Played::of(&outcomes, learned_in == Some(&self.digest))
    }

    /// The word on every policy, which is headed as what it is.
    pub fn section(
        &self,
        words: &[(&str, &Word)],
        length: Length,
        logger: &Estimate,
    ) -> Vec<String> {
        let mut table = super::page::table();
        table.set_header([
            "policy",
            "reward a slate",
            "minus the logger's, logged",
            "reward a session",
            "slates a session",
        ]);
        let mut lines = vec![format!(
            "simulated with the learned users {}, which is not evidence and does not change a \
             verdict: {} sessions with each policy, slates of {}, cut after {}",
            self.path.display(),
            self.sessions,
            length.k,
            length.max_steps
        )];
        let (mut silent, mut flattered) = (Vec::new(), Vec::new());
        for (name, word) in words {
            match word {
                Ok(played) => {
                    played.row(name, logger, &mut table);
                    flattered.extend(played.trained_in_them.then_some(*name));
                }
                Err(why) => silent.push(format!("{name}: {why}")),
            }
        }
        if table.row_count() > 0 {
            lines.push(table.to_string());
        }
        lines.extend(silent);
        if !flattered.is_empty() {
            lines.push(format!(
                "trained with these same users, so its simulated figures are too good: {}",
                flattered.join(", ")
            ));
        }
        lines
    }
}

impl Played {
    /// Of independent sessions. The reward of a slate is a ratio of sums, whose interval is that of
    /// its linear terms.
    fn of(outcomes: &[Outcome], trained_in_them: bool) -> anyhow::Result<Self> {
        let count = outcomes.len() as f64;
        let rewards: Vec<f64> = outcomes.iter().map(|outcome| outcome.reward).collect();
        let slates = outcomes.iter().map(|outcome| f64::from(outcome.steps)).sum::<f64>() / count;
        let ratio = rewards.iter().sum::<f64>() / count / slates;
        let term = |of: &Outcome| ratio + (of.reward - ratio * f64::from(of.steps)) / slates;
        let terms: Vec<f64> = outcomes.iter().map(term).collect();
        let (slate, session) = (student_t(&terms)?, student_t(&rewards)?);
        Ok(Self { slate, session, slates, trained_in_them })
    }

    /// The reward of a slate less what the logger earned, whose sessions are others.
    fn difference(&self, logger: &Estimate) -> Estimate {
        let mean = self.slate.mean - logger.mean;
        let half = |of: &Estimate| of.interval.map(|of| (of.high - of.low) / 2.0);
        let interval = half(&self.slate).and_then(|own| {
            let half = own.hypot(half(logger)?);
            Ok(Interval { low: mean - half, high: mean + half, method: Method::StudentT })
        });
        Estimate { mean, n: self.slate.n, interval }
    }

    fn row(&self, name: &str, logger: &Estimate, table: &mut Table) {
        table.add_row([
            name.to_owned(),
            self.slate.to_string(),
            signed(&self.difference(logger)),
            self.session.to_string(),
            significant(self.slates, 3),
        ]);
    }
}

/// The same as an object.
pub fn json(word: &Word, length: Length, logger: &Estimate) -> Value {
    match word {
        Err(why) => json!({ "reason": why }),
        Ok(played) => {
            let difference = played.difference(logger);
            json!({
                "sessions": played.session.n,
                "slate": length.k,
                "max_steps": length.max_steps,
                "reward_per_slate": played.slate.mean,
                "interval": interval(&played.slate),
                "less_the_logger": difference.mean,
                "interval_of_difference": interval(&difference),
                "reward_per_session": played.session.mean,
                "interval_of_session": interval(&played.session),
                "slates_per_session": played.slates,
                "trained_in_them": played.trained_in_them,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: two sessions, of one slate that earns 1 and of three that earn 1 together. R = 2/4,
    /// the terms are .5 + (1 - .5) / 2 and .5 + (1 - 1.5) / 2: their deviation is √2/4, so the
    /// error is 1/4, and Student's quantile of one degree of freedom 12.706.
    #[test]
    fn a_slate_earns_the_ratio_of_sums_with_the_error_of_its_linear_terms() {
        let outcome = |steps| Outcome { steps, clicks: 1, reward: 1.0, left: true };
        let played = Played::of(&[outcome(1), outcome(3)], false).unwrap();
        assert_eq!((played.slate.mean, played.session.mean, played.slates), (0.5, 1.0, 2.0));
        let half = played.slate.half_width().unwrap();
        assert!((half - 12.706_204_7 / 4.0).abs() < 1e-6, "{half}");
        let interval = Ok(Interval { low: 0.0, high: 2.0 * half, method: Method::StudentT });
        let difference = played.difference(&Estimate { mean: 0.75, n: 9, interval });
        let Interval { low, high, .. } = difference.interval.unwrap();
        assert_eq!(difference.mean, -0.25);
        assert!(((high - low) / 2.0 - half * 2f64.sqrt()).abs() < 1e-9);
    }
}
