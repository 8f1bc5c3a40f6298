//! Checkpoints of a whole training: networks, optimiser, target networks, replay memory, curve.
//!
//! `FOLDER/latest.json` names a sub-folder that holds it all. It is renamed into place once that is
//! complete, so a save that is interrupted leaves the one before.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, WithDType};
use foretaste_nn::checkpoint::{self, Description};
use foretaste_random::Seed;
use rand::RngCore;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::QConfig;
use crate::replay::Contents;
use crate::{CurvePoint, Error, QNetworks, Result, TrainConfig, Trainer};

const KIND: &str = "cascade-dqn/1";
const FORMAT: u32 = 1;
const LATEST: &str = "latest.json";
const TRAINING: &str = "training.json";
const REPLAY: &str = "replay.safetensors";
const NETWORKS: &str = "networks";
const TARGET: &str = "target";

#[derive(Serialize, Deserialize)]
struct Latest {
    format: u32,
    folder: String,
    /// Of [`TRAINING`].
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct Training {
    config: TrainConfig,
    updates: u64,
    curve: Vec<CurvePoint>,
    /// Transitions ever stored.
    stored: u64,
    /// Of [`REPLAY`].
    replay: String,
}

impl Trainer {
    /// Writes everything that training needs to go on into `folder`, which is created if need be,
    /// and removes the checkpoint that was there.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let fail = |reason: std::io::Error| Error::Checkpoint {
            path: folder.to_owned(),
            problem: reason.to_string(),
        };
        fs::create_dir_all(folder).map_err(fail)?;
        let place =
            tempfile::Builder::new().prefix("training-").tempdir_in(folder).map_err(fail)?;
        let vocabulary = self.networks.features_digest()?;
        let description = || Description {
            model: KIND,
            config: self.networks.config(),
            vocabulary: &vocabulary,
            iteration: self.curve.len() as u64,
            seed: fingerprint(self.seed),
            files: &[],
        };
        checkpoint::save(
            &place.path().join(NETWORKS),
            description(),
            self.networks.params(),
            Some(&self.adam),
        )?;
        if let Some(target) = &self.target {
            checkpoint::save(&place.path().join(TARGET), description(), target.params(), None)?;
        }
        let contents = self.replay.contents();
        let stored = contents.stored;
        let replay = safetensors::serialize(&tensors(contents)?, None).map_err(|reason| {
            Error::Checkpoint { path: folder.to_owned(), problem: reason.to_string() }
        })?;
        let (config, curve) = (self.config.clone(), self.curve.clone());
        let training =
            Training { config, updates: self.updates, curve, stored, replay: digest(&replay) };
        let training = serde_json::to_vec(&training).map_err(|reason| fail(reason.into()))?;
        let write = |path: PathBuf, bytes: &[u8]| {
            foretaste_files::write(&path, bytes)
                .map_err(|reason| problem(&path, reason.to_string()))
        };
        write(place.path().join(REPLAY), &replay)?;
        write(place.path().join(TRAINING), &training)?;
        let name = place.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let latest = Latest { format: FORMAT, folder: name.clone(), digest: digest(&training) };
        let latest = serde_json::to_vec(&latest).map_err(|reason| fail(reason.into()))?;
        write(folder.join(LATEST), &latest)?;
        // From here on it is the checkpoint, so it must not go with the guard.
        let _ = place.keep();
        for entry in fs::read_dir(folder).map_err(fail)?.flatten() {
            let old = entry.file_name().to_string_lossy().into_owned();
            if old.starts_with("training-") && old != name {
                fs::remove_dir_all(entry.path()).map_err(fail)?;
            }
        }
        Ok(())
    }

    /// Goes on from what [`Trainer::save`] wrote, as if training had not stopped. `features` are
    /// those that the networks were given, if any, and `seed` is the seed of the training.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] that says what was found and expected: nothing there, another format,
    /// seed or features, damage.
    pub fn resume(folder: &Path, features: Option<&[f32]>, seed: Seed) -> Result<Self> {
        let latest: Latest = parse(&folder.join(LATEST), &read(&folder.join(LATEST))?)?;
        if latest.format != FORMAT {
            return Err(problem(
                &folder.join(LATEST),
                format!("format {}, expected {FORMAT}", latest.format),
            ));
        }
        let folder = folder.join(&latest.folder);
        let bytes = read_whole(&folder.join(TRAINING), &latest.digest)?;
        let training: Training = parse(&folder.join(TRAINING), &bytes)?;

        let path = folder.join(NETWORKS);
        let saved = checkpoint::load::<QConfig>(&path, KIND)?;
        saved.check_vocabulary(&digest_of(features))?;
        if saved.manifest.seed != fingerprint(seed) {
            return Err(problem(&path, "the training had another seed".into()));
        }
        let networks = QNetworks::new(saved.manifest.config.clone(), features, seed)?;
        saved.restore(networks.params())?;
        let mut trainer = Self::new(networks, training.config, seed)?;
        saved.restore_optimiser(&mut trainer.adam)?;
        if let Some(target) = &trainer.target {
            let saved = checkpoint::load::<QConfig>(&folder.join(TARGET), KIND)?;
            saved.check_vocabulary(&digest_of(features))?;
            saved.restore(target.params())?;
        }
        let path = folder.join(REPLAY);
        let bytes = read_whole(&path, &training.replay)?;
        let items = trainer.networks.config().items;
        let restored = contents(training.stored, &bytes)
            .and_then(|contents| trainer.replay.restore(contents, items));
        restored.map_err(|reason| problem(&path, reason.to_string()))?;
        (trainer.updates, trainer.curve) = (training.updates, training.curve);
        Ok(trainer)
    }
}

impl QNetworks {
    /// Of the features that were given, if any.
    fn features_digest(&self) -> Result<String> {
        Ok(digest_of(self.given_features()?.as_deref()))
    }
}

fn digest_of(features: Option<&[f32]>) -> String {
    let bytes: Option<Vec<u8>> =
        features.map(|features| features.iter().flat_map(|f| f.to_le_bytes()).collect());
    bytes.map_or("no features given".into(), |bytes| digest(&bytes))
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A word that tells seeds apart.
fn fingerprint(seed: Seed) -> u64 {
    seed.derive("fingerprint").stream(0).next_u64()
}

fn problem(path: &Path, problem: String) -> Error {
    Error::Checkpoint { path: PathBuf::from(path), problem }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|reason| problem(path, reason.to_string()))
}

fn read_whole(path: &Path, expected: &str) -> Result<Vec<u8>> {
    let bytes = read(path)?;
    match digest(&bytes) == expected {
        true => Ok(bytes),
        false => Err(problem(
            path,
            "the content is damaged: it has another digest than it was written with".into(),
        )),
    }
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|reason| problem(path, reason.to_string()))
}

/// The columns that are not empty.
fn tensors(contents: Contents) -> Result<BTreeMap<&'static str, Tensor>> {
    fn add<T: WithDType>(
        to: &mut BTreeMap<&'static str, Tensor>,
        name: &'static str,
        values: Vec<T>,
    ) -> Result<()> {
        if !values.is_empty() {
            let length = values.len();
            to.insert(name, Tensor::from_vec(values, length, &Device::Cpu)?);
        }
        Ok(())
    }
    let mut tensors = BTreeMap::new();
    add(&mut tensors, "clicks", contents.clicks)?;
    add(&mut tensors, "known", contents.known)?;
    add(&mut tensors, "slates", contents.slates)?;
    add(&mut tensors, "chosen", contents.chosen)?;
    add(&mut tensors, "rewards", contents.rewards)?;
    add(&mut tensors, "ended", contents.ended)?;
    add(&mut tensors, "priorities", contents.priorities)?;
    Ok(tensors)
}

fn contents(stored: u64, bytes: &[u8]) -> Result<Contents> {
    let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?;
    fn column<T: WithDType>(tensor: Option<&Tensor>) -> Result<Vec<T>> {
        Ok(tensor.map(Tensor::to_vec1).transpose()?.unwrap_or_default())
    }
    Ok(Contents {
        stored,
        clicks: column(tensors.get("clicks"))?,
        known: column(tensors.get("known"))?,
        slates: column(tensors.get("slates"))?,
        chosen: column(tensors.get("chosen"))?,
        rewards: column(tensors.get("rewards"))?,
        ended: column(tensors.get("ended"))?,
        priorities: column(tensors.get("priorities"))?,
    })
}
