//! The contracts of environments and policies. What a policy may know is part of its type: a
//! `Policy` sees slates and answers, and only a `Privileged` one sees the state of its environment.

use foretaste_random::Stream;

use crate::{Candidates, Responses, Result, Slates};

/// Users, stepped as a batch of sessions.
///
/// Row `i` of every argument belongs to one session and draws from stream `i` alone, so that a
/// session's course does not depend on the batch around it.
pub trait Environment: Sync {
    /// The users' hidden state, one row per session.
    type State: Send + Sync;

    /// Number of items that can be shown; slates hold ids below it.
    fn items(&self) -> usize;

    /// Opens one session per stream.
    fn reset(&self, streams: &mut [Stream]) -> Result<Self::State>;

    /// Shows slate `i` to session `i`, moves the sessions on, and replaces the content of
    /// `responses`.
    fn step(
        &self,
        state: &mut Self::State,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> Result<()>;

    /// Copies rows, in the given order, a row as often as it is named: what dropping ended sessions
    /// and Monte-Carlo branching need.
    fn select(&self, state: &Self::State, rows: &[usize]) -> Result<Self::State>;

    /// Opens a new session in each of `rows`, which are distinct, in place of the one there; the
    /// session in `rows[i]` draws from `streams[i]`. The other rows go on as if nothing had
    /// happened: what a batch that is kept full needs.
    fn replace(
        &self,
        state: &mut Self::State,
        rows: &[usize],
        streams: &mut [Stream],
    ) -> Result<()>;
}

/// A recommender: all that it knows of a session is what was shown and what came back.
pub trait Policy: Sync {
    /// What the policy remembers of each session, one row per session.
    type Memory: Send + Sync;

    /// The memory of `rows` sessions that begin.
    fn begin(&self, rows: usize) -> Result<Self::Memory>;

    /// Replaces the content of `slates` by one slate of `k` distinct items per session, none but
    /// those that `allowed` admits, if it is given. Session `i` draws from `streams[i]`.
    fn rank(
        &self,
        memory: &Self::Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()>;

    /// Takes note of what was shown and what came back.
    fn observe(
        &self,
        memory: &mut Self::Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> Result<()>;

    /// Copies rows of the memory, as [`Environment::select`] does for states.
    fn select(&self, memory: &Self::Memory, rows: &[usize]) -> Result<Self::Memory>;
}

/// A policy that draws its slates, and knows how likely each of them is: what off-policy evaluation
/// weighs a log by.
pub trait Propensities: Policy {
    /// The probability of each place of `slates` given the places before it, `[rows · k]`. A
    /// slate need not be one that the policy would show; what it never shows has probability 0.
    fn propensities(
        &self,
        memory: &Self::Memory,
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> Result<Vec<f64>>;
}

/// What a rollout takes: a policy that may look at the users' state.
///
/// An oracle, or a logging policy that the true reward defines, implements this for its own
/// environment. A [`Policy`] plays in every environment, as [`Blind`](crate::Blind).
pub trait Privileged<E: Environment + ?Sized>: Sync {
    /// As [`Policy::Memory`].
    type Memory: Send + Sync;

    /// As [`Policy::begin`].
    fn begin(&self, rows: usize) -> Result<Self::Memory>;

    /// Replaces the content of `slates` by one slate of `k` distinct items per session.
    fn recommend(
        &self,
        memory: &Self::Memory,
        state: &E::State,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()>;

    /// As [`Policy::observe`].
    fn observe(
        &self,
        memory: &mut Self::Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> Result<()>;

    /// As [`Policy::select`].
    fn select(&self, memory: &Self::Memory, rows: &[usize]) -> Result<Self::Memory>;
}
