//! SlateQ: the value of a slate as that of its items by the chance that they are chosen.

use candle_core::Tensor;
use foretaste_data::{Choice, ItemId, RecentClicks};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_sim::Candidates;
use foretaste_sim::bounds::{Appeal, BestSlate, ShortMemory, best_slate};

use crate::argmax::{Cascade, Chosen};
use crate::config::Architecture;
use crate::slate_values::SlateValues;
use crate::{QConfig, QNetworks, Result, Reward, TrainConfig, Trainer};

/// SlateQ (Ie et al., IJCAI 2019), for users whose choices are known: a slate A is worth what its
/// items are, each by the probability P(i | s, A) that a user in state s chooses it,
///
/// Q(s, A) = Σ_{i∈A} P(i | s, A) Q̄(s, i) + P(∅ | s, A) Q̄(s, ∅).
///
/// Q̄(s, i), the return once i is clicked, is a single network ([`Architecture::Greedy`]). It
/// learns from clicks alone, each of which teaches the value of the clicked item: Q̄(s, i) descends
/// to y = r + γ V(s'), V(s) = max_A Q(s, A), y = r where the user left.
///
/// **The choice of nothing** is not learned but solved for. It pays nothing and leaves the state,
/// which is made of clicks, as it is; the user stays with probability σ. So
/// Q̄(s, ∅) = σ γ V(s). With weights P(i | s, A) = v_i / (v_∅ + Σ_{j∈A} v_j), a slate that is shown
/// until something is chosen or the user leaves is worth a V that satisfies
///
/// V (v_∅ + Σ_{j∈A} v_j) = Σ_{i∈A} v_i Q̄(s, i) + v_∅ σ γ V,
/// hence V = Σ_{i∈A} v_i Q̄(s, i) / (v_∅ (1 - σ γ) + Σ_{j∈A} v_j).
///
/// V(s) is the largest of these over A, since V ↦ max_A Q(s, A) is a contraction whose fixed point
/// no slate improves. It is the usual linear-fractional problem with the weight v_∅ (1 - σ γ)
/// outside, which [`best_slate`] solves exactly. The same formula makes the slates that are shown
/// and values the next slate in the target.
///
/// v, v_∅ and σ are those of users of [`ShortMemory`] of one type: simulated ones, or the reward
/// table of learned ones. With γ = 0 the slate is the one that pays most at once.
#[derive(Clone, Debug)]
pub struct SlateQ<U> {
    users: U,
    discount: f64,
}

impl<U: ShortMemory> Trainer<SlateQ<U>> {
    /// Starts SlateQ from these networks, with the choices of these users. The environment that is
    /// trained in should be the same users, or ones who choose like them, and pay nothing for a
    /// step without a click.
    ///
    /// The replay memory, and so the warm-up, counts clicks.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range, the networks
    /// are not a single one that looks back as far as the users do, for as many items, the users
    /// are of several types, or the reward is [`Reward::Click`].
    pub fn slate_q(networks: QNetworks, users: U, config: TrainConfig, seed: Seed) -> Result<Self> {
        let values = SlateQ { users, discount: config.discount };
        values.check(networks.config(), config.reward)?;
        Self::by(values, networks, config, seed)
    }
}

impl<U: ShortMemory> SlateQ<U> {
    fn check(&self, networks: &QConfig, reward: Reward) -> Result<()> {
        let fail = |problem: String| Err(Setting::new("SlateQ", problem).into());
        let Self { users, .. } = self;
        if networks.architecture != Architecture::Greedy {
            return fail("cascading networks, expected a single one".into());
        }
        if users.types() != 1 {
            return fail(format!("{} types of users, expected one", users.types()));
        }
        if users.items() != networks.items {
            let (found, expected) = (networks.items, users.items());
            return fail(format!("networks of {found} items, expected the users' {expected}"));
        }
        let (found, expected) = (networks.state.history(), users.memory());
        if found < expected {
            let problem = format!("networks that look {found} clicks back, expected the users'");
            return fail(format!("{problem} {expected} at least"));
        }
        if reward != Reward::Environment {
            return fail("a reward for no click, expected the environment's".into());
        }
        Ok(())
    }

    /// v `[K]` and v_∅ (1 - σ γ) of a user of these clicks, newest first.
    fn weights(&self, newest_first: &[ItemId]) -> (Vec<f64>, f64) {
        let remembered = newest_first.len().min(self.users.memory());
        let Appeal { weights, nothing, .. } = self.users.appeal(0, &newest_first[..remembered]);
        (weights, nothing * (1.0 - self.users.staying() * self.discount))
    }

    /// The best slate of `candidates` for a user of these clicks and Q̄ `[K]`.
    fn best_of(
        &self,
        candidates: &[ItemId],
        values: &[f32],
        newest_first: &[ItemId],
        k: usize,
    ) -> Result<BestSlate> {
        let numbers = candidates.iter().filter(|item| values[item.index()].is_finite()).count();
        if numbers < candidates.len() || numbers < k {
            let found = candidates.len();
            let problem = format!("{numbers} of {found} have values that are numbers");
            let problem = format!("{problem}, expected all of them and {k} at least");
            return Err(Setting::new("candidates", problem).into());
        }
        let (weights, outside) = self.weights(newest_first);
        let a: Vec<f64> = candidates.iter().map(|item| weights[item.index()]).collect();
        let w: Vec<f64> = candidates.iter().map(|item| values[item.index()].into()).collect();
        let BestSlate { items, value } = best_slate(&a, &w, outside, k);
        let items = items.into_iter().map(|place| candidates[place.index()]).collect();
        Ok(BestSlate { items, value })
    }
}

impl<U: ShortMemory> SlateValues for SlateQ<U> {
    fn best(
        &self,
        frozen: &Cascade,
        states: &Tensor,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
    ) -> Result<Chosen> {
        let (k, items) = frozen.shape();
        if let Some(allowed) = allowed {
            allowed.check(clicks.rows(), items)?;
        }
        let everything = Candidates::default();
        let mut chosen = Chosen { items: Vec::new(), values: Vec::new() };
        for (row, values) in frozen.item_values(states)?.chunks_exact(items).enumerate() {
            let candidates = allowed.unwrap_or(&everything).of_row(row, items);
            let best = self.best_of(&candidates, values, clicks.row(row), k)?;
            chosen.items.extend(best.items);
            chosen.values.push(best.value as f32);
        }
        Ok(chosen)
    }

    fn worth(
        &self,
        networks: &QNetworks,
        states: &Tensor,
        clicks: &RecentClicks,
        slates: &[ItemId],
    ) -> Result<Vec<f32>> {
        let values = networks.values(states, slates)?.to_vec2::<f32>()?;
        let slates = slates.chunks_exact(networks.config().k);
        let worth = |(row, (slate, values)): (usize, (&[ItemId], &Vec<f32>))| {
            let (weights, outside) = self.weights(clicks.row(row));
            let (mut total, mut weight) = (0.0, outside);
            for (item, &value) in slate.iter().zip(values) {
                total += weights[item.index()] * f64::from(value);
                weight += weights[item.index()];
            }
            if weight > 0.0 { (total / weight) as f32 } else { 0.0 }
        };
        Ok(slates.zip(&values).enumerate().map(worth).collect())
    }

    fn learns_from(&self, choice: Choice) -> bool {
        choice.item().is_some()
    }

    fn learning(
        &self,
        networks: &QNetworks,
        states: &Tensor,
        _slates: &[ItemId],
        chosen: &[Option<ItemId>],
    ) -> Result<Tensor> {
        let clicked: Vec<ItemId> = chosen.iter().copied().flatten().collect();
        networks.values(states, &clicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Replay;
    use crate::{ItemFeatures, StateEncoder};
    use foretaste_sim::{ChoiceUsers, ChoiceUsersConfig, ClickReward, Outside};

    const ITEMS: usize = 6;
    const K: usize = 2;

    fn users(outside: Outside) -> ChoiceUsers {
        ChoiceUsers::new(&ChoiceUsersConfig {
            items: ITEMS,
            position_weights: vec![1.0],
            outside,
            click_reward: ClickReward::Utility,
            ..ChoiceUsersConfig::default()
        })
        .unwrap()
    }

    fn single() -> QConfig {
        QConfig {
            architecture: Architecture::Greedy,
            features: ItemFeatures::Learned { dim: 3 },
            state: StateEncoder::PositionWeights { history: 2, columns: 2 },
            hidden: 5,
            ..QConfig::new(ITEMS, K)
        }
    }

    fn trainer(outside: Outside, config: TrainConfig) -> Trainer<SlateQ<ChoiceUsers>> {
        let networks = QNetworks::new(single(), None, Seed::new(3)).unwrap();
        Trainer::slate_q(networks, users(outside), config, Seed::new(4)).unwrap()
    }

    /// Q̄(s, ·) `[K]` after these clicks, oldest first.
    fn item_values(networks: &QNetworks, oldest_first: &[ItemId]) -> Vec<f32> {
        let mut clicks = networks.no_clicks(1);
        oldest_first.iter().for_each(|&item| clicks.push(0, item));
        let all: Vec<ItemId> = (0..ITEMS as u32).map(ItemId).collect();
        let values = networks.values(&networks.states(&clicks).unwrap(), &all).unwrap();
        values.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Σ_i P(i | s, A) Q̄(s, i) + P(∅ | s, A) σ γ V, with the probabilities of the users.
    fn backed_up(
        users: &ChoiceUsers,
        oldest_first: &[ItemId],
        slate: [u32; K],
        values: &[f32],
        staying: f64,
        v: f64,
    ) -> f64 {
        let slate = slate.map(ItemId);
        let chances = users.choice_probabilities(0, oldest_first, &slate);
        let clicked: f64 =
            slate.iter().zip(&chances).map(|(i, p)| p * f64::from(values[i.index()])).sum();
        clicked + chances.get(K).map_or(0.0, |p| p * staying * v)
    }

    fn all_slates() -> impl Iterator<Item = [u32; K]> + Clone {
        (0..ITEMS as u32).flat_map(|a| (0..a).map(move |b| [a, b]))
    }

    /// The fixed point of V ↦ max_A Q(s, A) by going on until nothing changes, and the A of it.
    fn fixed_point(
        users: &ChoiceUsers,
        history: &[ItemId],
        values: &[f32],
        discounted_staying: f64,
        slates: impl Iterator<Item = [u32; K]> + Clone,
    ) -> (f64, [u32; K]) {
        let mut best = (0.0, [0; K]);
        for _ in 0..500 {
            let v = best.0;
            let worth = |slate: [u32; K]| {
                (backed_up(users, history, slate, values, discounted_staying, v), slate)
            };
            best = slates.clone().map(worth).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        }
        best
    }

    const OUTSIDES: [(Outside, f64); 3] =
        [(Outside::Skip { leaving: 0.2 }, 0.8), (Outside::Leave, 0.0), (Outside::Absent, 0.0)];

    /// Two sessions click item 4 after item 1, for 0.7; one of them ends there. y by value
    /// iteration over all slates, with the users' own probabilities.
    #[test]
    fn the_target_is_the_reward_and_the_best_slate_after_the_click() {
        for (outside, staying) in OUTSIDES {
            for target_every in [None, Some(10)] {
                for double in [false, true] {
                    let config = TrainConfig { target_every, double, ..TrainConfig::default() };
                    let mut trainer = trainer(outside, config.clone());
                    // Networks in training that are not the target networks.
                    let other = QNetworks::new(single(), None, Seed::new(8)).unwrap();
                    let snapshot = other.params().snapshot().unwrap();
                    trainer.networks.params().restore(&snapshot).unwrap();
                    trainer.replay = Replay::new(10, K, 2, None);
                    let mut clicks = trainer.networks.no_clicks(2);
                    clicks.push(0, ItemId(1));
                    clicks.push(1, ItemId(1));
                    let (slate, click) = ([ItemId(4), ItemId(0)], Choice::Item(ItemId(4)));
                    for (row, ended) in [(0, false), (1, true)] {
                        trainer.replay.push(&clicks, row, &slate, click, 0.7, ended);
                    }
                    let batch = trainer.replay.sample(20, &mut Seed::new(5).stream(0));
                    let found = trainer.targets(&batch).unwrap();

                    let (history, users) = ([ItemId(1), ItemId(4)], users(outside));
                    let training = item_values(&trainer.networks, &history);
                    let stays = staying * config.discount;
                    let (mut next, slate) =
                        fixed_point(&users, &history, &training, stays, all_slates());
                    if let Some(target) = &trainer.target {
                        let values = item_values(target, &history);
                        let only = std::iter::once(slate);
                        next = match double {
                            true => fixed_point(&users, &history, &values, stays, only).0,
                            false => fixed_point(&users, &history, &values, stays, all_slates()).0,
                        };
                    }
                    for (y, ended) in found.iter().zip(&batch.ended) {
                        let expected = if *ended { 0.7 } else { 0.7 + config.discount * next };
                        assert!((f64::from(*y) - expected).abs() < 1e-5, "{y}, {expected}");
                    }
                    assert!(batch.ended.contains(&true) && batch.ended.contains(&false));
                }
            }
        }
    }

    #[test]
    fn slates_are_best_at_the_value_that_they_are_said_to_have() {
        for (outside, staying) in OUTSIDES {
            let trainer = trainer(outside, TrainConfig::default());
            let networks = trainer.networks();
            let frozen = networks.freeze(crate::Storage::Single).unwrap();
            let mut clicks = networks.no_clicks(3);
            [(1, 2), (2, 5), (2, 0)].iter().for_each(|&(row, item)| clicks.push(row, ItemId(item)));
            let states = networks.states(&clicks).unwrap();
            let found = trainer.values.best(&frozen, &states, &clicks, None).unwrap();
            let worth = trainer.values.worth(networks, &states, &clicks, &found.items).unwrap();
            for (row, &worth) in worth.iter().enumerate() {
                let history: Vec<ItemId> = clicks.row(row).iter().rev().copied().collect();
                let values = item_values(networks, &history);
                let stays = staying * trainer.config().discount;
                let (v, best) =
                    fixed_point(&users(outside), &history, &values, stays, all_slates());
                let mut slate = [found.items[K * row].0, found.items[K * row + 1].0];
                slate.sort_unstable_by(|a, b| b.cmp(a));
                assert_eq!(slate, best);
                assert!((f64::from(found.values[row]) - v).abs() < 1e-5);
                assert!((worth - found.values[row]).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_click_teaches_the_value_of_its_item_alone_and_no_click_teaches_nothing() {
        let trainer = trainer(Outside::Leave, TrainConfig::default());
        let (values, networks) = (&trainer.values, trainer.networks());
        assert!(values.learns_from(Choice::Item(ItemId(0))));
        assert!(!values.learns_from(Choice::Skip) && !values.learns_from(Choice::Leave));
        let states = networks.states(&networks.no_clicks(2)).unwrap();
        let slates = [3, 1, 0, 5].map(ItemId);
        let chosen = [Some(ItemId(1)), Some(ItemId(0))];
        let found = values.learning(networks, &states, &slates, &chosen).unwrap();
        let all = item_values(networks, &[]);
        assert_eq!(found.to_vec2::<f32>().unwrap(), [[all[1]], [all[0]]]);
    }

    #[test]
    fn what_slate_q_cannot_learn_from_is_refused() {
        let start = |config: QConfig, users: ChoiceUsersConfig, reward| {
            let networks = QNetworks::new(config, None, Seed::new(3)).unwrap();
            let users = ChoiceUsers::new(&users).unwrap();
            let config = TrainConfig { reward, ..TrainConfig::default() };
            Trainer::slate_q(networks, users, config, Seed::new(4)).map(|_| ())
        };
        let fits = users(Outside::Leave).config().clone();
        let cascade = QConfig { architecture: Architecture::Cascade, ..single() };
        let longer = vec![1.0; 3];
        for (config, users, reward, message) in [
            (cascade, fits.clone(), Reward::Environment, "expected a single one"),
            (
                single(),
                ChoiceUsersConfig { types: 2, ..fits.clone() },
                Reward::Environment,
                "2 types of users",
            ),
            (
                single(),
                ChoiceUsersConfig { items: 7, ..fits.clone() },
                Reward::Environment,
                "expected the users' 7",
            ),
            (
                single(),
                ChoiceUsersConfig { position_weights: longer, ..fits.clone() },
                Reward::Environment,
                "look 2 clicks back, expected the users' 3",
            ),
            (single(), fits.clone(), Reward::Click, "expected the environment's"),
        ] {
            let refused = start(config, users, reward).unwrap_err().to_string();
            assert!(refused.contains(message), "{refused}");
        }
        assert!(start(single(), fits, Reward::Environment).is_ok());
    }
}
