//! The agent in sessions that begin with clicks before the first slate. `Policy` knows no such
//! sessions, so this wrapper starts each memory after its clicks.

use foretaste_data::ItemId;
use foretaste_random::Stream;
use foretaste_sim::{Candidates, Policy, Responses, Slates};
use foretaste_train::ClickStates;

use crate::AgentPolicy;

/// A, for sessions of users who clicked something before their first slate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened<'a> {
    pub agent: &'a AgentPolicy,
    /// The items that each session clicked before its first slate.
    pub openings: &'a [Vec<ItemId>],
}

impl Policy for Opened<'_> {
    type Memory = ClickStates;

    fn begin(&self, _: usize) -> foretaste_sim::Result<ClickStates> {
        Ok(self.agent.begin_after(self.openings)?)
    }

    fn rank(
        &self,
        memory: &ClickStates,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        self.agent.rank(memory, allowed, k, streams, slates)
    }

    fn observe(
        &self,
        memory: &mut ClickStates,
        slates: &Slates,
        responses: &Responses,
    ) -> foretaste_sim::Result<()> {
        self.agent.observe(memory, slates, responses)
    }

    fn select(&self, memory: &ClickStates, rows: &[usize]) -> foretaste_sim::Result<ClickStates> {
        self.agent.select(memory, rows)
    }
}
