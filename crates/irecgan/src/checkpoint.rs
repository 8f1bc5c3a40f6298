//! Checkpoints of a whole run: U, A and D with their optimisers, the curve, the pace of U, and the
//! sessions of online learning.
//!
//! `FOLDER/latest.json` names a sub-folder that holds networks and sessions. It is renamed into
//! place once that is complete, so a save that is interrupted leaves the one before.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use foretaste_data::{Catalogue, Dataset, Log, Provenance};
use foretaste_disc::DiscriminatorTrainer;
use foretaste_random::Seed;
use foretaste_user_model::behaviour::{BehaviourTrainer, Pace};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use crate::agent::AgentTrainer;
use crate::{CurvePoint, Error, IRecGan, IRecGanConfig, OnlineConfig, OnlineLearning, Result};

const FORMAT: u32 = 1;
const LATEST: &str = "latest.json";
const PREFIX: &str = "networks-";
const SESSIONS: &str = "sessions.log";

#[derive(Serialize, Deserialize)]
struct Latest {
    format: u32,
    /// A [`Run`] as JSON.
    run: String,
    /// Of `run`.
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct Run {
    config: IRecGanConfig,
    /// Tells seeds apart.
    seed: u64,
    curve: Vec<CurvePoint>,
    pace: Pace,
    folder: String,
    #[serde(default)]
    online: Option<Online>,
}

#[derive(Serialize, Deserialize)]
struct Online {
    config: OnlineConfig,
    iterations: u64,
}

impl IRecGan {
    /// Writes everything that the run needs to go on into `folder`, which is created if need be,
    /// and removes the checkpoint that was there.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it cannot be written.
    pub fn save<'a>(&self, folder: &Path, provenance: impl Into<Provenance<'a>>) -> Result<()> {
        write(self, None, folder, provenance.into())
    }

    /// Goes on from what [`IRecGan::save`] wrote, as if the run had not stopped. `seed` is the seed
    /// of the run.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] that says what was found and expected: nothing there, another format
    /// or seed, damage; what the networks return if theirs are damaged or belong to another
    /// catalogue.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        seed: Seed,
        device: &Device,
    ) -> Result<Self> {
        Ok(read(folder, catalogue, seed, device)?.0)
    }
}

impl OnlineLearning {
    /// Writes everything that the learning needs to go on into `folder`, the sessions so far among
    /// it; see [`IRecGan::save`].
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it cannot be written.
    pub fn save<'a>(&self, folder: &Path, provenance: impl Into<Provenance<'a>>) -> Result<()> {
        let online = Online { config: self.config.clone(), iterations: self.iterations };
        write(&self.networks, Some((online, &self.data)), folder, provenance.into())
    }

    /// Goes on from what [`OnlineLearning::save`] wrote, as if the learning had not stopped. `seed`
    /// is the seed it began with.
    ///
    /// # Errors
    /// As [`IRecGan::resume`]; [`Error::Checkpoint`] if that is not of online learning.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        seed: Seed,
        device: &Device,
    ) -> Result<Self> {
        let (networks, online, place) = read(folder, catalogue, seed, device)?;
        let Some(Online { config, iterations }) = online else {
            return Err(problem(folder, "a run of Algorithm 1, expected one of online learning"));
        };
        let path = place.join(SESSIONS);
        let data = foretaste_data::cache::load(&path)
            .map_err(|reason| problem(&path, reason.to_string()))?
            .log;
        Ok(Self { config, seed, networks, data, iterations })
    }
}

fn write(
    run: &IRecGan,
    online: Option<(Online, &Log)>,
    folder: &Path,
    provenance: Provenance<'_>,
) -> Result<()> {
    let fail = |reason: std::io::Error| problem(folder, reason.to_string());
    fs::create_dir_all(folder).map_err(fail)?;
    let place = tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder).map_err(fail)?;
    let (iteration, seed) = (run.curve.len() as u64, fingerprint(run.seed));
    run.users.save(&place.path().join("users"), provenance, iteration, seed)?;
    run.agent.save(&place.path().join("agent"), provenance, iteration, seed)?;
    run.discriminator.save(&place.path().join("discriminator"), provenance, iteration, seed)?;
    if let Some((_, sessions)) = &online {
        let sessions = Dataset {
            log: (*sessions).clone(),
            catalogue: provenance.catalogue.clone(),
            ..Dataset::default()
        };
        let path = place.path().join(SESSIONS);
        foretaste_data::cache::save(&sessions, &path)
            .map_err(|reason| problem(&path, reason.to_string()))?;
    }

    let name = place.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (config, curve, pace) = (run.config.clone(), run.curve.clone(), run.users.pace().clone());
    let online = online.map(|(online, _)| online);
    let run = Run { config, seed, curve, pace, folder: name.clone(), online };
    let run = serde_json::to_string(&run).map_err(|reason| fail(reason.into()))?;
    let latest = Latest { format: FORMAT, digest: digest(&run), run };
    let latest = serde_json::to_vec(&latest).map_err(|reason| fail(reason.into()))?;
    foretaste_files::write(&folder.join(LATEST), &latest)
        .map_err(|reason| problem(folder, reason.to_string()))?;
    // From here on it is the checkpoint, so it must not go with the guard.
    let _ = place.keep();
    for entry in fs::read_dir(folder).map_err(fail)?.flatten() {
        let old = entry.file_name().to_string_lossy().into_owned();
        if old.starts_with(PREFIX) && old != name {
            fs::remove_dir_all(entry.path()).map_err(fail)?;
        }
    }
    Ok(())
}

/// The networks, what was said of online learning, and the folder that holds them.
fn read(
    folder: &Path,
    catalogue: &Catalogue,
    seed: Seed,
    device: &Device,
) -> Result<(IRecGan, Option<Online>, PathBuf)> {
    let path = folder.join(LATEST);
    let bytes = fs::read(&path).map_err(|reason| problem(&path, reason.to_string()))?;
    let latest: Latest =
        serde_json::from_slice(&bytes).map_err(|reason| problem(&path, reason.to_string()))?;
    if latest.format != FORMAT {
        return Err(problem(&path, format!("format {}, expected {FORMAT}", latest.format)));
    }
    if latest.digest != digest(&latest.run) {
        return Err(problem(
            &path,
            "the content is damaged: it has another digest than it was written with",
        ));
    }
    let run: Run =
        serde_json::from_str(&latest.run).map_err(|reason| problem(&path, reason.to_string()))?;
    if run.seed != fingerprint(seed) {
        return Err(problem(&path, "the run had another seed"));
    }
    let (config, folder) = (run.config, folder.join(run.folder));
    let users_training = config.users_training.clone();
    let networks = IRecGan {
        users: BehaviourTrainer::resume(
            &folder.join("users"),
            catalogue,
            users_training,
            run.pace,
            device,
        )?,
        agent: AgentTrainer::resume(
            &folder.join("agent"),
            catalogue,
            config.agent_training.clone(),
            device,
        )?,
        discriminator: DiscriminatorTrainer::resume(
            &folder.join("discriminator"),
            catalogue,
            config.discriminator_training.clone(),
            device,
        )?,
        config,
        seed,
        curve: run.curve,
    };
    Ok((networks, run.online, folder))
}

/// A word that tells seeds apart.
fn fingerprint(seed: Seed) -> u64 {
    seed.derive("fingerprint").stream(0).next_u64()
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn problem(path: &Path, problem: impl Into<String>) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem: problem.into() }
}
