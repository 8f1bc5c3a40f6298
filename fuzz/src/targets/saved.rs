//! Saved recommenders and users whose manifest or files were forged, with digests that fit: what a
//! digest cannot find must be found by the checks of settings and shapes.

#[allow(dead_code, reason = "it is shared with the tests of the crate that saves them")]
#[path = "../../../crates/recommender/tests/laws/support.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use candle_core::Device;
use foretaste_data::ItemId;
use foretaste_random::Seed;
use foretaste_recommender::{Model, Recommender, Users};
use foretaste_sim::{Environment, Responses, Slates};
use foretaste_train::run::digest;
use serde_json::Value;

use super::{Target, plain};
use crate::{Place, mutated};

/// A folder that was saved, in which some values of the manifest or some bytes of a file are
/// others, with all digests made right again; what loads is used.
pub(super) struct Saved {
    name: &'static str,
    made: fn() -> Vec<Files>,
    /// What was made, once it is needed.
    folders: OnceLock<Vec<Files>>,
    used: fn(&Path) -> std::result::Result<(), String>,
}

/// Names and contents of the files of a folder, the manifest first.
type Files = Vec<(String, Vec<u8>)>;

impl Saved {
    /// Recommenders of every kind.
    pub(super) fn recommenders() -> Self {
        let made = || {
            let saved = |recommender: Recommender| {
                files(|folder| recommender.save(folder).expect("recommenders can be saved"))
            };
            support::recommenders().into_iter().map(saved).collect()
        };
        Self { name: "recommenders", made, folders: OnceLock::new(), used: recommend }
    }

    /// Learned users of both kinds.
    pub(super) fn users() -> Self {
        let made = || {
            let fitted = Model::Gan(Box::new(support::fitted_users()));
            let saved = |model| {
                let users = Users::new(model, &support::catalogue());
                files(|folder| users.save(folder).expect("users can be saved"))
            };
            [fitted, Model::Behaviour(support::behaviour())].map(saved).into()
        };
        Self { name: "users", made, folders: OnceLock::new(), used: simulate }
    }

    fn folders(&self) -> &[Files] {
        self.folders.get_or_init(self.made)
    }
}

impl Target for Saved {
    fn name(&self) -> &str {
        self.name
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        (0..self.folders().len() as u8).map(|at| vec![at; 40]).collect()
    }

    fn read(&self, input: &[u8], place: &Place) -> std::result::Result<(), String> {
        let folder = place.path().join(self.name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("temporary folders can be made");
        let mut bytes = Unstructured::new(input);
        let files = self.forged(&mut bytes).map_err(|error| error.to_string())?;
        for (name, content) in files {
            fs::write(folder.join(name), content).expect("temporary files can be written");
        }
        (self.used)(&folder).map_err(plain)
    }
}

impl Saved {
    fn forged(&self, bytes: &mut Unstructured<'_>) -> Result<Files> {
        let mut files = bytes.choose(self.folders())?.clone();
        let mut manifest: Value =
            serde_json::from_slice(&files[0].1).map_err(|_| arbitrary::Error::IncorrectFormat)?;
        for _ in 0..bytes.int_in_range(1..=4)? {
            if bytes.ratio(1, 2)? {
                forge(&mut manifest, bytes)?;
                continue;
            }
            // Another content, under the name that it then has.
            let at = bytes.int_in_range(1..=files.len() - 1)?;
            let mut stream = Seed::new(bytes.arbitrary()?).stream(0);
            let other = bytes.choose(&files)?.1.clone();
            let content = mutated(&files[at].1, &other, &mut stream);
            let (stem, extension) = files[at].0.rsplit_once('.').unwrap_or((&files[at].0, ""));
            let stem = stem.rsplit_once('-').map_or(stem, |(stem, _)| stem);
            let name = format!("{stem}-{}.{extension}", &digest(&content)[..32]);
            rename(&mut manifest, &files[at].0, &name);
            files[at] = (name, content);
        }
        let fields = manifest.as_object_mut().ok_or(arbitrary::Error::IncorrectFormat)?;
        fields.remove("digest");
        let text: String = fields.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        fields.insert("digest".into(), digest(text.as_bytes()).into());
        files[0].1 = manifest.to_string().into_bytes();
        Ok(files)
    }
}

/// Puts another value in some place of the settings.
fn forge(manifest: &mut Value, bytes: &mut Unstructured<'_>) -> Result<()> {
    let mut at = manifest;
    loop {
        let count = match &*at {
            Value::Array(values) => values.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        if count == 0 {
            break;
        }
        let place = bytes.choose_index(count)?;
        at = match at {
            Value::Array(values) => &mut values[place],
            Value::Object(fields) => fields.values_mut().nth(place).expect("it was counted"),
            _ => break,
        };
    }
    *at = match bytes.int_in_range(0..=7)? {
        0 => Value::Null,
        1 => bytes.arbitrary::<bool>()?.into(),
        2 => bytes.int_in_range(0..=10_u64)?.into(),
        3 => (1u64 << bytes.int_in_range(0..=63_u32)?).into(),
        4 => bytes.arbitrary::<i64>()?.into(),
        5 => bytes.choose(&[0.5, -1.0, 1e300, -1e300, 1e-300])?.to_owned().into(),
        6 => bytes.arbitrary::<&str>()?.into(),
        _ => Value::Array(vec![at.clone(), at.clone()]),
    };
    Ok(())
}

fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, from, to)),
        _ => {}
    }
}

/// The files that `save` writes into a folder, the manifest first.
fn files(save: impl FnOnce(&Path)) -> Files {
    let place = Place::new().expect("temporary folders can be made");
    save(place.path());
    let entries = fs::read_dir(place.path()).expect("temporary folders can be read");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let is_manifest = |path: &Path| {
        path.file_name().is_some_and(|n| n == "recommender.json" || n == "users.json")
    };
    paths.sort_by_key(|path| (!is_manifest(path), path.clone()));
    let file = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, fs::read(&path).expect("temporary files can be read"))
    };
    paths.into_iter().map(file).collect()
}

fn recommend(folder: &Path) -> std::result::Result<(), String> {
    let loaded = Recommender::load(folder, &Device::Cpu).map_err(|error| error.to_string())?;
    let known = loaded.catalogue().len().min(3) as u32;
    let clicked: Vec<ItemId> = (0..known).map(ItemId).collect();
    let slate = loaded.recommend(&clicked, None, support::K, Seed::new(1).stream(0));
    let slate = slate.map_err(|error| error.to_string())?;
    assert!(slate.iter().all(|item| item.index() < loaded.catalogue().len()));
    Ok(())
}

fn simulate(folder: &Path) -> std::result::Result<(), String> {
    let users = Users::load(folder, &Device::Cpu).map_err(|error| error.to_string())?;
    let users = users.into_environment().map_err(|error| error.to_string())?;
    let mut streams = Seed::new(1).streams(0..2);
    let mut state = users.reset(&mut streams).map_err(|error| error.to_string())?;
    let (mut slates, mut responses) = (Slates::with_k(support::K), Responses::default());
    (0..2).for_each(|_| slates.push(&[1, 2, 3].map(ItemId), None));
    let stepped = users.step(&mut state, &slates, &mut streams, &mut responses);
    stepped.map_err(|error| error.to_string())
}
