//! IRecGAN (Bai et al., NeurIPS 2019): a recommender trained by policy gradient on a log and on
//! trajectories that it generates with a learned user. A discriminator weights these trajectories
//! by how real they look.
//!
//! * [`Agent`] is A (Eq 4), and [`AgentPolicy`] is the policy that it defines in any environment.
//! * [`Simulation`] lets it interact with the user model U, and scores the trajectories by
//!   branching (Eq 6). [`returns`] are those of Eq 10.
//! * [`IRecGan`] is Algorithm 1, stage by stage.
//! * [`OnlineLearning`] is the loop of the paper's online experiments, for IRecGAN and its
//!   baselines.
//! * [`Biases`] are those of §6. They need users whose behavior is known.
//!
//! ```
//! use candle_core::Device;
//! use foretaste_irecgan::{AgentPolicy, IRecGan, IRecGanConfig, Selection};
//! use foretaste_random::Seed;
//! use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout, policies::UniformRandom};
//! use foretaste_user_model::behaviour::clicked_sessions;
//!
//! // A log of simulated users, in place of yours.
//! let mdp = Mdp::new(&MdpConfig { items: 20, ..MdpConfig::default() })?;
//! let log = Rollout::new(Seed::new(1), 0..50, 4).run(&mdp, &Blind(UniformRandom { items: 20 }))?;
//! let offline = clicked_sessions(&log, &(0..50).collect::<Vec<_>>(), 20, Seed::new(2))?;
//!
//! let config = IRecGanConfig { users_epochs: 1, agent_epochs: 1, epochs: 1, ..IRecGanConfig::small(20, 4) };
//! let mut algorithm = IRecGan::new(config, Seed::new(3), &Device::Cpu)?;
//! while let Some(point) = algorithm.advance(&offline)? {
//!     println!("{point:?}");
//! }
//! assert!(algorithm.curve().last().is_some_and(|point| point.score > Some(0.0)));
//!
//! let policy = Blind(AgentPolicy::new(algorithm.agent(), Selection::Top)?);
//! assert_eq!(Rollout::new(Seed::new(5), 0..10, 4).run(&mdp, &policy)?.sessions(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The policies of the paper's comparison
//!
//! | policy | here |
//! |---|---|
//! | LSTM | [`Ranking`] by U after line 3 of Algorithm 1 |
//! | PG | [`AgentPolicy`] of A after line 4 |
//! | LSTMD | [`Ranking`] by U after the whole algorithm |
//! | IRecGAN | [`AgentPolicy`] of A after the whole algorithm |
//! | PGIS | A by [`AgentTrainer::importance_epoch`], β an [`Agent`] too |
//! | AC | the actor of [`ActorCritic`] |
//! | PGU, ACU | PG and AC, trained further on [`unjudged`] trajectories |
//! | PG-online, PG-online&offline, LSTM-offline | [`OnlineMethod`] |
//!
//! A trained agent can sample its slates, or show its k most likely items ([`Selection`]).

mod actor_critic;
mod agent;
mod algorithm;
mod bias;
mod checkpoint;
mod closing;
mod config;
mod draw;
mod error;
mod generate;
mod host;
mod importance;
mod mixture;
mod online;
mod opened;
mod policy;
mod returns;
mod support;
#[cfg(test)]
mod tests;

pub use actor_critic::{ActorCritic, Critic};
pub use agent::{Agent, AgentConfig, AgentTrainer, AgentTraining};
pub use algorithm::{CurvePoint, GradientNorms, IRecGan, Stage, max_trajectory_length};
pub use bias::{Biases, Generated, Logged};
pub use config::{Adversary, Endings, IRecGanConfig, Judged, Round};
pub use error::{Error, Result};
pub use generate::Simulation;
pub use importance::ImportanceSampling;
pub use mixture::unjudged;
pub use online::{OnlineConfig, OnlineLearning, OnlineMethod};
pub use policy::{AgentPolicy, Ranking, Selection};
pub use returns::{Buffer, returns};
