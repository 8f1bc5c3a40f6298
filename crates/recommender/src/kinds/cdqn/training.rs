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

use crate::in_users::{self, Learner, UsersFrom};
use crate::training::{Effort, Job, Trained, TrainingLog, Watch};
use crate::{Content, Error, Result, UsersEnvironment};

/// The options that make a difference.
pub(super) const TAKES: &[&str] = &["users", "iterations", "hidden", "k", "epochs"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    networks: QConfig,
    training: TrainConfig,
    iterations: u64,
    users: UsersFrom,
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
    let (iterations, users) = (in_users::iterations(effort), UsersFrom::of(log, effort));
    serde_json::to_value(Settings { networks, training, iterations, users })
        .map_err(|reason| Error::setting("settings", reason))
}

/// The algorithm of GAN-CDQN. The networks are those of the last iteration.
pub(super) fn train(
    log: &TrainingLog<'_>,
    job: &Job<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained> {
    let Settings { networks, training, iterations, users } = job.settings()?;
    let (catalogue, seed) = (&log.dataset.catalogue, Seed::new(job.seed));
    let start = || Ok(Trainer::new(QNetworks::new(networks, None, seed)?, training, seed)?);
    let resume = |folder: &Path| Ok(Trainer::resume(folder, catalogue, seed)?);
    let (trainer, sessions) =
        in_users::train(&users, iterations, (log, job), watch, start, resume)?;
    let content = Content::q_networks(trainer.networks())?.after(trainer.done());
    Ok(Trained { content, sessions })
}

impl Learner for Trainer {
    fn done(&self) -> u64 {
        self.curve().len() as u64
    }

    fn iterate(&mut self, users: &UsersEnvironment) -> Result<()> {
        Trainer::iterate(self, users)?;
        Ok(())
    }

    fn save(&self, place: &Path, provenance: Provenance<'_>) -> Result<()> {
        Ok(Trainer::save(self, place, provenance)?)
    }
}
