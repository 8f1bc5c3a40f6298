//! Cascading deep Q-networks: recommenders that plan, trained against any simulated or learned user
//! (GAN-CDQN, Chen et al., ICML 2019).
//!
//! An action is a slate of k out of K items, and there are too many slates to search through. The
//! cascade factorizes the argmax: Q^j(s, a_1..j) is the value of the best slate that begins with
//! a_1..j, so k passes over the items find the best slate.
//!
//! * [`QNetworks`] are the k networks with the state encoder that they share.
//! * [`Trainer`] fits all of them to one target from a replay memory.
//! * [`Cascade`] is the exact argmax over a whole catalogue or over candidate sets. With the
//!   feature `cuda`, `Cascade::on_cuda` computes it on an NVIDIA GPU.
//! * [`QPolicy`] is the policy that shows the argmax.
//!
//! ```
//! use foretaste_cascade_dqn::{QConfig, QNetworks, QPolicy, Storage, TrainConfig, Trainer};
//! use foretaste_random::Seed;
//! use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout};
//!
//! // Simulated users, in place of a user model that was learned from your log.
//! let users = ChoiceUsers::new(&ChoiceUsersConfig { items: 30, ..ChoiceUsersConfig::default() })?;
//! let networks = QNetworks::new(QConfig::new(30, 3), None, Seed::new(1))?;
//! let config = TrainConfig { users: 16, steps: 5, warm_up: 100, ..TrainConfig::default() };
//! let mut trainer = Trainer::new(networks, config, Seed::new(2))?;
//! for _ in 0..5 {
//!     trainer.iterate(&users)?;
//! }
//! assert!(trainer.curve()[4].loss.is_some());
//!
//! let policy = Blind(QPolicy::new(trainer.networks(), Storage::Single)?);
//! let log = Rollout::new(Seed::new(3), 0..10, 3).max_steps(5).run(&users, &policy)?;
//! assert_eq!(log.sessions(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The policies of the paper's comparison
//!
//! | policy | here |
//! |---|---|
//! | GAN-CDQN | [`Architecture::Cascade`], trained in a learned user on [`Reward::Environment`] |
//! | GAN-GDQN | [`Architecture::Greedy`] |
//! | GAN-RWD1 | GAN-CDQN trained on [`Reward::Click`] |
//! | SlateQ (not in the papers) | [`Trainer::slate_q`], which credits a click to its item alone |
//! | GAN-Greedy, W&D-LR, W&D-CCF | [`Greedy`] on a user model or a click model |
//! | the slate with the highest expected reward at once (not in the papers) | [`Assortment`] on a user model |
//! | LinUCB | [`LinUcb`] |
//! | random | [`UniformRandom`](foretaste_sim::policies::UniformRandom) |
//!
//! All of them know what was shown to a user and clicked, and base their choice on the last clicks.
//!
//! Target networks, double Q-learning and prioritized replay are not in the paper. They are
//! settings of [`TrainConfig`]; the first two are on by default. One-hot item features are replaced
//! by a learned embedding. [`anchor`] contains users with whom a greedy policy provably fails, so
//! they show whether a training plans at all.

pub mod anchor;
mod argmax;
mod assortment;
mod checkpoint;
mod config;
mod encoder;
mod error;
mod greedy;
mod linucb;
mod network;
mod policy;
mod priorities;
mod replay;
mod schedule;
mod slate_q;
mod slate_values;
mod stage;
mod train;

#[cfg(feature = "cuda")]
pub use argmax::CudaCascade;
pub use argmax::{Cascade, Chosen, Storage};
pub use assortment::{Assortment, Pays};
pub use config::{Architecture, ItemFeatures, QConfig, StateEncoder};
pub use error::{Error, Result};
pub use greedy::Greedy;
pub use linucb::{LinUcb, LinUcbConfig};
pub use network::QNetworks;
pub use policy::QPolicy;
pub use replay::Priority;
pub use schedule::Epsilon;
pub use slate_q::SlateQ;
pub use slate_values::{SlateValues, WholeSlates};
pub use train::{CurvePoint, Reward, TrainConfig, Trainer};
