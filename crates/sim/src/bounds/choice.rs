//! The best that any policy can earn from users who choose by their last few clicks, with and
//! without knowledge of their type. All histories are enumerated, so the optimum is exact.

use foretaste_data::{ItemId, RecentClicks};
use foretaste_random::Stream;
use foretaste_settings::Setting;
use rayon::prelude::*;

use super::mdp::check_k;
use super::slate::{Component, Mixture, best_slate};
use crate::choice_users::ChoiceState;
use crate::policies::{self, check_candidates, items_of};
use crate::{
    Candidates, ChoiceUsers, Error, Outside, Policy, Privileged, Responses, Result, Slates,
};

/// Users of a hidden type who choose by the clicks that they remember, so few that every history of
/// them can be gone through: what [`ChoiceOracle`] solves.
pub trait ShortMemory: Clone + std::fmt::Debug + Send + Sync {
    /// Number of items.
    fn items(&self) -> usize;

    /// Number of types, all equally common.
    fn types(&self) -> usize;

    /// m: how many clicks back users remember.
    fn memory(&self) -> usize;

    /// The probability that a user who chose nothing stays.
    fn staying(&self) -> f64;

    /// What every item is to a user of this type after these clicks, newest first, at most m.
    fn appeal(&self, user_type: usize, newest_first: &[ItemId]) -> Appeal;
}

/// What items are to a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Appeal {
    /// The weights in proportion to which the items of a slate and nothing are chosen, `[n]`.
    pub weights: Vec<f64>,
    /// The weight of choosing nothing; 0 where that is not an option.
    pub nothing: f64,
    /// What a click on each item earns, `[n]`.
    pub rewards: Vec<f64>,
}

impl ShortMemory for ChoiceUsers {
    fn items(&self) -> usize {
        self.items()
    }

    fn types(&self) -> usize {
        self.config().types
    }

    fn memory(&self) -> usize {
        self.config().position_weights.len()
    }

    fn staying(&self) -> f64 {
        match self.config().outside {
            Outside::Skip { leaving } => 1.0 - leaving,
            Outside::Leave | Outside::Absent => 0.0,
        }
    }

    fn appeal(&self, user_type: usize, newest_first: &[ItemId]) -> Appeal {
        let items: Vec<ItemId> = (0..self.items() as u32).map(ItemId).collect();
        let history: Vec<ItemId> = newest_first.iter().rev().copied().collect();
        let mut weights = self.utilities(user_type, &history, &items);
        let rewards = weights.iter().map(|&utility| self.click_reward(utility)).collect();
        let nothing = self.exponentiate(&mut weights);
        Appeal { weights, nothing, rewards }
    }
}

/// The optimal policy of users of [`ShortMemory`] over sessions of at most `horizon` steps for one
/// that sees each user's type: the exact ceiling of the expected sum of rewards.
///
/// The state is (type, the last m clicks); V_h(x) = max_A Σ_{j∈A} p_j (reward_j + V_{h-1}(x, j)) +
/// p_0 (1 - P(leave)) V_{h-1}(x) is computed for every state and every number h of steps to go, the
/// maximum exactly by Dinkelbach's method.
#[derive(Clone, Debug)]
pub struct ChoiceOracle<U = ChoiceUsers> {
    users: U,
    histories: Histories,
    /// V_h, `[horizon][types · histories]`, entry h for h steps to go.
    values: Vec<Vec<f64>>,
    k: usize,
}

impl<U: ShortMemory> ChoiceOracle<U> {
    /// The most values V_h(x) that are tabulated.
    const MAX_VALUES: usize = 20_000_000;

    /// Solves `users` for slates of `k` items and sessions cut at `horizon` steps.
    ///
    /// # Errors
    /// [`Error::Setting`] if `k` is 0 or exceeds the catalogue, or if there are more than 20
    /// million values: types times histories of at most m clicks times (horizon + 1).
    pub fn new(users: &U, k: usize, horizon: usize) -> Result<Self> {
        if k == 0 || k > users.items() {
            return Err(Setting::new("k", format!("{k} of {} items", users.items())).into());
        }
        let histories = Histories::new(users.items(), users.memory());
        let size =
            histories.as_ref().and_then(|histories| histories.count().checked_mul(users.types()));
        let values = size
            .zip(horizon.checked_add(1))
            .and_then(|(states, steps)| states.checked_mul(steps))
            .filter(|size| *size <= Self::MAX_VALUES);
        let (Some(histories), Some(states), Some(_)) = (histories, size, values) else {
            let problem = format!(
                "{} types of users who remember {} clicks of {} items, in sessions of {horizon} \
                 steps, have more than {} values; use shorter sessions, fewer items or a shorter \
                 memory",
                users.types(),
                users.memory(),
                users.items(),
                Self::MAX_VALUES
            );
            return Err(Setting::new("choice oracle", problem).into());
        };
        let mut oracle =
            Self { users: users.clone(), histories, values: vec![vec![0.0; states]], k };
        for _ in 0..horizon {
            let next = (0..states)
                .into_par_iter()
                .map(|state| oracle.solve_state(state, oracle.values.len()))
                .collect();
            oracle.values.push(next);
        }
        Ok(oracle)
    }

    /// The expected sum of rewards of a session, over users of all types.
    pub fn value(&self) -> f64 {
        let types = self.users.types();
        let last = &self.values[self.values.len() - 1];
        (0..types).map(|user_type| last[user_type * self.histories.count()]).sum::<f64>()
            / types as f64
    }

    /// V(x) - Q(x, A): by how much the expected reward of a session is below the best if the slate
    /// A is shown to a user of this type who remembers the clicks `newest_first` and has seen
    /// `steps` slates, and the best slates follow it.
    ///
    /// # Errors
    /// [`Error::Setting`] if the sessions outlast the horizon, if there is no such type or item, or
    /// if the clicks or the items on the slate are not as many as the oracle was solved for.
    pub fn regret(
        &self,
        user_type: usize,
        newest_first: &[ItemId],
        steps: usize,
        slate: &[ItemId],
    ) -> Result<f64> {
        let to_go = self.to_go(steps)?;
        let (types, items, memory) = (self.users.types(), self.users.items(), self.users.memory());
        let known = newest_first.iter().chain(slate).all(|item| item.index() < items);
        if user_type >= types || !known || newest_first.len() > memory || slate.len() != self.k {
            let problem = format!(
                "type {user_type} after {} clicks, slate of {} items, expected one of {types} \
                 types, at most {memory} clicks and {} items, each below {items}",
                newest_first.len(),
                slate.len(),
                self.k
            );
            return Err(Setting::new("regret", problem).into());
        }
        let best = self.values[to_go]
            [user_type * self.histories.count() + self.histories.code(newest_first)];
        let (component, outside) = self.component(user_type, newest_first, to_go);
        let one = Mixture { k: slate.len(), components: vec![component] };
        Ok(best - outside - one.value(slate))
    }

    fn solve_state(&self, state: usize, to_go: usize) -> f64 {
        let (user_type, history) = (state / self.histories.count(), state % self.histories.count());
        let (component, outside) =
            self.component(user_type, &self.histories.newest_first(history), to_go);
        outside + best_slate(&component.a, &component.w, component.c, self.k).value
    }

    /// The slate's worth as a ratio, less the worth of choosing nothing, which is returned with
    /// it.
    fn component(
        &self,
        user_type: usize,
        newest_first: &[ItemId],
        to_go: usize,
    ) -> (Component, f64) {
        let later =
            &self.values[to_go - 1][user_type * self.histories.count()..][..self.histories.count()];
        let outside = self.users.staying() * later[self.histories.code(newest_first)];
        let Appeal { weights, nothing, rewards } = self.users.appeal(user_type, newest_first);
        let worth = |(reward, item)| {
            reward + later[self.histories.after(newest_first, ItemId(item))] - outside
        };
        let w = rewards.into_iter().zip(0u32..).map(worth).collect();
        (Component { probability: 1.0, a: weights, w, c: nothing }, outside)
    }

    fn to_go(&self, steps: usize) -> Result<usize> {
        let horizon = self.values.len() - 1;
        match horizon.checked_sub(steps) {
            Some(to_go) if to_go > 0 => Ok(to_go),
            _ => Err(Setting::new(
                "max_steps",
                format!("sessions outlast the horizon of {horizon} steps"),
            )
            .into()),
        }
    }
}

impl Privileged<ChoiceUsers> for ChoiceOracle {
    /// Steps taken.
    type Memory = usize;

    fn begin(&self, _rows: usize) -> Result<usize> {
        Ok(0)
    }

    fn recommend(
        &self,
        steps: &usize,
        state: &ChoiceState,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.k)?;
        let to_go = self.to_go(*steps)?;
        slates.clear(k);
        for row in 0..streams.len() {
            let (component, _) = self.component(state.user_type(row), state.recent(row), to_go);
            let best = best_slate(&component.a, &component.w, component.c, k);
            slates.push_certain(&best.items);
        }
        Ok(())
    }

    fn observe(&self, steps: &mut usize, _slates: &Slates, _responses: &Responses) -> Result<()> {
        *steps += 1;
        Ok(())
    }

    fn select(&self, steps: &usize, _rows: &[usize]) -> Result<usize> {
        Ok(*steps)
    }
}

/// A recommender that knows users of [`ShortMemory`] but not a user's type: a reference that can be
/// reached.
///
/// It filters the type from the choices by Bayes' rule (the clicks it sees as well as the user
/// does) and shows the slate that maximizes the expected worth if the type were revealed after this
/// step (QMDP on [`ChoiceOracle`]): exactly for one type or at most 2,000 slates, else by ascent
/// and swaps of single items. With one type it is the oracle.
#[derive(Clone, Debug)]
pub struct ChoiceBelief<U = ChoiceUsers> {
    oracle: ChoiceOracle<U>,
}

/// What a [`ChoiceBelief`] remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceBeliefMemory {
    steps: usize,
    recent: RecentClicks,
    belief: Vec<Vec<f64>>,
}

impl ChoiceBeliefMemory {
    /// The probability of each type of the user at `row`, `[types]`.
    pub fn belief(&self, row: usize) -> &[f64] {
        &self.belief[row]
    }
}

impl<U: ShortMemory> ChoiceBelief<U> {
    const EXHAUSTIVE: usize = 2_000;

    /// Acts on the values of `oracle`.
    pub fn new(oracle: ChoiceOracle<U>) -> Self {
        Self { oracle }
    }

    fn mixture(&self, belief: &[f64], newest_first: &[ItemId], to_go: usize) -> Mixture {
        // What choosing nothing is worth differs by type, but not by slate: it does not move the
        // maximum.
        let component = |(user_type, &probability): (usize, &f64)| Component {
            probability,
            ..self.oracle.component(user_type, newest_first, to_go).0
        };
        let likely = belief.iter().enumerate().filter(|(_, probability)| **probability > 0.0);
        Mixture { k: self.oracle.k, components: likely.map(component).collect() }
    }
}

impl<U: ShortMemory> Policy for ChoiceBelief<U> {
    type Memory = ChoiceBeliefMemory;

    fn begin(&self, rows: usize) -> Result<ChoiceBeliefMemory> {
        let types = self.oracle.users.types();
        let belief = vec![vec![1.0 / types as f64; types]; rows];
        let recent = RecentClicks::new(rows, self.oracle.users.memory());
        Ok(ChoiceBeliefMemory { steps: 0, recent, belief })
    }

    fn rank(
        &self,
        memory: &ChoiceBeliefMemory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.oracle.k)?;
        let items = self.oracle.users.items();
        check_candidates(allowed, streams.len(), items)?;
        let to_go = self.oracle.to_go(memory.steps)?;
        slates.clear(k);
        for row in 0..streams.len() {
            let candidates = items_of(allowed, row, items);
            policies::check_k(k, candidates.len())?;
            let mixture = self.mixture(&memory.belief[row], memory.recent.row(row), to_go);
            slates.push_certain(&mixture.best_among(&candidates, Self::EXHAUSTIVE));
        }
        Ok(())
    }

    fn observe(
        &self,
        memory: &mut ChoiceBeliefMemory,
        slates: &Slates,
        responses: &Responses,
    ) -> Result<()> {
        memory.steps += 1;
        for (row, choice) in responses.choice.iter().enumerate() {
            let slate = slates.row(row);
            let place =
                choice.item().and_then(|item| slate.iter().position(|shown| *shown == item));
            let belief = &mut memory.belief[row];
            // With one type there is nothing to learn.
            let several = if belief.len() > 1 { &mut belief[..] } else { &mut [] };
            for (user_type, probability) in several.iter_mut().enumerate() {
                let appeal = self.oracle.users.appeal(user_type, memory.recent.row(row));
                let weight = |item: &ItemId| appeal.weights[item.index()];
                let all = appeal.nothing + slate.iter().map(weight).sum::<f64>();
                *probability *= place.map_or(appeal.nothing, |at| weight(&slate[at])) / all;
            }
            let evidence: f64 = belief.iter().sum();
            if evidence.is_nan() || evidence <= 0.0 {
                return Err(Error::Contract(format!("{choice:?} is impossible for these users")));
            }
            belief.iter_mut().for_each(|probability| *probability /= evidence);
            if let Some(item) = choice.item() {
                memory.recent.push(row, item);
            }
        }
        Ok(())
    }

    fn select(&self, memory: &ChoiceBeliefMemory, rows: &[usize]) -> Result<ChoiceBeliefMemory> {
        let belief = rows.iter().map(|&row| memory.belief[row].clone()).collect();
        Ok(ChoiceBeliefMemory { steps: memory.steps, recent: memory.recent.select(rows), belief })
    }
}

/// Shows the k items whose click earns most, equal ones in the order of the items, to users of
/// [`ShortMemory`] who are of one type: greedy, with the rewards known.
#[derive(Clone, Debug)]
pub struct ChoiceGreedy<U = ChoiceUsers> {
    users: U,
}

impl<U: ShortMemory> ChoiceGreedy<U> {
    /// # Errors
    /// [`Error::Setting`] if the users are of several types.
    pub fn new(users: U) -> Result<Self> {
        if users.types() != 1 {
            let problem = format!("{} types of users, expected one", users.types());
            return Err(Setting::new("greedy", problem).into());
        }
        Ok(Self { users })
    }
}

impl<U: ShortMemory> Policy for ChoiceGreedy<U> {
    type Memory = RecentClicks;

    fn begin(&self, rows: usize) -> Result<RecentClicks> {
        Ok(RecentClicks::new(rows, self.users.memory()))
    }

    fn rank(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        let items = self.users.items();
        check_candidates(allowed, streams.len(), items)?;
        slates.clear(k);
        for row in 0..streams.len() {
            let candidates = items_of(allowed, row, items);
            policies::check_k(k, candidates.len())?;
            let rewards = self.users.appeal(0, clicks.row(row)).rewards;
            let of_candidates: Vec<f64> =
                candidates.iter().map(|item| rewards[item.index()]).collect();
            let best: Vec<ItemId> = policies::top_k(&of_candidates, k)
                .into_iter()
                .map(|place| candidates[place.index()])
                .collect();
            slates.push_certain(&best);
        }
        Ok(())
    }

    fn observe(
        &self,
        clicks: &mut RecentClicks,
        _slates: &Slates,
        responses: &Responses,
    ) -> Result<()> {
        clicks.observe(&responses.choice);
        Ok(())
    }

    fn select(&self, clicks: &RecentClicks, rows: &[usize]) -> Result<RecentClicks> {
        Ok(clicks.select(rows))
    }
}

/// The sequences of at most m of n items, numbered from the empty one on, shorter ones first.
#[derive(Clone, Debug)]
pub struct Histories {
    items: usize,
    /// Number of the first sequence of each length, then the number of all: `[m + 2]`.
    first: Vec<usize>,
}

impl Histories {
    /// The sequences of at most `memory` of `items` items; `None` if they cannot be counted.
    pub fn new(items: usize, memory: usize) -> Option<Self> {
        let (mut first, mut count) = (vec![0usize], 1usize);
        for _ in 0..=memory {
            first.push(first[first.len() - 1].checked_add(count)?);
            count = count.checked_mul(items)?;
        }
        Some(Self { items, first })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.first[self.first.len() - 1]
    }

    /// The number of a sequence.
    pub fn code(&self, newest_first: &[ItemId]) -> usize {
        let within =
            newest_first.iter().rev().fold(0, |code, item| code * self.items + item.index());
        self.first[newest_first.len()] + within
    }

    /// The code once `item` is clicked too.
    fn after(&self, newest_first: &[ItemId], item: ItemId) -> usize {
        let memory = self.first.len() - 2;
        if memory == 0 {
            return 0;
        }
        let kept = &newest_first[..newest_first.len().min(memory - 1)];
        let older = self.code(kept) - self.first[kept.len()];
        self.first[kept.len() + 1] + item.index() + self.items * older
    }

    /// The sequence of this number.
    pub fn newest_first(&self, code: usize) -> Vec<ItemId> {
        let length = self.first.partition_point(|&first| first <= code) - 1;
        let mut within = code - self.first[length];
        let digit = |_| {
            let item = ItemId((within % self.items) as u32);
            within /= self.items;
            item
        };
        (0..length).map(digit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_numbered_one_to_one_and_shift_by_a_click() {
        let histories = Histories::new(3, 2).unwrap();
        assert_eq!(histories.count(), 1 + 3 + 9);
        for code in 0..histories.count() {
            let history = histories.newest_first(code);
            assert_eq!(histories.code(&history), code);
            for item in (0..3).map(ItemId) {
                let mut clicked = vec![item];
                clicked.extend(&history);
                clicked.truncate(2);
                assert_eq!(histories.after(&history, item), histories.code(&clicked));
            }
        }
    }

    #[test]
    fn users_without_memory_have_one_history() {
        let histories = Histories::new(3, 0).unwrap();
        assert_eq!((histories.count(), histories.after(&[], ItemId(2))), (1, 0));
    }
}
