//! The discriminator while trajectories are still being generated (IRecGAN, Algorithm 1): each step
//! costs the time of one step, and D of the trajectory so far equals that of the network on the
//! whole.

use candle_core::Tensor;
use foretaste_data::{Choice, ItemId};
use foretaste_train::{ClickStates, FrozenClicks, Head};

use crate::model::sigmoid;
use crate::{Discriminator, Result};

/// A [`Discriminator`] whose parameters stay as they are, run along trajectories step by step.
///
/// On the CPU a trajectory does not depend on those around it, not in the last bit.
#[derive(Debug)]
pub struct FrozenDiscriminator {
    clicks: FrozenClicks,
    /// The embeddings on the host, `[items + 1 or more, embedding]`, END behind the items.
    entries: Vec<f32>,
    favourite: Head,
    /// W^p and b^p.
    reward: (f32, f32),
    embedding: usize,
    end: usize,
    temperature: f32,
    leaving: bool,
}

/// D of some trajectories so far: the state s^d, and the running sum over the steps that count.
#[derive(Clone, Debug)]
pub struct DiscriminatorState {
    clicks: ClickStates,
    sums: Vec<f64>,
    steps: Vec<u32>,
}

impl Discriminator {
    /// The discriminator as it is now.
    pub fn freeze(&self) -> Result<FrozenDiscriminator> {
        let config = self.config();
        let clicks = self.clicks.freeze()?;
        let number =
            |tensor: &Tensor| Ok::<f32, crate::Error>(tensor.flatten_all()?.to_vec1::<f32>()?[0]);
        Ok(FrozenDiscriminator {
            entries: clicks.table().flatten_all()?.to_vec1()?,
            clicks,
            favourite: self.favourite.freeze()?,
            reward: (number(&self.reward.0)?, number(&self.reward.1)?),
            embedding: config.embedding,
            end: config.items,
            temperature: config.temperature as f32,
            leaving: config.leaving,
        })
    }
}

impl FrozenDiscriminator {
    /// The state of `rows` trajectories that begin.
    pub fn begin(&self, rows: usize) -> Result<DiscriminatorState> {
        self.begin_after(&vec![Vec::new(); rows])
    }

    /// The state of trajectories before whose first slate these items were clicked.
    pub fn begin_after(&self, histories: &[Vec<ItemId>]) -> Result<DiscriminatorState> {
        let rows = histories.len();
        let clicks = self.clicks.begin_after(histories)?;
        Ok(DiscriminatorState { clicks, sums: vec![0.0; rows], steps: vec![0; rows] })
    }

    /// Moves every trajectory on by a step: slates of `k` items `[rows · k]`, what was chosen and
    /// the reward `[rows]`.
    pub fn step(
        &self,
        state: &mut DiscriminatorState,
        slates: &[ItemId],
        k: usize,
        choices: &[Choice],
        rewards: &[f32],
    ) -> Result<()> {
        let rows = choices.len();
        if rows == 0 {
            return Ok(());
        }
        let queries = self.favourite.act(self.clicks.output(&state.clicks)?)?;
        let queries: Vec<f32> = queries.flatten_all()?.to_vec1()?;
        for (row, (choice, query)) in
            choices.iter().zip(queries.chunks_exact(self.embedding)).enumerate()
        {
            let chosen = match choice {
                Choice::Item(item) => item.index(),
                Choice::Leave | Choice::Skip if self.leaving => self.end,
                Choice::Leave | Choice::Skip => continue,
            };
            let agreement = self.agreement(&slates[row * k..(row + 1) * k], query, chosen);
            state.sums[row] +=
                f64::from(agreement * (self.reward.0 * rewards[row] + self.reward.1));
            state.steps[row] += 1;
        }
        Ok(self.clicks.step(&mut state.clicks, choices)?)
    }

    /// Copies rows, in the given order, a row as often as it is named.
    pub fn select(&self, state: &DiscriminatorState, rows: &[usize]) -> Result<DiscriminatorState> {
        Ok(DiscriminatorState {
            clicks: self.clicks.select(&state.clicks, rows)?,
            sums: rows.iter().map(|&row| state.sums[row]).collect(),
            steps: rows.iter().map(|&row| state.steps[row]).collect(),
        })
    }

    /// e(c^max)ᵀ e(c).
    fn agreement(&self, slate: &[ItemId], query: &[f32], chosen: usize) -> f32 {
        let options = slate.iter().map(|item| item.index()).chain(self.leaving.then_some(self.end));
        let options: Vec<&[f32]> = options.map(|entry| self.entry(entry)).collect();
        let values: Vec<f32> =
            options.iter().map(|option| dot(query, option) / self.temperature).collect();
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (mut total, mut sum) = (0.0, 0.0);
        for (value, option) in values.iter().zip(options) {
            let weight = (value - largest).exp();
            total += weight;
            sum += weight * dot(option, self.entry(chosen));
        }
        sum / total
    }

    fn entry(&self, entry: usize) -> &[f32] {
        &self.entries[entry * self.embedding..][..self.embedding]
    }
}

impl DiscriminatorState {
    /// D of every trajectory as it stands, were it complete; 1/2 for one without a step that
    /// counts.
    pub fn probabilities(&self) -> Vec<f64> {
        let mean = |(sum, &steps): (&f64, &u32)| sum / f64::from(steps.max(1));
        self.sums.iter().zip(&self.steps).map(mean).map(sigmoid).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
