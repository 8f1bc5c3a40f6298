//! The manifest: what is saved with the tensors, and under which names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{TENSORS, failed, read};
use crate::Result;

/// The version of the layout written by this build.
const FORMAT: u32 = 1;
/// Hexadecimal digits of a digest in a file's name.
pub(super) const DIGITS: usize = 32;
/// More bytes than a manifest holds.
pub(super) const AT_MOST: u64 = 16 << 20;

/// What is saved with the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest<C> {
    format: u32,
    model: String,
    /// The model's configuration.
    pub config: C,
    /// Digest of the item vocabulary that the model was trained with.
    pub vocabulary: String,
    /// Training iterations done.
    pub iteration: u64,
    /// The seed of the run; with the iterations done it gives the position of every random stream.
    pub seed: u64,
    /// Optimizer steps taken, if the optimizer was saved.
    pub(super) optimiser_steps: Option<u64>,
    /// File name of the tensors, which carries their digest.
    pub(super) tensors: String,
    /// The file names of what the caller saved with them, by the names that the caller gave; they
    /// carry digests too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) files: BTreeMap<String, String>,
    /// Digest of all the above.
    digest: String,
}

/// What the caller knows of the model that is saved.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a, C> {
    /// The name of the manifest, such as [`MANIFEST`](super::MANIFEST).
    pub manifest: &'a str,
    /// The model's kind and version.
    pub model: &'a str,
    /// The model's configuration.
    pub config: &'a C,
    /// Digest of the item vocabulary.
    pub vocabulary: &'a str,
    /// Training iterations done.
    pub iteration: u64,
    /// The seed of the run.
    pub seed: u64,
    /// Texts to save with the tensors, by name, such as `vocabulary.jsonl`.
    pub files: &'a [(&'a str, Vec<u8>)],
}

impl<'a, C: Serialize> Manifest<&'a C> {
    /// Of a model whose tensors are saved as these bytes.
    pub(super) fn new(
        description: &Description<'a, C>,
        optimiser_steps: Option<u64>,
        tensors: &[u8],
    ) -> Self {
        let files = description.files.iter();
        Self {
            format: FORMAT,
            model: description.model.to_owned(),
            config: description.config,
            vocabulary: description.vocabulary.to_owned(),
            iteration: description.iteration,
            seed: description.seed,
            optimiser_steps,
            tensors: with_digest(TENSORS, tensors),
            files: files.map(|(name, bytes)| ((*name).into(), with_digest(name, bytes))).collect(),
            digest: String::new(),
        }
    }

    /// The text of the manifest, with its digest.
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut manifest = serde_json::to_value(self)?;
        manifest["digest"] = digest(&manifest).into();
        serde_json::to_vec_pretty(&manifest)
    }
}

impl<C> Manifest<C> {
    /// Every file that belongs to the checkpoint, but the manifest itself: the name that the caller
    /// gave, and the file's name.
    pub(super) fn all_files(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(name, file)| (name.as_str(), file.as_str()));
        files.chain([(TENSORS, self.tensors.as_str())])
    }

    /// Refuses a file's name that [`save`](super::save()) would not give.
    pub(super) fn check_names(&self, path: &Path) -> Result<()> {
        match self.all_files().find(|(name, file)| !is_saved_as(file, name)) {
            None => Ok(()),
            Some((name, file)) => Err(failed(
                path,
                format!(
                    "it names the file {file:?} for {name:?}, expected a file in the same folder, \
                     with its digest in its name"
                ),
            )),
        }
    }
}

impl<C: DeserializeOwned> Manifest<C> {
    /// Reads the manifest of a model of this kind.
    pub(super) fn read(path: &Path, model: &str) -> Result<Self> {
        let head = head(path)?;
        if head["model"] != model {
            let found = &head["model"];
            let problem = format!("it contains a model of kind {found}, expected \"{model}\"");
            return Err(failed(path, problem));
        }
        Self::parse(path, head)
    }

    /// A manifest with the digest that it was written with, and no name of a file elsewhere.
    fn parse(path: &Path, head: Value) -> Result<Self> {
        if head["digest"] != digest(&head) {
            let problem = "the content is damaged: it has another digest than it was written with";
            return Err(failed(path, problem));
        }
        let manifest: Self = serde_json::from_value(head).map_err(|reason| failed(path, reason))?;
        manifest.check_names(path)?;
        Ok(manifest)
    }
}

/// The kind and version of the model of the checkpoint in this folder; none where there is no
/// manifest of this name.
///
/// # Errors
/// [`Error::Checkpoint`](crate::Error::Checkpoint) if the manifest has another format or is
/// damaged.
pub fn model_in(folder: &Path, manifest: &str) -> Result<Option<String>> {
    let path = folder.join(manifest);
    match path.try_exists() {
        Ok(false) => Ok(None),
        _ => Ok(Some(Manifest::<Value>::parse(&path, head(&path)?)?.model)),
    }
}

/// The names of the files of the checkpoint with this manifest, whatever its model; none where the
/// manifest is not whole.
pub(super) fn files_of(path: &Path) -> Vec<String> {
    let manifest = head(path).and_then(|head| Manifest::<Value>::parse(path, head));
    let files = |manifest: Manifest<Value>| {
        manifest.all_files().map(|(_, file)| file.to_owned()).collect::<Vec<_>>()
    };
    manifest.map(files).unwrap_or_default()
}

/// A manifest of our format, unchecked otherwise.
fn head(path: &Path) -> Result<Value> {
    let text = read(path, AT_MOST)?;
    let head: Value = serde_json::from_slice(&text).map_err(|reason| failed(path, reason))?;
    match head["format"] == FORMAT {
        true => Ok(head),
        false => Err(failed(path, format!("format {}, expected {FORMAT}", head["format"]))),
    }
}

/// Of a manifest's compact JSON with its keys sorted and its own digest left out.
pub(super) fn digest(manifest: &Value) -> String {
    let fields: BTreeMap<_, _> =
        manifest.as_object().into_iter().flatten().filter(|(key, _)| *key != "digest").collect();
    let text =
        fields.into_iter().map(|(key, value)| format!("{key}: {value}\n")).collect::<String>();
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The name of a file with the digest of its content before the extension.
pub(super) fn with_digest(name: &str, bytes: &[u8]) -> String {
    let (stem, extension) = split(name);
    format!("{stem}-{}.{extension}", &blake3::hash(bytes).to_hex()[..DIGITS])
}

/// Whether `file` is a plain name, without a folder, under which [`save`](super::save()) writes a
/// file called `name`: with the digest of its content, 32 hexadecimal digits, before the extension.
pub fn is_saved_as(file: &str, name: &str) -> bool {
    let (stem, extension) = split(name);
    let digest = file
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(extension)?.strip_suffix('.'));
    let is_digest = |digest: &str| {
        digest.len() == DIGITS
            && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    Path::new(file).file_name() == Some(OsStr::new(file)) && digest.is_some_and(is_digest)
}

/// A file's name before and after its last dot.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or((name, "bin"))
}
