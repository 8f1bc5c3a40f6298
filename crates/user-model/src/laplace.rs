//! How sure a model is of r_θ after a log: the Laplace approximation of the last layer's weights.

use candle_core::{DType, Device, Tensor};
use foretaste_data::Log;
use foretaste_settings::Setting;

use crate::{Regulariser, Result, UserModel};

/// λ: the precision of the last layer's weights before the log.
const PRIOR_PRECISION: f64 = 1.0;

impl UserModel {
    /// L⁻¹ `[width, width]`, where L Lᵀ is the posterior precision A of the last layer's weights
    /// after these sessions of a log ([how](crate#far-from-the-log)). The standard deviation
    /// √(φᵀ A⁻¹ φ) of a reward is the norm of L⁻¹ φ.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the regularizer is not Shannon's entropy, or a
    /// hidden layer is not finite; and as [`hidden`](Self::hidden).
    pub(crate) fn covariance_root(&self, log: &Log, sessions: &[usize]) -> Result<Vec<f64>> {
        let config = self.config();
        if config.regulariser != Regulariser::Shannon {
            let problem = format!("{:?}, expected Shannon's entropy", config.regulariser);
            return Err(Setting::new("regularizer of a penalty far from the log", problem).into());
        }
        let width = config.head[config.head.len() - 1];
        let mut precision = vec![0.0; width * width];
        precision.iter_mut().step_by(width + 1).for_each(|entry| *entry = PRIOR_PRECISION);
        // Widened on the host: not every GPU knows double precision.
        let widened = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64);
        let zeros = vec![0.0; width];
        for impressions in self.impressions(log, sessions) {
            let impressions = impressions?;
            let hidden = self.hidden(&impressions)?;
            let rewards = self.rewards(&hidden, &impressions)?;
            let (log_phi, log_outside) = self.log_probabilities(&rewards, &impressions.mask)?;
            let log_phi = widened(&log_phi)?.to_vec2::<f64>()?;
            let log_outside = widened(&log_outside)?.to_vec1::<f64>()?;
            let hidden = widened(&hidden)?.flatten_all()?.to_vec1::<f64>()?;
            let mut items = hidden.chunks_exact(width);
            for ((log_phi, log_outside), &size) in
                log_phi.iter().zip(log_outside).zip(&impressions.sizes)
            {
                let chances = log_phi.iter().map(|log_phi| log_phi.exp());
                let mut options: Vec<_> = chances.zip(items.by_ref().take(size)).collect();
                if self.may_choose_nothing() {
                    options.push((log_outside.exp(), &zeros[..]));
                }
                add_covariance(&mut precision, &options, config.eta.powi(2));
            }
        }
        inverse_factor(precision, width).ok_or_else(|| {
            let problem = "not all finite; fit the model again with smaller steps";
            Setting::new("hidden layers of the reward network", problem).into()
        })
    }
}

/// Adds to the lower triangle of `sums` the covariance, times `scale`, of the vector that is drawn
/// among these with their chances.
fn add_covariance(sums: &mut [f64], options: &[(f64, &[f64])], scale: f64) {
    let Some(width) = options.first().map(|(_, values)| values.len()) else { return };
    let mut mean = vec![0.0; width];
    for (chance, values) in options {
        mean.iter_mut().zip(*values).for_each(|(mean, value)| *mean += chance * value);
    }
    let mut centered = vec![0.0; width];
    for (chance, values) in options {
        for ((centered, value), mean) in centered.iter_mut().zip(*values).zip(&mean) {
            *centered = value - mean;
        }
        for (row, sums) in sums.chunks_exact_mut(width).enumerate() {
            let factor = scale * chance * centered[row];
            let entries = sums[..=row].iter_mut().zip(&centered);
            entries.for_each(|(sum, centered)| *sum += factor * centered);
        }
    }
}

/// L⁻¹ of a positive definite matrix L Lᵀ, of which the lower triangle is given (Cholesky); none
/// if it is not positive definite.
fn inverse_factor(mut matrix: Vec<f64>, width: usize) -> Option<Vec<f64>> {
    for row in 0..width {
        for column in 0..=row {
            let (above, below) = (column * width, row * width);
            let known: f64 = (0..column).map(|k| matrix[below + k] * matrix[above + k]).sum();
            let left = matrix[below + column] - known;
            matrix[below + column] = if column < row {
                left / matrix[above + column]
            } else if left > 0.0 && left.is_finite() {
                left.sqrt()
            } else {
                return None;
            };
        }
    }
    let mut inverse = vec![0.0; width * width];
    for column in 0..width {
        for row in column..width {
            let known: f64 =
                (column..row).map(|k| matrix[row * width + k] * inverse[k * width + column]).sum();
            let one = f64::from(u8::from(row == column));
            inverse[row * width + column] = (one - known) / matrix[row * width + row];
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use foretaste_data::{Catalogue, Fractions, ItemId, LogBuilder, RecentClicks, Split};
    use foretaste_random::Seed;
    use foretaste_sim::bounds::ShortMemory;
    use foretaste_sim::policies::UniformRandom;
    use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Rollout, Slates};

    use super::*;
    use crate::testing::{catalogue, configs, log};
    use crate::{
        ItemFeatures, LearnedUsers, Outside, Pays, RewardTable, StateEncoder, TrainConfig,
        UserModelConfig, fit,
    };

    const SESSIONS: [usize; 3] = [0, 1, 2];

    fn users(model: UserModel) -> LearnedUsers {
        LearnedUsers::paying(model, Pays::Utility).unwrap().leaving_by_choice_alone()
    }

    /// The log without the steps on which nothing was chosen.
    fn choices() -> Log {
        let mut chosen = LogBuilder::default();
        for session in log().iter() {
            for step in session.steps().filter(|step| step.choice.item().is_some()) {
                chosen.push(step).unwrap();
            }
            chosen.end_session(None).unwrap();
        }
        chosen.build()
    }

    /// xᵀ A⁻¹ x by Gauss-Jordan elimination.
    fn quadratic_form(a: &[Vec<f64>], x: &[f64]) -> f64 {
        let mut rows: Vec<Vec<f64>> =
            a.iter().zip(x).map(|(row, x)| row.iter().copied().chain([*x]).collect()).collect();
        for pivot in 0..x.len() {
            let scale = rows[pivot][pivot];
            rows[pivot].iter_mut().for_each(|entry| *entry /= scale);
            let chosen = rows[pivot].clone();
            for row in (0..x.len()).filter(|&row| row != pivot) {
                let factor = rows[row][pivot];
                rows[row].iter_mut().zip(&chosen).for_each(|(a, b)| *a -= factor * b);
            }
        }
        rows.iter().zip(x).map(|(row, entry)| row[x.len()] * entry).sum()
    }

    /// The Hessian of the negative log-likelihood by finite differences of the loss, and φ by
    /// differences of r_θ, which is linear in the last layer's weights.
    #[test]
    fn the_penalty_is_that_of_finite_differences_of_the_loss_and_the_rewards() {
        let both = configs().into_iter().flat_map(|config| {
            let absent = UserModelConfig { outside: Outside::Absent, ..config.clone() };
            [(config, log()), (absent, choices())]
        });
        for (config, log) in both {
            let width = config.head[1];
            let model =
                UserModel::with_type(config, &catalogue(), Seed::new(1), &Device::Cpu, DType::F64)
                    .unwrap();
            let weights = model.params().get("reward.rest.1.weight").unwrap().clone();
            let before = weights.as_tensor().copy().unwrap();
            let slates = log.iter().map(|session| session.steps().count()).sum::<usize>() as f64;
            let moved = |by: &[(usize, f64)]| {
                let mut values = before.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                by.iter().for_each(|&(place, by)| values[place] += by);
                weights.set(&Tensor::from_vec(values, (1, width), &Device::Cpu).unwrap()).unwrap();
            };
            let loss = |by: &[(usize, f64)]| {
                moved(by);
                slates * model.loss(&log, &SESSIONS).unwrap()
            };
            let utilities = |by: &[(usize, f64)]| -> Vec<Vec<f32>> {
                moved(by);
                let choices = model.slate_choices(&log, &SESSIONS).unwrap();
                choices.into_iter().map(|choice| choice.utility).collect()
            };
            let h = 1e-3;
            let entry = |i: usize, j: usize| {
                let second =
                    loss(&[(i, h), (j, h)]) - loss(&[(i, h), (j, -h)]) - loss(&[(i, -h), (j, h)])
                        + loss(&[(i, -h), (j, -h)]);
                second / (4.0 * h * h) + if i == j { PRIOR_PRECISION } else { 0.0 }
            };
            let precision: Vec<Vec<f64>> =
                (0..width).map(|i| (0..width).map(|j| entry(i, j)).collect()).collect();
            let eta = model.config().eta;
            let one_more: Vec<_> = (0..width).map(|place| utilities(&[(place, 1.0)])).collect();
            let plain = utilities(&[]);
            let users = users(model);
            let less = users.with_penalty_far_from(&log, &SESSIONS, 0.7).unwrap();
            let mut slate = 0;
            for session in log.iter() {
                let mut state = users.reset(&mut [Seed::new(1).stream(0)]).unwrap();
                for step in session.steps() {
                    let mut shown = Slates::with_k(step.slate.len());
                    shown.push_certain(step.slate);
                    let [with, without] =
                        [&less, &users].map(|users| users.rewards(&state, &shown).unwrap());
                    for place in 0..step.slate.len() {
                        let hidden: Vec<f64> = one_more
                            .iter()
                            .map(|more| f64::from(more[slate][place] - plain[slate][place]) / eta)
                            .collect();
                        let expected = 0.7 * quadratic_form(&precision, &hidden).sqrt();
                        let found = f64::from(without[place] - with[place]);
                        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
                    }
                    users.observe(&mut state, &[step.choice]).unwrap();
                    slate += 1;
                }
            }
        }
    }

    const ITEMS: usize = 10;

    /// A model of embedded items, fitted to a log in which only the first `shown` of them occur.
    fn fitted(shown: usize) -> (LearnedUsers, Log) {
        let config = ChoiceUsersConfig { items: ITEMS, ..ChoiceUsersConfig::default() };
        let random = Blind(UniformRandom { items: shown });
        let rollout = Rollout::new(Seed::new(1), 0..200, 3).max_steps(5);
        let log = rollout.run(&ChoiceUsers::new(&config).unwrap(), &random).unwrap();
        let state = StateEncoder::PositionWeights {
            history: 2,
            columns: 2,
            initial: 0.3,
            activation: foretaste_nn::Activation::Elu,
            bias: true,
        };
        let features = ItemFeatures::Learned { dim: 3 };
        let head = vec![16, 16];
        let config = UserModelConfig { state, features, head, ..UserModelConfig::new(ITEMS) };
        let catalogue = Catalogue::numbered(ITEMS);
        let mut model = UserModel::new(config, &catalogue, Seed::new(2), &Device::Cpu).unwrap();
        let split = Split::by_session(&log, Fractions::default(), Seed::new(3)).unwrap();
        let training = TrainConfig { iterations: 60, ..TrainConfig::default() };
        let go_on = |_| ControlFlow::Continue(());
        fit(&mut model, &log, &split, &training, Seed::new(4), go_on).unwrap();
        (users(model), log)
    }

    fn all(log: &Log) -> Vec<usize> {
        (0..log.sessions()).collect()
    }

    /// The penalties of the items after these clicks, far from these sessions.
    fn penalties(
        users: &LearnedUsers,
        (log, sessions): (&Log, &[usize]),
        clicks: &[ItemId],
    ) -> Vec<f32> {
        let less = users.with_penalty_far_from(log, sessions, 1.0).unwrap();
        let [with, without] =
            [&less, users].map(|users| users.rewards_after(&[clicks.to_vec()]).unwrap());
        without.iter().zip(&with).map(|(without, with)| without - with).collect()
    }

    /// On average: one of them may resemble those that are shown.
    #[test]
    fn items_that_the_log_never_shows_have_the_larger_penalties() {
        let shown = 6;
        let (users, log) = fitted(shown);
        for clicks in [&[][..], &[ItemId(2)], &[ItemId(0), ItemId(3)]] {
            let penalties = penalties(&users, (&log, &all(&log)), clicks);
            let (often, never) = penalties.split_at(shown);
            let mean = |of: &[f32]| of.iter().sum::<f32>() / of.len() as f32;
            assert!(mean(never) > 1.5 * mean(often), "{penalties:?}");
        }
    }

    #[test]
    fn a_log_of_more_sessions_leaves_smaller_penalties() {
        let (users, log) = fitted(ITEMS);
        let all = all(&log);
        let many = penalties(&users, (&log, &all), &[]);
        let few = penalties(&users, (&log, &all[..20]), &[]);
        assert!(many.iter().zip(&few).all(|(many, few)| 0.0 < *many && many < few));
    }

    /// After any two clicks, to the last bit, however many threads there are.
    #[test]
    fn the_table_is_what_users_with_a_penalty_pay_on_any_number_of_threads() {
        let (users, log) = fitted(ITEMS);
        let run = || -> (RewardTable, Log) {
            let less = users.with_penalty_far_from(&log, &all(&log), 1.0).unwrap();
            let rollout = Rollout::new(Seed::new(6), 0..100, 3).max_steps(6);
            let played = rollout.run(&less, &Blind(UniformRandom { items: ITEMS })).unwrap();
            (less.reward_table().unwrap(), played)
        };
        let with = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
        };
        let (table, played) = with(1);
        let (again, played_again) = with(2);
        assert_eq!(table.rewards(), again.rewards());
        assert_eq!(played, played_again);
        for session in played.iter() {
            let mut clicks = RecentClicks::new(1, 2);
            for step in session.steps() {
                let Some(item) = step.choice.item() else { continue };
                let paid = table.appeal(0, clicks.row(0)).rewards[item.index()];
                assert_eq!(f64::from(step.reward), paid);
                clicks.push(0, item);
            }
        }
        let without = users.model().reward_table().unwrap();
        let penalties = without.rewards().iter().zip(table.rewards());
        assert!(penalties.map(|(without, with)| without - with).all(|penalty| penalty > 1e-3));
    }

    #[test]
    fn a_penalty_of_no_deviations_changes_nothing_and_one_takes_the_place_of_another() {
        let (users, log) = fitted(ITEMS);
        let of = |users: &LearnedUsers, deviations| {
            users.with_penalty_far_from(&log, &all(&log), deviations).unwrap()
        };
        let table = |users: &LearnedUsers| users.reward_table().unwrap().rewards().to_vec();
        let (none, one) = (of(&users, 0.0), of(&users, 1.0));
        assert_eq!(table(&none), table(&users));
        assert_eq!(table(&of(&one, 0.0)), table(&users));
        assert_ne!(table(&one), table(&users));
        let rollout = Rollout::new(Seed::new(7), 0..50, 3).max_steps(6);
        let random = Blind(UniformRandom { items: ITEMS });
        let expected = rollout.run(&users, &random).unwrap();
        assert_eq!(rollout.run(&none, &random).unwrap(), expected);
        assert_ne!(rollout.run(&one, &random).unwrap(), expected);
        let of_model = users.model().reward_table().unwrap();
        for (found, expected) in table(&users).iter().zip(of_model.rewards()) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn other_regularizers_and_impossible_deviations_are_refused() {
        let with = |regulariser, deviations| {
            let config = UserModelConfig { regulariser, ..configs()[0].clone() };
            let model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
            users(model).with_penalty_far_from(&log(), &SESSIONS, deviations)
        };
        assert!(with(Regulariser::Shannon, 1.0).is_ok());
        for deviations in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(with(Regulariser::Shannon, deviations).is_err());
        }
        let refused = with(Regulariser::L2, 1.0).unwrap_err().to_string();
        assert!(refused.contains("L2, expected Shannon's entropy"), "{refused}");
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_factor() {
        assert_eq!(
            inverse_factor(vec![4.0, 0.0, 2.0, 10.0], 2),
            Some(vec![0.5, 0.0, -1.0 / 6.0, 1.0 / 3.0])
        );
        for matrix in [vec![1.0, 0.0, 2.0, 4.0], vec![f64::NAN, 0.0, 0.0, 1.0]] {
            assert_eq!(inverse_factor(matrix, 2), None);
        }
    }
}
