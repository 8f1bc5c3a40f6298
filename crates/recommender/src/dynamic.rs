//! Policies whose types are not known, for programs that load a recommender of any kind. `Policy`
//! has a type of memory for each policy; here that type is erased and checked when a memory is
//! used.

use std::any::Any;

use foretaste_random::{Seed, Stream};
use foretaste_sim::{Candidates, Error, Policy, Propensities, Responses, Result, Slates};

/// The memory of a policy whose type is not known.
pub struct Memory(Box<dyn Any + Send + Sync>);

/// [`Policy`] without the type of its memory, so that policies of all kinds can be in one list.
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

    /// The score of every item, a row for each of the memories (or one row that is everyone's),
    /// where the kind goes by such: one that [draws](Self::draws) draws in proportion to
    /// exp(score), without replacement; any other shows the largest.
    fn scores(&self, memory: &Memory) -> Result<Option<Vec<Vec<f64>>>>;

    /// Whether its slates are drawn, and not certain.
    fn draws(&self) -> bool;

    /// The number of items on its slates, where it shows no others.
    fn length(&self) -> Option<usize>;
}

/// A [`Policy`] as a [`DynPolicy`].
pub struct Erased<P: Policy> {
    policy: P,
    propensities: PropensitiesOf<P>,
    scores: Option<ScoresOf<P>>,
    draws: bool,
    length: Option<usize>,
}

/// The propensities that a policy gives slates.
type PropensitiesOf<P> =
    fn(&P, &<P as Policy>::Memory, Option<&Candidates>, &Slates) -> Result<Vec<f64>>;

/// The scores that a policy gives items.
type ScoresOf<P> = Box<dyn Fn(&P, &<P as Policy>::Memory) -> Result<Vec<Vec<f64>>> + Send + Sync>;

impl<P: Policy> Erased<P> {
    /// A policy that knows its propensities.
    pub fn drawn(policy: P) -> Self
    where
        P: Propensities,
    {
        Self { policy, propensities: P::propensities, scores: None, draws: true, length: None }
    }

    /// A policy that draws nothing: its slate has probability 1, any other 0.
    pub fn certain(policy: P) -> Self {
        Self { policy, propensities: certain, scores: None, draws: false, length: None }
    }

    /// The same, which shows slates of so many items only.
    #[must_use]
    pub fn of_length(self, k: usize) -> Self {
        Self { length: Some(k), ..self }
    }

    /// The same, whose slates go by these scores ([`DynPolicy::scores`]).
    #[must_use]
    pub fn by_scores(
        self,
        scores: impl Fn(&P, &P::Memory) -> Result<Vec<Vec<f64>>> + Send + Sync + 'static,
    ) -> Self {
        Self { scores: Some(Box::new(scores)), ..self }
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

    fn scores(&self, memory: &Memory) -> Result<Option<Vec<Vec<f64>>>> {
        let Some(scores) = &self.scores else { return Ok(None) };
        scores(&self.policy, memory.of::<P>()?).map(Some)
    }

    fn draws(&self) -> bool {
        self.draws
    }

    fn length(&self) -> Option<usize> {
        self.length
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
