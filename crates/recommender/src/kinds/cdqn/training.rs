//! Q-networks in learned users, with what the experiments `cdqn` and `planning` found to learn:
//! slow targets, where the papers give no numbers.

use std::path::Path;

use foretaste_cascade_dqn::{
    Architecture, Epsilon, QConfig, QNetworks, StateEncoder, TrainConfig, Trainer,
};
use foretaste_data::Provenance;
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::in_users::{self, Learner, LearningInUsers};
use crate::training::{Effort, Job, Trained, TrainingLog, Watch, check_kept};
use crate::{Content, Error, Result, UsersEnvironment};

/// The options that make a difference.
pub(super) const TAKES: &[&str] = &["users", "iterations", "hidden", "k", "epochs"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    networks: QConfig,
    training: TrainConfig,
    learning: LearningInUsers,
}

pub(super) fn settings(
    log: &TrainingLog<'_>,
    effort: &Effort,
    architecture: Architecture,
) -> Result<Value> {
    let (items, k) = (log.dataset.catalogue.len(), in_users::slate(log, effort));
    let networks = QConfig {
        architecture,
        state: StateEncoder::PositionWeights { history: 10, columns: 2 },
        hidden: effort.hidden.unwrap_or(64),
        ..QConfig::new(items, k)
    };
    let base = TrainConfig::default();
    let training = TrainConfig {
        steps: in_users::steps(log),
        optimiser: AdamConfig { learning_rate: 2e-3, ..base.optimiser },
        epsilon: Epsilon { start: 1.0, end: 0.1, decay: 50 },
        discount: 0.9,
        target_every: Some(200),
        ..base
    };
    let learning = LearningInUsers::new(log, effort, k);
    serde_json::to_value(Settings { networks, training, learning })
        .map_err(|reason| Error::setting("settings", reason))
}

/// The algorithm of GAN-CDQN.
pub(super) fn train(
    log: &TrainingLog<'_>,
    job: &Job<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained> {
    let Settings { networks, training, learning } = job.settings()?;
    let (catalogue, seed) = (&log.dataset.catalogue, Seed::new(job.seed));
    let start = || {
        let networks = QNetworks::new(networks.clone(), None, seed)?;
        Ok(Trainer::new(networks.knowing(&in_users::log_rates(log))?, training.clone(), seed)?)
    };
    let resume = |folder: &Path| {
        let kept = Trainer::resume(folder, catalogue, seed)?;
        check_kept(&(kept.networks().config(), kept.config()), &(&networks, &training))?;
        Ok(kept)
    };
    learning.train((log, job), watch, start, resume)
}

impl Learner for Trainer {
    fn done(&self) -> u64 {
        self.curve().len() as u64
    }

    fn iterate(&mut self, users: &UsersEnvironment) -> Result<()> {
        Trainer::iterate(self, users)?;
        Ok(())
    }

    fn content(&self) -> Result<Content> {
        Ok(Content::q_networks(self.networks())?.after(self.done()))
    }

    fn save(&self, place: &Path, provenance: Provenance<'_>) -> Result<()> {
        Ok(Trainer::save(self, place, provenance)?)
    }
}
