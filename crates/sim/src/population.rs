use std::ops::Range;

use foretaste_data::ItemId;
use foretaste_random::{Seed, Stream};
use rand::RngCore;

use crate::{Environment, Error, Policy, Responses, Result, Slates};

/// Sessions that a policy and an environment advance together, step by step: what every rollout,
/// evaluation and Monte-Carlo branch runs on.
///
/// Environment and policy draw from separate streams of each session, so that two policies under
/// one seed meet the same users. Sessions that ended are dropped from the batch before the next
/// step.
///
/// ```
/// use foretaste_random::Seed;
/// use foretaste_sim::{Mdp, MdpConfig, Population, policies::UniformRandom};
///
/// let mdp = Mdp::new(&MdpConfig::default())?;
/// let mut population = Population::begin(&mdp, &UniformRandom { items: 50 }, 10, Seed::new(1), 0..100)?;
/// population.step()?;
/// let survivors = population.rows().len();
/// // Four futures for each session that is still there, from the present states, without replaying what led to them.
/// let mut futures = population.branch(4, Seed::new(1).derive("futures"), 1)?;
/// assert_eq!(futures.rows().len(), 4 * survivors);
/// futures.step()?;
/// # Ok::<(), foretaste_sim::Error>(())
/// ```
pub struct Population<'a, E: Environment + ?Sized, P: Policy<E> + ?Sized> {
    environment: &'a E,
    policy: &'a P,
    k: usize,
    sessions: Vec<u64>,
    rows: Vec<usize>,
    shown: Vec<usize>,
    state: E::State,
    memory: P::Memory,
    environment_streams: Vec<Stream>,
    policy_streams: Vec<Stream>,
    slates: Slates,
    responses: Responses,
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

impl<'a, E: Environment + ?Sized, P: Policy<E> + ?Sized> Population<'a, E, P> {
    /// Opens the given sessions; each will be shown slates of `k` items. Session `i` draws from
    /// stream `i` of the children `environment` and `policy` of `seed`.
    ///
    /// # Errors
    /// [`Error::Setting`] if `k` is 0 or exceeds the catalogue; what the environment or the policy
    /// returns.
    pub fn begin(
        environment: &'a E,
        policy: &'a P,
        k: usize,
        seed: Seed,
        sessions: Range<u64>,
    ) -> Result<Self> {
        if k == 0 || k > environment.items() {
            return Err(Error::setting("k", format!("{k} of {} items", environment.items())));
        }
        let open = |side: &str| seed.derive(side).streams(sessions.clone());
        let mut environment_streams = open(ENVIRONMENT);
        let policy_streams = open(POLICY);
        let sessions: Vec<u64> = sessions.collect();
        Ok(Self {
            environment,
            policy,
            k,
            rows: (0..sessions.len()).collect(),
            shown: Vec::new(),
            state: environment.reset(&mut environment_streams)?,
            memory: policy.begin(sessions.len())?,
            sessions,
            environment_streams,
            policy_streams,
            slates: Slates::with_k(k),
            responses: Responses::default(),
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
        &self.state
    }

    /// Shows every session one slate, takes the answers, and drops the sessions that ended.
    ///
    /// # Errors
    /// [`Error::Contract`] if the policy's slates or the environment's responses have the wrong
    /// shape or name an item out of range; what the environment or the policy returns. The
    /// population is of no further use then. That a slate's items are distinct is checked in debug
    /// builds.
    pub fn step(&mut self) -> Result<Moment<'_>> {
        let (slates, responses) = (&mut self.slates, &mut self.responses);
        self.policy.recommend(
            &self.memory,
            &self.state,
            self.k,
            &mut self.policy_streams,
            slates,
        )?;
        check_slates(slates, self.rows.len(), self.k, self.environment.items())?;
        self.environment.step(&mut self.state, slates, &mut self.environment_streams, responses)?;
        check_responses(responses, self.rows.len())?;
        self.policy.observe(&mut self.memory, slates, responses)?;
        self.shown.clone_from(&self.rows);
        self.drop_ended()?;
        Ok(Moment { rows: &self.shown, slates: &self.slates, responses: &self.responses })
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
            let sessions = self.rows.iter().map(|&row| self.sessions[row]);
            sessions
                .flat_map(|session| seeds.iter().map(move |seed| seed.stream(session)))
                .collect()
        };
        Ok(Population {
            environment: self.environment,
            policy: self.policy,
            k: self.k,
            sessions: open(SESSION).iter_mut().map(|stream| stream.next_u64()).collect(),
            rows: (0..copies.len()).collect(),
            shown: Vec::new(),
            state: self.environment.select(&self.state, &copies)?,
            memory: self.policy.select(&self.memory, &copies)?,
            environment_streams: open(ENVIRONMENT),
            policy_streams: open(POLICY),
            slates: Slates::with_k(self.k),
            responses: Responses::default(),
        })
    }

    /// Fills the places of ended sessions from the end of the batch, so that the fewest rows move.
    fn drop_ended(&mut self) -> Result<()> {
        let ended = &self.responses.ended;
        let live = ended.iter().filter(|ended| !**ended).count();
        if live == ended.len() {
            return Ok(());
        }
        let mut tail = (live..ended.len()).filter(|&entry| !ended[entry]);
        let kept: Vec<usize> = (0..live)
            .filter_map(|entry| if ended[entry] { tail.next() } else { Some(entry) })
            .collect();
        self.state = self.environment.select(&self.state, &kept)?;
        self.memory = self.policy.select(&self.memory, &kept)?;
        for (to, &from) in kept.iter().enumerate().filter(|(to, from)| to != *from) {
            self.rows[to] = self.rows[from];
            self.environment_streams.swap(to, from);
            self.policy_streams.swap(to, from);
        }
        self.rows.truncate(live);
        self.environment_streams.truncate(live);
        self.policy_streams.truncate(live);
        Ok(())
    }
}

const ENVIRONMENT: &str = "environment";
const POLICY: &str = "policy";
const SESSION: &str = "session";

fn check_slates(slates: &Slates, rows: usize, k: usize, items: usize) -> Result<()> {
    if slates.k() != k || slates.rows() != rows {
        let found = format!("{} slates of {} items", slates.rows(), slates.k());
        return Err(Error::Contract(format!("the policy gave {found}, not {rows} of {k}")));
    }
    let largest = slates.items().iter().fold(0, |largest, item| largest.max(item.0)) as usize;
    if largest >= items {
        return Err(Error::Contract(format!(
            "the policy showed item {largest} of a catalogue of {items}"
        )));
    }
    debug_assert!((0..rows).all(|row| distinct(slates.row(row))), "a slate holds an item twice");
    Ok(())
}

fn distinct(slate: &[ItemId]) -> bool {
    (1..slate.len()).all(|place| !slate[..place].contains(&slate[place]))
}

fn check_responses(responses: &Responses, rows: usize) -> Result<()> {
    let found = [responses.choice.len(), responses.reward.len(), responses.ended.len()];
    if found == [rows; 3] {
        return Ok(());
    }
    Err(Error::Contract(format!(
        "the environment gave {found:?} choices, rewards and ends for {rows} sessions"
    )))
}
