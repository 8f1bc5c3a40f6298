//! Users whose optimum is known and far from what greedy earns: a sanity check of whatever claims
//! to plan.

use foretaste_data::ItemId;
use foretaste_random::Seed;
use foretaste_sim::bounds::ChoiceOracle;
use foretaste_sim::{ChoiceUsers, ChoiceUsersConfig, Outside};

use crate::{ItemFeatures, QConfig, QNetworks, Result, StateEncoder};

/// A population in which greedy is provably suboptimal.
///
/// **Users.** [`ChoiceUsers`] of one type who remember one click, without attraction: the reward of
/// item a after a click on c is r(a | c) = b + p·f_a - β max(0, f_c·f_a)², and b + p·f_a before any
/// click. A click pays 1, who chooses nothing leaves, and sessions are cut after H steps. So
/// greedy, by the reward or by the chance of a click alike, shows the k items of the largest r.
///
/// **Items.** In coordinates (u, v), u along p with |p| = 1/2 and v across it, 6 *rich* items lie
/// at (2, 0) and 6 *light* ones of each of two flavours at (1/2, 1) and (1/2, -1). With b = 0.75, β
/// = 5.5:
///
/// | r(a \| c) | no click | c rich | c of flavour + | c of flavour - |
/// |---|---|---|---|---|
/// | rich | 1.75 | -86.25 | -3.75 | -3.75 |
/// | flavour + | 1 | -4.5 | -7.59 | 1 |
/// | flavour - | 1 | -4.5 | 1 | -7.59 |
///
/// **Greedy is suboptimal.** Let k = 2, H = 20 and π(r) = 2eʳ / (1 + 2eʳ), the chance of a click on
/// two items of reward r. Greedy opens with two rich items. A user who clicks one then has r ≤ -4.5
/// for every item, so clicks again with a chance of at most q = π(-4.5) ≈ 0.022; a user who does
/// not leaves. The session brings at most 1 click, and with probability at most q up to H - 1 more:
/// at most 1 + q (H - 1) < 1.5 clicks in expectation. Two light items of one flavour and then
/// always two of the flavour that was not clicked last have r = 1 at every step, so a chance of p =
/// π(1) ≈ 0.845 each time: Σ_{h=1..H} pʰ > 5 clicks. The optimum earns no less. ∎
///
/// The state matters: the better policy must know the last click, and one item of the wrong flavour
/// on every slate costs half of the clicks. [`Anchor::optimum`] solves for the optimum by dynamic
/// programming.
#[derive(Clone, Debug)]
pub struct Anchor {
    users: ChoiceUsers,
}

/// (u, v) of rich items and of light items of the two flavours.
const KINDS: [(f64, f64); 3] = [(2.0, 0.0), (0.5, 1.0), (0.5, -1.0)];
const OF_EACH_KIND: usize = 6;
const LENGTH_OF_P: f64 = 0.5;

impl Anchor {
    /// k.
    pub const K: usize = 2;
    /// H.
    pub const STEPS: usize = 20;
    /// Iterations under the default [`TrainConfig`](crate::TrainConfig) that are enough to plan.
    pub const ITERATIONS: u64 = 60;

    /// The population.
    ///
    /// # Errors
    /// None that the settings give cause for; they are the environment's.
    pub fn new() -> Result<Self> {
        let config = |items, preference, base| ChoiceUsersConfig {
            items,
            dims: 2,
            position_weights: vec![1.0],
            base,
            preference,
            attraction: 0.0,
            boredom: 5.5,
            outside: Outside::Leave,
            ..ChoiceUsersConfig::default()
        };
        // The reward of the unit vectors shows p as it is drawn; its scale is a setting.
        let probe = ChoiceUsers::with_features(&config(2, 1.0, 0.0), vec![1.0, 0.0, 0.0, 1.0])?;
        let drawn = probe.utilities(0, &[], &[ItemId(0), ItemId(1)]);
        let length = drawn[0].hypot(drawn[1]);
        let (x, y) = (drawn[0] / length, drawn[1] / length);
        // Kinds alternate, so that ties between items of a kind say nothing of the next kind.
        let items = OF_EACH_KIND * KINDS.len();
        let place = |(u, v): (f64, f64)| [(u * x - v * y) as f32, (u * y + v * x) as f32];
        let features = (0..items).flat_map(|item| place(KINDS[item % KINDS.len()])).collect();
        Ok(Self {
            users: ChoiceUsers::with_features(
                &config(items, LENGTH_OF_P / length, 0.75),
                features,
            )?,
        })
    }

    /// The users. Their features, `[18, 2]`, are what a recommender may know of the items.
    pub fn users(&self) -> &ChoiceUsers {
        &self.users
    }

    /// The expected number of clicks of the optimal policy, by dynamic programming over (last
    /// click, steps to go).
    ///
    /// # Errors
    /// As [`ChoiceOracle::new`].
    pub fn optimum(&self) -> Result<f64> {
        Ok(ChoiceOracle::new(&self.users, Self::K, Self::STEPS)?.value())
    }

    /// Untrained networks for these users: the given features, the last two clicks.
    ///
    /// # Errors
    /// As [`QNetworks::new`].
    pub fn networks(&self, seed: Seed) -> Result<QNetworks> {
        let config = QConfig {
            features: ItemFeatures::Given { dim: 2 },
            state: StateEncoder::PositionWeights { history: 2, columns: 2 },
            ..QConfig::new(self.users.items(), Self::K)
        };
        QNetworks::new(config, Some(self.users.features()), seed)
    }

    /// Σ pʰ, which the optimum reaches.
    pub fn least_optimum() -> f64 {
        (1..=Self::STEPS as i32).map(|h| click(1.0).powi(h)).sum()
    }

    /// 1 + q (H - 1), which greedy does not exceed.
    pub fn most_greedy() -> f64 {
        1.0 + click(-4.5) * (Self::STEPS - 1) as f64
    }
}

/// π(r).
fn click(reward: f64) -> f64 {
    let weight = Anchor::K as f64 * reward.exp();
    weight / (1.0 + weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_those_of_the_table() {
        let anchor = Anchor::new().unwrap();
        let kinds: Vec<ItemId> = (0..3).map(ItemId).collect();
        let same = [3, 4, 5].map(ItemId);
        for (clicked, expected) in [
            (None, [1.75, 1.0, 1.0]),
            (Some(same[0]), [-86.25, -4.5, -4.5]),
            (Some(same[1]), [-3.75, 1.0 - 5.5 * 1.5625, 1.0]),
            (Some(same[2]), [-3.75, 1.0, 1.0 - 5.5 * 1.5625]),
        ] {
            let history: Vec<ItemId> = clicked.into_iter().collect();
            let found = anchor.users().utilities(0, &history, &kinds);
            assert!(
                found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-5),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_optimum_is_what_the_proof_says_and_far_from_greedy() {
        let optimum = Anchor::new().unwrap().optimum().unwrap();
        assert!(
            optimum >= Anchor::least_optimum() - 1e-4 && optimum < 1.02 * Anchor::least_optimum(),
            "{optimum}"
        );
        assert!(Anchor::least_optimum() > 5.0 && Anchor::most_greedy() < 1.5);
    }
}
