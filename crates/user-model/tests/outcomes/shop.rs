//! Users with a known reward for what they click, who leave with a known hazard.

use foretaste_data::{Choice, ItemId};
use foretaste_random::Stream;
use foretaste_sim::{ChoiceUsers, Environment, Outside, Responses, Result, Slates};
use rand::Rng;

/// [`ChoiceUsers`] whose clicks earn what the item is worth, and whose sessions may end after any
/// step.
pub struct Shop {
    pub users: ChoiceUsers,
    /// The probability that a click on each item is a sale.
    pub sales: Vec<f64>,
    /// What a sale of each item earns.
    pub prices: Vec<f64>,
    /// What a step costs on which the user leaves.
    pub farewell: f32,
    /// The probability that a session is over after a step that did not end it.
    pub hazard: f64,
}

impl Shop {
    /// The mean reward of a click on each item.
    pub fn worth(&self) -> Vec<f64> {
        self.sales.iter().zip(&self.prices).map(|(sale, price)| sale * price).collect()
    }

    /// What a session of this slate alone earns, if the probabilities of its first step are those
    /// of every step.
    pub fn value(&self, slate: [ItemId; 3]) -> f64 {
        let probabilities = self.users.choice_probabilities(0, &[], &slate);
        let worth = self.worth();
        let sold: f64 =
            slate.iter().zip(&probabilities).map(|(item, p)| p * worth[item.index()]).sum();
        let leaving = match self.users.config().outside {
            Outside::Skip { leaving } => probabilities[3] * leaving,
            Outside::Leave => probabilities[3],
            Outside::Absent => 0.0,
        };
        (sold + leaving * f64::from(self.farewell)) / (leaving + (1.0 - leaving) * self.hazard)
    }
}

impl Environment for Shop {
    type State = <ChoiceUsers as Environment>::State;

    fn items(&self) -> usize {
        self.users.items()
    }

    fn reset(&self, streams: &mut [Stream]) -> Result<Self::State> {
        self.users.reset(streams)
    }

    fn step(
        &self,
        state: &mut Self::State,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> Result<()> {
        self.users.step(state, slates, streams, responses)?;
        for (row, stream) in streams.iter_mut().enumerate() {
            responses.reward[row] = match responses.choice[row] {
                Choice::Skip => 0.0,
                Choice::Leave => self.farewell,
                Choice::Item(item) if stream.random_bool(self.sales[item.index()]) => {
                    self.prices[item.index()] as f32
                }
                Choice::Item(_) => 0.0,
            };
            responses.ended[row] |= stream.random_bool(self.hazard);
        }
        Ok(())
    }

    fn select(&self, state: &Self::State, rows: &[usize]) -> Result<Self::State> {
        self.users.select(state, rows)
    }

    fn replace(
        &self,
        state: &mut Self::State,
        rows: &[usize],
        streams: &mut [Stream],
    ) -> Result<()> {
        self.users.replace(state, rows, streams)
    }
}
