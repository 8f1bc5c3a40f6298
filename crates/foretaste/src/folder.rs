//! The folder of a recommender or of learned users, finished or in training.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use foretaste_data::Log;
use foretaste_files::locks::{self, Guard};
use foretaste_files::{check_folder, what_is_at};
use foretaste_nn::checkpoint::MANIFEST;
use foretaste_recommender::RECOMMENDER;
use serde_json::Value;

use crate::saved::{is_part_of_saved, is_regular};

/// Where what is trained is to be, which holds nothing that is not ours to replace.
///
/// An unfinished training is in a folder of its own there, whose name has a digest of the command
/// that it is of: another command never takes it for its own.
pub struct Folder<'a> {
    path: &'a Path,
    manifests: &'static [&'static str],
    inputs: Vec<PathBuf>,
    force: bool,
}

/// Keeps other trainings out of a folder until this is dropped.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    /// Whether the folder was made for it.
    made: bool,
    /// Until it is dropped.
    guard: Option<Guard>,
}

/// The manifest of a recommender, and that of one of an earlier version.
pub const RECOMMENDERS: &[&str] = &[RECOMMENDER, MANIFEST];
/// How the folder of an unfinished training begins, before the digest of its command.
const UNFINISHED: &str = "unfinished-";
/// Digits of that digest.
const DIGITS: usize = 32;
/// What a training locks.
const LOCK: &str = ".training";

/// Whether a folder contains a training that was stopped before its end.
pub fn is_unfinished_training(path: &Path) -> bool {
    let entries = path.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name.starts_with(UNFINISHED)
    })
}

impl<'a> Folder<'a> {
    /// The folder at `path` of what has these manifests, filled from `inputs`; with `force` one
    /// that is there may be replaced.
    ///
    /// # Errors
    /// As [`check_folder`].
    pub fn new(
        path: &'a Path,
        manifests: &'static [&'static str],
        inputs: Vec<PathBuf>,
        force: bool,
    ) -> anyhow::Result<Self> {
        let folder = Self { path, manifests, inputs, force };
        folder.check()?;
        Ok(folder)
    }

    /// Makes the folder and holds it for this training; what killed ones left half-written goes.
    ///
    /// # Errors
    /// Where another training is at work in it.
    pub fn hold(&self) -> anyhow::Result<Held> {
        let shown = self.path.display();
        let made = what_is_at(self.path)?.is_none();
        fs::create_dir_all(self.path).with_context(|| format!("cannot create {shown}"))?;
        let path = self.path.join(LOCK);
        let Some(guard) = locks::try_exclusive(&path)? else {
            bail!(
                "another training is running in {shown}: wait until it ends, or name another folder"
            );
        };
        foretaste_files::sweep(self.path);
        Ok(Held { path, made, guard: Some(guard) })
    }

    /// The unfinished training that this very command left. With `fresh` any that is there is
    /// removed.
    ///
    /// # Errors
    /// Where there is one of another command.
    pub fn unfinished(&self, command: &Value, fresh: bool) -> anyhow::Result<Option<PathBuf>> {
        let ours = self.place(command);
        for place in self.trainings()? {
            // Without it, the training was killed before it had kept anything.
            let begun = place.join("latest.json").exists();
            if begun && !fresh && place == ours {
                return Ok(Some(ours));
            }
            if begun && !fresh {
                bail!(
                    "{} contains an unfinished training with another log or other settings; repeat \
                     the command that started it, name another folder, or delete it with --fresh",
                    self.path.display()
                );
            }
            remove(&place)?;
        }
        Ok(None)
    }

    /// Keeps the unfinished training that `save` writes.
    pub fn keep(
        &self,
        command: &Value,
        save: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        save(&self.place(command))
    }

    /// Keeps what was trained, which `save` writes, and removes the unfinished training and the
    /// manifest of a recommender of an earlier version.
    pub fn finish(&self, save: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.check()?;
        save(self.path)?;
        let earlier = self.path.join(MANIFEST);
        if self.manifests.contains(&MANIFEST) && is_ours(&earlier, self.manifests) {
            fs::remove_file(&earlier)
                .with_context(|| format!("cannot remove {}", earlier.display()))?;
        }
        self.trainings()?.iter().try_for_each(|place| remove(place))
    }

    fn check(&self) -> anyhow::Result<()> {
        // Without a manifest, what is ours is what a training left that was killed, or had no space
        // left, or still runs. Whose it is decides later.
        let finished = self.manifests.iter().any(|name| self.path.join(name).exists());
        let ours = |path: &Path| is_ours(path, self.manifests);
        Ok(check_folder(self.path, &self.inputs, self.force || !finished, ours)?)
    }

    fn place(&self, command: &Value) -> PathBuf {
        let digest = blake3::hash(command.to_string().as_bytes()).to_hex();
        self.path.join(format!("{UNFINISHED}{}", &digest[..DIGITS]))
    }

    fn trainings(&self) -> anyhow::Result<Vec<PathBuf>> {
        if what_is_at(self.path)?.is_none() {
            return Ok(Vec::new());
        }
        let shown = self.path.display();
        let entries = fs::read_dir(self.path).with_context(|| format!("cannot read {shown}"))?;
        let mut places: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        places.retain(|path| is_training(path));
        Ok(places)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // While it is held: who has opened it already finds that it is gone.
        let _ = fs::remove_file(&self.path);
        drop(self.guard.take());
        if self.made {
            // Unless something was written, it was made for nothing.
            let _ = self.path.parent().map(fs::remove_dir);
        }
    }
}

fn remove(place: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))
}

/// What an [`Origin`](foretaste_data::Origin) does not see of a log.
pub fn digest_of_rewards(log: &Log) -> String {
    let mut hasher = blake3::Hasher::new();
    for step in log.iter().flat_map(|session| session.steps()) {
        hasher.update(&step.reward.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Whether something is ours: what is saved under these manifests, an unfinished training, or a
/// lock.
fn is_ours(path: &Path, manifests: &[&str]) -> bool {
    let is_lock = locks::is_part_of(path, LOCK) && is_regular(path);
    is_lock || is_training(path) || is_part_of_saved(path, manifests)
}

fn is_training(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digest = name.strip_prefix(UNFINISHED).unwrap_or_default();
    digest.len() == DIGITS
        && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && path.symlink_metadata().is_ok_and(|found| found.is_dir())
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
            is_ours(&path, RECOMMENDERS)
        };
        for &manifest in RECOMMENDERS {
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
        assert!(!is_ours(&place, RECOMMENDERS));
    }

    #[test]
    fn a_recommender_of_an_earlier_version_is_replaced_with_its_manifest() {
        let temp = tempfile::tempdir().unwrap();
        let content = r#"{"model": "agent", "digest": "00"}"#;
        fs::write(temp.path().join(MANIFEST), content).unwrap();
        assert!(Folder::new(temp.path(), RECOMMENDERS, vec![], false).is_err());
        let folder = Folder::new(temp.path(), RECOMMENDERS, vec![], true).unwrap();
        folder.finish(|place| Ok(fs::write(place.join(RECOMMENDER), content)?)).unwrap();
        assert!(temp.path().join(RECOMMENDER).exists() && !temp.path().join(MANIFEST).exists());
    }

    #[test]
    fn what_a_save_without_space_left_is_no_recommender_that_must_stay() {
        let temp = tempfile::tempdir().unwrap();
        let digest = "0123456789abcdef0123456789abcdef";
        let folder = || Folder::new(temp.path(), RECOMMENDERS, vec![], false);
        fs::write(temp.path().join(format!("tensors-{digest}.safetensors")), "half").unwrap();
        folder().unwrap();
        fs::write(temp.path().join(RECOMMENDER), r#"{"model": "agent", "digest": "00"}"#).unwrap();
        assert!(folder().is_err());
        fs::remove_file(temp.path().join(RECOMMENDER)).unwrap();
        fs::write(temp.path().join("thesis.tex"), "mine").unwrap();
        assert!(folder().is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_a_manifest_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let [link, file] = ["manifest.json", "elsewhere"].map(|name| folder.path().join(name));
        fs::write(&file, r#"{"model": "agent", "digest": "00"}"#).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(!is_ours(&link, RECOMMENDERS));
    }

    #[test]
    fn an_unfinished_training_is_gone_on_with_by_its_own_command_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("policy");
        let command = |seed: u64| json!({ "settings": {}, "seed": seed });
        let folder = |force| Folder::new(&path, RECOMMENDERS, vec![], force);
        let save = |place: &Path| {
            fs::create_dir_all(place)?;
            Ok(fs::write(place.join("latest.json"), "{}")?)
        };
        folder(false).unwrap().keep(&command(1), save).unwrap();
        let again = folder(false).unwrap();
        let kept = again.unfinished(&command(1), false).unwrap().unwrap();
        assert!(kept.join("latest.json").exists());
        let refused = again.unfinished(&command(2), false).unwrap_err().to_string();
        assert!(refused.contains("--fresh"), "{refused}");
        // A recommender next to it is not replaced unless the user asks for it.
        let manifest = path.join("recommender.json");
        fs::write(&manifest, r#"{"model": "agent", "digest": "00"}"#).unwrap();
        assert!(folder(false).is_err() && folder(true).is_ok());
        fs::remove_file(&manifest).unwrap();
        // One that was killed before it had kept anything is none.
        fs::remove_file(kept.join("latest.json")).unwrap();
        assert_eq!(again.unfinished(&command(1), false).unwrap(), None);
        assert!(!kept.exists());
        again.keep(&command(1), save).unwrap();
        assert_eq!(again.unfinished(&command(2), true).unwrap(), None);
        assert!(!kept.exists());
        // What is not ours stays.
        fs::create_dir(path.join("unfinished-thesis")).unwrap();
        assert!(folder(true).is_err());
    }

    #[test]
    fn one_training_at_a_time_works_in_a_folder_and_leaves_nothing_half_written() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("policy");
        let folder = Folder::new(&path, RECOMMENDERS, vec![], false).unwrap();
        let held = folder.hold().unwrap();
        let other = Folder::new(&path, RECOMMENDERS, vec![], false).unwrap();
        assert!(other.hold().unwrap_err().to_string().contains("another training"));
        drop(held);
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        fs::write(path.join(".unfinished-abc123"), "half").unwrap();
        let held = Folder::new(&path, RECOMMENDERS, vec![], true).unwrap().hold().unwrap();
        assert!(!path.join(".unfinished-abc123").exists());
        drop(held);
    }
}
