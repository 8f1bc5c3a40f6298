//! A user model as a table over all short histories, for which the optimal policy is known exactly:
//! it shows how much a recommender could earn in these users at most.

use candle_core::DType;
use foretaste_data::ItemId;
use foretaste_settings::Setting;
use foretaste_sim::bounds::{Appeal, Histories, ShortMemory};

use crate::config::{Outside, StateEncoder};
use crate::ensemble::Combining;
use crate::{LearnedUsers, Regulariser, Result, UserModel, UserModelConfig, impressions};

/// Histories whose rewards are computed at a time.
const CHUNK: usize = 256;

/// r_θ of every item after every history of a model that looks a few clicks back: what
/// [`ChoiceOracle`](foretaste_sim::bounds::ChoiceOracle) solves exactly.
#[derive(Clone, Debug)]
pub struct RewardTable {
    histories: Histories,
    items: usize,
    memory: usize,
    /// `[histories, items]`.
    rewards: Vec<f32>,
    eta: f64,
    outside: Outside,
}

impl UserModel {
    /// The rewards as a table, for a model whose state is weighted clicks, without context features
    /// and under Shannon's entropy.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is another, or the table would be larger
    /// than 50 million entries.
    pub fn reward_table(&self) -> Result<RewardTable> {
        let all: Vec<u32> = (0..self.config().items as u32).collect();
        RewardTable::of(self.config(), |histories| {
            let mut clicks = impressions::Histories::default();
            for newest_first in histories {
                clicks.push(newest_first.iter().rev().map(|item| item.0).collect());
            }
            let states = self.projected_states(&clicks)?;
            let rewards = self.slate_rewards(&states, &all.repeat(histories.len()), all.len())?;
            Ok(rewards.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
        })
    }
}

impl LearnedUsers {
    /// The rewards by which these users choose as a table, with the penalty where they have one.
    ///
    /// # Errors
    /// As [`UserModel::reward_table`].
    pub fn reward_table(&self) -> Result<RewardTable> {
        RewardTable::of(self.model().config(), |histories| self.rewards_after(histories))
    }
}

impl RewardTable {
    /// The most entries.
    const MAX_ENTRIES: usize = 50_000_000;

    /// Of a model of these settings, where `rewards_after` gives those of every item after each of
    /// some histories, newest click first.
    fn of(
        config: &UserModelConfig,
        rewards_after: impl Fn(&[Vec<ItemId>]) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let StateEncoder::PositionWeights { history: memory, .. } = config.state else {
            let problem = "the state is an LSTM's, expected position weights";
            return Err(Setting::new("reward table", problem).into());
        };
        if config.context.is_some() || config.regulariser != Regulariser::Shannon {
            let problem = "expected Shannon's entropy and no context features";
            return Err(Setting::new("reward table", problem).into());
        }
        let (items, most) = (config.items, Self::MAX_ENTRIES);
        let histories = Histories::new(items, memory)
            .filter(|histories| histories.count().checked_mul(items).is_some_and(|n| n <= most));
        let Some(histories) = histories else {
            let problem = format!("{memory} clicks of {items} items give more than {most} entries");
            return Err(Setting::new("reward table", problem).into());
        };
        let mut rewards = Vec::with_capacity(histories.count() * items);
        for start in (0..histories.count()).step_by(CHUNK) {
            let codes = start..histories.count().min(start + CHUNK);
            let chunk: Vec<_> = codes.map(|code| histories.newest_first(code)).collect();
            rewards.extend(rewards_after(&chunk)?);
        }
        let (eta, outside) = (config.eta, config.outside);
        Ok(Self { histories, items, memory, rewards, eta, outside })
    }

    /// All rewards, to compare tables by.
    #[cfg(test)]
    pub(crate) fn rewards(&self) -> &[f32] {
        &self.rewards
    }

    /// The tables of several models of the same users as one.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is none, they differ in more than
    /// rewards, or each session has a member of its own, which is no table.
    pub fn combined(tables: &[Self], combining: Combining) -> Result<Self> {
        let shape = |table: &Self| (table.items, table.memory, table.eta, table.outside);
        let Some((first, others)) = tables.split_first() else {
            return Err(Setting::new("ensemble", "no member, expected at least one").into());
        };
        if others.iter().any(|other| shape(other) != shape(first)) {
            let problem = "its members differ in items, memory, η or the outside option";
            return Err(Setting::new("ensemble", problem).into());
        }
        let mut members = vec![0.0; tables.len()];
        let combine = |at: usize| {
            for (member, table) in members.iter_mut().zip(tables) {
                *member = table.rewards[at];
            }
            combining.of(&members)
        };
        let rewards = (0..first.rewards.len()).map(combine).collect::<Option<_>>();
        let Some(rewards) = rewards else {
            let problem = "a member for each session is no single table";
            return Err(Setting::new("ensemble", problem).into());
        };
        Ok(Self { rewards, ..first.clone() })
    }
}

impl ShortMemory for RewardTable {
    fn items(&self) -> usize {
        self.items
    }

    fn types(&self) -> usize {
        1
    }

    fn memory(&self) -> usize {
        self.memory
    }

    fn staying(&self) -> f64 {
        match self.outside {
            Outside::Nothing { leaving } => 1.0 - leaving,
            Outside::Absent => 0.0,
        }
    }

    fn appeal(&self, _user_type: usize, newest_first: &[ItemId]) -> Appeal {
        let row = self.histories.code(newest_first) * self.items;
        let rewards: Vec<f64> =
            self.rewards[row..row + self.items].iter().map(|&reward| f64::from(reward)).collect();
        // Scaled by the largest, so that none overflows.
        let has_outside = self.outside != Outside::Absent;
        let least = if has_outside { 0.0 } else { f64::NEG_INFINITY };
        let largest = rewards.iter().fold(least, |most, reward| most.max(self.eta * reward));
        let weights = rewards.iter().map(|reward| (self.eta * reward - largest).exp()).collect();
        let nothing = if has_outside { (-largest).exp() } else { 0.0 };
        Appeal { weights, nothing, rewards }
    }
}
