//! Online learning, IRecGAN §7.1: a recommender meets users, learns from what they did, and meets
//! the next ones. All four methods of Figure 3 share this loop.

use candle_core::Device;
use foretaste_data::Log;
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_sim::{Blind, Environment, Rollout};
use foretaste_user_model::behaviour::clicked_sessions;
use serde::{Deserialize, Serialize};

use crate::returns::join;
use crate::{AgentPolicy, Buffer, IRecGan, IRecGanConfig, Ranking, Result, Selection};

/// Who learns online (§7.1, "Online Learning").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnlineMethod {
    /// PG-online: A, by Eq 10 with q_D = 1, on the new sessions of each iteration.
    PgOnline,
    /// PG-online&offline: the same, and then on all sessions so far.
    PgOnlineAndOffline,
    /// LSTM-offline: U on all sessions so far.
    LstmOffline,
    /// IRecGAN: A on the new sessions, and then U, A and D by Algorithm 1 on all sessions so far.
    IRecGan,
}

/// How online learning runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineConfig {
    /// Who learns.
    pub method: OnlineMethod,
    /// Sessions of an iteration: 200.
    pub sessions: u64,
    /// Steps after which a session is cut.
    pub max_steps: usize,
    /// Passes over all sessions so far after each iteration; for IRecGAN each is one of U by Eq 3
    /// and one round of lines 8 to 19.
    pub offline_epochs: u64,
    /// How LSTM-offline comes to its slates; agents draw theirs.
    #[serde(default = "likeliest")]
    pub users_show: Selection,
    /// The networks and their training.
    pub networks: IRecGanConfig,
}

impl OnlineConfig {
    /// Iterations of 200 sessions; the length at which they are cut, 1,000, and the single offline
    /// pass are ours. LSTM-offline draws its slates, as the agents do.
    pub fn new(method: OnlineMethod, networks: IRecGanConfig) -> Self {
        let users_show = Selection::Sampled;
        Self { method, sessions: 200, max_steps: 1_000, offline_epochs: 1, users_show, networks }
    }
}

/// What LSTM-offline showed in earlier versions.
fn likeliest() -> Selection {
    Selection::Top
}

/// A recommender that is shown to users, learns from them, and is shown to the next ones. After
/// each iteration it can be [saved](Self::save); what is resumed is what was not stopped, bit for
/// bit.
#[derive(Debug)]
pub struct OnlineLearning {
    pub(crate) config: OnlineConfig,
    pub(crate) seed: Seed,
    pub(crate) networks: IRecGan,
    pub(crate) data: Log,
    pub(crate) iterations: u64,
}

impl OnlineLearning {
    /// Starts from networks with random parameters and no session.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range.
    pub fn new(config: OnlineConfig, seed: Seed, device: &Device) -> Result<Self> {
        if config.sessions == 0 || config.max_steps == 0 {
            let problem =
                format!("{} sessions of at most {} steps", config.sessions, config.max_steps);
            return Err(
                Setting::new("online learning", problem + ": expected at least 1 of each").into()
            );
        }
        let networks = IRecGan::new(config.networks.clone(), seed, device)?;
        Ok(Self { config, seed, networks, data: Log::default(), iterations: 0 })
    }

    /// The networks as they are now.
    pub fn networks(&self) -> &IRecGan {
        &self.networks
    }

    /// One iteration: sessions in `environment`, then learning. Returns the log of the sessions,
    /// which holds what was shown before anything was learned from them.
    ///
    /// # Errors
    /// What the environment and the training return.
    pub fn iterate<E: Environment + ?Sized>(&mut self, environment: &E) -> Result<Log> {
        let OnlineConfig { method, sessions, max_steps, offline_epochs, .. } = self.config;
        let seed = self.seed.derive("online").index(self.iterations);
        let rollout = Rollout::new(seed, 0..sessions, self.config.networks.k).max_steps(max_steps);
        let log = match method {
            OnlineMethod::LstmOffline => {
                let ranking = Ranking::new(self.networks.users(), self.config.users_show)?;
                rollout.run(environment, &Blind(ranking))?
            }
            _ => {
                let agent = AgentPolicy::new(self.networks.agent(), Selection::Sampled)?;
                rollout.run(environment, &Blind(agent))?
            }
        };
        let all: Vec<usize> = (0..log.sessions()).collect();
        let new = clicked_sessions(&log, &all, environment.items(), seed)?;
        self.data = join(&[&self.data, &new])?;
        if method != OnlineMethod::LstmOffline {
            self.networks.agent.epoch(&Buffer::real(new), seed.derive("learning"))?;
        }
        if method == OnlineMethod::IRecGan && self.iterations == 0 {
            self.networks.pretrain_users(&self.data)?;
            self.networks.pretrain_discriminator(&self.data)?;
        }
        for _ in 0..offline_epochs {
            match method {
                OnlineMethod::PgOnline => {}
                OnlineMethod::PgOnlineAndOffline => {
                    self.networks.pretrain_agent(&self.data)?;
                }
                OnlineMethod::LstmOffline => {
                    self.networks.pretrain_users(&self.data)?;
                }
                OnlineMethod::IRecGan => {
                    self.networks.pretrain_users(&self.data)?;
                    self.networks.adversarial_epoch(&self.data)?;
                }
            }
        }
        self.iterations += 1;
        Ok(log)
    }
}
