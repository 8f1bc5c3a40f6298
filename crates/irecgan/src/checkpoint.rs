//! Checkpoints of a whole run: U, A and D with their optimisers, the curve, the learning rate of U,
//! and the sessions of online learning ([`foretaste_train::run`]).

use std::path::{Path, PathBuf};

use candle_core::Device;
use foretaste_data::{Catalogue, Dataset, Log, Provenance, cache};
use foretaste_disc::DiscriminatorTrainer;
use foretaste_random::Seed;
use foretaste_train::run::{self, Resumed};
use foretaste_train::{Error, LearningRate};
use foretaste_user_model::behaviour::BehaviourTrainer;
use serde::{Deserialize, Serialize};

use crate::agent::AgentTrainer;
use crate::{CurvePoint, IRecGan, IRecGanConfig, OnlineConfig, OnlineLearning, Result};

const USERS: &str = "users";
const AGENT: &str = "agent";
const DISCRIMINATOR: &str = "discriminator";
const SESSIONS: &str = "sessions.log";

#[derive(Serialize, Deserialize)]
struct State {
    config: IRecGanConfig,
    curve: Vec<CurvePoint>,
    #[serde(rename = "pace")]
    learning_rate: LearningRate,
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
    /// [`Error::Training`](crate::Error::Training) if it cannot be written.
    pub fn save<'a>(&self, folder: &Path, provenance: impl Into<Provenance<'a>>) -> Result<()> {
        let provenance = provenance.into();
        run::save(folder, self.seed, |place| {
            self.write(place, provenance)?;
            Ok(self.state(None))
        })
    }

    /// Goes on from what [`IRecGan::save`] wrote, as if the run had not stopped. `seed` is the seed
    /// of the run.
    ///
    /// # Errors
    /// [`Error::Training`](crate::Error::Training) that says what was found and expected: nothing
    /// there, another format or seed, damage; what the networks return if theirs are damaged or
    /// belong to another catalogue.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        seed: Seed,
        device: &Device,
    ) -> Result<Self> {
        Ok(read(folder, catalogue, seed, device)?.0)
    }

    fn write(&self, place: &Path, provenance: Provenance<'_>) -> Result<()> {
        let (iteration, seed) = (self.curve.len() as u64, run::fingerprint(self.seed));
        self.users.save(&place.join(USERS), provenance, iteration, seed)?;
        self.agent.save(&place.join(AGENT), provenance, iteration, seed)?;
        self.discriminator.save(&place.join(DISCRIMINATOR), provenance, iteration, seed)?;
        Ok(())
    }

    fn state(&self, online: Option<Online>) -> State {
        State {
            config: self.config.clone(),
            curve: self.curve.clone(),
            learning_rate: self.users.learning_rate().clone(),
            online,
        }
    }
}

impl OnlineLearning {
    /// Writes everything that the learning needs to go on into `folder`, the sessions so far among
    /// it; see [`IRecGan::save`].
    ///
    /// # Errors
    /// [`Error::Training`](crate::Error::Training) if it cannot be written.
    pub fn save<'a>(&self, folder: &Path, provenance: impl Into<Provenance<'a>>) -> Result<()> {
        let provenance = provenance.into();
        run::save(folder, self.networks.seed, |place| {
            self.networks.write(place, provenance)?;
            write_sessions(&place.join(SESSIONS), &self.data, provenance.catalogue)?;
            let (config, iterations) = (self.config.clone(), self.iterations);
            Ok(self.networks.state(Some(Online { config, iterations })))
        })
    }

    /// Goes on from what [`OnlineLearning::save`] wrote, as if the learning had not stopped. `seed`
    /// is the seed it began with.
    ///
    /// # Errors
    /// As [`IRecGan::resume`]; [`Error::Training`](crate::Error::Training) if that is not of online
    /// learning.
    pub fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        seed: Seed,
        device: &Device,
    ) -> Result<Self> {
        let (networks, online, place) = read(folder, catalogue, seed, device)?;
        let Some(Online { config, iterations }) = online else {
            let problem = "a run of Algorithm 1, expected one of online learning";
            return Err(Error::checkpoint(folder, problem).into());
        };
        let path = place.join(SESSIONS);
        let data = cache::load(&path).map_err(|reason| Error::checkpoint(&path, reason))?.log;
        Ok(Self { config, seed, networks, data, iterations })
    }
}

fn write_sessions(path: &Path, sessions: &Log, catalogue: &Catalogue) -> Result<()> {
    let sessions =
        Dataset { log: sessions.clone(), catalogue: catalogue.clone(), ..Dataset::default() };
    cache::save(&sessions, path).map_err(|reason| Error::checkpoint(path, reason))?;
    Ok(())
}

/// The networks, what was said of online learning, and the folder that holds them.
fn read(
    folder: &Path,
    catalogue: &Catalogue,
    seed: Seed,
    device: &Device,
) -> Result<(IRecGan, Option<Online>, PathBuf)> {
    let Resumed { state, folder } = run::resume::<State>(folder, seed)?;
    let State { config, curve, learning_rate, online } = state;
    let networks = IRecGan {
        users: BehaviourTrainer::resume(
            &folder.join(USERS),
            catalogue,
            config.users_training.clone(),
            learning_rate,
            device,
        )?,
        agent: AgentTrainer::resume(
            &folder.join(AGENT),
            catalogue,
            config.agent_training.clone(),
            device,
        )?,
        discriminator: DiscriminatorTrainer::resume(
            &folder.join(DISCRIMINATOR),
            catalogue,
            config.discriminator_training.clone(),
            device,
        )?,
        config,
        seed,
        curve,
    };
    Ok((networks, online, folder))
}
