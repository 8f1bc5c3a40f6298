//! What is saved may come from strangers, who can write any number into it and give it the digest
//! that it then has.

use std::env;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::Device;
use foretaste_recommender::{Error, Model, Progress, RECOMMENDER, Recommender, Users, Watch};
use foretaste_sim::{Environment, Slates};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{K, behaviour, catalogue, fitted_users, memory, recommenders, slates};
use crate::training::{purchases, train};

/// What a number is changed to.
fn forgeries() -> Vec<Value> {
    let counts = [0, 1, 65, 1_000_000, 2_000_000_000, 4_000_000_000, 1 << 53, u64::MAX];
    let others = [json!(-1), json!(0.5), json!(-1e300), json!(1e300)];
    counts.map(Value::from).into_iter().chain(others).collect()
}

/// Where the numbers of some settings stand.
fn numbers(settings: &Value, place: &str) -> Vec<String> {
    match settings {
        Value::Number(_) => vec![place.to_owned()],
        Value::Array(values) => {
            let values = values.iter().enumerate();
            values.flat_map(|(at, value)| numbers(value, &format!("{place}/{at}"))).collect()
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.flat_map(|(name, value)| numbers(value, &format!("{place}/{name}"))).collect()
        }
        _ => Vec::new(),
    }
}

/// Every JSON file that says its own digest, in this folder or below.
fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(manifests(&path));
        } else if path.extension().is_some_and(|extension| extension == "json")
            && read(&path)["digest"].is_string()
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The numbers of a manifest, or of the state of a run, which is JSON in a string.
fn content(manifest: &Value) -> Value {
    match manifest["run"].as_str() {
        Some(run) => serde_json::from_str(run).unwrap(),
        None => manifest.clone(),
    }
}

/// The text of a manifest of this content, with its digest.
fn forged(content: &Value, is_run: bool) -> Vec<u8> {
    let digest = |text: &str| foretaste_train::run::digest(text.as_bytes());
    let content = content.clone();
    let forged = if is_run {
        let run = content.to_string();
        json!({ "format": 1, "digest": digest(&run), "run": run })
    } else {
        let mut content = content;
        let fields = content.as_object_mut().unwrap();
        fields.remove("digest");
        let text: String = fields.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        fields.insert("digest".into(), digest(&text).into());
        content
    };
    serde_json::to_vec(&forged).unwrap()
}

/// Forges every number of what is saved in this folder, one at a time, and uses it; how many of
/// the forgeries were refused, and how many were not.
fn forge_all(folder: &Path, mut used: impl FnMut() -> Result<(), String>) -> [usize; 2] {
    used().unwrap();
    let mut outcomes = [0, 0];
    for path in manifests(folder) {
        let whole = fs::read(&path).unwrap();
        let manifest = read(&path);
        let is_run = manifest["run"].is_string();
        let content = content(&manifest);
        for place in numbers(&content, "") {
            for number in forgeries() {
                let mut changed = content.clone();
                *changed.pointer_mut(&place).unwrap() = number.clone();
                fs::write(&path, forged(&changed, is_run)).unwrap();
                // Of an abort this is the last that is seen.
                println!("{} {place} = {number}", path.display());
                let refused = used().err();
                if let Some(refused) = &refused {
                    println!("    {refused}");
                }
                outcomes[usize::from(refused.is_none())] += 1;
            }
        }
        fs::write(&path, &whole).unwrap();
        used().unwrap();
    }
    outcomes
}

/// Begins again in a process that may take so much memory, and learns whether it is that one.
fn in_little_memory(test: &str) -> bool {
    const INSIDE: &str = "FORETASTE_IN_LITTLE_MEMORY";
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let limited = "ulimit -v 1500000 && exec \"$0\" \"$@\"";
    let test = format!("forged::{test}");
    let run = Command::new("sh")
        .args(["-c", limited])
        .arg(env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .env("RAYON_NUM_THREADS", "2")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let last = said.lines().rev().take(12).collect::<Vec<_>>().join("\n");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{}: {last}\n{errors}", run.status);
    assert!(said.contains("1 passed"), "{last}");
    false
}

/// Loading, and what the three users are shown, takes less than 1.5 GB of addresses.
#[test]
#[cfg(unix)]
fn a_forged_number_in_a_recommender_is_an_error_or_a_recommender() {
    if !in_little_memory("a_forged_number_in_a_recommender_is_an_error_or_a_recommender") {
        return;
    }
    for policy in recommenders() {
        let folder = tempdir().unwrap();
        policy.save(folder.path()).unwrap();
        let used = || {
            let loaded = Recommender::load(folder.path(), &Device::Cpu);
            let loaded = loaded.map_err(|error| error.to_string())?;
            slates(&loaded, &memory(&loaded), None).map(drop).map_err(|error| error.to_string())
        };
        let [refused, taken] = forge_all(folder.path(), used);
        println!("{policy:?}: {refused} refused, {taken} taken");
        assert!(refused > 0, "{policy:?}");
    }
}

/// Each has a file of 8 GB, a hole but for its header, for tensors that its settings do not imply.
#[test]
#[cfg(unix)]
fn tensors_that_the_settings_do_not_imply_are_not_read() {
    const BYTES: u64 = 8 << 30;
    if !in_little_memory("tensors_that_the_settings_do_not_imply_are_not_read") {
        return;
    }
    for policy in recommenders() {
        let folder = tempdir().unwrap();
        policy.save(folder.path()).unwrap();
        let path =
            folder.path().join(read(&folder.path().join(RECOMMENDER))["tensors"].as_str().unwrap());
        let whole = fs::read(&path).unwrap();
        let own: Value = serde_json::from_slice(
            &whole[8..][..whole[0] as usize + 256 * whole[1] as usize + 65536 * whole[2] as usize],
        )
        .unwrap();
        let names = own.as_object().unwrap().keys().map(String::as_str);
        for name in names.chain(["parameter.table.forged", "parameter.forged"]) {
            let tensor =
                json!({ "dtype": "F32", "shape": [BYTES / 4], "data_offsets": [0, BYTES] });
            let header = json!({ name: tensor }).to_string();
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend_from_slice(header.as_bytes());
            fs::write(&path, &bytes).unwrap();
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(bytes.len() as u64 + BYTES)
                .unwrap();
            let refused = Recommender::load(folder.path(), &Device::Cpu).unwrap_err().to_string();
            let is_read = ["memory", "damaged", "digest"].iter().any(|word| refused.contains(word));
            assert!(!is_read, "{policy:?}, {name}: {refused}");
        }
    }
}

/// Items, features and origin of 8 GB, a hole but for their beginning or not even that.
#[test]
#[cfg(unix)]
fn texts_with_holes_are_not_read() {
    if !in_little_memory("texts_with_holes_are_not_read") {
        return;
    }
    let recommender = recommenders().remove(0);
    let folder = tempdir().unwrap();
    recommender.save(folder.path()).unwrap();
    let manifest = read(&folder.path().join(RECOMMENDER));
    let files = manifest["files"].as_object().unwrap();
    assert!(files.len() > 1, "{files:?}");
    for file in files.values() {
        let path = folder.path().join(file.as_str().unwrap());
        let whole = fs::read(&path).unwrap();
        for kept in [whole.as_slice(), b""] {
            fs::write(&path, kept).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_len(8 << 30).unwrap();
            let refused = Recommender::load(folder.path(), &Device::Cpu).unwrap_err().to_string();
            let expected = format!("byte {} is 0, expected a text", kept.len() + 1);
            assert!(refused.contains(&expected), "{refused}");
        }
        fs::write(&path, &whole).unwrap();
    }
    Recommender::load(folder.path(), &Device::Cpu).unwrap();
}

#[test]
#[cfg(unix)]
fn a_forged_number_in_users_is_an_error_or_users() {
    if !in_little_memory("a_forged_number_in_users_is_an_error_or_users") {
        return;
    }
    for model in [Model::Gan(Box::new(fitted_users())), Model::Behaviour(behaviour())] {
        let folder = tempdir().unwrap();
        Users::new(model, &catalogue()).save(folder.path()).unwrap();
        let used = || {
            let users = Users::load(folder.path(), &Device::Cpu).map_err(|e| e.to_string())?;
            let users = users.into_environment().map_err(|error| error.to_string())?;
            let mut streams = foretaste_random::Seed::new(1).streams(0..2);
            let mut state = users.reset(&mut streams).map_err(|error| error.to_string())?;
            let (mut slates, mut responses) = (Slates::with_k(K), Default::default());
            (0..2).for_each(|_| slates.push(&[1, 2, 3].map(foretaste_data::ItemId), None));
            users
                .step(&mut state, &slates, &mut streams, &mut responses)
                .map_err(|error| error.to_string())
        };
        let [refused, _] = forge_all(folder.path(), used);
        assert!(refused > 0);
    }
}

/// Stops at the third sign of progress.
#[derive(Default)]
struct Stop(u64);

impl Watch for Stop {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        self.0 += 1;
        if self.0 < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// Keeps what was done after so many epochs.
struct Keep<'a>(u64, &'a Path);

impl Watch for Keep<'_> {
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        if progress.done < self.0 {
            return ControlFlow::Continue(());
        }
        (progress.save)(self.1).unwrap();
        ControlFlow::Break(())
    }
}

#[test]
#[cfg(unix)]
fn a_forged_number_in_an_unfinished_training_is_an_error_or_goes_on() {
    if !in_little_memory("a_forged_number_in_an_unfinished_training_is_an_error_or_goes_on") {
        return;
    }
    let dataset = purchases();
    for (method, after) in
        [("irecgan", 4), ("pg", 1), ("lstm", 1), ("cdqn", 2), ("cdqn", 0), ("linucb", 2)]
    {
        let folder = tempdir().unwrap();
        let stopped = train(method, &dataset, None, &mut Keep(after, folder.path()));
        assert!(matches!(stopped, Err(Error::Interrupted)));
        let used = || match train(method, &dataset, Some(folder.path()), &mut Stop::default()) {
            Ok(_) | Err(Error::Interrupted) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        let [refused, taken] = forge_all(folder.path(), used);
        println!("{method}: {refused} refused, {taken} taken");
        assert!(refused > 0, "{method}");
    }
}
