//! Folders of recommenders that are damaged, incomplete or forged are refused with what is wrong,
//! and take no more memory than their weights.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::Device;
use foretaste_data::Catalogue;
use foretaste_irecgan::{Agent, AgentConfig, Selection};
use foretaste_random::Seed;
use foretaste_recommender::{Content, Error, RECOMMENDER, Recommender};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourModel};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{contents, recommenders};

fn load(folder: &Path) -> Result<Recommender, Error> {
    Recommender::load(folder, &Device::Cpu)
}

/// Changes the manifest in this folder, and gives it the digest that it then has.
fn forge(folder: &Path, field: &str, value: Value) {
    let path = folder.join(RECOMMENDER);
    let mut manifest: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.remove("digest");
    manifest.insert(field.into(), value);
    let text: String = manifest.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
    manifest.insert("digest".into(), foretaste_train::run::digest(text.as_bytes()).into());
    fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn a_byte_of_the_manifest_that_changes_is_an_error_or_no_difference() {
    let folder = tempdir().unwrap();
    for policy in recommenders() {
        policy.save(folder.path()).unwrap();
        let path = folder.path().join(RECOMMENDER);
        let whole = fs::read(&path).unwrap();
        let mut errors = 0;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            // The last of seventeen digits may make no difference to a number.
            if let Ok(loaded) = load(folder.path()) {
                assert_eq!(loaded.settings(), policy.settings(), "{policy:?}, byte {at}");
                assert_eq!(loaded.kind(), policy.kind());
            } else {
                errors += 1;
            }
        }
        assert!(errors + 3 > whole.len(), "{policy:?}: {errors} of {}", whole.len());
        fs::write(&path, &whole).unwrap();
        load(folder.path()).unwrap();
    }
}

#[test]
fn a_file_that_is_missing_changed_or_cut_is_an_error() {
    for policy in recommenders() {
        let folder = tempdir().unwrap();
        policy.save(folder.path()).unwrap();
        let files: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4, "{files:?}");
        for path in files {
            let whole = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            assert!(load(folder.path()).is_err(), "{} is missing", path.display());
            let mut changed = whole.clone();
            changed[whole.len() / 2] ^= 1;
            for bytes in [&changed[..], &whole[..whole.len() / 2], b""] {
                fs::write(&path, bytes).unwrap();
                assert!(load(folder.path()).is_err(), "{}", path.display());
            }
            fs::write(&path, whole).unwrap();
        }
        load(folder.path()).unwrap();
    }
}

#[test]
fn a_folder_without_a_recommender_says_so() {
    let folder = tempdir().unwrap();
    let message = load(folder.path()).unwrap_err().to_string();
    assert!(message.ends_with("contains no recommender"), "{message}");
    let message = load(&folder.path().join("nowhere")).unwrap_err().to_string();
    assert!(message.starts_with("there is no folder"), "{message}");
}

#[test]
fn a_kind_that_is_not_known_is_an_error_that_lists_the_kinds() {
    let folder = tempdir().unwrap();
    recommenders()[0].save(folder.path()).unwrap();
    forge(folder.path(), "model", json!("irecgan/2"));
    let Error::Kind { found, known, .. } = load(folder.path()).unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(found, "irecgan/2");
    // The tests of this folder are about all kinds.
    let known: Vec<&str> = known.split(", ").map(|kind| kind.trim_end_matches("/1")).collect();
    let tested = recommenders();
    assert!(
        known.iter().all(|kind| tested.iter().any(|policy| policy.kind() == *kind)),
        "{known:?}"
    );
}

#[test]
fn another_kind_than_was_saved_is_an_error() {
    let folder = tempdir().unwrap();
    let policies = recommenders();
    for saved in &policies {
        for other in &policies {
            // An agent draws or takes the likeliest, and learned users make slates of two kinds;
            // a kind that needs no weights takes any.
            let alike = |kind: &str| match kind {
                "irecgan-top" | "pg" => "irecgan".to_owned(),
                "assortment" => "greedy".to_owned(),
                kind => kind.to_owned(),
            };
            let takes_any = other.kind() == "random";
            // Earlier versions saved a single network as they did cascading ones.
            let earlier = (saved.kind(), other.kind()) == ("gdqn", "cdqn");
            if alike(saved.kind()) == alike(other.kind()) || takes_any || earlier {
                continue;
            }
            saved.save(folder.path()).unwrap();
            forge(folder.path(), "model", json!(format!("{}/1", other.kind())));
            assert!(load(folder.path()).is_err(), "{saved:?} as {other:?}");
        }
    }
    assert_eq!(policies.len(), contents().len());
}

#[test]
fn a_forged_size_is_an_error_that_names_it() {
    let folder = tempdir().unwrap();
    let sizes = [("embedding", 1u64 << 63), ("hidden", 1_000_000), ("layers", 1_000_000_000)];
    let mut forgeries = 0;
    for policy in recommenders() {
        policy.save(folder.path()).unwrap();
        for (name, size) in sizes {
            let mut forged = policy.settings().clone();
            let settings =
                if forged["users"].is_object() { &mut forged["users"] } else { &mut forged };
            if settings[name].is_u64() {
                settings[name] = json!(size);
                forge(folder.path(), "config", forged);
                let message = load(folder.path()).unwrap_err().to_string();
                let expected = format!("{name} is {size}, too large");
                assert!(message.contains(&expected), "{policy:?}: {message}");
                forgeries += 1;
            }
        }
    }
    assert!(forgeries >= 9, "{forgeries}");
}

/// Every count of a network's parts becomes this one.
fn with_counts(settings: &mut Value, count: u64) {
    const COUNTS: [&str; 4] = ["embedding", "hidden", "layers", "columns"];
    for (name, value) in settings.as_object_mut().into_iter().flatten() {
        match value {
            Value::Object(_) => with_counts(value, count),
            Value::Array(counts) if name == "hidden" => counts.fill(json!(count)),
            value if COUNTS.contains(&name.as_str()) => *value = json!(count),
            _ => {}
        }
    }
}

/// The largest asks for 10^11 entries in one matrix, and has four of them in a layer.
#[test]
fn forged_counts_whose_product_is_more_than_the_weights_are_an_error() {
    let (items, cpu) = (3_000, &Device::Cpu);
    let agent = Agent::new(AgentConfig::small(items), Seed::new(1), cpu).unwrap();
    let behaviour = BehaviourModel::new(BehaviourConfig::small(items), Seed::new(1), cpu).unwrap();
    let large = [Content::agent(&agent, Selection::Top), Content::ranking(&behaviour)];
    let catalogue = Catalogue::numbered(items);
    let large = large.map(|content| Recommender::new(content.unwrap(), &catalogue, cpu).unwrap());
    let all = recommenders().into_iter().map(|policy| (policy, 100));
    let folder = tempdir().unwrap();
    let mut forgeries = 0;
    for (policy, count) in all.chain(large.map(|policy| (policy, 200_000))) {
        let mut forged = policy.settings().clone();
        with_counts(&mut forged, count);
        if forged == *policy.settings() {
            continue;
        }
        policy.save(folder.path()).unwrap();
        forge(folder.path(), "config", forged);
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("entries are left"), "{policy:?}: {message}");
        forgeries += 1;
    }
    assert!(forgeries >= 8, "{forgeries}");
}

#[test]
fn a_manifest_names_no_file_elsewhere() {
    let temp = tempdir().unwrap();
    let folder = temp.path().join("recommender");
    recommenders()[0].save(&folder).unwrap();
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.join(RECOMMENDER)).unwrap()).unwrap();
    let tensors = manifest["tensors"].as_str().unwrap();
    fs::copy(folder.join(tensors), temp.path().join(tensors)).unwrap();
    forge(&folder, "tensors", json!(format!("../{tensors}")));
    let message = load(&folder).unwrap_err().to_string();
    assert!(message.contains("expected a file in the same folder"), "{message}");
}
