//! Several user models as one environment: does a recommender that learns in it exploit the errors
//! of a single model less? The members differ by the sessions that they were fitted on.

use std::ops::ControlFlow;
use std::sync::Arc;

use candle_core::Device;
use foretaste_data::{Catalogue, Log, Split};
use foretaste_random::{Seed, Stream};
use foretaste_settings::Setting;
use foretaste_sim::{Environment, Responses, Slates};
use foretaste_train::Progress;
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    CurvePoint, LearnedState, LearnedUsers, Result, TrainConfig, UserModel, UserModelConfig, fit,
};

/// How the rewards r_θ of an ensemble's members become those of one user.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combining {
    /// Their mean.
    Mean,
    /// The least of them: no item is worth more than the least convinced member says.
    Minimum,
    /// Their mean less so many of their standard deviations.
    MeanLessDeviations(f64),
    /// Those of one member, drawn for each session.
    MemberPerSession,
}

impl Combining {
    /// The reward of one item; none where it depends on the session.
    pub(crate) fn of(self, members: &[f32]) -> Option<f32> {
        let count = members.len() as f64;
        let mean = members.iter().map(|&reward| f64::from(reward)).sum::<f64>() / count;
        Some(match self {
            Self::Mean => mean as f32,
            Self::Minimum => members.iter().copied().fold(f32::INFINITY, f32::min),
            Self::MeanLessDeviations(deviations) => {
                let square = |&reward: &f32| (f64::from(reward) - mean).powi(2);
                let variance = members.iter().map(square).sum::<f64>() / count;
                (mean - deviations * variance.sqrt()) as f32
            }
            Self::MemberPerSession => return None,
        })
    }
}

/// Fits so many models of the same configuration, each on training sessions drawn with replacement
/// (Breiman 1996, bagging), with parameters and batches of its own. All are validated on the same
/// sessions; what steps pay and when sessions end they know from all training sessions. Members are
/// fitted in parallel; the results do not depend on the number of threads.
///
/// `callback` gets the number of the member with its progress, and may stop the fit.
///
/// # Errors
/// As [`UserModel::new`] and [`fit`].
#[expect(clippy::too_many_arguments, reason = "what a fit needs, and how many")]
pub fn fit_ensemble(
    config: &UserModelConfig,
    catalogue: &Catalogue,
    log: &Log,
    split: &Split,
    training: &TrainConfig,
    members: usize,
    (seed, device): (Seed, &Device),
    callback: impl Fn(usize, Progress<CurvePoint>) -> ControlFlow<()> + Sync,
) -> Result<Vec<UserModel>> {
    let member = |at: usize| {
        let seed = seed.derive("ensemble").index(at as u64);
        let mut stream = seed.derive("sessions").stream(0);
        let draw = |_| split.train[stream.random_range(0..split.train.len())];
        let train = (0..split.train.len()).map(draw).collect();
        let drawn = Split { train, ..split.clone() };
        let mut model = UserModel::new(config.clone(), catalogue, seed, device)?;
        let of_member = |progress| callback(at, progress);
        fit(&mut model, log, &drawn, training, seed.derive("training"), of_member)?;
        model.learn_outcomes(log, &split.train)?;
        Ok(model)
    };
    (0..members).into_par_iter().map(member).collect()
}

/// Several learned models of the same users as one environment: r_θ is what [`Combining`] makes of
/// theirs, and choices, pay and leaving follow from it as in [`LearnedUsers`].
#[derive(Clone, Debug)]
pub struct EnsembleUsers {
    members: Arc<[LearnedUsers]>,
    combining: Combining,
}

/// The hidden state of an ensemble: that of every member, and which member each session has.
#[derive(Clone, Debug)]
pub struct EnsembleState {
    members: Vec<LearnedState>,
    of_session: Vec<usize>,
}

impl EnsembleUsers {
    /// The users of these members.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is none, or they differ in more than
    /// parameters and counts.
    pub fn new(members: Arc<[LearnedUsers]>, combining: Combining) -> Result<Self> {
        let config = |users: &LearnedUsers| UserModelConfig {
            outcomes: None,
            ..users.model().config().clone()
        };
        let Some(first) = members.first().map(config) else {
            return Err(Setting::new("ensemble", "no member, expected at least one").into());
        };
        if members.iter().any(|member| config(member) != first) {
            let problem = "its members are of different settings";
            return Err(Setting::new("ensemble", problem).into());
        }
        Ok(Self { members, combining })
    }

    /// The members.
    pub fn members(&self) -> &[LearnedUsers] {
        &self.members
    }

    fn draw_members(&self, streams: &mut [Stream]) -> Vec<usize> {
        let drawn = |stream: &mut Stream| match self.combining {
            Combining::MemberPerSession => stream.random_range(0..self.members.len()),
            _ => 0,
        };
        streams.iter_mut().map(drawn).collect()
    }

    /// r_θ of the slates, `[rows · k]`.
    fn rewards(&self, state: &EnsembleState, slates: &Slates) -> Result<Vec<f32>> {
        let (rows, k) = (slates.rows(), slates.k());
        let of_members = self.members.iter().zip(&state.members);
        let of_members = of_members.map(|(users, state)| users.rewards(state, slates));
        let of_members = of_members.collect::<Result<Vec<_>>>()?;
        let mut one = vec![0.0; of_members.len()];
        let combine = |at: usize| {
            for (one, member) in one.iter_mut().zip(&of_members) {
                *one = member[at];
            }
            self.combining.of(&one).unwrap_or_else(|| one[state.of_session[at / k]])
        };
        Ok((0..rows * k).map(combine).collect())
    }
}

impl Environment for EnsembleUsers {
    type State = EnsembleState;

    fn items(&self) -> usize {
        self.members[0].items()
    }

    fn reset(&self, streams: &mut [Stream]) -> foretaste_sim::Result<EnsembleState> {
        let of_session = self.draw_members(streams);
        let members = self.members.iter().map(|users| users.reset(streams));
        Ok(EnsembleState { members: members.collect::<foretaste_sim::Result<_>>()?, of_session })
    }

    fn step(
        &self,
        state: &mut EnsembleState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> foretaste_sim::Result<()> {
        let rewards = self.rewards(state, slates)?;
        self.members[0].respond(&rewards, &state.members[0], slates, streams, responses)?;
        for (users, state) in self.members.iter().zip(&mut state.members) {
            users.observe(state, &responses.choice)?;
        }
        Ok(())
    }

    fn select(
        &self,
        state: &EnsembleState,
        rows: &[usize],
    ) -> foretaste_sim::Result<EnsembleState> {
        let of_members = self.members.iter().zip(&state.members);
        let members = of_members.map(|(users, state)| users.select(state, rows));
        Ok(EnsembleState {
            members: members.collect::<foretaste_sim::Result<_>>()?,
            of_session: rows.iter().map(|&row| state.of_session[row]).collect(),
        })
    }

    fn replace(
        &self,
        state: &mut EnsembleState,
        rows: &[usize],
        streams: &mut [Stream],
    ) -> foretaste_sim::Result<()> {
        for (&row, member) in rows.iter().zip(self.draw_members(streams)) {
            state.of_session[row] = member;
        }
        for (users, state) in self.members.iter().zip(&mut state.members) {
            users.replace(state, rows, streams)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Fractions, ItemId, RecentClicks};
    use foretaste_sim::bounds::{ChoiceBelief, ChoiceOracle, ShortMemory};
    use foretaste_sim::policies::UniformRandom;
    use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout};

    use super::*;
    use crate::{ItemFeatures, Pays, RewardTable, StateEncoder};

    const ITEMS: usize = 8;

    fn log() -> Log {
        let users = ChoiceUsersConfig { items: ITEMS, ..ChoiceUsersConfig::default() };
        let random = Blind(UniformRandom { items: ITEMS });
        let rollout = Rollout::new(Seed::new(1), 0..40, 3).max_steps(5);
        rollout.run(&ChoiceUsers::new(&users).unwrap(), &random).unwrap()
    }

    fn config() -> UserModelConfig {
        let state = StateEncoder::PositionWeights {
            history: 2,
            columns: 2,
            initial: 0.3,
            activation: foretaste_nn::Activation::Elu,
            bias: true,
        };
        let features = ItemFeatures::Learned { dim: 3 };
        UserModelConfig { state, features, head: vec![6], ..UserModelConfig::new(ITEMS) }
    }

    fn members(threads: usize) -> Vec<UserModel> {
        let (log, catalogue) = (log(), Catalogue::numbered(ITEMS));
        let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
        let training = TrainConfig { iterations: 20, ..TrainConfig::default() };
        let fit = || {
            fit_ensemble(
                &config(),
                &catalogue,
                &log,
                &split,
                &training,
                3,
                (Seed::new(3), &Device::Cpu),
                |_, _| ControlFlow::Continue(()),
            )
            .unwrap()
        };
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(fit)
    }

    fn users(members: Vec<UserModel>) -> Arc<[LearnedUsers]> {
        let users = members.into_iter().map(|model| {
            LearnedUsers::paying(model, Pays::Utility).unwrap().leaving_by_choice_alone()
        });
        users.collect()
    }

    #[test]
    fn members_differ_and_do_not_depend_on_the_number_of_threads() {
        let weights = |models: &[UserModel]| -> Vec<Vec<f32>> {
            models.iter().map(|model| model.item_vectors().unwrap()).collect()
        };
        let (one, two) = (weights(&members(1)), weights(&members(2)));
        assert_eq!(one, two);
        assert_ne!(one[0], one[1]);
    }

    #[test]
    fn an_ensemble_of_one_is_that_member() {
        let alone = users(members(2).into_iter().take(1).collect());
        let rollout = Rollout::new(Seed::new(5), 0..30, 3).max_steps(6);
        let random = Blind(UniformRandom { items: ITEMS });
        let expected = rollout.run(&alone[0], &random).unwrap();
        for combining in [Combining::Mean, Combining::Minimum, Combining::MeanLessDeviations(1.0)] {
            let ensemble = EnsembleUsers::new(alone.clone(), combining).unwrap();
            assert_eq!(rollout.run(&ensemble, &random).unwrap(), expected);
        }
    }

    /// The table of the combined rewards is what the environment pays, after any two clicks.
    #[test]
    fn what_an_ensemble_pays_is_the_combination_of_its_members_tables() {
        let users = users(members(2));
        let tables: Vec<RewardTable> =
            users.iter().map(|users| users.model().reward_table().unwrap()).collect();
        for combining in [Combining::Mean, Combining::Minimum, Combining::MeanLessDeviations(0.7)] {
            let table = RewardTable::combined(&tables, combining).unwrap();
            let ensemble = EnsembleUsers::new(users.clone(), combining).unwrap();
            let rollout = Rollout::new(Seed::new(6), 0..60, 3).max_steps(6);
            let random = Blind(UniformRandom { items: ITEMS });
            let played = rollout.run(&ensemble, &random).unwrap();
            for session in played.iter() {
                let mut clicks = RecentClicks::new(1, 2);
                for step in session.steps() {
                    let appeal = table.appeal(0, clicks.row(0));
                    let paid = step.choice.item().map_or(0.0, |item| appeal.rewards[item.index()]);
                    assert!((f64::from(step.reward) - paid).abs() < 1e-5);
                    step.choice.item().into_iter().for_each(|item: ItemId| clicks.push(0, item));
                }
            }
        }
        assert!(RewardTable::combined(&tables, Combining::MemberPerSession).is_err());
    }

    /// The mean over 4,000 sessions of what the exact plan earns is its value: within five standard
    /// errors, which happens by chance once in 1.7 million.
    #[test]
    fn the_exact_plan_in_an_ensemble_earns_its_value_there() {
        let users = users(members(2));
        let tables: Vec<RewardTable> =
            users.iter().map(|users| users.model().reward_table().unwrap()).collect();
        let table = RewardTable::combined(&tables, Combining::Minimum).unwrap();
        let oracle = ChoiceOracle::new(&table, 3, 5).unwrap();
        let (value, plan) = (oracle.value(), ChoiceBelief::new(oracle));
        let ensemble = EnsembleUsers::new(users, Combining::Minimum).unwrap();
        let rollout = Rollout::new(Seed::new(7), 0..4_000, 3).max_steps(5);
        let outcomes = rollout.outcomes(&ensemble, &Blind(plan)).unwrap();
        let rewards: Vec<f64> = outcomes.iter().map(|outcome| outcome.reward).collect();
        let mean = rewards.iter().sum::<f64>() / 4_000.0;
        let variance = rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 3_999.0;
        let error = (variance / 4_000.0).sqrt();
        assert!((mean - value).abs() < 5.0 * error + 1e-3, "{mean} ± {error}, {value}");
    }

    #[test]
    fn members_of_different_settings_are_refused() {
        let mut models = members(2);
        let catalogue = Catalogue::numbered(ITEMS);
        let other = UserModelConfig { head: vec![7], ..config() };
        models.push(UserModel::new(other, &catalogue, Seed::new(1), &Device::Cpu).unwrap());
        assert!(EnsembleUsers::new(users(models), Combining::Mean).is_err());
        assert!(EnsembleUsers::new(Vec::new().into(), Combining::Mean).is_err());
    }
}
