//! Sessions of a policy in an environment, one step at a time, with branches from any step. Streams
//! are assigned to sessions here, so a session does not depend on its batch.

use std::ops::Range;

use foretaste_random::{Seed, Stream};
use rand::RngCore;

use crate::{Environment, Privileged, Responses, Result, Sessions, Slates};

/// Sessions that a policy and an environment advance together, step by step: what every rollout,
/// evaluation and Monte-Carlo branch runs on.
///
/// Environment and policy draw from separate streams of each session, so that two policies under
/// one seed are simulated with the same users. Sessions that ended are dropped from the batch
/// before the next step.
///
/// ```
/// use foretaste_random::Seed;
/// use foretaste_sim::{Blind, Mdp, MdpConfig, Population, policies::UniformRandom};
///
/// let mdp = Mdp::new(&MdpConfig::default())?;
/// let policy = Blind(UniformRandom { items: 50 });
/// let mut population = Population::begin(&mdp, &policy, 10, Seed::new(1), 0..100)?;
/// population.step()?;
/// let survivors = population.rows().len();
/// // Four futures for each session that is still there, from the present states, without replaying what led to them.
/// let mut futures = population.branch(4, Seed::new(1).derive("futures"), 1)?;
/// assert_eq!(futures.rows().len(), 4 * survivors);
/// futures.step()?;
/// # Ok::<(), foretaste_sim::Error>(())
/// ```
pub struct Population<'a, E: Environment + ?Sized, P: Privileged<E> + ?Sized> {
    policy: &'a P,
    k: usize,
    /// The number of each session that the population began with.
    numbers: Vec<u64>,
    rows: Vec<usize>,
    shown: Vec<usize>,
    sessions: Sessions<'a, E>,
    memory: P::Memory,
    streams: Vec<Stream>,
    slates: Slates,
}

/// What happened in one step of a [`Population`]: entry `i` of each part belongs to the session
/// that began as row `rows[i]`.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The sessions that took the step, as their row when the population began, each once and in no
    /// particular order.
    pub rows: &'a [usize],
    /// What they were shown.
    pub slates: &'a Slates,
    /// What they did.
    pub responses: &'a Responses,
}

/// Observes the steps of a population.
pub trait Observer: Send {
    /// Takes note of one step.
    ///
    /// # Errors
    /// Whatever stops the rollout.
    fn observe(&mut self, moment: Moment<'_>) -> Result<()>;
}

impl<'a, E: Environment + ?Sized, P: Privileged<E> + ?Sized> Population<'a, E, P> {
    /// Opens the given sessions; each will be shown slates of `k` items. Session `i` draws from
    /// stream `i` of the children `environment` and `policy` of `seed`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if `k` is 0 or exceeds the catalogue; what the
    /// environment or the policy returns.
    pub fn begin(
        environment: &'a E,
        policy: &'a P,
        k: usize,
        seed: Seed,
        sessions: Range<u64>,
    ) -> Result<Self> {
        let streams = |side: &str| seed.derive(side).streams(sessions.clone());
        let numbers: Vec<u64> = sessions.clone().collect();
        Ok(Self {
            policy,
            k,
            rows: (0..numbers.len()).collect(),
            shown: Vec::new(),
            sessions: Sessions::open(environment, k, streams(ENVIRONMENT))?,
            memory: policy.begin(numbers.len())?,
            numbers,
            streams: streams(POLICY),
            slates: Slates::with_k(k),
        })
    }

    /// Number of items on each slate.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The sessions that go on, as their row when the population began, each once and in no
    /// particular order.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The users' state, one row per entry of [`rows`](Self::rows).
    pub fn state(&self) -> &E::State {
        self.sessions.state()
    }

    /// Shows every session one slate, takes the answers, and drops the sessions that ended.
    ///
    /// # Errors
    /// As [`Sessions::show`]; what the policy returns. The population is of no further use then.
    pub fn step(&mut self) -> Result<Moment<'_>> {
        let (slates, state) = (&mut self.slates, self.sessions.state());
        self.policy.recommend(&self.memory, state, self.k, &mut self.streams, slates)?;
        let responses = self.sessions.show(slates)?;
        self.policy.observe(&mut self.memory, slates, responses)?;
        self.shown.clone_from(&self.rows);
        self.drop_ended()?;
        Ok(Moment { rows: &self.shown, slates: &self.slates, responses: self.sessions.responses() })
    }

    /// `branches` independent futures of every session that goes on, from its present state, as one
    /// population: row `i · branches + b` is future `b` of the session at entry `i` of
    /// [`rows`](Self::rows).
    ///
    /// `time` tells apart the branchings of one session: future `b` of session `s` draws from
    /// stream `s` under `seed.index(b).index(time)`. A future is a session of its own, should it be
    /// branched again: its number is the first word of stream `s` of the child `session`.
    ///
    /// # Errors
    /// What the environment or the policy returns on copying rows.
    pub fn branch(&self, branches: usize, seed: Seed, time: u64) -> Result<Population<'a, E, P>> {
        let copies: Vec<usize> =
            (0..self.rows.len()).flat_map(|row| std::iter::repeat_n(row, branches)).collect();
        let open = |part: &str| -> Vec<Stream> {
            let seeds: Vec<Seed> = (0..branches)
                .map(|branch| seed.index(branch as u64).index(time).derive(part))
                .collect();
            let numbers = self.rows.iter().map(|&row| self.numbers[row]);
            numbers.flat_map(|number| seeds.iter().map(move |seed| seed.stream(number))).collect()
        };
        Ok(Population {
            policy: self.policy,
            k: self.k,
            numbers: open(SESSION).iter_mut().map(|stream| stream.next_u64()).collect(),
            rows: (0..copies.len()).collect(),
            shown: Vec::new(),
            sessions: self.sessions.copies(&copies, open(ENVIRONMENT))?,
            memory: self.policy.select(&self.memory, &copies)?,
            streams: open(POLICY),
            slates: Slates::with_k(self.k),
        })
    }

    /// Fills the places of ended sessions from the end of the batch, so that the fewest rows move.
    fn drop_ended(&mut self) -> Result<()> {
        let ended = &self.sessions.responses().ended;
        let live = ended.iter().filter(|ended| !**ended).count();
        if live == ended.len() {
            return Ok(());
        }
        let mut tail = (live..ended.len()).filter(|&entry| !ended[entry]);
        let kept: Vec<usize> = (0..live)
            .filter_map(|entry| if ended[entry] { tail.next() } else { Some(entry) })
            .collect();
        self.sessions.keep(&kept)?;
        self.memory = self.policy.select(&self.memory, &kept)?;
        for (to, &from) in kept.iter().enumerate().filter(|(to, from)| to != *from) {
            self.rows[to] = self.rows[from];
            self.streams.swap(to, from);
        }
        self.rows.truncate(live);
        self.streams.truncate(live);
        Ok(())
    }
}

const ENVIRONMENT: &str = "environment";
const POLICY: &str = "policy";
const SESSION: &str = "session";
