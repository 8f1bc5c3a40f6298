use foretaste_random::Stream;

use crate::{Responses, Result, Slates};

/// Users, stepped as a batch of sessions.
///
/// Row `i` of every argument belongs to one session and draws from stream `i` alone, so that a
/// session's course does not depend on the batch around it.
pub trait Environment: Sync {
    /// The users' hidden state, one row per session. A policy that is generic over the environment
    /// cannot look inside.
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
}

/// A recommender in an environment `E`.
///
/// A policy that sees only slates and responses implements this for every `E: Environment`:
/// `E::State` is then opaque to it. One that knows the users (an oracle, a logging policy defined
/// by the true reward) implements it for its own environment alone, and reads the state.
pub trait Policy<E: Environment + ?Sized>: Sync {
    /// What the policy remembers of each session, one row per session.
    type Memory: Send + Sync;

    /// The memory of `rows` sessions that begin.
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
