use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};
use foretaste_disc::{DiscriminatorState, FrozenDiscriminator};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_sim::{Blind, Moment, Population, Rollout};
use foretaste_user_model::behaviour::BehaviourUsers;

use crate::closing::Closing;
use crate::returns::join;
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
}

impl Simulation<'_> {
    /// `count` trajectories; trajectory `i` draws from stream `i` of `seed`.
    ///
    /// # Errors
    /// [`Error::Simulation`](crate::Error::Simulation) if `k`, `max_steps` or `chunk` is 0 or `k`
    /// exceeds the catalogue; what the networks return.
    pub fn generate(&self, count: usize, seed: Seed) -> Result<Log> {
        let Self { agent, k, max_steps, chunk, .. } = *self;
        let rollout = Rollout::new(seed, 0..count as u64, k).max_steps(max_steps).chunk(chunk);
        let log = rollout.run(&self.closing(), &Blind(agent))?;
        join(&[&log])
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
        if branches == 0 || self.chunk == 0 {
            let problem = format!(
                "{branches} branches, chunks of {}: expected at least 1 of each",
                self.chunk
            );
            return Err(Setting::new("simulation", problem).into());
        }
        let (mut builder, mut scores) = (LogBuilder::default(), Vec::new());
        for start in (0..count).step_by(self.chunk) {
            let sessions = start as u64..count.min(start + self.chunk) as u64;
            for taken in self.chunk(sessions, seed, discriminator, branches)? {
                for (t, score) in taken.scores.iter().enumerate() {
                    let (slate, (choice, reward)) =
                        (&taken.slates[t * self.k..][..self.k], taken.answers[t]);
                    builder.push(Step::new(slate, choice, reward))?;
                    scores.push(*score);
                }
                builder.end_session(None)?;
            }
        }
        Ok(Buffer { log: builder.build(), scores })
    }

    fn closing(&self) -> Closing<'_> {
        Closing { users: self.users, last: self.max_steps }
    }

    fn chunk(
        &self,
        sessions: std::ops::Range<u64>,
        seed: Seed,
        discriminator: &FrozenDiscriminator,
        branches: usize,
    ) -> Result<Vec<Taken>> {
        let rows = (sessions.end - sessions.start) as usize;
        let (users, agent) = (self.closing(), Blind(self.agent));
        let mut population = Population::begin(&users, &agent, self.k, seed, sessions)?;
        let mut taken = vec![Taken::default(); rows];
        let mut judge = Judge::new(discriminator, discriminator.begin(rows)?);
        for t in 0..self.max_steps {
            if population.rows().is_empty() {
                break;
            }
            let moment = population.step()?;
            judge.observe(moment)?;
            for (entry, &row) in moment.rows.iter().enumerate() {
                taken[row].slates.extend_from_slice(moment.slates.row(entry));
                taken[row]
                    .answers
                    .push((moment.responses.choice[entry], moment.responses.reward[entry]));
                taken[row].scores.push(judge.scores[row] as f32);
            }
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
