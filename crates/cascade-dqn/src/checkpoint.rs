//! Checkpoints of a whole training: networks, optimizer, target networks, replay memory, curve
//! ([`foretaste_train::run`]).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, WithDType};
use foretaste_data::{Catalogue, Provenance};
use foretaste_nn::checkpoint::{self, Checkpoint, MANIFEST};
use foretaste_random::Seed;
use foretaste_train::run::{self, Resumed};
use foretaste_train::{Error, Network};
use serde::{Deserialize, Serialize};

use crate::config::QConfig;
use crate::replay::Contents;
use crate::{CurvePoint, QNetworks, Result, TrainConfig, Trainer};

/// More than any replay memory holds.
const LIMIT: u64 = 16 << 30;
/// The networks of earlier versions, saved without their items.
const EARLIER_KIND: &str = "cascade-dqn/1";
const REPLAY: &str = "replay.safetensors";
const NETWORKS: &str = "networks";
const TARGET: &str = "target";

#[derive(Serialize, Deserialize)]
struct State {
    config: TrainConfig,
    updates: u64,
    curve: Vec<CurvePoint>,
    /// Transitions ever stored.
    stored: u64,
    /// Digest of [`REPLAY`].
    replay: String,
}

impl Trainer {
    /// Writes everything that training needs to go on into `folder`, which is created if need be,
    /// and removes the checkpoint that was there. Features that the networks were given are those
    /// of the catalogue.
    ///
    /// # Errors
    /// [`Error::Training`](crate::Error::Training) if it cannot be written;
    /// [`Error::Setting`](crate::Error::Setting) if the items are not those of the networks.
    pub fn save<'a>(&self, folder: &Path, provenance: impl Into<Provenance<'a>>) -> Result<()> {
        let provenance = provenance.into();
        self.networks.check_items(provenance.catalogue)?;
        run::save(folder, self.seed, |place| {
            self.write_networks(place, provenance)?;
            let (stored, replay) = self.write_replay(&place.join(REPLAY))?;
            let (config, curve) = (self.config.clone(), self.curve.clone());
            Ok(State { config, updates: self.updates, curve, stored, replay })
        })
    }

    /// Goes on from what [`Trainer::save`] wrote, as if training had not stopped. `seed` is the
    /// seed of the training.
    ///
    /// # Errors
    /// [`Error::Training`](crate::Error::Training) that says what was found and expected: nothing
    /// there, another format or seed, damage; [`Error::Network`](crate::Error::Network) if the
    /// networks are damaged or belong to another catalogue.
    pub fn resume(folder: &Path, catalogue: &Catalogue, seed: Seed) -> Result<Self> {
        let Resumed { state, folder } = run::resume::<State>(folder, seed)?;
        let path = folder.join(NETWORKS);
        let (networks, saved) = read(&path, catalogue)?;
        // Earlier versions wrote the seed next to the networks only.
        if saved.manifest.seed != run::fingerprint(seed) {
            return Err(Error::checkpoint(&path, "the run had another seed").into());
        }
        let mut trainer = Self::new(networks, state.config, seed)?;
        saved.restore_optimiser(&mut trainer.adam)?;
        if state.updates != trainer.adam.steps() {
            let (found, steps) = (state.updates, trainer.adam.steps());
            let problem = format!("{found} updates, but its optimiser took {steps} steps");
            return Err(Error::checkpoint(&path, problem).into());
        }
        if let Some(target) = &trainer.target {
            read(&folder.join(TARGET), catalogue)?.1.restore(target.params())?;
        }
        trainer.read_replay(&folder.join(REPLAY), state.stored, &state.replay)?;
        (trainer.updates, trainer.curve) = (state.updates, state.curve);
        Ok(trainer)
    }

    fn write_networks(&self, place: &Path, provenance: Provenance<'_>) -> Result<()> {
        let (iteration, seed) = (self.curve.len() as u64, run::fingerprint(self.seed));
        let (networks, adam) = (place.join(NETWORKS), Some(&self.adam));
        self.networks.save(&networks, provenance, iteration, seed, adam)?;
        match &self.target {
            Some(target) => target.save(&place.join(TARGET), provenance, iteration, seed, None),
            None => Ok(()),
        }
    }

    /// How many transitions were ever stored, and the digest of what was written.
    fn write_replay(&self, path: &Path) -> Result<(u64, String)> {
        let contents = self.replay.contents();
        let stored = contents.stored;
        let bytes = safetensors::serialize(&tensors(contents)?, None)
            .map_err(|reason| Error::checkpoint(path, reason))?;
        foretaste_files::write(path, &bytes).map_err(|reason| Error::checkpoint(path, reason))?;
        Ok((stored, run::digest(&bytes)))
    }

    fn read_replay(&mut self, path: &Path, stored: u64, digest: &str) -> Result<()> {
        let bytes =
            foretaste_files::read(path, LIMIT).map_err(|reason| Error::checkpoint(path, reason))?;
        let bytes = run::whole(path, bytes, digest)?;
        let items = self.networks.config().items;
        contents(stored, &bytes)
            .and_then(|contents| self.replay.restore(contents, items))
            .map_err(|reason| Error::checkpoint(path, reason).into())
    }
}

/// Networks of these items. Those of earlier versions are tied to the features that they were
/// given alone.
fn read(folder: &Path, catalogue: &Catalogue) -> Result<(QNetworks, Checkpoint<QConfig>)> {
    let model = checkpoint::model_in(folder, MANIFEST)?;
    if model.as_deref() != Some(EARLIER_KIND) {
        return QNetworks::resume(folder, catalogue, &Device::Cpu);
    }
    let saved = checkpoint::load::<QConfig>(folder, MANIFEST, EARLIER_KIND)?;
    let config = saved.manifest.config.clone();
    let networks = QNetworks::build_for(saved.weights().shapes(), config, catalogue, &Device::Cpu)?;
    let given = networks.given_features()?;
    let digest = given.map(|given| {
        run::digest(&given.iter().flat_map(|feature| feature.to_le_bytes()).collect::<Vec<_>>())
    });
    saved.check_vocabulary(digest.as_deref().unwrap_or("no features given"))?;
    saved.restore(networks.params())?;
    Ok((networks, saved))
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
