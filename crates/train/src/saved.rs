use std::path::Path;

use candle_core::Device;
use foretaste_data::{Catalogue, Provenance, Saved};
use foretaste_nn::checkpoint::{self, Checkpoint, Description, MANIFEST};
use foretaste_nn::{Adam, Params};
use foretaste_random::Seed;
use serde::Serialize;
use serde::de::DeserializeOwned;

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

    /// An untrained network for these items, with parameters drawn from `seed`.
    ///
    /// # Errors
    /// Where a setting is outside its range, or the items do not fit.
    fn build(
        config: Self::Config,
        catalogue: &Catalogue,
        seed: Seed,
        device: &Device,
    ) -> Result<Self, Self::Error>;

    /// A digest of what it takes from the catalogue: the raw ids, unless it says otherwise.
    fn vocabulary(_config: &Self::Config, catalogue: &Catalogue) -> String {
        catalogue.names().digest()
    }

    /// Writes `folder`, with the optimiser if training is to go on.
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
        let (config, params) = self.parts();
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
        Ok(checkpoint::save(folder, description, &params.snapshot()?, optimiser)?)
    }

    /// Reads what [`save`](Self::save) wrote: the network, its items and what it was fitted on.
    /// `known` are the items at hand, for a checkpoint of an earlier version, which does not hold
    /// its own ([`Saved::read`]).
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
    /// optimiser too, if that was saved.
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
    let manifest = &checkpoint.manifest;
    let network = N::build(manifest.config.clone(), catalogue, Seed::new(manifest.seed), device)?;
    checkpoint.restore(network.parts().1)?;
    Ok(network)
}
