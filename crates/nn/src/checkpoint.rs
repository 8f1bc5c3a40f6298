//! Checkpoints: a folder with the tensors (safetensors, readable from Python) and a manifest (JSON)
//! beside them.
//!
//! The manifest names the tensor file by its digest and is renamed into place last, so a save that
//! is interrupted leaves the previous checkpoint whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Adam, Error, Params, Result};

/// The version of the layout written by this build.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const TENSORS: &str = "tensors.safetensors";
/// Hexadecimal digits of a digest in a file's name.
const DIGITS: usize = 32;

/// What stands beside the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest<C> {
    /// Version of the checkpoint format.
    pub format: u32,
    /// The model's kind and version, chosen by the model.
    pub model: String,
    /// The model's configuration.
    pub config: C,
    /// Digest of the item vocabulary that the model was trained with.
    pub vocabulary: String,
    /// Training iterations done.
    pub iteration: u64,
    /// The seed of the run; with `iteration` it gives the position of every random stream.
    pub seed: u64,
    /// Optimiser steps taken, if the optimiser was saved.
    pub optimiser_steps: Option<u64>,
    /// File name of the tensors, which carries their digest.
    tensors: String,
    /// The file names of what the caller saved beside them, by the names that the caller gave; they
    /// carry digests too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
    /// Digest of all the above.
    digest: String,
}

/// What the caller knows of the model that is saved.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a, C> {
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
    /// Files to save beside the tensors, by name, such as `vocabulary.jsonl`.
    pub files: &'a [(&'a str, Vec<u8>)],
}

/// A checkpoint that was read and whose digest agreed.
#[derive(Debug)]
pub struct Checkpoint<C> {
    /// The manifest.
    pub manifest: Manifest<C>,
    folder: PathBuf,
    parameters: BTreeMap<String, Tensor>,
    moments: BTreeMap<String, Tensor>,
    files: BTreeMap<String, Vec<u8>>,
}

/// Writes `folder`, which is created if need be, with the parameters and, for training to go on,
/// the optimiser. The files of the checkpoint that was there before go.
///
/// # Errors
/// [`Error::Checkpoint`] if the folder cannot be written.
pub fn save<C: Serialize>(
    folder: &Path,
    description: Description<'_, C>,
    params: &Params,
    optimiser: Option<&Adam>,
) -> Result<()> {
    let fail = |problem: String| Error::Checkpoint { path: folder.to_owned(), problem };
    let moments = optimiser.map(Adam::moments).transpose()?;
    let named =
        params.snapshot()?.into_iter().map(|(name, tensor)| (format!("parameter.{name}"), tensor));
    let moments =
        moments.into_iter().flatten().map(|(name, tensor)| (format!("moments.{name}"), tensor));
    let values =
        named.chain(moments).map(|(name, tensor)| Ok((name, tensor.to_device(&Device::Cpu)?)));
    let values = values.collect::<Result<BTreeMap<_, _>>>()?;
    let bytes = safetensors::serialize(&values, None).map_err(|reason| fail(reason.to_string()))?;
    let manifest = Manifest {
        format: FORMAT,
        model: description.model.to_owned(),
        config: description.config,
        vocabulary: description.vocabulary.to_owned(),
        iteration: description.iteration,
        seed: description.seed,
        optimiser_steps: optimiser.map(Adam::steps),
        tensors: with_digest(TENSORS, &bytes),
        files: description
            .files
            .iter()
            .map(|(name, bytes)| ((*name).into(), with_digest(name, bytes)))
            .collect(),
        digest: String::new(),
    };
    let kept: Vec<String> = manifest.files.values().chain([&manifest.tensors]).cloned().collect();
    let mut manifest = serde_json::to_value(manifest).map_err(|reason| fail(reason.to_string()))?;
    manifest["digest"] = digest(&manifest).into();
    let text = serde_json::to_vec_pretty(&manifest).map_err(|reason| fail(reason.to_string()))?;
    fs::create_dir_all(folder).map_err(|reason| fail(reason.to_string()))?;
    let before = named_by(&folder.join(MANIFEST));
    write(&folder.join(with_digest(TENSORS, &bytes)), &bytes)?;
    description
        .files
        .iter()
        .try_for_each(|(name, bytes)| write(&folder.join(with_digest(name, bytes)), bytes))?;
    write(&folder.join(MANIFEST), &text)?;
    for entry in fs::read_dir(folder).map_err(|reason| fail(reason.to_string()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // A save that was interrupted leaves files that no manifest names.
        let mut names =
            [TENSORS].into_iter().chain(description.files.iter().map(|(name, _)| *name));
        if !kept.contains(&name)
            && (before.contains(&name) || names.any(|ours| is_saved_as(&name, ours)))
        {
            fs::remove_file(entry.path()).map_err(|reason| fail(reason.to_string()))?;
        }
    }
    Ok(())
}

/// Reads a checkpoint of the given model kind.
///
/// # Errors
/// [`Error::Checkpoint`] that says what was found and expected: no checkpoint there, another format
/// or model, a manifest that cannot be read, or files that are damaged.
pub fn load<C: DeserializeOwned>(folder: &Path, model: &str) -> Result<Checkpoint<C>> {
    let path = folder.join(MANIFEST);
    let fail = |path: &Path, problem: String| Error::Checkpoint { path: path.to_owned(), problem };
    let text = fs::read(&path).map_err(|reason| fail(&path, reason.to_string()))?;
    let head: serde_json::Value =
        serde_json::from_slice(&text).map_err(|reason| fail(&path, reason.to_string()))?;
    if head["format"] != FORMAT {
        return Err(fail(&path, format!("format {}, expected {FORMAT}", head["format"])));
    }
    if head["model"] != model {
        return Err(fail(
            &path,
            format!("it holds a model of kind {}, expected \"{model}\"", head["model"]),
        ));
    }
    if head["digest"] != digest(&head) {
        return Err(fail(
            &path,
            "the content is damaged: it has another digest than it was written with".into(),
        ));
    }
    let manifest: Manifest<C> =
        serde_json::from_value(head).map_err(|reason| fail(&path, reason.to_string()))?;
    let read = |name: &str, file: &str| {
        let path = folder.join(file);
        let bytes = fs::read(&path).map_err(|reason| fail(&path, reason.to_string()))?;
        let found = with_digest(name, &bytes);
        if file != found {
            return Err(fail(&path, format!("the content is damaged: its digest gives {found}")));
        }
        Ok(bytes)
    };
    let files = manifest.files.iter().map(|(name, file)| Ok((name.clone(), read(name, file)?)));
    let files = files.collect::<Result<BTreeMap<_, _>>>()?;
    let bytes = read(TENSORS, &manifest.tensors)?;
    let path = folder.join(&manifest.tensors);
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
    let (mut parameters, mut moments) = (BTreeMap::new(), BTreeMap::new());
    for (name, tensor) in tensors {
        match (name.strip_prefix("parameter."), name.strip_prefix("moments.")) {
            (Some(name), _) => parameters.insert(name.to_owned(), tensor),
            (_, Some(name)) => moments.insert(name.to_owned(), tensor),
            _ => {
                return Err(fail(
                    &path,
                    format!("tensor {name}: expected parameter.* or moments.*"),
                ));
            }
        };
    }
    Ok(Checkpoint { manifest, folder: folder.to_owned(), parameters, moments, files })
}

impl<C> Checkpoint<C> {
    /// What was saved beside the tensors under this name.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Checks that the model was trained with the item vocabulary of this digest.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with both digests.
    pub fn check_vocabulary(&self, expected: &str) -> Result<()> {
        if self.manifest.vocabulary != expected {
            let found = &self.manifest.vocabulary;
            return Err(self
                .fail(&format!("trained with item vocabulary {found}, the data has {expected}")));
        }
        Ok(())
    }

    /// Sets the parameters of a model built from the manifest's configuration.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming every parameter that differs in name, shape or type; nothing is
    /// then changed.
    pub fn restore(&self, params: &Params) -> Result<()> {
        params.restore(&self.parameters).map_err(|reason| self.fail(&reason))
    }

    /// Sets the optimiser so that training goes on as if it had not stopped.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the optimiser was not saved or does not fit.
    pub fn restore_optimiser(&self, adam: &mut Adam) -> Result<()> {
        let steps = self
            .manifest
            .optimiser_steps
            .ok_or_else(|| self.fail(&"it was saved without its optimiser"))?;
        adam.restore(&self.moments, steps).map_err(|reason| self.fail(&reason))
    }

    fn fail(&self, problem: &dyn ToString) -> Error {
        Error::Checkpoint { path: self.folder.clone(), problem: problem.to_string() }
    }
}

/// Of a manifest's compact JSON with its keys sorted and its own digest left out.
fn digest(manifest: &serde_json::Value) -> String {
    let fields: BTreeMap<_, _> =
        manifest.as_object().into_iter().flatten().filter(|(key, _)| *key != "digest").collect();
    let text =
        fields.into_iter().map(|(key, value)| format!("{key}: {value}\n")).collect::<String>();
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The name of a file with the digest of its content before the extension.
fn with_digest(name: &str, bytes: &[u8]) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "bin"));
    format!("{stem}-{}.{extension}", &blake3::hash(bytes).to_hex()[..DIGITS])
}

/// The files of the checkpoint that this manifest belongs to; none where it is no whole manifest.
fn named_by(manifest: &Path) -> Vec<String> {
    let head = fs::read(manifest).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let head =
        head.filter(|head: &serde_json::Value| head["digest"] == digest(head)).unwrap_or_default();
    let files =
        head["files"].as_object().into_iter().flatten().map(|(name, file)| (name.as_str(), file));
    let files = files
        .chain([(TENSORS, &head["tensors"])])
        .filter_map(|(name, file)| Some((name, file.as_str()?)));
    files.filter(|(name, file)| is_saved_as(file, name)).map(|(_, file)| file.to_owned()).collect()
}

/// Whether a file's name is one under which [`save`] writes a file called `name`: with the digest
/// of its content, 32 hexadecimal digits, before the extension.
pub fn is_saved_as(file: &str, name: &str) -> bool {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "bin"));
    let digest = file
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(extension)?.strip_suffix('.'));
    digest.is_some_and(|digest| {
        digest.len() == DIGITS
            && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    foretaste_files::write(path, bytes)
        .map_err(|error| Error::Checkpoint { path: path.to_owned(), problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdamConfig, Init};
    use candle_core::DType;
    use foretaste_random::Seed;

    const MODEL: &str = "test";

    fn model(rows: usize) -> (Params, Adam) {
        let mut params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
        params.scope("m").param("w", (rows, 2), Init::Normal { sd: 1.0 }).unwrap();
        let adam = Adam::new(&params, AdamConfig::default()).unwrap();
        (params, adam)
    }

    fn train(params: &Params, adam: &mut Adam) -> Vec<Vec<f32>> {
        let w = params.get("m.w").unwrap();
        adam.step(&crate::backward(&w.sqr().unwrap().sum_all().unwrap()).unwrap()).unwrap();
        w.to_vec2().unwrap()
    }

    fn describe(iteration: u64) -> Description<'static, Vec<usize>> {
        static CONFIG: Vec<usize> = Vec::new();
        Description {
            model: MODEL,
            config: &CONFIG,
            vocabulary: "abc",
            iteration,
            seed: 9,
            files: &[],
        }
    }

    fn problem(folder: &Path) -> String {
        load::<Vec<usize>>(folder, MODEL).unwrap_err().to_string()
    }

    #[test]
    fn training_goes_on_from_a_checkpoint_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (params, mut adam) = model(3);
        train(&params, &mut adam);
        save(folder.path(), describe(1), &params, Some(&adam)).unwrap();
        let straight = train(&params, &mut adam);

        let (params, mut adam) = model(3);
        params
            .get("m.w")
            .unwrap()
            .set(&Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap())
            .unwrap();
        let checkpoint = load::<Vec<usize>>(folder.path(), MODEL).unwrap();
        checkpoint.restore(&params).unwrap();
        checkpoint.restore_optimiser(&mut adam).unwrap();
        assert_eq!((checkpoint.manifest.iteration, checkpoint.manifest.seed), (1, 9));
        assert_eq!(train(&params, &mut adam), straight);
    }

    #[test]
    fn a_later_save_replaces_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let (params, mut adam) = model(3);
        for iteration in 0..3 {
            train(&params, &mut adam);
            save(folder.path(), describe(iteration), &params, None).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let checkpoint = load::<Vec<usize>>(folder.path(), MODEL).unwrap();
        assert_eq!(checkpoint.manifest.iteration, 2);
        assert!(
            checkpoint
                .restore_optimiser(&mut adam)
                .unwrap_err()
                .to_string()
                .contains("without its optimiser")
        );
    }

    #[test]
    fn files_beside_the_tensors_come_back_and_go_with_their_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let (params, _) = model(1);
        for text in ["one", "two"] {
            let files = [("words.txt", text.as_bytes().to_vec())];
            save(folder.path(), Description { files: &files, ..describe(1) }, &params, None)
                .unwrap();
            let saved = load::<Vec<usize>>(folder.path(), MODEL).unwrap();
            assert_eq!(
                (saved.file("words.txt"), saved.file("others.txt")),
                (Some(text.as_bytes()), None)
            );
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        }
        let words = fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .find(|file| file.path().extension().unwrap() == "txt");
        fs::write(words.unwrap().path(), "three").unwrap();
        assert!(problem(folder.path()).contains("damaged"));
    }

    #[test]
    fn the_files_of_the_checkpoint_before_go_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let (params, _) = model(1);
        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .flatten()
                .map(|file| file.file_name())
                .collect();
            names.sort();
            names
        };
        save(folder.path(), describe(1), &params, None).unwrap();
        let without = names();
        let files = [("words.txt", b"one".to_vec()), ("features.jsonl", b"two".to_vec())];
        save(folder.path(), Description { files: &files, ..describe(1) }, &params, None).unwrap();
        assert_eq!(names().len(), 4);
        let other = format!("words-{}.txt", "0".repeat(DIGITS));
        fs::write(folder.path().join(&other), "mine").unwrap();
        save(folder.path(), describe(1), &params, None).unwrap();
        fs::remove_file(folder.path().join(other)).unwrap();
        assert_eq!(names(), without);
    }

    #[test]
    fn a_manifest_that_was_not_written_here_has_no_file_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (params, _) = model(1);
        let [plain, digested] =
            ["mine.txt".to_owned(), format!("words-{}.txt", "0".repeat(DIGITS))];
        for file in [&plain, &digested] {
            fs::write(folder.path().join(file), "mine").unwrap();
        }
        let mut manifest = serde_json::json!({ "files": { "mine.txt": plain, "words.txt": digested }, "digest": "" });
        fs::write(folder.path().join(MANIFEST), manifest.to_string()).unwrap();
        save(folder.path(), describe(1), &params, None).unwrap();
        assert!([&plain, &digested].iter().all(|file| folder.path().join(file).exists()));
        manifest["digest"] = digest(&manifest).into();
        fs::write(folder.path().join(MANIFEST), manifest.to_string()).unwrap();
        save(folder.path(), describe(1), &params, None).unwrap();
        assert_eq!(
            [&plain, &digested].map(|file| folder.path().join(file).exists()),
            [true, false]
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (params, adam) = model(3);
        assert!(problem(folder.path()).contains("manifest.json"));
        save(folder.path(), describe(1), &params, Some(&adam)).unwrap();
        let other = load::<Vec<usize>>(folder.path(), "other").unwrap_err().to_string();
        assert!(other.contains("expected \"other\""), "{other}");
        let checkpoint = load::<Vec<usize>>(folder.path(), MODEL).unwrap();
        checkpoint.check_vocabulary("abc").unwrap();
        let message = checkpoint.check_vocabulary("xyz").unwrap_err().to_string();
        assert!(
            message.contains("trained with item vocabulary abc, the data has xyz"),
            "{message}"
        );
        let message = checkpoint.restore(&model(4).0).unwrap_err().to_string();
        assert!(message.contains("m.w has shape [3, 2], expected [4, 2]"), "{message}");
    }

    #[test]
    fn every_damaged_byte_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let (params, adam) = model(1);
        save(folder.path(), describe(1), &params, Some(&adam)).unwrap();
        let file = fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .find(|e| e.path().extension().unwrap() != "json")
            .unwrap();
        let bytes = fs::read(file.path()).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(file.path(), damaged).unwrap();
            assert!(problem(folder.path()).contains("damaged"));
        }
        fs::write(file.path(), &bytes[..bytes.len() - 1]).unwrap();
        assert!(problem(folder.path()).contains("damaged"));
        fs::write(file.path(), &bytes).unwrap();

        let manifest = folder.path().join(MANIFEST);
        let text = fs::read_to_string(&manifest).unwrap();
        for at in (0..text.len()).filter(|&at| text.as_bytes()[at].is_ascii_alphanumeric()) {
            let mut damaged = text.clone().into_bytes();
            damaged[at] ^= 1;
            fs::write(&manifest, damaged).unwrap();
            assert!(load::<Vec<usize>>(folder.path(), MODEL).is_err(), "byte {at}");
        }
    }
}
