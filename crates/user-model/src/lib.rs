//! Learned users: a model of how users choose from slates, fitted to a log, with which policies can
//! then be simulated.
//!
//! * A [`UserModel`] encodes a user's clicks into a state (position weights or an LSTM) and scores
//!   items by a reward network r_θ(s, a). Its [`Regulariser`] turns the rewards of a slate, and of
//!   clicking nothing, into probabilities: softmax(η r_θ) for Shannon's entropy (Chen et al. 2019,
//!   GAN-CDQN, Lemma 1), and sparse probabilities for others.
//! * [`fit`] trains it by maximum likelihood (Lemma 2), or by the Fenchel-Young loss if the
//!   regularizer is another. [`fit_adversarial`] trains it by the min-max of the paper.
//! * [`evaluate`](foretaste_eval::choice::evaluate) computes its held-out figures.
//! * [`LearnedUsers`] is the model as an [`Environment`](foretaste_sim::Environment). It pays the
//!   reward of the log ([`RewardHead`]) and ends sessions like the log ([`Outside`], [`Endings`]).
//! * [`behaviour`] contains IRecGAN's user model.
//! * [`trust`] examines how far learned users may be trusted.
//!
//! ```
//! use std::ops::ControlFlow;
//! use candle_core::Device;
//! use foretaste_data::{Catalogue, Fractions, Split};
//! use foretaste_eval::choice::evaluate;
//! use foretaste_random::Seed;
//! use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout, policies::UniformRandom};
//! use foretaste_user_model::{LearnedUsers, TrainConfig, UserModel, UserModelConfig, fit};
//!
//! // A log of simulated users, in place of yours.
//! let users = ChoiceUsers::new(&ChoiceUsersConfig { items: 20, ..ChoiceUsersConfig::default() })?;
//! let random = Blind(UniformRandom { items: 20 });
//! let log = Rollout::new(Seed::new(1), 0..200, 4).max_steps(5).run(&users, &random)?;
//! let split = Split::by_session(&log, Fractions::default(), Seed::new(2))?;
//!
//! let catalogue = Catalogue::numbered(20);
//! let mut model = UserModel::new(UserModelConfig::new(20), &catalogue, Seed::new(3), &Device::Cpu)?;
//! let training = TrainConfig { iterations: 20, ..TrainConfig::default() };
//! let fitted = fit(&mut model, &log, &split, &training, Seed::new(4), |_| ControlFlow::Continue(()))?;
//! assert!(fitted.best.validation_nll <= fitted.curve[0].validation_nll);
//! assert!(evaluate(&model, &log, &split.test)?.precision_at_2 > Some(0.0));
//!
//! // The learned users answer a policy, pay and leave as the simulated ones did: here a click earns 1.
//! let users = LearnedUsers::new(model)?;
//! let log = Rollout::new(Seed::new(5), 0..10, 4).max_steps(5).run(&users, &random)?;
//! assert!(log.iter().flat_map(|session| session.steps()).all(|step| step.reward == f32::from(step.choice.item().is_some())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Far from the log
//!
//! A plan in learned users seeks out pairs of a state and an item whose reward the model
//! overestimates, among them those of which the log says little. [`LearnedUsers`] can have a
//! [penalty](LearnedUsers::with_penalty_far_from) on them: so many standard deviations of r_θ(s, a)
//! in the Laplace approximation of the last layer (MacKay 1992; Daxberger et al. 2021, *Laplace
//! Redux*). With φ the last hidden layer, r_θ = vᵀ φ + b, the weights v have the posterior
//! precision
//!
//! A = λ I + Σ η² (Σ_j p_j φ_j φ_jᵀ - φ̄ φ̄ᵀ), φ̄ = Σ_j p_j φ_j, λ = 1,
//!
//! the sum being over the slates of the log and p the model's choice probabilities: the Hessian of
//! the negative log-likelihood in v, and a normal prior of precision λ. Nothing, where it may be
//! chosen, has φ = 0; all other parameters are taken as known. The standard deviation of a pair is
//! √(φᵀ A⁻¹ φ): it is small where the log often lets users choose between φ and others, and large
//! where it does not.

mod acting;
mod adversarial;
pub mod behaviour;
mod choice;
mod config;
mod context;
mod encoder;
mod endings;
mod ensemble;
mod environment;
mod error;
mod impressions;
mod laplace;
pub mod level;
mod model;
mod regulariser;
mod reward_head;
mod table;
#[cfg(test)]
mod testing;
mod train;
pub mod trust;

pub use adversarial::{AdversarialPoint, fit_adversarial};
pub use config::{
    AdversarialConfig, Context, ItemFeatures, Outcomes, Outside, StateEncoder, TrainConfig,
    UserModelConfig,
};
pub use endings::Endings;
pub use ensemble::{Combining, EnsembleState, EnsembleUsers, fit_ensemble};
pub use environment::{LearnedState, LearnedUsers, Pays};
pub use error::{Error, Result};
pub use model::UserModel;
pub use regulariser::Regulariser;
pub use reward_head::RewardHead;
pub use table::RewardTable;
pub use train::{CurvePoint, MostPrecise, Updates, fit, fit_for_both};
