//! Sessions that are stepped together and begun again where they end: what an environment of
//! Gymnasium is, without Python.

use std::sync::Arc;

use foretaste_data::{Choice, ItemId, RecentClicks};
use foretaste_random::{Seed, Stream};
use foretaste_settings::Setting;
use foretaste_sim::{Environment, Error, Responses, Result, Slates};
use rayon::prelude::*;

use crate::slates::{Actions, Slate};

/// Users whose hidden state may be shown as a number.
pub trait Revealing: Environment {
    /// Number of hidden states; none where a state is no number.
    fn states(&self) -> Option<usize> {
        None
    }

    /// The hidden state of a session, below [`states`](Self::states).
    fn reveal(&self, _state: &Self::State, _row: usize) -> i64 {
        0
    }

    /// What a slate of `k` items costs in sessions of at most `max_steps` slates; none where the
    /// best slates are not known.
    ///
    /// # Errors
    /// Where the best slates cannot be computed.
    fn regret(self: &Arc<Self>, _k: usize, _max_steps: u32) -> Result<Option<Regret<Self::State>>> {
        Ok(None)
    }
}

/// By how much the expected reward of a session is below the best if it is shown this slate now and
/// the best ones after it. Arguments: the state, the row, how many slates the session has seen, and
/// the slate.
pub type Regret<S> = Box<dyn Fn(&S, usize, u32, &[ItemId]) -> Result<f64> + Send + Sync>;

/// When a session that ended gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autoreset {
    /// On the step after, whose action is ignored.
    NextStep,
    /// On the same step, whose last observation is kept aside.
    SameStep,
    /// Where it is asked for.
    Disabled,
}

/// What is observed of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The items clicked last, newest first; so many.
    Clicks(usize),
    /// The hidden state.
    State,
}

/// How sessions are shown slates.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of items on a slate.
    pub k: usize,
    /// Items are chosen one by one, each on a step of its own.
    pub one_by_one: bool,
    /// What is observed.
    pub observed: Observed,
    /// Slates after which a session is cut.
    pub max_steps: u32,
    /// Items that are never shown.
    pub excluded: Vec<u32>,
    /// When ended sessions give way.
    pub autoreset: Autoreset,
    /// Whether the regret of each slate is computed.
    pub regret: bool,
    /// Sessions that are stepped as one batch.
    pub chunk: usize,
}

/// The sessions of an environment, one after the other: those of a seed from a number on.
#[derive(Clone, Debug)]
pub struct Origin {
    seed: Seed,
    /// The number of the next session, which draws from that stream of the seed.
    next: u64,
    /// Streams of the sessions from the next on, the last first.
    ahead: Vec<Stream>,
}

/// Streams that are opened together: what is drawn for one is drawn for so many.
const AHEAD: u64 = 8;

/// What a step or a reset gives; entry `i` of each part belongs to environment `i`.
#[derive(Debug, Default)]
pub struct Moment {
    /// `[n, width]`.
    pub observations: Vec<i64>,
    /// The log's reward.
    pub rewards: Vec<f64>,
    /// Whether the user left.
    pub terminated: Vec<bool>,
    /// Whether the session was cut.
    pub truncated: Vec<bool>,
    /// The item clicked, or -1.
    pub clicked: Vec<i64>,
    /// Places of the slate whose item had to be replaced.
    pub repaired: Vec<i64>,
    /// The number of the session that the observation belongs to.
    pub sessions: Vec<i64>,
    /// Whether the step was one of a session; not where it only began one.
    pub real: Vec<bool>,
    /// Where sessions gave way on the same step: the last observation of each, in their order,
    /// `[ended, width]`, and the sessions' numbers.
    pub last: Vec<i64>,
    /// The numbers of these sessions.
    pub last_sessions: Vec<i64>,
    /// The regret of the slates that were shown, 0 where none was; empty if it is not computed.
    pub regrets: Vec<f64>,
}

/// `n` environments of the same users.
pub struct Vector<E: Environment> {
    users: Arc<E>,
    settings: Settings,
    regret: Option<Regret<E::State>>,
    /// Which items may be shown, `[items]`.
    allowed: Vec<bool>,
    origins: Vec<Origin>,
    chunks: Vec<Chunk<E::State>>,
}

/// Environments that are stepped as one batch.
struct Chunk<S> {
    first: usize,
    state: S,
    streams: Vec<Stream>,
    clicks: RecentClicks,
    /// Slates since the session began.
    steps: Vec<u32>,
    over: Vec<bool>,
    slate: Slate,
    /// Places of the last action that had to be repaired.
    repaired: Vec<i64>,
    slates: Slates,
    responses: Responses,
}

/// The parts of a [`Moment`] that belong to a chunk.
struct Part<'a> {
    observations: &'a mut [i64],
    rewards: &'a mut [f64],
    terminated: &'a mut [bool],
    truncated: &'a mut [bool],
    clicked: &'a mut [i64],
    repaired: &'a mut [i64],
    sessions: &'a mut [i64],
    real: &'a mut [bool],
    regrets: &'a mut [f64],
    last: Vec<i64>,
    last_sessions: Vec<i64>,
}

impl<E: Revealing + Send + 'static> Vector<E>
where
    E::State: Send,
{
    /// Environments of these users; none has a session yet.
    ///
    /// # Errors
    /// [`Error::Setting`] if a slate cannot be filled, or a setting is out of its range.
    pub fn new(users: Arc<E>, settings: Settings) -> Result<Self> {
        let items = users.items();
        let fail = |what, problem: String| Err(Setting::new(what, problem).into());
        let mut allowed = vec![true; items];
        for &item in &settings.excluded {
            match allowed.get_mut(item as usize) {
                Some(allowed) => *allowed = false,
                None => return fail("exclude", format!("item {item} of {items}")),
            }
        }
        let left = allowed.iter().filter(|allowed| **allowed).count();
        if settings.k == 0 || settings.k > left {
            let problem = format!("{} of {left} items that may be shown", settings.k);
            return fail("k", problem);
        }
        if settings.max_steps == 0 {
            return fail("max_steps", "0: at least 1 is needed".into());
        }
        match settings.observed {
            Observed::Clicks(0) => return fail("history", "0: at least 1 is needed".into()),
            Observed::State if users.states().is_none() => {
                let problem = "these users have no state that could be shown as a number; \
                               expected \"history\"";
                return fail("observation", problem.into());
            }
            _ => {}
        }
        if settings.regret && !settings.excluded.is_empty() {
            let problem = "the best slates are those of all items; leave exclude empty, or regret \
                           out";
            return fail("regret", problem.into());
        }
        let regret =
            if settings.regret { users.regret(settings.k, settings.max_steps)? } else { None };
        if settings.regret && regret.is_none() {
            let problem = "the best slates are known for Users.mdp and Users.choice_users alone";
            return fail("regret", problem.into());
        }
        Ok(Self { users, settings, regret, allowed, origins: Vec::new(), chunks: Vec::new() })
    }

    /// Numbers in an observation.
    fn width(&self) -> usize {
        let partial = if self.settings.one_by_one { self.settings.k - 1 } else { 0 };
        partial
            + match self.settings.observed {
                Observed::Clicks(history) => history,
                Observed::State => 1,
            }
    }

    fn history(&self) -> usize {
        match self.settings.observed {
            Observed::Clicks(history) => history,
            Observed::State => 0,
        }
    }

    fn open(&self, first: usize, origins: &mut [Origin]) -> Result<Chunk<E::State>> {
        let rows = origins.len();
        let mut streams: Vec<Stream> = origins.iter_mut().map(Origin::next).collect();
        Ok(Chunk {
            first,
            state: self.users.reset(&mut streams)?,
            streams,
            clicks: RecentClicks::new(rows, self.history()),
            steps: vec![0; rows],
            over: vec![false; rows],
            slate: Slate::new(self.settings.k),
            repaired: vec![0; rows],
            slates: Slates::with_k(self.settings.k),
            responses: Responses::default(),
        })
    }
}

impl Origin {
    /// The sessions of a seed from this number on.
    pub fn new(seed: Seed, number: u64) -> Self {
        Self { seed, next: number, ahead: Vec::new() }
    }

    /// Opens the stream of the next session.
    fn next(&mut self) -> Stream {
        if self.ahead.is_empty() {
            self.ahead = self.seed.streams(self.next..self.next.saturating_add(AHEAD));
            self.ahead.reverse();
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.ahead.pop().unwrap_or_else(|| self.seed.stream(number))
    }

    /// The number of the session that is on.
    fn session(&self) -> i64 {
        self.next.wrapping_sub(1) as i64
    }
}

/// `n` environments, with users of any kind.
pub trait Stepping: Send {
    /// Begins a session in every environment.
    ///
    /// # Errors
    /// What the users return.
    fn reset(&mut self, origins: Vec<Origin>) -> Result<Moment>;

    /// Begins a session in those environments that `which` names, `[n]`, where they have an origin
    /// in `origins`, from it; the others go on.
    ///
    /// # Errors
    /// What the users return.
    fn reset_some(&mut self, which: &[bool], origins: Vec<Option<Origin>>) -> Result<Moment>;

    /// Shows every environment what its action says.
    ///
    /// # Errors
    /// [`Error::Setting`] for an action that makes no sense, of which nothing follows; what the
    /// users return.
    fn step(&mut self, actions: Actions<'_>) -> Result<Moment>;

    /// Which environments have a session that is over; empty before the first reset, and after an
    /// error of the users.
    fn over(&self) -> Vec<bool>;

    /// Which items may be chosen, `[n, k · items]`, or `[n, items]` where they are chosen one by
    /// one.
    fn masks(&self) -> Vec<bool>;
}

impl<E: Revealing + Send + 'static> Stepping for Vector<E>
where
    E::State: Send,
{
    fn reset(&mut self, mut origins: Vec<Origin>) -> Result<Moment> {
        self.chunks.clear();
        let size = self.chunk();
        let this = &*self;
        let chunks: Result<Vec<_>> = origins
            .par_chunks_mut(size)
            .enumerate()
            .map(|(at, origins)| this.open(at * size, origins))
            .collect();
        self.chunks = chunks?;
        self.origins = origins;
        let mut moment = self.moment();
        self.each(&mut moment, |vector, chunk, origins, part| {
            vector.observe(chunk, origins, part);
            Ok(())
        })?;
        Ok(moment)
    }

    fn reset_some(&mut self, which: &[bool], origins: Vec<Option<Origin>>) -> Result<Moment> {
        for (origin, new) in self.origins.iter_mut().zip(origins) {
            if let Some(new) = new {
                *origin = new;
            }
        }
        let mut moment = self.moment();
        self.each(&mut moment, |vector, chunk, origins, part| {
            let rows: Vec<usize> =
                (0..origins.len()).filter(|row| which[chunk.first + row]).collect();
            vector.begin(chunk, origins, &rows)?;
            vector.observe(chunk, origins, part);
            Ok(())
        })?;
        Ok(moment)
    }

    fn step(&mut self, actions: Actions<'_>) -> Result<Moment> {
        let (k, items, allowed) = (self.settings.k, self.users.items(), &self.allowed);
        actions.check(items, k, || self.over())?;
        let read = |chunk: &mut Chunk<E::State>| {
            chunk.slates.clear(k);
            for row in 0..chunk.over.len() {
                if chunk.over[row] {
                    chunk.slate.any(allowed);
                } else {
                    chunk.repaired[row] =
                        chunk.slate.take(actions, chunk.first + row, allowed) as i64;
                }
                if chunk.slate.is_full() {
                    chunk.slates.push(chunk.slate.items(), None);
                }
            }
        };
        match &mut self.chunks[..] {
            [chunk] => read(chunk),
            chunks => chunks.par_iter_mut().for_each(read),
        }
        let mut moment = self.moment();
        self.each(&mut moment, Self::step_chunk)?;
        Ok(moment)
    }

    fn over(&self) -> Vec<bool> {
        self.chunks.iter().flat_map(|chunk| chunk.over.iter().copied()).collect()
    }

    fn masks(&self) -> Vec<bool> {
        if !self.settings.one_by_one {
            return self.allowed.repeat(self.settings.k * self.origins.len());
        }
        let mut masks = self.allowed.repeat(self.origins.len());
        for (chunk, mask) in self.chunks.iter().zip(masks.chunks_exact_mut(self.users.items())) {
            chunk.slate.items().iter().for_each(|item| mask[item.index()] = false);
        }
        masks
    }
}

impl<E: Revealing + Send + 'static> Vector<E>
where
    E::State: Send,
{
    /// Environments whose slates are filled one by one are at different places of them, so that
    /// each is a batch of its own.
    fn chunk(&self) -> usize {
        if self.settings.one_by_one { 1 } else { self.settings.chunk }
    }

    fn moment(&self) -> Moment {
        let n = self.origins.len();
        Moment {
            observations: vec![0; n * self.width()],
            rewards: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
            clicked: vec![-1; n],
            repaired: vec![0; n],
            sessions: vec![0; n],
            real: vec![false; n],
            regrets: vec![0.0; if self.regret.is_some() { n } else { 0 }],
            last: Vec::new(),
            last_sessions: Vec::new(),
        }
    }

    /// Does the same to every chunk, with its part of the moment.
    fn each(
        &mut self,
        moment: &mut Moment,
        work: impl Fn(&Self, &mut Chunk<E::State>, &mut [Origin], &mut Part<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        let (size, width) = (self.chunk(), self.width());
        let mut chunks = std::mem::take(&mut self.chunks);
        let mut origins = std::mem::take(&mut self.origins);
        let mut parts = moment.parts(size, width);
        let this = &*self;
        let mut tasks: Vec<_> =
            chunks.iter_mut().zip(origins.chunks_mut(size)).zip(&mut parts).collect();
        let run =
            |((chunk, origins), part): &mut ((&mut Chunk<_>, &mut [Origin]), &mut Part<'_>)| {
                work(this, chunk, origins, part)
            };
        let done = match &mut tasks[..] {
            [task] => run(task),
            tasks => tasks.par_iter_mut().try_for_each(run),
        };
        drop(tasks);
        let lasts = parts.into_iter().map(|part| (part.last, part.last_sessions));
        let (last, sessions): (Vec<_>, Vec<_>) = lasts.unzip();
        (moment.last, moment.last_sessions) = (last.concat(), sessions.concat());
        done?;
        (self.chunks, self.origins) = (chunks, origins);
        Ok(())
    }

    fn step_chunk(
        &self,
        chunk: &mut Chunk<E::State>,
        origins: &mut [Origin],
        part: &mut Part<'_>,
    ) -> Result<()> {
        let rows = chunk.over.len();
        let filled = chunk.slates.rows() == rows;
        if filled {
            if let Some(regret) = &self.regret {
                for row in (0..rows).filter(|&row| !chunk.over[row]) {
                    part.regrets[row] =
                        regret(&chunk.state, row, chunk.steps[row], chunk.slates.row(row))?;
                }
            }
            let Chunk { state, slates, streams, responses, .. } = chunk;
            self.users.step(state, slates, streams, responses)?;
            check(responses, rows)?;
        }
        let mut ended = Vec::new();
        for row in 0..rows {
            if chunk.over[row] {
                ended.push(row);
                continue;
            }
            part.real[row] = true;
            part.repaired[row] = chunk.repaired[row];
            if !filled {
                continue;
            }
            let choice = chunk.responses.choice[row];
            if let Choice::Item(item) = choice {
                chunk.clicks.push(row, item);
                part.clicked[row] = i64::from(item.0);
            }
            chunk.steps[row] += 1;
            part.rewards[row] = f64::from(chunk.responses.reward[row]);
            part.terminated[row] = chunk.responses.ended[row];
            part.truncated[row] =
                !part.terminated[row] && chunk.steps[row] >= self.settings.max_steps;
            chunk.over[row] = part.terminated[row] || part.truncated[row];
        }
        if filled {
            chunk.slate.clear();
        }
        match self.settings.autoreset {
            Autoreset::NextStep => self.begin(chunk, origins, &ended)?,
            Autoreset::SameStep => {
                let ended: Vec<usize> = (0..rows).filter(|&row| chunk.over[row]).collect();
                let width = part.observations.len() / rows;
                part.last.resize(ended.len() * width, 0);
                for (&row, last) in ended.iter().zip(part.last.chunks_exact_mut(width)) {
                    self.see(chunk, row, last);
                    part.last_sessions.push(origins[row].session());
                }
                self.begin(chunk, origins, &ended)?;
            }
            Autoreset::Disabled => {}
        }
        self.observe(chunk, origins, part);
        Ok(())
    }

    /// Begins the next session in each of `rows`.
    fn begin(
        &self,
        chunk: &mut Chunk<E::State>,
        origins: &mut [Origin],
        rows: &[usize],
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut streams: Vec<Stream> = rows.iter().map(|&row| origins[row].next()).collect();
        self.users.replace(&mut chunk.state, rows, &mut streams)?;
        for (&row, stream) in rows.iter().zip(streams) {
            chunk.streams[row] = stream;
            chunk.clicks.clear(row);
            chunk.steps[row] = 0;
            chunk.over[row] = false;
        }
        chunk.slate.clear();
        Ok(())
    }

    fn observe(&self, chunk: &Chunk<E::State>, origins: &[Origin], part: &mut Part<'_>) {
        let width = part.observations.len() / origins.len();
        for (row, observation) in part.observations.chunks_exact_mut(width).enumerate() {
            self.see(chunk, row, observation);
            part.sessions[row] = origins[row].session();
        }
    }

    /// Writes what is observed of a session: clicks or state, then the items on its slate so far;
    /// the number of items stands for nothing.
    fn see(&self, chunk: &Chunk<E::State>, row: usize, observation: &mut [i64]) {
        let nothing = self.users.items() as i64;
        let partial = match self.settings.observed {
            Observed::State => {
                observation[0] = self.users.reveal(&chunk.state, row);
                &mut observation[1..]
            }
            Observed::Clicks(history) => {
                let (clicks, partial) = observation.split_at_mut(history);
                write(clicks, chunk.clicks.row(row), nothing);
                partial
            }
        };
        if self.settings.one_by_one {
            write(partial, chunk.slate.items(), nothing);
        }
    }
}

fn write(places: &mut [i64], items: &[ItemId], nothing: i64) {
    for (place, item) in places.iter_mut().zip(items) {
        *place = i64::from(item.0);
    }
    places[items.len()..].fill(nothing);
}

fn check(responses: &Responses, rows: usize) -> Result<()> {
    let found = [responses.choice.len(), responses.reward.len(), responses.ended.len()];
    if found == [rows; 3] {
        return Ok(());
    }
    let problem = format!("the users gave {found:?} choices, rewards and ends for {rows} sessions");
    Err(Error::Contract(problem))
}

impl Moment {
    fn parts(&mut self, size: usize, width: usize) -> Vec<Part<'_>> {
        let mut observations = self.observations.chunks_mut(size * width);
        let mut rewards = self.rewards.chunks_mut(size);
        let mut terminated = self.terminated.chunks_mut(size);
        let mut truncated = self.truncated.chunks_mut(size);
        let mut clicked = self.clicked.chunks_mut(size);
        let mut repaired = self.repaired.chunks_mut(size);
        let mut sessions = self.sessions.chunks_mut(size);
        let mut regrets = self.regrets.chunks_mut(size);
        let mut next = || {
            Some((
                observations.next()?,
                rewards.next()?,
                terminated.next()?,
                truncated.next()?,
                clicked.next()?,
                repaired.next()?,
                sessions.next()?,
            ))
        };
        let parts = self.real.chunks_mut(size).map_while(|real| {
            let (observations, rewards, terminated, truncated, clicked, repaired, sessions) =
                next()?;
            Some(Part {
                observations,
                rewards,
                terminated,
                truncated,
                clicked,
                repaired,
                sessions,
                real,
                regrets: regrets.next().unwrap_or_default(),
                last: Vec::new(),
                last_sessions: Vec::new(),
            })
        });
        parts.collect()
    }
}
