use std::any::Any;

use foretaste_random::{Seed, Stream};
use foretaste_sim::{Candidates, Error, Policy, Propensities, Responses, Result, Slates};

/// The memory of a policy whose type is not known.
pub struct Memory(Box<dyn Any + Send + Sync>);

/// [`Policy`] without the type of its memory, so that policies of all kinds can stand side by side.
/// A memory belongs to the policy that began it; another's is refused.
pub trait DynPolicy: Send + Sync {
    /// As [`Policy::begin`].
    fn begin(&self, rows: usize) -> Result<Memory>;

    /// As [`Policy::rank`].
    fn rank(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()>;

    /// As [`Policy::observe`].
    fn observe(&self, memory: &mut Memory, slates: &Slates, responses: &Responses) -> Result<()>;

    /// As [`Policy::select`].
    fn select(&self, memory: &Memory, rows: &[usize]) -> Result<Memory>;

    /// As [`Propensities::propensities`].
    fn propensities(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> Result<Vec<f64>>;
}

/// A [`Policy`] as a [`DynPolicy`].
pub struct Erased<P: Policy> {
    policy: P,
    propensities: PropensitiesOf<P>,
}

/// The propensities that a policy gives slates.
type PropensitiesOf<P> =
    fn(&P, &<P as Policy>::Memory, Option<&Candidates>, &Slates) -> Result<Vec<f64>>;

impl<P: Policy> Erased<P> {
    /// A policy that knows its propensities.
    pub fn drawn(policy: P) -> Self
    where
        P: Propensities,
    {
        Self { policy, propensities: P::propensities }
    }

    /// A policy that draws nothing: its slate has probability 1, any other 0.
    pub fn certain(policy: P) -> Self {
        Self { policy, propensities: certain }
    }
}

impl<P: Policy<Memory: 'static> + Send> DynPolicy for Erased<P> {
    fn begin(&self, rows: usize) -> Result<Memory> {
        Ok(Memory(Box::new(self.policy.begin(rows)?)))
    }

    fn rank(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        self.policy.rank(memory.of::<P>()?, allowed, k, streams, slates)
    }

    fn observe(&self, memory: &mut Memory, slates: &Slates, responses: &Responses) -> Result<()> {
        let memory = memory.0.downcast_mut().ok_or_else(another)?;
        self.policy.observe(memory, slates, responses)
    }

    fn select(&self, memory: &Memory, rows: &[usize]) -> Result<Memory> {
        Ok(Memory(Box::new(self.policy.select(memory.of::<P>()?, rows)?)))
    }

    fn propensities(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> Result<Vec<f64>> {
        (self.propensities)(&self.policy, memory.of::<P>()?, allowed, slates)
    }
}

impl Memory {
    fn of<P: Policy<Memory: 'static>>(&self) -> Result<&P::Memory> {
        self.0.downcast_ref().ok_or_else(another)
    }
}

fn another() -> Error {
    Error::Contract("the memory is another policy's".into())
}

/// 1 up to the first place at which a slate differs from the policy's own, 0 from there on.
fn certain<P: Policy>(
    policy: &P,
    memory: &P::Memory,
    allowed: Option<&Candidates>,
    slates: &Slates,
) -> Result<Vec<f64>> {
    let mut own = Slates::default();
    let mut streams = Seed::new(0).streams(0..slates.rows() as u64);
    policy.rank(memory, allowed, slates.k(), &mut streams, &mut own)?;
    let of_row = |row: usize| {
        let (slate, own) = (slates.row(row), own.row(row));
        let agree = slate.iter().zip(own).take_while(|(item, own)| item == own).count();
        (0..slate.len()).map(move |place| f64::from(u8::from(place < agree)))
    };
    Ok((0..slates.rows()).flat_map(of_row).collect())
}
