//! Lines 9 and 10 of Algorithm 1: trajectories of A and U, and their scores q_D (Eq 6). Scores need
//! branches from the states of A, U and D at every step, so all three advance here together.

use std::ops::Range;

use foretaste_data::{Choice, Event, EventKind, ItemId, Log, LogBuilder, Step};
use foretaste_disc::{DiscriminatorState, FrozenDiscriminator};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_sim::{Blind, Moment, Population};
use foretaste_user_model::behaviour::BehaviourUsers;
use rand::Rng;
use rayon::prelude::*;

use crate::closing::Closing;
use crate::opened::Opened;
use crate::{AgentPolicy, Buffer, Result};

/// A and U in interaction (§5): the agent shows a slate, the user clicks, perhaps buys, or leaves.
/// Every trajectory ends with END: who has not left before leaves on step `max_steps`.
#[derive(Clone, Copy, Debug)]
pub struct Simulation<'a> {
    /// U.
    pub users: &'a BehaviourUsers,
    /// A.
    pub agent: &'a AgentPolicy,
    /// Items on a slate.
    pub k: usize,
    /// Steps of a trajectory at most, the one with END among them.
    pub max_steps: usize,
    /// Trajectories that are simulated as one batch, with their branches; of no influence on what
    /// comes out.
    pub chunk: usize,
    /// What trajectories begin with: the items that some users clicked before their first slate, of
    /// whom each trajectory draws one. With none, trajectories begin with their first slate.
    pub openings: &'a [Vec<ItemId>],
}

impl Simulation<'_> {
    /// `count` trajectories; trajectory `i` draws from stream `i` of `seed`.
    ///
    /// # Errors
    /// [`Error::Simulation`](crate::Error::Simulation) if `k`, `max_steps` or `chunk` is 0 or `k`
    /// exceeds the catalogue; what the networks return.
    pub fn generate(&self, count: usize, seed: Seed) -> Result<Log> {
        self.check()?;
        let chunks: Vec<Range<u64>> = self.chunks(count).collect();
        let taken = chunks.into_par_iter().map(|sessions| self.take(sessions, seed, None));
        Ok(self.buffer(taken.collect::<Result<Vec<_>>>()?.concat())?.log)
    }

    /// The same trajectories with q_D of each of their steps, Eq 6: D of the whole trajectory on
    /// its last step, and before that the mean of D over `branches` trajectories that A and U
    /// continue from there.
    ///
    /// The branches of all trajectories of a chunk advance as one batch from the states of A, U and
    /// D at that step; nothing is replayed. Branch `n` of trajectory `i` at step `t` has its own
    /// stream, so scores depend on neither threads nor chunks.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if `branches`, `chunk` or `k` is 0 or `k` exceeds
    /// the catalogue; what the networks return.
    pub fn generate_scored(
        &self,
        count: usize,
        seed: Seed,
        discriminator: &FrozenDiscriminator,
        branches: usize,
    ) -> Result<Buffer> {
        self.check()?;
        if branches == 0 {
            return Err(Setting::new("branches", "0: expected at least 1").into());
        }
        let mut taken = Vec::with_capacity(count);
        for sessions in self.chunks(count) {
            taken.extend(self.take(sessions, seed, Some((discriminator, branches)))?);
        }
        self.buffer(taken)
    }

    fn check(&self) -> Result<()> {
        let Self { max_steps, chunk, .. } = *self;
        if max_steps == 0 || chunk == 0 {
            let problem =
                format!("{max_steps} steps, chunks of {chunk}: expected at least 1 of each");
            return Err(Setting::new("simulation", problem).into());
        }
        Ok(())
    }

    fn chunks(&self, count: usize) -> impl Iterator<Item = Range<u64>> {
        let chunk = self.chunk;
        (0..count).step_by(chunk).map(move |at| at as u64..count.min(at + chunk) as u64)
    }

    fn buffer(&self, taken: Vec<Taken>) -> Result<Buffer> {
        let (mut builder, mut scores) = (LogBuilder::default(), Vec::new());
        for taken in taken {
            for item in taken.opening {
                builder.event(Event { item, kind: EventKind::View, after: 0, timestamp: None });
            }
            for (slate, (choice, reward)) in taken.slates.chunks_exact(self.k).zip(taken.answers) {
                builder.push(Step::new(slate, choice, reward))?;
            }
            builder.end_session(None)?;
            scores.extend(taken.scores);
        }
        Ok(Buffer { log: builder.build(), scores })
    }

    /// What each of these sessions begins with.
    fn openings(&self, sessions: Range<u64>, seed: Seed) -> Vec<Vec<ItemId>> {
        let seed = seed.derive("openings");
        let draw = |session| match self.openings {
            [] => Vec::new(),
            all => all[seed.stream(session).random_range(0..all.len())].clone(),
        };
        sessions.map(draw).collect()
    }

    /// Some sessions, with scores by D and branches where they are given.
    fn take(
        &self,
        sessions: Range<u64>,
        seed: Seed,
        scoring: Option<(&FrozenDiscriminator, usize)>,
    ) -> Result<Vec<Taken>> {
        let openings = self.openings(sessions.clone(), seed);
        let users = Closing { users: self.users, last: self.max_steps, openings: &openings };
        let agent = Blind(Opened { agent: self.agent, openings: &openings });
        let mut population = Population::begin(&users, &agent, self.k, seed, sessions)?;
        let opened = |opening: &Vec<ItemId>| Taken { opening: opening.clone(), ..Taken::default() };
        let mut taken: Vec<Taken> = openings.iter().map(opened).collect();
        let mut judge = match scoring {
            Some((discriminator, branches)) => {
                let begun = discriminator.begin_after(&openings)?;
                Some((Judge::new(discriminator, begun), branches))
            }
            None => None,
        };
        for t in 0..self.max_steps {
            if population.rows().is_empty() {
                break;
            }
            let moment = population.step()?;
            for (entry, &row) in moment.rows.iter().enumerate() {
                taken[row].slates.extend_from_slice(moment.slates.row(entry));
                taken[row]
                    .answers
                    .push((moment.responses.choice[entry], moment.responses.reward[entry]));
            }
            let Some((judge, branches)) = &mut judge else { continue };
            let branches = *branches;
            judge.observe(moment)?;
            moment.rows.iter().for_each(|&row| taken[row].scores.push(judge.scores[row] as f32));
            if t + 1 < self.max_steps && !population.rows().is_empty() {
                let mut futures = population.branch(branches, seed.derive("branches"), t as u64)?;
                let kept =
                    population.rows().iter().flat_map(|&row| std::iter::repeat_n(row, branches));
                let mut futures_judge = judge.select(kept)?;
                for _ in t + 1..self.max_steps {
                    if futures.rows().is_empty() {
                        break;
                    }
                    futures_judge.observe(futures.step()?)?;
                }
                for (&row, scores) in
                    population.rows().iter().zip(futures_judge.scores.chunks_exact(branches))
                {
                    taken[row].scores[t] = (scores.iter().sum::<f64>() / branches as f64) as f32;
                }
            }
        }
        Ok(taken)
    }
}

/// The steps of one trajectory.
#[derive(Clone, Default)]
struct Taken {
    opening: Vec<ItemId>,
    slates: Vec<ItemId>,
    answers: Vec<(Choice, f32)>,
    scores: Vec<f32>,
}

/// D along the sessions of a population.
struct Judge<'a> {
    discriminator: &'a FrozenDiscriminator,
    state: DiscriminatorState,
    /// The entry of each row of the population in the state.
    seats: Vec<usize>,
    /// D of each row as far as it has come.
    scores: Vec<f64>,
}

impl<'a> Judge<'a> {
    fn new(discriminator: &'a FrozenDiscriminator, state: DiscriminatorState) -> Self {
        let scores = state.probabilities();
        Self { discriminator, seats: (0..scores.len()).collect(), state, scores }
    }

    fn observe(&mut self, moment: Moment<'_>) -> Result<()> {
        let seats: Vec<usize> = moment.rows.iter().map(|&row| self.seats[row]).collect();
        self.state = self.discriminator.select(&self.state, &seats)?;
        let (slates, responses) = (moment.slates, moment.responses);
        self.discriminator.step(
            &mut self.state,
            slates.items(),
            slates.k(),
            &responses.choice,
            &responses.reward,
        )?;
        for ((seat, &row), score) in moment.rows.iter().enumerate().zip(self.state.probabilities())
        {
            (self.seats[row], self.scores[row]) = (seat, score);
        }
        Ok(())
    }

    /// D along copies of these rows, as rows of a population of their own.
    fn select(&self, rows: impl Iterator<Item = usize>) -> Result<Self> {
        let seats: Vec<usize> = rows.map(|row| self.seats[row]).collect();
        Ok(Self::new(self.discriminator, self.discriminator.select(&self.state, &seats)?))
    }
}
