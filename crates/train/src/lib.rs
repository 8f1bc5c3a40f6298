//! What all trainings of the project share: the fit loop, its checkpoints, and network parts.
//!
//! * [`fit`] is the one fit loop: it validates before any update, keeps the best parameters, has
//!   patience, reports progress to a callback that may stop it, and fails where a loss, a gradient
//!   or a parameter is no longer finite. A model that it trains implements [`Fit`]; [`descend`] is
//!   one step of an optimizer. A
//!   [`Fitting`] is the same loop as a value, which can be saved and resumed after any iteration.
//! * A [`Network`] is saved and loaded with its items and what it was fitted on.
//! * [`run`] saves a whole training, which then continues as if it had not been interrupted.
//! * [`LearningRate`] is a schedule.
//! * [`ContextFeatures`] are numbers that depend on a shown item and on the clicks before it. A
//!   model may take them in addition to the item's features. [`CountContext`] computes them from
//!   the counts of a log.
//! * [`ClickEncoder`] and [`Head`] are the parts that IRecGAN's networks share: a state for each
//!   step of a session from the clicks before it, and a linear layer on states.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use candle_core::{DType, Device, Tensor};
//! use foretaste_nn::{Adam, AdamConfig, Init, Params, scalar};
//! use foretaste_random::Seed;
//! use foretaste_train::{Candidates, Error, Fit, FitConfig, descend, fit};
//!
//! /// The number x with the least (x - 1)².
//! struct Nearest {
//!     params: Params,
//!     x: Tensor,
//!     adam: Adam,
//! }
//!
//! impl Nearest {
//!     fn loss(&self) -> foretaste_nn::Result<Tensor> {
//!         Ok((&self.x - 1.0)?.sqr()?.sum_all()?)
//!     }
//! }
//!
//! impl Fit for Nearest {
//!     type Point = f64;
//!     type Error = Error;
//!
//!     fn train(&mut self, _iteration: u64) -> Result<(), Error> {
//!         let loss = self.loss()?;
//!         descend(&mut self.adam, &loss)?;
//!         Ok(())
//!     }
//!
//!     fn validate(&mut self, _iteration: u64) -> Result<f64, Error> {
//!         Ok(scalar(&self.loss()?)?)
//!     }
//!
//!     fn params(&self) -> Vec<&Params> {
//!         vec![&self.params]
//!     }
//!
//!     fn losses(&self, point: &f64) -> Vec<f64> {
//!         vec![*point]
//!     }
//! }
//!
//! let mut params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let x = params.scope("nearest").param("x", 1, Init::Constant(0.0))?;
//! let adam = Adam::new(&params, AdamConfig { learning_rate: 0.1, ..AdamConfig::default() })?;
//! let mut learner = Nearest { params, x, adam };
//! let config = FitConfig {
//!     iterations: 100,
//!     validate_every: 1,
//!     patience: Some(10),
//!     candidates: Candidates::All,
//! };
//! let fitted = fit(&mut learner, config, |progress| {
//!     println!("{} iterations: {:?}", progress.iteration, progress.point);
//!     ControlFlow::Continue(())
//! })?;
//! assert!(fitted.curve[0] == 1.0 && fitted.best < 0.01);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batches;
mod context;
pub mod counts;
mod descent;
mod encoder;
mod error;
mod fit;
mod fitting;
mod head;
mod learning_rate;
mod padding;
mod per_step;
pub mod run;
mod saved;

pub use batches::EndlessBatches;
pub use context::{ContextFeatures, CountContext, CountFeatures, CountedContext, Folds};
pub use descent::{Descent, Means, check_finite, descend};
pub use encoder::{ClickEncoder, ClickStates, FirstInput, FrozenClicks};
pub use error::{Error, Result};
pub use fit::{Candidates, Fit, FitConfig, Fitted, Progress, fit};
pub use fitting::Fitting;
pub use head::Head;
pub use learning_rate::LearningRate;
pub use padding::padded_together;
pub use per_step::PerStep;
pub use saved::Network;
