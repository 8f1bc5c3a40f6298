//! The wrapper by which an ordinary policy takes part in a rollout. Rollouts take privileged
//! policies; a policy in this wrapper is one that does not use its privilege.

use foretaste_random::Stream;

use crate::{Candidates, Environment, Policy, Privileged, Responses, Result, Slates};

/// A [`Policy`], owned or borrowed, that plays in an environment and does not see its state.
#[derive(Clone, Copy, Debug)]
pub struct Blind<P>(pub P);

impl<E: Environment + ?Sized, P: Policy> Privileged<E> for Blind<P> {
    type Memory = P::Memory;

    fn begin(&self, rows: usize) -> Result<P::Memory> {
        self.0.begin(rows)
    }

    fn recommend(
        &self,
        memory: &P::Memory,
        _state: &E::State,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        self.0.rank(memory, None, k, streams, slates)
    }

    fn observe(
        &self,
        memory: &mut P::Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> Result<()> {
        self.0.observe(memory, slates, responses)
    }

    fn select(&self, memory: &P::Memory, rows: &[usize]) -> Result<P::Memory> {
        self.0.select(memory, rows)
    }
}

impl<P: Policy + ?Sized> Policy for &P {
    type Memory = P::Memory;

    fn begin(&self, rows: usize) -> Result<P::Memory> {
        (**self).begin(rows)
    }

    fn rank(
        &self,
        memory: &P::Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        (**self).rank(memory, allowed, k, streams, slates)
    }

    fn observe(
        &self,
        memory: &mut P::Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> Result<()> {
        (**self).observe(memory, slates, responses)
    }

    fn select(&self, memory: &P::Memory, rows: &[usize]) -> Result<P::Memory> {
        (**self).select(memory, rows)
    }
}
