//! The level of r_θ, where the choices of a log leave it open.
//!
//! A constant added to all rewards moves the odds of choosing nothing and no others (Lemma 1 with
//! the outside option at 0). Where every step of a log has a click, nothing in it speaks against
//! any large constant: click rates as fitted are near 1, and a policy cannot be judged by them. Two
//! ways out, for such logs: leave the outside option away ([`Outside::Absent`], which
//! [`Outside::observed`] returns), or fix the level by [`UserModel::set_level`].

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use rand::seq::index;

use crate::config::Outside;
use crate::{Regulariser, Result, UserModel};

/// Items on each of the random slates whose click rate sets the level.
pub const SLATE: usize = 3;
/// The click rate on random slates at which an ordinary item is worth as much as none: compared
/// with nothing, three of utility 0 are clicked 3 times in 4.
pub const RANDOM_CLICK_RATE: f64 = 0.75;
const SLATES: u64 = 512;

impl UserModel {
    /// Adds a constant to the rewards of all items, after which users without clicks click this
    /// share of slates of [`SLATE`] random items, by the mean over 512 slates that are the same in
    /// every call; [`RANDOM_CLICK_RATE`] is the usual share. Differences between rewards stay as
    /// they are.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the rate is not between 0 and 1, if there are
    /// fewer items than a slate holds, or if users have no outside option.
    pub fn set_level(&self, random_click_rate: f64) -> Result<()> {
        if !(random_click_rate > 0.0 && random_click_rate < 1.0) {
            let problem =
                format!("a click rate of {random_click_rate}, expected above 0 and below 1");
            return Err(Setting::new("level of rewards", problem).into());
        }
        let items = self.config().items;
        if items < SLATE {
            let problem = format!("{items} items, expected at least {SLATE}");
            return Err(Setting::new("level of rewards", problem).into());
        }
        if self.config().outside == Outside::Absent {
            let problem = "users always choose an item, so no level changes what they do; expected an outside option";
            return Err(Setting::new("level of rewards", problem).into());
        }
        let log = random_slates(items)?;
        let sessions: Vec<usize> = (0..log.sessions()).collect();
        let utilities: Vec<Vec<f32>> = self
            .slate_choices(&log, &sessions)?
            .into_iter()
            .map(|impression| impression.utility)
            .collect();
        let (mut low, mut high) = (-100.0, 100.0);
        // The rate rises with the constant.
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            let rate = click_rate(self.config().regulariser, &utilities, middle)?;
            if rate < random_click_rate { low = middle } else { high = middle }
        }
        self.raise_rewards(low / self.config().eta)
    }
}

/// Sessions of one step each.
fn random_slates(items: usize) -> Result<Log> {
    let mut builder = LogBuilder::default();
    for mut stream in Seed::new(0).derive("level of rewards").streams(0..SLATES) {
        let slate: Vec<ItemId> = index::sample(&mut stream, items, SLATE)
            .into_iter()
            .map(|item| ItemId(item as u32))
            .collect();
        builder.push(Step::new(&slate, Choice::Skip, 0.0))?;
        builder.end_session(None)?;
    }
    Ok(builder.build())
}

/// Mean chance of a click on slates of these utilities, each raised by `more`, with nothing at 0 as
/// the alternative.
fn click_rate(regulariser: Regulariser, utilities: &[Vec<f32>], more: f64) -> Result<f64> {
    if regulariser == Regulariser::Shannon {
        let chance = |slate: &Vec<f32>| {
            let weight: f64 = slate.iter().map(|&utility| (f64::from(utility) + more).exp()).sum();
            weight / (1.0 + weight)
        };
        return Ok(utilities.iter().map(chance).sum::<f64>() / utilities.len() as f64);
    }
    let raised: Vec<f64> =
        utilities.iter().flatten().map(|&utility| f64::from(utility) + more).collect();
    let raised = Tensor::from_vec(raised, (utilities.len(), SLATE), &Device::Cpu)?;
    let mask = Tensor::ones(raised.shape(), DType::U8, &Device::Cpu)?;
    let nothing = regulariser.choice(&raised, &mask, true)?.narrow(1, SLATE, 1)?;
    Ok(1.0 - nothing.mean_all()?.to_scalar::<f64>()?)
}

#[cfg(test)]
mod tests {
    use foretaste_data::Catalogue;
    use foretaste_sim::policies::UniformRandom;
    use foretaste_sim::{Blind, Rollout};

    use super::*;
    use crate::{LearnedUsers, Pays, UserModelConfig};

    fn model(config: UserModelConfig) -> UserModel {
        let catalogue = Catalogue::numbered(config.items);
        UserModel::new(config, &catalogue, Seed::new(1), &Device::Cpu).unwrap()
    }

    /// An untrained model has rewards near 0, so that three items are clicked about 3 times in 4.
    /// Afterwards random slates are clicked half of the time: within 0.05 in 4,000 sessions, six
    /// standard errors; and the order of rewards is what it was.
    #[test]
    fn the_level_of_rewards_is_that_of_random_slates() {
        for regulariser in
            [Regulariser::Shannon, Regulariser::L2, Regulariser::Tsallis { alpha: 1.5 }]
        {
            let model = model(UserModelConfig { regulariser, ..UserModelConfig::new(30) });
            let log = random_slates(30).unwrap();
            let rewards = || model.slate_choices(&log, &[0, 1]).unwrap()[1].utility.clone();
            let before = rewards();
            model.set_level(0.5).unwrap();
            let after = rewards();
            let moved = after[0] - before[0];
            assert!(
                moved < -0.2
                    && after.iter().zip(&before).all(|(a, b)| (a - b - moved).abs() < 1e-5),
                "{moved}"
            );
            let rollout = Rollout::new(Seed::new(2), 0..4_000, SLATE).max_steps(1);
            let users = LearnedUsers::paying(model, Pays::Clicks).unwrap();
            let outcomes = rollout.outcomes(&users, &Blind(UniformRandom { items: 30 })).unwrap();
            let rate =
                outcomes.iter().map(|outcome| f64::from(outcome.clicks)).sum::<f64>() / 4_000.0;
            assert!((rate - 0.5).abs() < 0.05, "{regulariser:?}: {rate}");
        }
    }

    #[test]
    fn a_level_that_cannot_be_set_is_refused() {
        for (config, rate, expected) in [
            (UserModelConfig::new(2), 0.5, "2 items, expected at least 3"),
            (UserModelConfig::new(9), 1.0, "a click rate of 1"),
            (
                UserModelConfig { outside: Outside::Absent, ..UserModelConfig::new(9) },
                0.5,
                "expected an outside option",
            ),
        ] {
            let message = model(config).set_level(rate).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
