//! The folder of a recommender, finished or in training.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use foretaste_files::check_folder;
use foretaste_nn::checkpoint::{MANIFEST, is_saved_as};
use foretaste_recommender::RECOMMENDER;
use serde_json::{Map, Value};

/// Where a recommender is to be, which holds nothing that is not ours to replace.
pub struct Folder<'a> {
    path: &'a Path,
    inputs: Vec<PathBuf>,
    force: bool,
}

/// The manifest of a recommender, and that of one of an earlier version.
const MANIFESTS: [&str; 2] = [RECOMMENDER, MANIFEST];
/// The folder, in that of the recommender, of a training that is not finished.
const UNFINISHED: &str = "unfinished";
/// The file in it that says which command it is of.
const COMMAND: &str = "command.json";
/// More than any file that we wrote there holds.
const LIMIT: u64 = 64 << 20;

impl<'a> Folder<'a> {
    /// The folder at `path`, filled from `inputs`; with `force` a recommender or an unfinished
    /// training that is there may be replaced.
    ///
    /// # Errors
    /// As [`check_folder`].
    pub fn new(path: &'a Path, inputs: Vec<PathBuf>, force: bool) -> anyhow::Result<Self> {
        let folder = Self { path, inputs, force };
        folder.check()?;
        Ok(folder)
    }

    /// The unfinished training that this very command left. With `force` one of another command is
    /// removed.
    ///
    /// # Errors
    /// Where there is one of another command.
    pub fn unfinished(&self, command: &Value) -> anyhow::Result<Option<PathBuf>> {
        let place = self.path.join(UNFINISHED);
        if !is_training(&place) {
            return Ok(None);
        }
        if object(&place.join(COMMAND)).is_some_and(|found| Value::Object(found) == *command) {
            return Ok(Some(place));
        }
        if !self.force {
            bail!(
                "{} holds an unfinished training of another log or other settings; repeat that \
                 command to go on with it, name another folder, or start anew with --force",
                self.path.display()
            );
        }
        remove(&place)?;
        Ok(None)
    }

    /// Keeps the unfinished training that `save` writes.
    pub fn keep(
        &self,
        command: &Value,
        save: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let place = self.path.join(UNFINISHED);
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        foretaste_files::write(&place.join(COMMAND), command.to_string().as_bytes())?;
        save(&place)
    }

    /// Keeps the recommender that `save` writes, and removes the unfinished training and the
    /// manifest of a recommender of an earlier version.
    pub fn finish(&self, save: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.check()?;
        save(self.path)?;
        let earlier = self.path.join(MANIFEST);
        if is_ours(&earlier) {
            fs::remove_file(&earlier)
                .with_context(|| format!("cannot remove {}", earlier.display()))?;
        }
        let place = self.path.join(UNFINISHED);
        if is_training(&place) { remove(&place) } else { Ok(()) }
    }

    fn check(&self) -> anyhow::Result<()> {
        // Whose training it is decides later.
        let alone = is_training(&self.path.join(UNFINISHED))
            && !MANIFESTS.iter().any(|name| self.path.join(name).exists());
        Ok(check_folder(self.path, &self.inputs, self.force || alone, is_ours)?)
    }
}

fn remove(place: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))
}

/// Whether something is ours: the manifest of a saved recommender, what that names by a digest, or
/// an unfinished training.
fn is_ours(path: &Path) -> bool {
    const FILES: [&str; 4] =
        ["tensors.safetensors", "vocabulary.jsonl", "features.jsonl", "origin.jsonl"];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = || FILES.iter().any(|file| is_saved_as(&name, file));
    let regular = || path.symlink_metadata().is_ok_and(|found| found.is_file());
    match name.as_ref() {
        UNFINISHED => is_training(path),
        name if MANIFESTS.contains(&name) => regular() && is_manifest(path),
        _ => regular() && named(),
    }
}

fn is_training(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
        && object(&path.join(COMMAND)).is_some_and(|command| command.contains_key("settings"))
}

fn is_manifest(path: &Path) -> bool {
    let manifest = object(path);
    manifest.is_some_and(|content| ["model", "digest"].iter().all(|key| content.contains_key(*key)))
}

fn object(path: &Path) -> Option<Map<String, Value>> {
    serde_json::from_slice(&foretaste_files::read(path, LIMIT).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_recommenders_own_files_are_ours() {
        let folder = tempfile::tempdir().unwrap();
        let digest = "0123456789abcdef0123456789abcdef";
        let ours = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            is_ours(&path)
        };
        for manifest in MANIFESTS {
            assert!(ours(manifest, r#"{"model": "agent", "digest": "00"}"#));
            for text in ["mine", "[]", r#"{"model": "mine"}"#, r#"{"digest": "00"}"#] {
                assert!(!ours(manifest, text), "{text}");
            }
        }
        for name in
            ["tensors-?.safetensors", "vocabulary-?.jsonl", "features-?.jsonl", "origin-?.jsonl"]
        {
            assert!(ours(&name.replace('?', digest), ""), "{name}");
            for other in [&digest[1..], &format!("{digest}0"), &digest.to_uppercase(), "notes"] {
                assert!(!ours(&name.replace('?', other), ""), "{other}");
            }
        }
        for name in
            ["tensors-?.jsonl", "origin-?.safetensors", "thesis-?.jsonl", "manifest.json.old"]
        {
            assert!(!ours(&name.replace('?', digest), r#"{"model": 1, "digest": 1}"#), "{name}");
        }
        let place = folder.path().join(format!("origin-{}.jsonl", digest.replace('0', "1")));
        fs::create_dir(&place).unwrap();
        assert!(!is_ours(&place));
    }

    #[test]
    fn a_recommender_of_an_earlier_version_is_replaced_with_its_manifest() {
        let temp = tempfile::tempdir().unwrap();
        let content = r#"{"model": "agent", "digest": "00"}"#;
        fs::write(temp.path().join(MANIFEST), content).unwrap();
        assert!(Folder::new(temp.path(), vec![], false).is_err());
        let folder = Folder::new(temp.path(), vec![], true).unwrap();
        folder.finish(|place| Ok(fs::write(place.join(RECOMMENDER), content)?)).unwrap();
        assert!(temp.path().join(RECOMMENDER).exists() && !temp.path().join(MANIFEST).exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_a_manifest_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let [link, file] = ["manifest.json", "elsewhere"].map(|name| folder.path().join(name));
        fs::write(&file, r#"{"model": "agent", "digest": "00"}"#).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(!is_ours(&link));
    }

    #[test]
    fn an_unfinished_training_is_gone_on_with_by_its_own_command_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("policy");
        let command = |seed: u64| json!({ "settings": {}, "seed": seed });
        let folder = |force| Folder::new(&path, vec![], force);
        folder(false).unwrap().keep(&command(1), |_| Ok(())).unwrap();
        let again = folder(false).unwrap();
        assert_eq!(again.unfinished(&command(1)).unwrap(), Some(path.join(UNFINISHED)));
        let refused = again.unfinished(&command(2)).unwrap_err().to_string();
        assert!(refused.contains("--force"), "{refused}");
        // A recommender beside it is not replaced unasked.
        fs::write(path.join("manifest.json"), r#"{"model": "agent", "digest": "00"}"#).unwrap();
        assert!(folder(false).is_err());
        fs::remove_file(path.join("manifest.json")).unwrap();
        assert_eq!(folder(true).unwrap().unfinished(&command(2)).unwrap(), None);
        assert!(!path.join(UNFINISHED).exists());
        // What is not ours stays.
        fs::create_dir(path.join(UNFINISHED)).unwrap();
        assert!(folder(true).is_err());
    }
}
