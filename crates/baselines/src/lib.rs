//! The click models that GAN-CDQN (Chen et al., ICML 2019) compares its user model with, experiment
//! A: which of the shown items does a user click, given the clicks before?
//!
//! | [`ModelKind`] | settings | likelihood |
//! |---|---|---|
//! | popularity | [`PopularityConfig`] | derived: Luce's choice from click counts |
//! | position | [`PositionConfig`] | fitted |
//! | IKNN | [`ItemKnnConfig`] | absent |
//! | SCKNNC | [`SessionKnnConfig`] | absent |
//! | S-RNN | [`SessionRnnConfig`] | derived: the softmax over all items, given that a shown one is clicked |
//! | XGBOOST | [`TreesConfig`] | derived: independent clicks, given exactly one |
//! | DFM | [`NetworkConfig`] | derived: independent clicks, given exactly one |
//! | W&D-LR | [`NetworkConfig`] | derived: independent clicks, given exactly one |
//! | W&D-CCF | [`NetworkConfig`] | fitted |
//!
//! All implement [`ClickModel`], through it [`ChoiceModel`](foretaste_eval::choice::ChoiceModel),
//! and are judged by [`evaluate`](foretaste_eval::choice::evaluate) as every other model is.
//! [`select`] fits a model once for every point of a small grid of hyper-parameters and keeps the
//! one that is best on the validation sessions; [`Data`] does not hold the test sessions, so no
//! choice can look at them.
//!
//! Slates without a click are not evaluated. The likelihood is that of the clicked item given that
//! one was clicked (`nll_given_choice` of the user model), and precision is over clicks. Only the
//! models of single items (popularity per slate, XGBOOST, DFM, W&D-LR) learn from slates without a
//! click, namely that their items were not clicked.
//!
//! [`told_apart`] measures how well boosted trees distinguish two samples, for example simulated
//! sessions and real ones.
//!
//! ```
//! use std::ops::ControlFlow;
//! use foretaste_baselines::{Data, ModelKind, select};
//! use foretaste_data::{Fractions, Split};
//! use foretaste_eval::choice::evaluate;
//! use foretaste_random::Seed;
//! use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout, policies::UniformRandom};
//!
//! // A log of simulated users, in place of yours.
//! let users = ChoiceUsers::new(&ChoiceUsersConfig { items: 20, ..ChoiceUsersConfig::default() })?;
//! let shown = Blind(UniformRandom { items: 20 });
//! let log = Rollout::new(Seed::new(1), 0..200, 4).max_steps(5).run(&users, &shown)?;
//! let split = Split::by_session(&log, Fractions::default(), Seed::new(2))?;
//!
//! let data = Data::new(&log, 20, &split);
//! let selection = select(ModelKind::ItemKnn, &data, Seed::new(3), |_| ControlFlow::Continue(()))?;
//! assert_eq!(selection.candidates.len(), ModelKind::ItemKnn.grid().len());
//! let figures = evaluate(&*selection.model, &log, &split.test)?;
//! assert!(figures.precision_at_2 >= figures.precision_at_1 && figures.nll_given_choice.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod counts;
mod data;
mod error;
mod features;
mod forest;
mod grid;
mod impressions;
mod item_knn;
mod kinds;
mod model;
mod network;
mod popularity;
mod select;
mod session_knn;
mod session_rnn;
#[cfg(test)]
mod testing;
mod told_apart;
mod training;
mod trees;

pub use data::Data;
pub use error::{Error, Result};
pub use impressions::Impressions;
pub use item_knn::ItemKnnConfig;
pub use kinds::{ModelKind, Settings};
pub use model::{ClickModel, Likelihood};
pub use network::{Architecture, Loss, NetworkConfig};
pub use popularity::{PopularityConfig, PositionConfig};
pub use select::{Candidate, Progress, Selection, fit_point, is_better, select, select_among};
pub use session_knn::SessionKnnConfig;
pub use session_rnn::SessionRnnConfig;
pub use told_apart::told_apart;
pub use training::{CurvePoint, Training};
pub use trees::TreesConfig;
