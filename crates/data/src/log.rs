use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A dense index of an item in its [`Catalogue`](crate::Catalogue), from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(transparent)]
pub struct ItemId(pub u32);

impl ItemId {
    /// The largest number of items that a catalogue can hold.
    pub const MAX_ITEMS: usize = (u32::MAX - 1) as usize;

    /// The index as a `usize`, for slices.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a user did with a slate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Chose an item of the slate.
    Item(ItemId),
    /// Chose nothing and stayed: GAN-CDQN's "no click".
    Skip,
    /// Chose nothing and left: the last step of a session whose end was observed.
    Leave,
}

impl Choice {
    /// The chosen item, if one was chosen.
    pub fn item(self) -> Option<ItemId> {
        match self {
            Self::Item(item) => Some(item),
            Self::Skip | Self::Leave => None,
        }
    }

    fn encode(self) -> u32 {
        match self {
            Self::Item(item) => item.0,
            Self::Skip => u32::MAX - 1,
            Self::Leave => u32::MAX,
        }
    }

    fn decode(code: u32) -> Self {
        match code {
            u32::MAX => Self::Leave,
            const { u32::MAX - 1 } => Self::Skip,
            item => Self::Item(ItemId(item)),
        }
    }
}

/// One interaction: a slate and the user's answer to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    /// The items shown, in the order shown.
    pub slate: &'a [ItemId],
    /// What the user did.
    pub choice: Choice,
    /// The reward earned by this step, in the log's own unit.
    pub reward: f32,
    /// For each place of the slate, the probability that the logging policy put this item there, given the places
    /// before it. Their product is the propensity of the slate.
    pub propensity: Option<&'a [f32]>,
    /// When the slate was shown, in the log's own unit (seconds since the epoch in a log of ours).
    pub timestamp: Option<i64>,
}

/// Many sessions as ragged columns (offsets and values, as in Arrow): no allocation per session or step.
///
/// Sessions are numbered from 0 in the order in which they were appended. Memory is about
/// `steps · (16 + 4 · slate size)` bytes, twice the slate's share where propensities are logged.
///
/// ```
/// use understudy_data::{Choice, ItemId, LogBuilder, Step};
///
/// let mut log = LogBuilder::default();
/// let slate = [ItemId(4), ItemId(2)];
/// log.push(Step { slate: &slate, choice: Choice::Item(ItemId(2)), reward: 1.0, propensity: None, timestamp: None })?;
/// log.push(Step { slate: &slate, choice: Choice::Leave, reward: 0.0, propensity: None, timestamp: None })?;
/// log.end_session(None)?;
/// let log = log.build();
/// assert_eq!((log.sessions(), log.steps()), (1, 2));
/// assert_eq!(log.session(0).clicks().collect::<Vec<_>>(), [ItemId(2)]);
/// # Ok::<(), understudy_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    session_offsets: Vec<u64>,
    slate_offsets: Vec<u64>,
    shown: Vec<ItemId>,
    chosen: Vec<u32>,
    reward: Vec<f32>,
    propensity: Option<Vec<f32>>,
    timestamp: Option<Vec<i64>>,
    user: Option<Vec<u32>>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            session_offsets: vec![0],
            slate_offsets: vec![0],
            shown: Vec::new(),
            chosen: Vec::new(),
            reward: Vec::new(),
            propensity: None,
            timestamp: None,
            user: None,
        }
    }
}

impl Log {
    /// Number of sessions.
    pub fn sessions(&self) -> usize {
        self.session_offsets.len() - 1
    }

    /// Number of steps of all sessions.
    pub fn steps(&self) -> usize {
        self.chosen.len()
    }

    /// Number of items shown in all slates.
    pub fn impressions(&self) -> usize {
        self.shown.len()
    }

    /// Session `index`, from 0; panics if there is no such session.
    pub fn session(&self, index: usize) -> Session<'_> {
        let first = self.session_offsets[index] as usize;
        let last = self.session_offsets[index + 1] as usize;
        Session { log: self, index, first, last }
    }

    /// All sessions in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Session<'_>> {
        (0..self.sessions()).map(|index| self.session(index))
    }

    /// Whether the log records the propensity of every shown item.
    pub fn has_propensities(&self) -> bool {
        self.propensity.is_some()
    }

    /// Whether the log records the time of every step.
    pub fn has_timestamps(&self) -> bool {
        self.timestamp.is_some()
    }

    /// Whether the log records the user of every session.
    pub fn has_users(&self) -> bool {
        self.user.is_some()
    }

    /// Whether at least one session ends with [`Choice::Leave`]: a log without such steps teaches nothing about leaving.
    pub fn observes_leaving(&self) -> bool {
        self.iter().any(|session| session.left())
    }

    /// The log of the given sessions, in the given order.
    pub fn select(&self, sessions: &[usize]) -> Log {
        let mut builder = LogBuilder::default();
        for &index in sessions {
            let session = self.session(index);
            for step in session.steps() {
                builder.append(step);
            }
            builder.close_session(session.user());
        }
        builder.build()
    }

    fn step(&self, index: usize) -> Step<'_> {
        let slate = self.slate_offsets[index] as usize..self.slate_offsets[index + 1] as usize;
        Step {
            slate: &self.shown[slate.clone()],
            choice: Choice::decode(self.chosen[index]),
            reward: self.reward[index],
            propensity: self.propensity.as_ref().map(|column| &column[slate]),
            timestamp: self.timestamp.as_ref().map(|column| column[index]),
        }
    }
}

/// One session of a [`Log`]: a view, cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    log: &'a Log,
    index: usize,
    first: usize,
    last: usize,
}

impl<'a> Session<'a> {
    /// The session's number in the log.
    pub fn index(self) -> usize {
        self.index
    }

    /// Number of steps.
    pub fn len(self) -> usize {
        self.last - self.first
    }

    /// Whether the session has no step; never true of a session in a log.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Step `t`, from 0; panics if there is no such step.
    pub fn step(self, t: usize) -> Step<'a> {
        assert!(t < self.len(), "step {t} of a session of {} steps", self.len());
        self.log.step(self.first + t)
    }

    /// The steps in order.
    pub fn steps(self) -> impl ExactSizeIterator<Item = Step<'a>> {
        (self.first..self.last).map(move |index| self.log.step(index))
    }

    /// The chosen items in order.
    pub fn clicks(self) -> impl Iterator<Item = ItemId> + 'a {
        self.steps().filter_map(|step| step.choice.item())
    }

    /// The user, as an index into the data set's user vocabulary.
    pub fn user(self) -> Option<u32> {
        self.log.user.as_ref().map(|column| column[self.index])
    }

    /// Time of the first step.
    pub fn start(self) -> Option<i64> {
        self.log.timestamp.as_ref().map(|column| column[self.first])
    }

    /// Whether the log saw the user leave.
    pub fn left(self) -> bool {
        self.log.chosen[self.last - 1] == Choice::Leave.encode()
    }
}

/// Builds a [`Log`] step by step and checks its invariants: slates are not empty and hold each item once, the chosen
/// item is on the slate, nothing follows [`Choice::Leave`], rewards are finite, propensities lie in (0, 1], and an
/// optional column is given by every step (or session) or by none.
#[derive(Clone, Debug, Default)]
pub struct LogBuilder {
    log: Log,
    sorted: Vec<ItemId>,
}

impl LogBuilder {
    /// Appends a step to the open session.
    ///
    /// # Errors
    /// [`Error::Log`] with the broken invariant; the builder is then as it was before.
    pub fn push(&mut self, step: Step<'_>) -> Result<()> {
        self.check(&step)?;
        self.append(step);
        Ok(())
    }

    /// Closes the open session. `user` is an index into the data set's user vocabulary.
    ///
    /// # Errors
    /// [`Error::Log`] if the session has no step, or if some sessions name a user and others do not.
    pub fn end_session(&mut self, user: Option<u32>) -> Result<()> {
        if self.open_steps() == 0 {
            return Err(Error::Log("a session needs at least one step".into()));
        }
        if self.log.sessions() > 0 && user.is_some() != self.log.user.is_some() {
            return Err(Error::Log("either every session names its user or none does".into()));
        }
        self.close_session(user);
        Ok(())
    }

    /// Forgets the steps of the open session.
    pub fn abandon_session(&mut self) {
        let steps = self.log.session_offsets[self.log.sessions()] as usize;
        let impressions = self.log.slate_offsets[steps] as usize;
        let log = &mut self.log;
        log.slate_offsets.truncate(steps + 1);
        log.shown.truncate(impressions);
        log.chosen.truncate(steps);
        log.reward.truncate(steps);
        if let Some(column) = &mut log.propensity {
            column.truncate(impressions);
        }
        if let Some(column) = &mut log.timestamp {
            column.truncate(steps);
        }
        if steps == 0 {
            (log.propensity, log.timestamp) = (None, None);
        }
    }

    /// Number of steps of the open session.
    pub fn open_steps(&self) -> usize {
        self.log.steps() - self.log.session_offsets[self.log.sessions()] as usize
    }

    /// The finished log. Steps of a session that was not closed are dropped.
    pub fn build(mut self) -> Log {
        self.abandon_session();
        self.log
    }

    fn check(&mut self, step: &Step<'_>) -> Result<()> {
        let fail = |problem: String| Err(Error::Log(problem));
        if step.slate.is_empty() {
            return fail("the slate is empty".into());
        }
        self.sorted.clear();
        self.sorted.extend_from_slice(step.slate);
        self.sorted.sort_unstable();
        if let Some(pair) = self.sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return fail(format!("item {} stands twice on the slate", pair[0].0));
        }
        if let Choice::Item(item) = step.choice
            && !step.slate.contains(&item)
        {
            return fail(format!("the chosen item {} is not on the slate", item.0));
        }
        if self.open_steps() > 0 && self.log.chosen.last() == Some(&Choice::Leave.encode()) {
            return fail("a step follows the one on which the user left".into());
        }
        if !step.reward.is_finite() {
            return fail(format!("reward {} is not finite", step.reward));
        }
        if let Some(propensity) = step.propensity {
            if propensity.len() != step.slate.len() {
                return fail(format!("{} propensities for a slate of {}", propensity.len(), step.slate.len()));
            }
            if let Some(p) = propensity.iter().find(|&&p| !(p > 0.0 && p <= 1.0)) {
                return fail(format!("propensity {p} is not in (0, 1]"));
            }
        }
        let first = self.log.steps() == 0;
        if !first && step.propensity.is_some() != self.log.propensity.is_some() {
            return fail("either every step has propensities or none has".into());
        }
        if !first && step.timestamp.is_some() != self.log.timestamp.is_some() {
            return fail("either every step has a timestamp or none has".into());
        }
        Ok(())
    }

    fn append(&mut self, step: Step<'_>) {
        let log = &mut self.log;
        log.shown.extend_from_slice(step.slate);
        log.slate_offsets.push(log.shown.len() as u64);
        log.chosen.push(step.choice.encode());
        log.reward.push(step.reward);
        if let Some(propensity) = step.propensity {
            log.propensity.get_or_insert_default().extend_from_slice(propensity);
        }
        if let Some(timestamp) = step.timestamp {
            log.timestamp.get_or_insert_default().push(timestamp);
        }
    }

    fn close_session(&mut self, user: Option<u32>) {
        self.log.session_offsets.push(self.log.steps() as u64);
        if let Some(user) = user {
            self.log.user.get_or_insert_default().push(user);
        }
    }
}
