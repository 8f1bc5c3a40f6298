//! A training that was stopped and resumed must equal one that was not, and checkpoints that are
//! damaged or from earlier versions must be refused or read, never misread.

use std::fs;
use std::path::Path;

use foretaste_cascade_dqn::anchor::Anchor;
use foretaste_cascade_dqn::{
    Epsilon, ItemFeatures, Priority, QConfig, QNetworks, StateEncoder, TrainConfig, Trainer,
};
use foretaste_data::Catalogue;
use foretaste_nn::Adam;
use foretaste_nn::checkpoint::{self, Description, MANIFEST};
use foretaste_random::Seed;
use serde_json::{Value, json};

fn trainings() -> [TrainConfig; 3] {
    let base = TrainConfig {
        users: 8,
        steps: 6,
        warm_up: 10,
        batch: 8,
        capacity: 40,
        epsilon: Epsilon { start: 1.0, end: 0.3, decay: 4 },
        target_every: Some(4),
        ..TrainConfig::default()
    };
    let single = TrainConfig { double: false, priority: Some(Priority::default()), ..base.clone() };
    let plain = TrainConfig { target_every: None, updates: 2, ..base.clone() };
    [base, single, plain]
}

fn networks(anchor: &Anchor, given: bool) -> QNetworks {
    if given {
        return anchor.networks(Seed::new(1)).unwrap();
    }
    let config = QConfig {
        features: ItemFeatures::Learned { dim: 3 },
        state: StateEncoder::Lstm { history: 3, hidden: 4 },
        ..QConfig::new(anchor.users().items(), Anchor::K)
    };
    QNetworks::new(config, None, Seed::new(1)).unwrap()
}

/// The items with their features.
fn items(anchor: &Anchor) -> Catalogue {
    let items = Catalogue::numbered(anchor.users().items());
    items.with_features(anchor.users().features().to_vec(), 2).unwrap()
}

fn parameters(trainer: &Trainer) -> Vec<Vec<f32>> {
    let values = trainer.networks().params().snapshot().unwrap().into_values();
    values.map(|tensor| tensor.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

#[test]
fn a_resumed_training_is_one_that_was_not_stopped() {
    let anchor = Anchor::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (config, given) in trainings().into_iter().zip([true, false, true]) {
        let start =
            || Trainer::new(networks(&anchor, given), config.clone(), Seed::new(2)).unwrap();
        let mut straight = start();
        for _ in 0..6 {
            straight.iterate(anchor.users()).unwrap();
        }
        assert!(straight.updates() > 8);

        let items = items(&anchor);
        start().save(folder.path(), &items).unwrap();
        for _ in 0..6 {
            let mut trainer = Trainer::resume(folder.path(), &items, Seed::new(2)).unwrap();
            trainer.iterate(anchor.users()).unwrap();
            trainer.save(folder.path(), &items).unwrap();
        }
        let resumed = Trainer::resume(folder.path(), &items, Seed::new(2)).unwrap();
        assert_eq!(resumed.curve(), straight.curve());
        assert_eq!(parameters(&resumed), parameters(&straight));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "earlier checkpoints are removed");
}

/// Several threads, one after another.
#[test]
fn training_does_not_depend_on_the_threads() {
    let anchor = Anchor::new().unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let config = trainings()[0].clone();
            let mut trainer = Trainer::new(networks(&anchor, true), config, Seed::new(2)).unwrap();
            for _ in 0..3 {
                trainer.iterate(anchor.users()).unwrap();
            }
            (trainer.curve().to_vec(), parameters(&trainer))
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn what_does_not_fit_a_checkpoint_is_named() {
    let anchor = Anchor::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let items = items(&anchor);
    let problem = |items: &Catalogue, seed| {
        Trainer::resume(folder.path(), items, Seed::new(seed)).unwrap_err().to_string()
    };
    assert!(problem(&items, 2).contains("latest.json"));
    let mut trainer =
        Trainer::new(networks(&anchor, true), trainings()[1].clone(), Seed::new(2)).unwrap();
    trainer.iterate(anchor.users()).unwrap();
    let without_features = Catalogue::numbered(items.len());
    let refused = trainer.save(folder.path(), &without_features).unwrap_err().to_string();
    assert!(refused.contains("with their features"), "{refused}");
    trainer.save(folder.path(), &items).unwrap();
    assert!(problem(&items, 3).contains("another seed"));
    assert!(problem(&without_features, 2).contains("item vocabulary"));
    let files = files(folder.path());
    assert_eq!(files.len(), 10);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        fs::write(&file, damaged).unwrap();
        assert!(
            Trainer::resume(folder.path(), &items, Seed::new(2)).is_err(),
            "{}",
            file.display()
        );
        fs::write(&file, bytes).unwrap();
    }
    Trainer::resume(folder.path(), &items, Seed::new(2)).unwrap();
}

/// An earlier version wrote the state of the training into the sub-folder, its seed next to the
/// networks alone, and the networks without their items.
#[test]
fn a_checkpoint_of_an_earlier_version_goes_on() {
    let anchor = Anchor::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (latest, items) = (folder.path().join("latest.json"), items(&anchor));
    let mut trainer =
        Trainer::new(networks(&anchor, true), trainings()[1].clone(), Seed::new(2)).unwrap();
    trainer.iterate(anchor.users()).unwrap();
    trainer.save(folder.path(), &items).unwrap();

    let content: Value = serde_json::from_slice(&fs::read(&latest).unwrap()).unwrap();
    let mut state: Value = serde_json::from_str(content["run"].as_str().unwrap()).unwrap();
    let name = state["folder"].as_str().unwrap().to_owned();
    state.as_object_mut().unwrap().retain(|field, _| field != "folder" && field != "seed");
    let (state, place) = (state.to_string(), folder.path().join(name));
    ["networks", "target"].iter().for_each(|name| as_earlier(&place.join(name), &anchor));
    let digest = foretaste_train::run::digest(state.as_bytes());
    fs::rename(place, folder.path().join("training-earlier")).unwrap();
    fs::write(folder.path().join("training-earlier/training.json"), state).unwrap();
    let earlier = json!({ "format": 1, "folder": "training-earlier", "digest": digest });
    fs::write(&latest, earlier.to_string()).unwrap();

    let resume = |seed| Trainer::resume(folder.path(), &items, Seed::new(seed));
    assert!(resume(3).unwrap_err().to_string().contains("another seed"));
    let mut resumed = resume(2).unwrap();
    for trainer in [&mut trainer, &mut resumed] {
        trainer.iterate(anchor.users()).unwrap();
    }
    assert_eq!(resumed.curve(), trainer.curve());
    assert_eq!(parameters(&resumed), parameters(&trainer));
    resumed.save(folder.path(), &items).unwrap();
    assert!(!folder.path().join("training-earlier").exists());
    assert_eq!(resume(2).unwrap().curve(), trainer.curve());
}

/// Saves networks again as earlier versions did: without their items, and tied to their features.
fn as_earlier(place: &Path, anchor: &Anchor) {
    let saved = checkpoint::load::<QConfig>(place, MANIFEST, "cascade-dqn/2").unwrap();
    let networks = networks(anchor, true);
    saved.restore(networks.params()).unwrap();
    let mut adam = Adam::new(networks.params(), trainings()[1].optimiser).unwrap();
    let has_optimiser = saved.restore_optimiser(&mut adam).is_ok();
    let features = anchor.users().features().iter().flat_map(|feature| feature.to_le_bytes());
    let description = Description {
        manifest: MANIFEST,
        model: "cascade-dqn/1",
        config: networks.config(),
        vocabulary: &foretaste_train::run::digest(&features.collect::<Vec<_>>()),
        iteration: 1,
        seed: saved.manifest.seed,
        files: &[],
    };
    let parameters = networks.params().snapshot().unwrap();
    checkpoint::save(place, description, &parameters, has_optimiser.then_some(&adam)).unwrap();
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
