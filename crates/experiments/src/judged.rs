//! Recommenders that learned by Algorithm 1 of IRecGAN from a log of simulated users, judged by
//! these users.

use std::ops::ControlFlow;

use anyhow::bail;
use candle_core::Device;
use foretaste_data::{Catalogue, Dataset};
use foretaste_eval::Metric;
use foretaste_lab::{Interrupted, Outcome, Watch};
use foretaste_random::Seed;
use foretaste_recommender::{Effort, Job, Method, Recommender, TrainingLog};
use foretaste_report::Figures;
use foretaste_sim::bounds::MdpOracle;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Mdp, Privileged};
use serde::{Deserialize, Serialize};

use crate::simulated::{K, Played, Slates, World};
use crate::studies::{Epoch, Studies, Study};

/// A recommender that comes of a run of Algorithm 1.
#[derive(Clone, Serialize, Deserialize)]
pub struct Learner {
    /// The run.
    pub study: Study,
    /// The network that recommends.
    pub network: Network,
    /// The epoch of it.
    pub epoch: Epoch,
}

/// A network of Algorithm 1 that recommends.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// U: LSTM, LSTMD.
    Users,
    /// A: PG, PGU, IRecGAN.
    Agent,
}

/// A recommender of any kind that `foretaste train` can train on a log.
#[derive(Clone, Serialize, Deserialize)]
pub struct Trained {
    /// The method's name.
    pub method: String,
    study: Study,
}

/// Methods of `foretaste train` that are rows in addition to those of the paper.
const OTHERS: [&str; 1] = ["popularity"];

/// Simulates policies with the users.
pub struct Judge<'a> {
    /// The users.
    pub users: &'a Mdp,
    /// Number of sessions.
    pub sessions: u64,
    /// What they are drawn from.
    pub seed: Seed,
    /// Who may stop it.
    pub watch: &'a Watch,
}

impl Learner {
    /// What it earns by drawn slates and by its k most likely items, with the network's learning
    /// curve.
    pub fn outcome(
        &self,
        studies: &Studies,
        world: &World,
        judge: &Judge<'_>,
        seed: u64,
    ) -> anyhow::Result<Outcome> {
        let learned = studies.learned(world, &self.study, seed, judge.watch)?;
        let acting = learned.of(self.epoch);
        let (drawn, top, curve) = match self.network {
            Network::Users => (
                judge.played(&Blind(&acting.users_drawn))?,
                judge.played(&Blind(&acting.users_top))?,
                &learned.users,
            ),
            Network::Agent => (
                judge.played(&Blind(&acting.agent_drawn))?,
                judge.played(&Blind(&acting.agent_top))?,
                &learned.agent,
            ),
        };
        Ok(Outcome { metrics: judge.figures(drawn, top)?, curve: curve.clone() })
    }
}

impl Trained {
    /// The methods that the paper does not have, on the log of a study.
    pub fn all(study: &Study) -> impl Iterator<Item = Self> {
        OTHERS.into_iter().map(|name| Self { method: name.to_owned(), study: study.clone() })
    }

    /// What it earns.
    pub fn outcome(&self, judge: &Judge<'_>, seed: u64) -> anyhow::Result<Outcome> {
        let (method, items) = (Method::named(&self.method)?, judge.users.items());
        let log = self.study.learned_from(judge.users, Seed::new(seed))?;
        let catalogue = Catalogue::numbered(items);
        let dataset = Dataset { log, catalogue, ..Dataset::default() };
        let sessions: Vec<usize> = (0..dataset.log.sessions()).collect();
        let log = TrainingLog { dataset: &dataset, sessions: &sessions, users: None };
        let networks = &self.study.networks;
        let effort = Effort {
            epochs: Some(networks.agent_epochs),
            adversarial: Some(networks.epochs),
            hidden: Some(networks.agent.hidden),
            ..Effort::default()
        };
        let settings = method.settings(&log, &effort)?;
        let job =
            Job { settings: &settings, seed, device: &Device::Cpu, origin: None, unfinished: None };
        let trained = method.train(&log, &job, &mut Watched(judge.watch));
        let trained = match trained {
            Err(foretaste_recommender::Error::Interrupted) => bail!(Interrupted),
            trained => trained?,
        };
        let recommender = Recommender::new(trained.content, &dataset.catalogue, &Device::Cpu)?;
        judge.one(&Blind(&recommender))
    }
}

/// A cell's watcher as that of a training.
struct Watched<'a>(&'a Watch);

impl foretaste_recommender::Watch for Watched<'_> {
    fn progress(&mut self, progress: foretaste_recommender::Progress<'_>) -> ControlFlow<()> {
        self.0.progress(progress.done, progress.total);
        self.0.control_flow()
    }
}

impl Judge<'_> {
    fn played<P: Privileged<Mdp>>(&self, policy: &P) -> anyhow::Result<Played> {
        Played::of(policy, self.users, self.sessions, self.seed, self.watch)
    }

    /// What a policy earns that has one way to its slates.
    pub fn one<P: Privileged<Mdp>>(&self, policy: &P) -> anyhow::Result<Outcome> {
        let played = self.played(policy)?;
        Ok(Outcome { metrics: self.figures(played, played)?, curve: Vec::new() })
    }

    /// The figures of slates drawn and of the k most likely items, with their shares of the
    /// optimum.
    fn figures(&self, drawn: Played, top: Played) -> anyhow::Result<Figures> {
        let optimum = MdpOracle::new(self.users, K)?.value();
        let random = Blind(UniformRandom { items: self.users.items() });
        let random = self.played(&random)?.reward;
        let mut metrics = Figures::new();
        for (played, slates, share, gain) in [
            (drawn, Slates::Drawn, Metric::OracleShare, Metric::Gain),
            (top, Slates::Top, Metric::OracleShareTop, Metric::GainTop),
        ] {
            metrics.extend(played.figures(slates));
            metrics.insert(share, played.reward / optimum);
            metrics.insert(gain, (played.reward - random) / (optimum - random));
        }
        Ok(metrics)
    }
}
