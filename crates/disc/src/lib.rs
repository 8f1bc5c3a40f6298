//! IRecGAN's discriminator D (Bai et al., NeurIPS 2019, appendix 1 and Eq 5): the probability that
//! a trajectory of slates, clicks and rewards comes from real users.
//!
//! At each step, an LSTM over the clicks so far predicts the user's favorite item of the slate.
//! D(τ) is the logistic function of the mean, over the steps, of how well the click agrees with
//! this prediction, weighted by the reward.
//!
//! * [`Discriminator`] is the network.
//! * [`DiscriminatorTrainer`] fits it by Eq 5 to real and generated logs.
//! * [`FrozenDiscriminator`] evaluates D along a trajectory: each further step costs the time of
//!   one step, and it can continue from any state that was kept.
//!
//! ```
//! use candle_core::Device;
//! use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};
//! use foretaste_disc::{Discriminator, DiscriminatorConfig, DiscriminatorTrainer, DiscriminatorTraining};
//! use foretaste_random::Seed;
//!
//! // Real users click the first item of [0, 1], generated ones the second.
//! let log = |clicked| -> Result<Log, foretaste_data::Error> {
//!     let (slate, mut log) = ([ItemId(0), ItemId(1)], LogBuilder::default());
//!     for _ in 0..20 {
//!         let choice = Choice::Item(ItemId(clicked));
//!         log.push(Step::new(&slate, choice, 0.0))?;
//!         log.end_session(None)?;
//!     }
//!     Ok(log.build())
//! };
//! let (real, generated) = (log(0)?, log(1)?);
//! let model = Discriminator::new(DiscriminatorConfig::small(2), Seed::new(1), &Device::Cpu)?;
//! let mut training = DiscriminatorTraining::default();
//! training.optimiser.learning_rate = 0.01;
//! let mut trainer = DiscriminatorTrainer::new(model, training)?;
//! for epoch in 0..30 {
//!     trainer.epoch(&real, &generated, Seed::new(2).index(epoch))?;
//! }
//! let d = |log| Ok::<f64, foretaste_disc::Error>(trainer.model().probabilities(log)?[0]);
//! assert!(d(&real)? > 0.6 && d(&generated)? < 0.4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acting;
mod config;
mod error;
mod model;
#[cfg(test)]
mod tests;
mod train;

pub use acting::{DiscriminatorState, FrozenDiscriminator};
pub use config::{DiscriminatorConfig, DiscriminatorTraining};
pub use error::{Error, Result};
pub use model::Discriminator;
pub use train::DiscriminatorTrainer;
