//! Line 4 of Algorithm 1 alone: A by the policy gradient of Eq 10 on the log, where nothing is
//! generated and nothing judged.
//!
//! A is the one of its last epoch, as in [`algorithm`](super::algorithm), so that no session is
//! kept to validate by.

use std::path::Path;

use foretaste_data::Provenance;
use foretaste_irecgan::{Agent, AgentConfig, AgentTrainer, AgentTraining, Buffer};
use foretaste_random::Seed;
use foretaste_train::run::{self, Resumed};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::training::{Effort, Job, Progress, Trained, TrainingLog, Watch};
use crate::{Content, Error, Result};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    agent: AgentConfig,
    training: AgentTraining,
    epochs: u64,
    /// As [`Effort::first_click_given`].
    first_click_given: bool,
}

/// The published settings, in the size that was asked for.
pub(super) fn settings(log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
    let agent = AgentConfig {
        hidden: effort.hidden.unwrap_or(64),
        ..AgentConfig::new(log.dataset.catalogue.len())
    };
    let (training, epochs) = (AgentTraining::default(), effort.epochs.unwrap_or(10));
    let first_click_given = effort.first_click_given;
    serde_json::to_value(Settings { agent, training, epochs, first_click_given })
        .map_err(|reason| Error::setting("settings", reason))
}

/// What is kept of an unfinished training in addition to [`AGENT`].
#[derive(Serialize, Deserialize)]
struct Unfinished {
    epochs: u64,
}

/// The agent with its optimizer.
const AGENT: &str = "agent";

/// The epochs of line 4.
pub(super) fn train(
    log: &TrainingLog<'_>,
    job: &Job<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained> {
    let Settings { agent, training, epochs, first_click_given } = job.settings()?;
    let (catalogue, seed) = (&log.dataset.catalogue, Seed::new(job.seed));
    let sessions = log.clicked("the policy gradient", first_click_given, seed, watch)?;
    if sessions.sessions() == 0 {
        return Err(Error::setting("log", "no session with a click, expected at least 1"));
    }
    let buffer = Buffer::real(sessions);
    let unfinished =
        job.unfinished.map(|place| run::resume::<Unfinished>(place, seed)).transpose()?;
    let (mut trainer, mut done) = match &unfinished {
        None => (AgentTrainer::new(Agent::new(agent, seed, job.device)?, training)?, 0),
        Some(Resumed { state, folder }) => {
            let folder = folder.join(AGENT);
            (AgentTrainer::resume(&folder, catalogue, training, job.device)?, state.epochs)
        }
    };
    loop {
        let save = |place: &Path| {
            run::save(place, seed, |place| {
                let provenance = Provenance { catalogue, origin: job.origin };
                trainer.save(&place.join(AGENT), provenance, done, run::fingerprint(seed))?;
                Ok(Unfinished { epochs: done })
            })
        };
        if watch.progress(Progress { done, total: epochs, stage: "agent", save: &save }).is_break()
        {
            return Err(Error::Interrupted);
        }
        if done >= epochs {
            break;
        }
        trainer.epoch(&buffer, seed.derive("epochs").index(done))?;
        done += 1;
    }
    let content = Content::policy_gradient(trainer.agent())?.after(done);
    Ok(Trained::from_log(content, buffer.log.sessions()))
}
