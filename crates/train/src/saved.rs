//! How any network is saved with its items and loaded again. The checks of sizes are here, once for
//! all networks: a forged configuration takes no more memory than its weights.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Catalogue, Provenance, Saved};
use foretaste_nn::checkpoint::{self, Checkpoint, Description, MANIFEST, Shapes, Weights};
use foretaste_nn::{Adam, Params};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::CountFeatures;

/// A network that is saved as a folder with its items and what it was fitted on; see
/// [`foretaste_nn::checkpoint`].
pub trait Network: Sized {
    /// Its kind and version, such as `irecgan-agent/1`.
    const KIND: &'static str;
    /// Everything that fixes it but its parameters.
    type Config: Serialize + DeserializeOwned + Clone;
    /// Why it cannot be built, saved or loaded.
    type Error: From<foretaste_nn::Error> + From<foretaste_data::Error>;

    /// The configuration and the parameters.
    fn parts(&self) -> (&Self::Config, &Params);

    /// An untrained network for these items, whose parameters are made in `params`, which holds
    /// none yet.
    ///
    /// # Errors
    /// Where a setting is outside its range, the items do not fit, or `params` takes no more.
    fn build(
        config: Self::Config,
        catalogue: &Catalogue,
        params: Params,
    ) -> Result<Self, Self::Error>;

    /// A digest of what it takes from the catalogue: the raw ids, unless it says otherwise.
    fn vocabulary(_config: &Self::Config, catalogue: &Catalogue) -> String {
        catalogue.names().digest()
    }

    /// What it contains in addition to its parameters: tensors whose names start with
    /// [`TABLE`](foretaste_nn::TABLE). None unless it says otherwise.
    ///
    /// # Errors
    /// An error of the network if the device fails.
    fn tables(&self) -> Result<BTreeMap<String, Tensor>, Self::Error> {
        Ok(BTreeMap::new())
    }

    /// Takes its tables out of saved weights.
    ///
    /// # Errors
    /// Where they do not fit.
    fn take_tables(&mut self, _weights: &BTreeMap<String, Tensor>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A copy of its parameters, and its tables.
    ///
    /// # Errors
    /// An error of the network if the device fails.
    fn weights(&self) -> Result<BTreeMap<String, Tensor>, Self::Error> {
        let mut weights = self.parts().1.snapshot()?;
        weights.extend(self.tables()?);
        Ok(weights)
    }

    /// A network of this configuration that saved weights of these shapes are to be
    /// [put into](Params::restore), and [their tables](Self::take_tables). No more memory is taken
    /// than weights of their number need, whatever the configuration says.
    ///
    /// # Errors
    /// Where the configuration asks for more than there is; as [`build`](Self::build).
    fn build_for(
        shapes: &Shapes,
        config: Self::Config,
        catalogue: &Catalogue,
        device: &Device,
    ) -> Result<Self, Self::Error> {
        let entries = shapes.entries();
        check_counts(&config, entries, catalogue).map_err(foretaste_nn::Error::from)?;
        CountFeatures::check_tables(shapes, catalogue.len(), 0)
            .map_err(foretaste_nn::Error::from)?;
        let params = Params::new(Seed::new(0), DType::F32, device).at_most(entries);
        Self::build(config, catalogue, params)
    }

    /// A network of this configuration with these weights, which are read once their shapes are
    /// those that the configuration asks for.
    ///
    /// # Errors
    /// As [`build_for`](Self::build_for), and where the weights cannot be read or do not fit.
    fn with_weights(
        weights: &Weights,
        config: Self::Config,
        catalogue: &Catalogue,
        device: &Device,
    ) -> Result<Self, Self::Error> {
        let mut network = Self::build_for(weights.shapes(), config, catalogue, device)?;
        network.parts().1.check(weights.shapes())?;
        let tensors = weights.tensors()?;
        network.parts().1.restore(tensors)?;
        network.take_tables(tensors)?;
        Ok(network)
    }

    /// Writes `folder`, with the optimizer if training is to go on.
    ///
    /// # Errors
    /// [`foretaste_nn::Error::Checkpoint`] if the folder cannot be written.
    fn save<'a>(
        &self,
        folder: &Path,
        provenance: impl Into<Provenance<'a>>,
        iteration: u64,
        seed: u64,
        optimiser: Option<&Adam>,
    ) -> Result<(), Self::Error> {
        let config = self.parts().0;
        let provenance = provenance.into();
        let description = Description {
            manifest: MANIFEST,
            model: Self::KIND,
            config,
            vocabulary: &Self::vocabulary(config, provenance.catalogue),
            iteration,
            seed,
            files: &provenance.files(),
        };
        Ok(checkpoint::save(folder, description, &self.weights()?, optimiser)?)
    }

    /// Reads what [`save`](Self::save) wrote: the network, its items and what it was fitted on.
    /// `known` are the items of the caller, for a checkpoint of an earlier version, which does not
    /// hold its own ([`Saved::read`]).
    ///
    /// # Errors
    /// [`foretaste_nn::Error::Checkpoint`] if there is none or it is damaged;
    /// [`foretaste_data::Error::Saved`] if it does not hold its items and they are not those that
    /// are known.
    fn load(
        folder: &Path,
        known: &Catalogue,
        device: &Device,
    ) -> Result<(Self, Saved), Self::Error> {
        let checkpoint = checkpoint::load::<Self::Config>(folder, MANIFEST, Self::KIND)?;
        let manifest = &checkpoint.manifest;
        let is_known = || manifest.vocabulary == Self::vocabulary(&manifest.config, known);
        let saved = Saved::read(|name| checkpoint.file(name), known, is_known)?;
        Ok((restored(&checkpoint, &saved.catalogue, device)?, saved))
    }

    /// Reads a network of these very items, for training to go on; the checkpoint holds the
    /// optimizer too, if that was saved.
    ///
    /// # Errors
    /// [`foretaste_nn::Error::Checkpoint`] if there is none, it is damaged, or it belongs to
    /// another catalogue.
    fn resume(
        folder: &Path,
        catalogue: &Catalogue,
        device: &Device,
    ) -> Result<(Self, Checkpoint<Self::Config>), Self::Error> {
        let checkpoint = checkpoint::load::<Self::Config>(folder, MANIFEST, Self::KIND)?;
        checkpoint.check_vocabulary(&Self::vocabulary(&checkpoint.manifest.config, catalogue))?;
        Ok((restored(&checkpoint, catalogue, device)?, checkpoint))
    }
}

fn restored<N: Network>(
    checkpoint: &Checkpoint<N::Config>,
    catalogue: &Catalogue,
    device: &Device,
) -> Result<N, N::Error> {
    let config = checkpoint.manifest.config.clone();
    let mut network = N::build_for(checkpoint.weights().shapes(), config, catalogue, device)?;
    checkpoint.restore(network.parts().1)?;
    network.take_tables(checkpoint.weights().tensors()?)?;
    Ok(network)
}

/// Counts that no weight shows, such as how many clicks back a state looks, are at most so much
/// above the others.
const UNSEEN: u64 = 64;

/// What is no count of a network's parts: a log's sessions may be longer than a network is large.
const OUTCOMES: &str = "outcomes";

/// Refuses a count beyond what a network with so many weights and these items can have.
fn check_counts(
    config: &impl Serialize,
    weights: usize,
    catalogue: &Catalogue,
) -> Result<(), Setting> {
    let config = serde_json::to_value(config)
        .map_err(|reason| Setting::new("settings", reason.to_string()))?;
    let items = catalogue.len();
    match beyond(&config, (weights + items) as u64 + UNSEEN) {
        None => Ok(()),
        Some((path, count)) => {
            let problem =
                format!("{path} is {count}, too large for {weights} weights and {items} items");
            Err(Setting::new("settings", problem))
        }
    }
}

/// The first count above `most`, with where it stands.
fn beyond(settings: &Value, most: u64) -> Option<(String, u64)> {
    let within = |(name, value): (String, &Value)| {
        let (path, count) = beyond(value, most)?;
        Some((if path.is_empty() { name } else { format!("{name}.{path}") }, count))
    };
    match settings {
        Value::Number(number) => {
            let count = number.as_u64().filter(|&count| count > most)?;
            Some((String::new(), count))
        }
        Value::Array(values) => {
            values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).find_map(within)
        }
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != OUTCOMES)
            .map(|(name, value)| (name.clone(), value))
            .find_map(within),
        _ => None,
    }
}
