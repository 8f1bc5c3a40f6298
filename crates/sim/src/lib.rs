//! Environments (users), policies (recommenders), and rollouts, which simulate one with the other.
//!
//! An [`Environment`] is a population of users that answers slates; a [`Policy`] is a recommender
//! that shows them. Both work on batches of sessions, because a learned user model or recommender
//! is only fast in batches. A [`Rollout`] simulates whole sessions and keeps their
//! [`Log`](foretaste_data::Log), or only their [`Outcome`]s; a [`Population`] takes single steps
//! and can branch into many futures. A rollout takes a [`Privileged`] policy, which may read the
//! state of the users. A [`Policy`] cannot read it; [`Blind`] makes it fit for a rollout.
//!
//! * Simulated users whose behavior is known exactly: [`Mdp`] (IRecGAN §7.1), [`ChoiceUsers`] (the
//!   users that GAN-CDQN assumes) and [`Shop`] (visitors with a taste who read slates from the
//!   top).
//! * Logging [`policies`], with the propensity of every place of every slate.
//! * [`bounds`]: the most that any policy can earn from these users, and what a policy can earn
//!   that does not see their state.
//!
//! ```
//! use foretaste_random::Seed;
//! use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout};
//! use foretaste_sim::{bounds::MdpOracle, policies::UniformRandom};
//!
//! let mdp = Mdp::new(&MdpConfig::default())?;
//! let rollout = Rollout::new(Seed::new(1), 0..2_000, 10);
//! let mean_reward = |outcomes: Vec<foretaste_sim::Outcome>| {
//!     outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / outcomes.len() as f64
//! };
//! let random = Blind(UniformRandom { items: mdp.items() });
//! let random = mean_reward(rollout.outcomes(&mdp, &random)?);
//! let oracle = MdpOracle::new(&mdp, 10)?;
//! let best = mean_reward(rollout.outcomes(&mdp, &oracle)?);
//! assert!(random < best && (best / oracle.value() - 1.0).abs() < 0.1);
//! # Ok::<(), foretaste_sim::Error>(())
//! ```
//!
//! Every session draws from streams of its own, one for the user and one for the policy, so a seed
//! gives the same bits on any number of threads and in any chunking, and two policies under one
//! seed are simulated with the same users.

mod blind;
pub mod bounds;
mod candidates;
mod choice_users;
mod draw;
mod error;
mod mdp;
mod memory;
pub mod policies;
mod population;
mod rollout;
mod sessions;
mod shop;
mod slates;
mod tape;
mod traits;

pub use blind::Blind;
pub use candidates::Candidates;
pub use choice_users::{ChoiceState, ChoiceUsers, ChoiceUsersConfig, ClickReward, Outside};
pub use error::{Error, Result};
pub use mdp::{Mdp, MdpConfig, MdpState, Transitions};
pub use population::{Moment, Observer, Population};
pub use rollout::{Outcome, Rollout};
pub use sessions::Sessions;
pub use shop::{Shop, ShopConfig, ShopState};
pub use slates::{Responses, Slates};
pub use traits::{Environment, Policy, Privileged, Propensities};
