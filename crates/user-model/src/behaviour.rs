//! IRecGAN's user behavior model U (Bai et al., NeurIPS 2019, §4): what a user of a slate clicks,
//! when the user leaves, and whether a click becomes a purchase.
//!
//! [`clicked_sessions`] makes of a log the sessions τ of the paper, [`BehaviourModel`] is U,
//! [`BehaviourTrainer`] fits it by Eq 3 and moves it by Eq 7, and [`BehaviourUsers`] is U as an
//! [`Environment`](foretaste_sim::Environment).
//!
//! ```
//! use candle_core::Device;
//! use foretaste_random::Seed;
//! use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout, policies::UniformRandom};
//! use foretaste_user_model::behaviour::{
//!     BehaviourConfig, BehaviourModel, BehaviourTrainer, BehaviourTraining, BehaviourUsers,
//!     clicked_sessions,
//! };
//!
//! // A log of simulated users, in place of yours.
//! let mdp = Mdp::new(&MdpConfig { items: 20, ..MdpConfig::default() })?;
//! let random = Blind(UniformRandom { items: 20 });
//! let log = Rollout::new(Seed::new(1), 0..200, 4).run(&mdp, &random)?;
//! let train = clicked_sessions(&log, &(0..150).collect::<Vec<_>>(), 20, Seed::new(2))?;
//! let validation = clicked_sessions(&log, &(150..200).collect::<Vec<_>>(), 20, Seed::new(2))?;
//!
//! let model = BehaviourModel::new(BehaviourConfig::small(20), Seed::new(3), &Device::Cpu)?;
//! let mut trainer = BehaviourTrainer::new(model, BehaviourTraining::default())?;
//! let fit = trainer.fit(&train, &validation, 3, Seed::new(4), |_| std::ops::ControlFlow::Continue(()))?;
//! assert!(fit.best.validation_nll < fit.curve[0].validation_nll);
//!
//! let users = BehaviourUsers::new(trainer.model())?;
//! let rollout = Rollout::new(Seed::new(5), 0..10, 4).max_steps(5);
//! assert_eq!(rollout.run(&users, &random)?.sessions(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod choice;
mod clicked_sessions;
mod config;
mod environment;
mod model;
#[cfg(test)]
mod tests;
mod train;

pub use clicked_sessions::{clicked_sessions, first_clicks_given, in_unit};
pub use config::{BehaviourConfig, BehaviourTraining, Rewards};
pub use environment::{BehaviourState, BehaviourUsers};
pub use model::BehaviourModel;
pub use train::{BehaviourEpochs, BehaviourTrainer};
