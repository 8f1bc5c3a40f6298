//! The sessions of a log in memory and the views of them. A log is valid once it is made, so
//! readers rely on its invariants and do not check them again.

mod builder;
mod check;
mod columns;
mod extras;
mod facts;
mod readings;
mod slice;

use serde::{Deserialize, Serialize};

pub use builder::LogBuilder;
pub use columns::Columns;
pub use extras::{Category, Event, EventKind, Extras};
pub use facts::{Facts, PropensityKind, TimeUnit};
pub use slice::LogSlice;

use extras::{CandidateSets, Categories, Clicks, Events};

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

// The two codes that no catalogue reaches.
const SKIP: u32 = u32::MAX - 1;
const LEAVE: u32 = u32::MAX;

// What stands in a column of a log for a session that lacks it; no builder lets these in as values.
const NO_USER: u32 = u32::MAX;
const NO_TIME: i64 = i64::MIN;
const NO_PROPENSITY: f32 = -1.0;

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

    /// The choice as one number, as a [`Log`] keeps it: the item's, or one of the two largest.
    pub fn code(self) -> u32 {
        match self {
            Self::Item(item) => item.0,
            Self::Skip => SKIP,
            Self::Leave => LEAVE,
        }
    }

    pub(crate) fn from_code(code: u32) -> Self {
        match code {
            LEAVE => Self::Leave,
            SKIP => Self::Skip,
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
    /// For each place of the slate, the probability that the logging policy put this item there,
    /// given the places before it, so that their product is the propensity of the slate, unless
    /// [`Facts::propensity`] says otherwise.
    pub propensity: Option<&'a [f32]>,
    /// When the slate was shown, in the unit of [`Facts::time_unit`]; not -2^63.
    pub timestamp: Option<i64>,
}

impl<'a> Step<'a> {
    /// A step without propensities and time.
    pub fn new(slate: &'a [ItemId], choice: Choice, reward: f32) -> Self {
        Self { slate, choice, reward, propensity: None, timestamp: None }
    }

    /// The step with the propensity of each place of its slate.
    pub fn propensity(self, propensity: &'a [f32]) -> Self {
        Self { propensity: Some(propensity), ..self }
    }

    /// The step at a time.
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }
}

/// Many sessions as ragged columns (offsets and values, as in Arrow): no allocation per session or
/// step.
///
/// Sessions are numbered from 0 in the order in which they were appended. Users, times and
/// propensities are optional, each per session: all steps of a session have them, or none. Memory
/// is about `steps · (16 + 4 · slate size)` bytes, twice the slate's share where a session has
/// propensities.
///
/// ```
/// use foretaste_data::{Choice, ItemId, LogBuilder, Step};
///
/// let mut log = LogBuilder::default();
/// let slate = [ItemId(4), ItemId(2)];
/// log.push(Step::new(&slate, Choice::Item(ItemId(2)), 1.0))?;
/// log.push(Step::new(&slate, Choice::Leave, 0.0))?;
/// log.end_session(None)?;
/// let log = log.build();
/// assert_eq!((log.sessions(), log.steps()), (1, 2));
/// assert_eq!(log.session(0).clicks().collect::<Vec<_>>(), [ItemId(2)]);
/// # Ok::<(), foretaste_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    session_offsets: Vec<u64>,
    slate_offsets: Vec<u64>,
    shown: Vec<ItemId>,
    chosen: Vec<u32>,
    reward: Vec<f32>,
    /// Per item shown; absent if no session has propensities. So are the two below.
    propensity: Option<Vec<f32>>,
    /// Per step.
    timestamp: Option<Vec<i64>>,
    /// Apart, so that a log is small to move.
    rest: Box<Rest>,
}

/// What is small, or what most logs lack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Rest {
    /// Per session.
    user: Option<Vec<u32>>,
    facts: Facts,
    clicks: Option<Clicks>,
    candidates: Option<CandidateSets>,
    events: Option<Events>,
    context: Option<Categories>,
}

/// A log as the cache kept it before version 5: `Before` is what stood in the place of the rest.
#[derive(Deserialize)]
pub(crate) struct OldLog<Before> {
    session_offsets: Vec<u64>,
    slate_offsets: Vec<u64>,
    shown: Vec<ItemId>,
    chosen: Vec<u32>,
    reward: Vec<f32>,
    propensity: Option<Vec<f32>>,
    timestamp: Option<Vec<i64>>,
    rest: Before,
}

/// The users, which were all that a log had in addition to its steps before version 4.
pub(crate) type RestBefore4 = Option<Vec<u32>>;

/// The rest of a log of version 4.
#[derive(Deserialize)]
pub(crate) struct RestOf4 {
    user: Option<Vec<u32>>,
    facts: Facts,
    clicks: Option<Clicks>,
    candidates: Option<CandidateSets>,
    events: Option<Events>,
}

impl From<RestBefore4> for Rest {
    fn from(user: RestBefore4) -> Self {
        Self { user, ..Self::default() }
    }
}

impl From<RestOf4> for Rest {
    fn from(rest: RestOf4) -> Self {
        let RestOf4 { user, facts, clicks, candidates, events } = rest;
        Self { user, facts, clicks, candidates, events, context: None }
    }
}

impl<Before> From<OldLog<Before>> for Log
where
    Rest: From<Before>,
{
    fn from(log: OldLog<Before>) -> Self {
        let OldLog {
            session_offsets,
            slate_offsets,
            shown,
            chosen,
            reward,
            propensity,
            timestamp,
            rest,
        } = log;
        Self {
            session_offsets,
            slate_offsets,
            shown,
            chosen,
            reward,
            propensity,
            timestamp,
            rest: Box::new(rest.into()),
        }
    }
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
            rest: Box::default(),
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
        self.propensity.as_ref().is_some_and(|column| !column.contains(&NO_PROPENSITY))
    }

    /// Whether the log records the time of every step.
    pub fn has_timestamps(&self) -> bool {
        self.timestamp.as_ref().is_some_and(|column| !column.contains(&NO_TIME))
    }

    /// Whether the log records the user of every session.
    pub fn has_users(&self) -> bool {
        self.rest.user.as_ref().is_some_and(|column| !column.contains(&NO_USER))
    }

    /// Number of sessions that have propensities.
    pub fn sessions_with_propensities(&self) -> usize {
        match &self.propensity {
            Some(_) => self.iter().filter(|session| session.step(0).propensity.is_some()).count(),
            None => 0,
        }
    }

    /// Number of sessions that have times.
    pub fn sessions_with_timestamps(&self) -> usize {
        match &self.timestamp {
            Some(_) => self.iter().filter(|session| session.start().is_some()).count(),
            None => 0,
        }
    }

    /// Number of sessions that have a user.
    pub fn sessions_with_users(&self) -> usize {
        self.rest
            .user
            .as_ref()
            .map_or(0, |column| column.iter().filter(|&&user| user != NO_USER).count())
    }

    /// What its numbers mean.
    pub fn facts(&self) -> Facts {
        self.rest.facts
    }

    /// Number of slates on which several items were chosen, and of the clicks on them.
    pub fn several_clicks(&self) -> (usize, usize) {
        self.rest.clicks.as_ref().map_or((0, 0), |clicks| (clicks.slates(), clicks.clicks()))
    }

    /// Number of steps whose candidates are known.
    pub fn steps_with_candidates(&self) -> usize {
        self.rest.candidates.as_ref().map_or(0, CandidateSets::steps)
    }

    /// Number of organic events of all sessions.
    pub fn events(&self) -> usize {
        self.rest.events.as_ref().map_or(0, Events::len)
    }

    /// Number of steps of which a category of this column of the context is known.
    pub fn steps_with_context(&self, column: usize) -> usize {
        let known = |categories: &Categories| categories.known(column);
        self.rest.context.as_ref().map_or(0, known)
    }

    /// Bytes of all columns, without the spare capacity of a log that is still growing.
    pub fn bytes(&self) -> usize {
        let optional = |len: Option<usize>, width: usize| len.unwrap_or(0) * width;
        8 * (self.session_offsets.len() + self.slate_offsets.len())
            + 4 * (self.shown.len() + self.chosen.len() + self.reward.len())
            + optional(self.propensity.as_ref().map(Vec::len), 4)
            + optional(self.timestamp.as_ref().map(Vec::len), 8)
            + optional(self.rest.user.as_ref().map(Vec::len), 4)
            + self.rest.clicks.as_ref().map_or(0, Clicks::bytes)
            + self.rest.candidates.as_ref().map_or(0, CandidateSets::bytes)
            + self.rest.events.as_ref().map_or(0, Events::bytes)
            + self.rest.context.as_ref().map_or(0, Categories::bytes)
    }

    pub(crate) fn forget_users(&mut self) {
        self.rest.user = None;
    }

    pub(crate) fn forget_timestamps(&mut self) {
        self.timestamp = None;
    }

    pub(crate) fn forget_propensities(&mut self) {
        self.propensity = None;
    }

    pub(crate) fn forget_clicks(&mut self) {
        self.rest.clicks = None;
    }

    pub(crate) fn forget_candidates(&mut self) {
        self.rest.candidates = None;
    }

    pub(crate) fn forget_events(&mut self) {
        self.rest.events = None;
    }

    pub(crate) fn forget_context(&mut self) {
        self.rest.context = None;
    }

    /// The log of the given sessions, in the given order.
    pub fn select(&self, sessions: &[usize]) -> Log {
        let mut builder = LogBuilder::new(self.rest.facts);
        for &index in sessions {
            let session = self.session(index);
            for (t, step) in session.steps().enumerate() {
                builder.append(&step, &session.extras(t));
            }
            session.events().for_each(|event| builder.append_event(event));
            builder.close_session(session.user());
        }
        builder.build()
    }

    fn propensity_at(&self, slate: std::ops::Range<usize>) -> Option<&[f32]> {
        self.propensity
            .as_ref()
            .map(|column| &column[slate])
            .filter(|numbers| numbers[0] != NO_PROPENSITY)
    }

    fn timestamp_at(&self, step: usize) -> Option<i64> {
        self.timestamp.as_ref().map(|column| column[step]).filter(|&time| time != NO_TIME)
    }

    fn step(&self, index: usize) -> Step<'_> {
        let slate = self.slate_offsets[index] as usize..self.slate_offsets[index + 1] as usize;
        Step {
            slate: &self.shown[slate.clone()],
            choice: Choice::from_code(self.chosen[index]),
            reward: self.reward[index],
            propensity: self.propensity_at(slate),
            timestamp: self.timestamp_at(index),
        }
    }
}

/// What happened next in a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// An interaction with an item that no slate showed.
    Event(Event),
    /// A slate and its answer, and which step of the session it is, from 0.
    Step(usize, Step<'a>),
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
    /// The session's index in the log, from 0; its raw id is the data set's to tell.
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

    /// What step `t` has beyond its slate, choice and reward.
    pub fn extras(self, t: usize) -> Extras<'a> {
        let step = self.first + t;
        Extras {
            clicks: self.log.rest.clicks.as_ref().map_or(&[], |clicks| clicks.of_step(step)),
            candidates: self.candidates(t).unwrap_or_default(),
            context: self.log.rest.context.as_ref().map_or(&[], |known| known.of_step(step)),
        }
    }

    /// The items that the slate of step `t` was drawn from, if they are known. Another
    /// policy may choose only among them.
    pub fn candidates(self, t: usize) -> Option<&'a [ItemId]> {
        self.log.rest.candidates.as_ref()?.of_step(self.first + t)
    }

    /// The organic events, in order.
    pub fn events(self) -> impl Iterator<Item = Event> + 'a {
        self.log.rest.events.iter().flat_map(move |events| events.of_session(self.index))
    }

    /// The steps and the organic events in the order in which they happened.
    pub fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        let (mut events, mut steps) =
            (self.events().peekable(), self.steps().enumerate().peekable());
        std::iter::from_fn(move || {
            let next = steps.peek().map(|(t, _)| *t);
            match events.next_if(|event| next.is_none_or(|t| event.after as usize <= t)) {
                Some(event) => Some(Entry::Event(event)),
                None => steps.next().map(|(t, step)| Entry::Step(t, step)),
            }
        })
    }

    /// The chosen items in order.
    pub fn clicks(self) -> impl Iterator<Item = ItemId> + 'a {
        self.steps().filter_map(|step| step.choice.item())
    }

    /// The user, as an index into the data set's user vocabulary; `None` where it is not known.
    pub fn user(self) -> Option<u32> {
        self.log.rest.user.as_ref().map(|column| column[self.index]).filter(|&user| user != NO_USER)
    }

    /// Time of the first step, where the session has times.
    pub fn start(self) -> Option<i64> {
        self.log.timestamp_at(self.first)
    }

    /// Whether the log saw the user leave.
    pub fn left(self) -> bool {
        self.log.chosen[self.last - 1] == Choice::Leave.code()
    }
}
