//! GAN-CDQN's min-max as the paper describes it, with a generator that is trained in turns with the
//! reward. `train` fits the same reward without a generator, by the closed form of the inner
//! maximum.

use std::ops::ControlFlow;

use candle_core::Tensor;
use foretaste_data::{Log, Split};
use foretaste_nn::{Adam, Params, scalar};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{Descent, EndlessBatches, Fit, Fitted, Means, Progress, descend};

use crate::context::TrainingRows;
use crate::impressions::Impressions;
use crate::{AdversarialConfig, Error, Regulariser, Result, UserModel};

/// One validation of min-max training; means per slate, in units of reward but for the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdversarialPoint {
    /// Updates of r_θ done.
    pub iteration: u64,
    /// Mean over the batches since the last validation of the objective
    /// `E_φ[r] - R(φ) / η - r(true)`, before each update of r_θ; none before any.
    pub train_objective: Option<f64>,
    /// The objective on the validation sessions.
    pub validation_objective: f64,
    /// What φ_α lacks there to the maximum that the closed form of φ* reaches.
    pub validation_shortfall: f64,
    /// The Fenchel-Young loss of r_θ there ([`Regulariser::loss`]), which is η times that maximum
    /// plus a constant.
    pub validation_loss: f64,
    /// Mean over the updates of r_θ since the last validation of the gradient's Euclidean norm
    /// before clipping; none before any.
    pub gradient_norm: Option<f64>,
    /// The same of φ_α.
    pub generator_gradient_norm: Option<f64>,
}

/// GAN-CDQN's min-max for any regularizer (§"Generative Adversarial Training"):
/// min over θ, max over α of `Σ_t E_φ[r_θ] - R(φ_α) / η - r_θ(true)`.
///
/// `model` holds r_θ; `generator` holds φ_α, a model of its own under Shannon's entropy, whose
/// softmax can come as close to a sparse φ* as it likes but never is 0
/// ([`UserModelConfig::generator`](crate::UserModelConfig::generator) has the published sizes).
/// Each iteration takes `inner` steps up the objective in α and then one step down in θ. The
/// expectation over a slate is a finite sum, so both gradients are exact on a batch: nothing is
/// sampled.
///
/// Start from the rewards of Shannon's entropy: [`fit`](crate::fit) a model under Shannon, then
/// [`UserModel::with_regulariser`]. A generator of the same form can start as their softmax
/// (`generator.params().restore(&model.params().snapshot()?)`); the warm-up fits any generator to
/// them.
///
/// What the training sessions pay and when they end is counted along with it, for both models
/// ([`UserModel::learn_outcomes`]). Batches are shuffled from `seed`. `callback` is called after
/// every iteration, with the warm-up's updates and the validation after them as iteration 0, and
/// may stop the fit. Both models then hold the parameters of the validation with the lowest
/// Fenchel-Young loss.
///
/// # Errors
/// [`Error::Setting`] if the models do not choose among the same options or the generator is not
/// under Shannon's entropy; [`Error::Training`] if a gradient or a loss is not finite, or if
/// `callback` stopped the fit: the models then hold the parameters of the last update.
pub fn fit_adversarial(
    model: &mut UserModel,
    generator: &mut UserModel,
    log: &Log,
    split: &Split,
    config: &AdversarialConfig,
    seed: Seed,
    mut callback: impl FnMut(Progress<AdversarialPoint>) -> ControlFlow<()>,
) -> Result<Fitted<AdversarialPoint>> {
    config.check()?;
    model.learn_outcomes(log, &split.train)?;
    generator.learn_outcomes(log, &split.train)?;
    let rows = model.learn_context(log, &split.train, seed)?;
    generator.learn_context(log, &split.train, seed)?;
    let (model, generator) = (&*model, &*generator);
    let batches = |seed| EndlessBatches::new(&split.train, config.reward.batch, seed);
    let mut learner = MinMax {
        game: Game::new(model, generator)?,
        up: Adam::new(generator.params(), config.generator)?,
        down: Adam::new(model.params(), config.reward.optimiser)?,
        batches: batches(seed)?,
        inner: config.inner,
        log,
        split,
        rows,
        train: Means::default(),
    };
    let mut warm_up = batches(seed.derive("warm-up"))?;
    for _ in 0..config.warm_up {
        learner.warm_up(&warm_up.next_batch())?;
        if callback(Progress { iteration: 0, point: None }).is_break() {
            return Err(foretaste_train::Error::Interrupted.into());
        }
    }
    foretaste_train::fit(&mut learner, config.reward.fit(), callback)
}

/// The game with the optimizers of both players.
struct MinMax<'a> {
    game: Game<'a>,
    up: Adam,
    down: Adam,
    batches: EndlessBatches<'a>,
    inner: u64,
    log: &'a Log,
    split: &'a Split,
    rows: TrainingRows,
    /// Objective, gradient norm of r_θ, gradient norm of φ_α.
    train: Means<3>,
}

impl MinMax<'_> {
    /// One update of φ_α alone, on these sessions.
    fn warm_up(&mut self, sessions: &[usize]) -> Result<()> {
        let impressions = self.impressions(sessions)?;
        self.game.raise(&impressions, &self.game.rewards(&impressions)?, &mut self.up, 0)?;
        Ok(())
    }

    fn impressions(&self, sessions: &[usize]) -> Result<Impressions> {
        self.game.model.impressions_of(self.log, sessions, &self.rows)
    }
}

impl Fit for MinMax<'_> {
    type Point = AdversarialPoint;
    type Error = Error;

    fn train(&mut self, iteration: u64) -> Result<()> {
        let sessions = self.batches.next_batch();
        let impressions = self.impressions(&sessions)?;
        let rewards = self.game.rewards(&impressions)?;
        let mut generator_norms = 0.0;
        for _ in 0..self.inner {
            generator_norms += self.game.raise(&impressions, &rewards, &mut self.up, iteration)?;
        }
        let Descent { loss, gradient_norm } =
            self.game.lower(&impressions, &rewards, &mut self.down)?;
        self.train.add([loss, gradient_norm, generator_norms / self.inner as f64]);
        Ok(())
    }

    fn validate(&mut self, iteration: u64) -> Result<AdversarialPoint> {
        let trained = self.train.take();
        let judge = |impressions: &Impressions| self.game.judge(impressions);
        let [validation_objective, maximum, validation_loss] =
            self.game.model.mean_over(self.log, &self.split.validation, judge)?;
        let [train_objective, gradient_norm, generator_gradient_norm] =
            std::array::from_fn(|at| trained.map(|means| means[at]));
        Ok(AdversarialPoint {
            iteration,
            train_objective,
            validation_objective,
            validation_shortfall: maximum - validation_objective,
            validation_loss,
            gradient_norm,
            generator_gradient_norm,
        })
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.game.model.params(), self.game.generator.params()]
    }

    fn losses(&self, point: &AdversarialPoint) -> Vec<f64> {
        vec![point.validation_loss; 2]
    }
}

/// The two players.
struct Game<'a> {
    model: &'a UserModel,
    generator: &'a UserModel,
}

impl<'a> Game<'a> {
    fn new(model: &'a UserModel, generator: &'a UserModel) -> Result<Self> {
        let (m, g) = (model.config(), generator.config());
        if g.regulariser != Regulariser::Shannon {
            let problem = format!("under {:?}, expected Shannon", g.regulariser);
            return Err(Setting::new("generator", problem).into());
        }
        if m.items != g.items || model.may_choose_nothing() != generator.may_choose_nothing() {
            let problem = format!(
                "{} items and outside option {:?}, but the model has {} and {:?}",
                g.items, g.outside, m.items, m.outside
            );
            return Err(Setting::new("generator", problem).into());
        }
        if m.context != g.context {
            let problem = format!("{:?}, but the model has {:?}", g.context, m.context);
            return Err(Setting::new("context features of the generator", problem).into());
        }
        Ok(Self { model, generator })
    }

    /// r_θ of the options of each slate, `[impressions, options]`.
    fn rewards(&self, impressions: &Impressions) -> Result<Tensor> {
        let rewards = self.model.impression_rewards(impressions)?;
        if !self.model.may_choose_nothing() {
            return Ok(rewards);
        }
        let nothing = rewards.narrow(1, 0, 1)?.zeros_like()?;
        Ok(Tensor::cat(&[rewards, nothing], 1)?)
    }

    /// φ_α, `[impressions, options]`.
    fn choice(&self, impressions: &Impressions) -> Result<Tensor> {
        let utilities =
            (self.generator.impression_rewards(impressions)? * self.generator.config().eta)?;
        Regulariser::Shannon.choice(
            &utilities,
            &impressions.mask,
            self.generator.may_choose_nothing(),
        )
    }

    /// The mean of `E_φ[r] - R(φ) / η - r(true)`, a scalar tensor.
    fn objective(
        &self,
        phi: &Tensor,
        rewards: &Tensor,
        impressions: &Impressions,
    ) -> Result<Tensor> {
        let chosen = rewards.gather(&impressions.chosen.unsqueeze(1)?, 1)?;
        let expected = (phi * rewards.broadcast_sub(&chosen)?)?.sum(1)?;
        let config = self.model.config();
        Ok((expected - (config.regulariser.penalty(phi)? / config.eta)?)?.mean_all()?)
    }

    /// `α ← α + γ₁ ∇_α (E_φ[r] - R(φ) / η)`, for given rewards; the gradient's norm.
    fn raise(
        &self,
        impressions: &Impressions,
        rewards: &Tensor,
        adam: &mut Adam,
        iteration: u64,
    ) -> Result<f64> {
        let objective =
            self.objective(&self.choice(impressions)?, &rewards.detach(), impressions)?;
        let descent = descend(adam, &objective.neg()?).map_err(|reason| reason.at(iteration))?;
        Ok(descent.gradient_norm)
    }

    /// `θ ← θ - γ₂ (E_φ[∇_θ r] - ∇_θ r(true))`; the objective before it.
    fn lower(
        &self,
        impressions: &Impressions,
        rewards: &Tensor,
        adam: &mut Adam,
    ) -> Result<Descent> {
        let phi = self.choice(impressions)?.detach();
        Ok(descend(adam, &self.objective(&phi, rewards, impressions)?)?)
    }

    /// Means per slate: the objective, its maximum over φ, and the Fenchel-Young loss.
    fn judge(&self, impressions: &Impressions) -> Result<[f64; 3]> {
        let config = self.model.config();
        let rewards = self.rewards(impressions)?;
        let objective =
            scalar(&self.objective(&self.choice(impressions)?, &rewards, impressions)?)?;
        let loss = scalar(&self.model.batch_loss(impressions)?)?;
        Ok([objective, (loss - config.regulariser.penalty_of_certainty()) / config.eta, loss])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{catalogue, configs, log};
    use crate::{Outside, StateEncoder, UserModelConfig};
    use candle_core::{DType, Device};
    use foretaste_data::{Choice, Fractions, ItemId, LogBuilder, PaddedBatch, Step};
    use foretaste_nn::{AdamConfig, check_gradients};

    const NOTHING: Outside = Outside::Nothing { leaving: 0.0 };
    const REGULARISERS: [Regulariser; 3] =
        [Regulariser::Shannon, Regulariser::Tsallis { alpha: 1.5 }, Regulariser::L2];

    fn model(config: UserModelConfig, seed: u64, dtype: DType) -> UserModel {
        UserModel::with_type(config, &catalogue(), Seed::new(seed), &Device::Cpu, dtype).unwrap()
    }

    fn impressions(log: &Log) -> Impressions {
        let all: Vec<usize> = (0..log.sessions()).collect();
        Impressions::new(&PaddedBatch::new(log, &all, None), &Device::Cpu).unwrap()
    }

    /// Eight sessions of three slates of two to five items, one of them always clicked.
    fn clicks() -> Log {
        let mut log = LogBuilder::default();
        for session in 0..8 {
            for step in 0..3 {
                let slate: Vec<ItemId> =
                    (0..2 + (session + step) % 4).map(|i| ItemId((session + i) % 6)).collect();
                let choice = Choice::Item(slate[(session * step) as usize % slate.len()]);
                log.push(Step::new(&slate, choice, 0.0)).unwrap();
            }
            log.end_session(None).unwrap();
        }
        log.build()
    }

    #[test]
    fn against_fixed_rewards_the_generator_comes_within_1_percent_of_the_closed_form() {
        let impressions = impressions(&clicks());
        for (regulariser, outside) in
            REGULARISERS.into_iter().flat_map(|r| [(r, NOTHING), (r, Outside::Absent)])
        {
            let config = UserModelConfig { regulariser, outside, eta: 6.0, ..configs()[0].clone() };
            let (model, generator) = (
                model(config.clone(), 1, DType::F32),
                model(
                    UserModelConfig { regulariser: Regulariser::Shannon, ..config.clone() },
                    2,
                    DType::F32,
                ),
            );
            let game = Game::new(&model, &generator).unwrap();
            let rewards = game.rewards(&impressions).unwrap().detach();
            // E_φ[r] - R(φ) / η, without the reward of what was chosen, which is the same for every
            // φ.
            let value = |phi: &Tensor| {
                let gain = (phi * &rewards).unwrap().sum(1).unwrap();
                let penalty = (regulariser.penalty(phi).unwrap() / config.eta).unwrap();
                scalar(&(gain - penalty).unwrap().mean_all().unwrap()).unwrap()
            };
            let utilities =
                (rewards.narrow(1, 0, impressions.places).unwrap() * config.eta).unwrap();
            let best = regulariser
                .choice(&utilities, &impressions.mask, outside != Outside::Absent)
                .unwrap();
            let optimum = value(&best);
            let missing = || (optimum - value(&game.choice(&impressions).unwrap())) / optimum.abs();
            let before = missing();
            let optimiser = AdamConfig { learning_rate: 4e-3, ..AdamConfig::default() };
            let mut adam = Adam::new(generator.params(), optimiser).unwrap();
            for _ in 0..200 {
                game.raise(&impressions, &rewards, &mut adam, 0).unwrap();
            }
            assert!(
                before > 0.05 && (-1e-5..0.01).contains(&missing()),
                "{regulariser:?}: {before} to {}",
                missing()
            );
        }
    }

    #[test]
    fn gradients_of_both_players_match_finite_differences() {
        let impressions = impressions(&log());
        for regulariser in REGULARISERS {
            let config = UserModelConfig { regulariser, ..configs()[0].clone() };
            let generator = UserModelConfig {
                state: StateEncoder::lstm(),
                head: vec![3],
                ..config.generator()
            };
            let (model, generator) =
                (model(config, 1, DType::F64), model(generator, 2, DType::F64));
            let game = Game::new(&model, &generator).unwrap();
            let rewards = game.rewards(&impressions).unwrap().detach();
            let phi = game.choice(&impressions).unwrap().detach();
            check_gradients(generator.params(), || {
                Ok(game
                    .objective(&game.choice(&impressions).unwrap(), &rewards, &impressions)
                    .unwrap())
            });
            check_gradients(model.params(), || {
                Ok(game
                    .objective(&phi, &game.rewards(&impressions).unwrap(), &impressions)
                    .unwrap())
            });
        }
    }

    #[test]
    fn players_and_settings_that_do_not_fit_are_refused() {
        let (log, base) = (clicks(), configs()[0].clone());
        let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
        let refused = |generator: UserModelConfig, config: AdversarialConfig| {
            let (mut model, mut generator) =
                (model(base.clone(), 1, DType::F32), model(generator, 1, DType::F32));
            let go_on = |_| ControlFlow::Continue(());
            match fit_adversarial(
                &mut model,
                &mut generator,
                &log,
                &split,
                &config,
                Seed::new(1),
                go_on,
            ) {
                Err(Error::Setting(setting)) => setting.what,
                other => panic!("{other:?}"),
            }
        };
        let fine = AdversarialConfig::default;
        let l2 = UserModelConfig { regulariser: Regulariser::L2, ..base.clone() };
        assert_eq!(refused(l2, fine()), "generator");
        assert_eq!(
            refused(UserModelConfig { outside: Outside::Absent, ..base.clone() }, fine()),
            "generator"
        );
        assert_eq!(refused(base.clone(), AdversarialConfig { inner: 0, ..fine() }), "inner");
    }

    #[test]
    fn training_reports_divergence_and_its_callback_stops_it_in_the_warm_up_too() {
        let (log, base) = (clicks(), configs()[0].clone());
        let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
        let run = |config: &AdversarialConfig, stop: Option<u64>| {
            let mut model = model(
                UserModelConfig { regulariser: Regulariser::L2, ..base.clone() },
                1,
                DType::F32,
            );
            let mut generator = self::model(base.generator(), 1, DType::F32);
            let callback = |at: Progress<_>| {
                if Some(at.iteration) == stop {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            fit_adversarial(
                &mut model,
                &mut generator,
                &log,
                &split,
                config,
                Seed::new(1),
                callback,
            )
        };
        let diverged_at = |result| match result {
            Err(Error::Training(foretaste_train::Error::Diverged { iteration, .. })) => {
                Some(iteration)
            }
            _ => None,
        };
        let short = AdversarialConfig { warm_up: 3, ..AdversarialConfig::default() };
        for at in [0, 5] {
            assert!(matches!(
                run(&short, Some(at)),
                Err(Error::Training(foretaste_train::Error::Interrupted))
            ));
        }
        let wild = AdamConfig { learning_rate: 1e30, ..AdamConfig::default() };
        let generator = AdversarialConfig { generator: wild, ..short.clone() };
        assert_eq!(diverged_at(run(&generator, None)), Some(0));
        let mut reward = short;
        reward.reward.optimiser = wild;
        assert_eq!(diverged_at(run(&reward, None)), Some(2));
    }
}
