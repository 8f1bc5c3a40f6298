//! Whole sessions in parallel: populations cut into chunks, whose results do not depend on the
//! chunks or the number of threads.

use std::ops::Range;

use foretaste_data::Log;
use foretaste_random::Seed;
use foretaste_settings::Setting;
use rayon::prelude::*;

use crate::tape::{Tape, join};
use crate::{Environment, Moment, Observer, Population, Privileged, Result};

/// Whole sessions of a policy in an environment, in parallel over chunks of sessions.
///
/// The result depends on the seed, the sessions, `k` and `max_steps` alone: not on the threads, not
/// on `chunk`, and a session run alone is the session that it is among a million others, as long as
/// no row of the environment or the policy depends on its batch (a neural network's may, in the
/// last bits).
///
/// ```
/// use foretaste_random::Seed;
/// use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout, policies::UniformRandom};
///
/// let (mdp, policy) = (Mdp::new(&MdpConfig::default())?, Blind(UniformRandom { items: 50 }));
/// let rollout = Rollout::new(Seed::new(7), 0..1_000, 10).max_steps(20);
/// let log = rollout.run(&mdp, &policy)?;
/// assert_eq!(log.sessions(), 1_000);
/// let clicks: u32 = rollout.outcomes(&mdp, &policy)?.iter().map(|outcome| outcome.clicks).sum();
/// assert_eq!(clicks as usize, log.iter().flat_map(|session| session.clicks()).count());
/// # Ok::<(), foretaste_sim::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    seed: Seed,
    sessions: Range<u64>,
    k: usize,
    max_steps: usize,
    chunk: usize,
}

/// What became of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Number of steps, the one on which the user left among them.
    pub steps: u32,
    /// Number of steps on which an item was chosen.
    pub clicks: u32,
    /// Sum of the rewards.
    pub reward: f64,
    /// Whether the user left; false if the session was cut.
    pub left: bool,
}

impl Rollout {
    /// The given sessions with slates of `k` items, cut at 1,000 steps, in chunks of 1,024. Users
    /// and policy draw from `seed`, session `i` from stream `i`.
    pub fn new(seed: Seed, sessions: Range<u64>, k: usize) -> Self {
        Self { seed, sessions, k, max_steps: 1_000, chunk: 1_024 }
    }

    /// The sessions that are run.
    pub fn sessions(&self) -> Range<u64> {
        self.sessions.clone()
    }

    /// Number of items on each slate.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Cuts sessions that are longer than this: they end without
    /// [`Choice::Leave`](foretaste_data::Choice::Leave).
    #[must_use]
    pub fn max_steps(self, max_steps: usize) -> Self {
        Self { max_steps, ..self }
    }

    /// Advances so many sessions as one batch. The default is small enough for the streams and the
    /// steps of a chunk to stay in the L2 cache; a neural environment wants larger batches.
    #[must_use]
    pub fn chunk(self, chunk: usize) -> Self {
        Self { chunk, ..self }
    }

    /// Runs the sessions and keeps their log.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if `k`, `max_steps` or `chunk` is 0 or `k` exceeds
    /// the catalogue; what environment and policy return.
    pub fn run<E: Environment + ?Sized, P: Privileged<E> + ?Sized>(
        &self,
        environment: &E,
        policy: &P,
    ) -> Result<Log> {
        join(self.fold(environment, policy, |sessions| Tape::new(sessions, self.k))?)
    }

    /// Runs the sessions and keeps, in order, what became of each.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn outcomes<E: Environment + ?Sized, P: Privileged<E> + ?Sized>(
        &self,
        environment: &E,
        policy: &P,
    ) -> Result<Vec<Outcome>> {
        Ok(self.fold(environment, policy, |sessions| vec![Outcome::default(); sessions])?.concat())
    }

    /// Runs the sessions under one observer per chunk, which `open` makes from the chunk's number
    /// of sessions; returns the observers in the order of the sessions.
    ///
    /// # Errors
    /// As [`run`](Self::run), and what an observer returns.
    pub fn fold<E: Environment + ?Sized, P: Privileged<E> + ?Sized, O: Observer>(
        &self,
        environment: &E,
        policy: &P,
        open: impl Fn(usize) -> O + Sync,
    ) -> Result<Vec<O>> {
        for (what, value) in [("max_steps", self.max_steps), ("chunk", self.chunk)] {
            if value == 0 {
                return Err(Setting::new(what, "0: at least 1 is needed").into());
            }
        }
        let starts: Vec<u64> = self.sessions.clone().step_by(self.chunk).collect();
        let run = |&start: &u64| {
            let end = self.sessions.end.min(start.saturating_add(self.chunk as u64));
            let mut observer = open((end - start) as usize);
            Population::begin(environment, policy, self.k, self.seed, start..end)?
                .run(self.max_steps, &mut observer)?;
            Ok(observer)
        };
        starts.par_iter().map(run).collect()
    }
}

impl<E: Environment + ?Sized, P: Privileged<E> + ?Sized> Population<'_, E, P> {
    /// Steps until every session has ended, at most `max_steps` times.
    ///
    /// # Errors
    /// As [`step`](Self::step), and what the observer returns.
    pub fn run(&mut self, max_steps: usize, observer: &mut impl Observer) -> Result<()> {
        for _ in 0..max_steps {
            if self.rows().is_empty() {
                break;
            }
            observer.observe(self.step()?)?;
        }
        Ok(())
    }

    /// Runs as [`run`](Self::run) does and returns the steps from here on as a log of one session
    /// per present row.
    ///
    /// # Errors
    /// As [`step`](Self::step); [`Error::Setting`](crate::Error::Setting) if `max_steps` is 0.
    pub fn log(&mut self, max_steps: usize) -> Result<Log> {
        if max_steps == 0 {
            return Err(Setting::new("max_steps", "0: at least 1 is needed").into());
        }
        let mut tape = Tape::of(self.rows(), self.k());
        self.run(max_steps, &mut tape)?;
        join(vec![tape])
    }
}

impl Observer for Vec<Outcome> {
    fn observe(&mut self, moment: Moment<'_>) -> Result<()> {
        let Moment { rows, responses, .. } = moment;
        for (entry, &row) in rows.iter().enumerate() {
            let outcome = &mut self[row];
            outcome.steps += 1;
            outcome.clicks += u32::from(responses.choice[entry].item().is_some());
            outcome.reward += f64::from(responses.reward[entry]);
            outcome.left = responses.ended[entry];
        }
        Ok(())
    }
}
