//! Checkpoints continue a training exactly, and every damaged or forged one is refused before
//! anything is changed or removed.

use candle_core::{DType, Device, Tensor};
use foretaste_random::Seed;
use serde_json::{Value, json};
use std::fs;

use super::manifest::{AT_MOST, DIGITS, digest, with_digest};
use super::*;
use crate::{Adam, AdamConfig, Init, Params};

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
        manifest: MANIFEST,
        model: MODEL,
        config: &CONFIG,
        vocabulary: "abc",
        iteration,
        seed: 9,
        files: &[],
    }
}

fn problem(folder: &Path) -> String {
    let read = load::<Vec<usize>>(folder, MANIFEST, MODEL)
        .and_then(|checkpoint| checkpoint.weights().tensors().map(drop));
    read.unwrap_err().to_string()
}

/// Changes the manifest in this folder, and gives it the digest that it then has.
fn forge(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join(MANIFEST);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    manifest["digest"] = digest(&manifest).into();
    fs::write(path, manifest.to_string()).unwrap();
}

#[test]
fn training_goes_on_from_a_checkpoint_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (params, mut adam) = model(3);
    train(&params, &mut adam);
    save(folder.path(), describe(1), &params.snapshot().unwrap(), Some(&adam)).unwrap();
    let straight = train(&params, &mut adam);

    let (params, mut adam) = model(3);
    params
        .get("m.w")
        .unwrap()
        .set(&Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap())
        .unwrap();
    let checkpoint = load::<Vec<usize>>(folder.path(), MANIFEST, MODEL).unwrap();
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
        save(folder.path(), describe(iteration), &params.snapshot().unwrap(), None).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    let checkpoint = load::<Vec<usize>>(folder.path(), MANIFEST, MODEL).unwrap();
    assert_eq!(checkpoint.manifest.iteration, 2);
    assert!(
        checkpoint
            .restore_optimiser(&mut adam)
            .unwrap_err()
            .to_string()
            .contains("without its optimizer")
    );
}

#[test]
fn files_beside_the_tensors_come_back_and_go_with_their_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (params, _) = model(1);
    for text in ["one", "two"] {
        let files = [("words.txt", text.as_bytes().to_vec())];
        save(
            folder.path(),
            Description { files: &files, ..describe(1) },
            &params.snapshot().unwrap(),
            None,
        )
        .unwrap();
        let saved = load::<Vec<usize>>(folder.path(), MANIFEST, MODEL).unwrap();
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
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().flatten().map(|file| file.file_name()).collect();
        names.sort();
        names
    };
    save(folder.path(), describe(1), &params.snapshot().unwrap(), None).unwrap();
    let without = names();
    let files = [("words.txt", b"one".to_vec()), ("features.jsonl", b"two".to_vec())];
    save(
        folder.path(),
        Description { files: &files, ..describe(1) },
        &params.snapshot().unwrap(),
        None,
    )
    .unwrap();
    assert_eq!(names().len(), 4);
    let other = format!("words-{}.txt", "0".repeat(DIGITS));
    fs::write(folder.path().join(&other), "mine").unwrap();
    save(folder.path(), describe(1), &params.snapshot().unwrap(), None).unwrap();
    fs::remove_file(folder.path().join(other)).unwrap();
    assert_eq!(names(), without);
}

#[test]
fn a_manifest_that_was_not_written_here_has_no_file_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (params, _) = model(1);
    let digested = format!("words-{}.txt", "0".repeat(DIGITS));
    let left_of = |files: Value, is_ours: bool| {
        save(folder.path(), describe(1), &params.snapshot().unwrap(), None).unwrap();
        for file in ["mine.txt", &digested] {
            fs::write(folder.path().join(file), "mine").unwrap();
        }
        forge(folder.path(), |manifest| manifest["files"] = files);
        if !is_ours {
            let path = folder.path().join(MANIFEST);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace("\"seed\":9", "\"seed\":8")).unwrap();
        }
        save(folder.path(), describe(1), &params.snapshot().unwrap(), None).unwrap();
        ["mine.txt", &digested].map(|file| folder.path().join(file).exists())
    };
    assert_eq!(left_of(json!({ "words.txt": digested }), false), [true, true]);
    let files = json!({ "words.txt": digested, "mine.txt": "mine.txt" });
    assert_eq!(left_of(files, true), [true, true]);
    assert_eq!(left_of(json!({ "words.txt": digested }), true), [true, false]);
}

#[test]
fn a_manifest_that_names_a_file_elsewhere_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("checkpoint");
    let (params, _) = model(1);
    save(&folder, describe(1), &params.snapshot().unwrap(), None).unwrap();
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.join(MANIFEST)).unwrap()).unwrap();
    let tensors = manifest["tensors"].as_str().unwrap().to_owned();
    fs::create_dir(folder.join("x")).unwrap();
    for outside in [place.path(), &folder.join("x")] {
        fs::copy(folder.join(&tensors), outside.join(&tensors)).unwrap();
    }
    let [up, down] = ["..", "x"].map(|part| format!("{part}/{tensors}"));
    let absolute = folder.join(&tensors).display().to_string();
    for file in ["/dev/zero", "../x", "x", ".", "..", "", &up, &down, &absolute] {
        forge(&folder, |manifest| manifest["tensors"] = file.into());
        let problem = problem(&folder);
        assert!(problem.contains(&format!("names the file {file:?}")), "{problem}");
    }
    forge(&folder, |manifest| manifest["tensors"] = tensors.into());
    load::<Vec<usize>>(&folder, MANIFEST, MODEL).unwrap();

    // A file that is there, with the digest that its name says.
    let name = "../words.txt";
    let file = with_digest(name, b"one");
    fs::write(folder.join(&file), "one").unwrap();
    forge(&folder, |manifest| manifest["files"] = json!({ name: file }));
    assert!(problem(&folder).contains("names the file"));
    let files = [(name, b"one".to_vec())];
    assert!(
        save(
            &folder,
            Description { files: &files, ..describe(1) },
            &params.snapshot().unwrap(),
            None
        )
        .is_err()
    );
}

#[test]
fn what_is_no_file_of_a_checkpoint_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (params, _) = model(1);
    save(folder.path(), describe(1), &params.snapshot().unwrap(), None).unwrap();
    let manifest = folder.path().join(MANIFEST);
    let head: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let tensors = folder.path().join(head["tensors"].as_str().unwrap());
    for path in [&tensors, &manifest] {
        fs::remove_file(path).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
            assert!(problem(folder.path()).contains("is no regular file, expected a file"));
            fs::remove_file(path).unwrap();
        }
        fs::create_dir(path).unwrap();
        assert!(problem(folder.path()).contains("is a directory, expected a file"));
        fs::remove_dir(path).unwrap();
    }
    fs::File::create(manifest).unwrap().set_len(AT_MOST + 1).unwrap();
    assert!(problem(folder.path()).contains("holds more than"));
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (params, adam) = model(3);
    assert!(problem(folder.path()).contains("manifest.json"));
    save(folder.path(), describe(1), &params.snapshot().unwrap(), Some(&adam)).unwrap();
    let other = load::<Vec<usize>>(folder.path(), MANIFEST, "other").unwrap_err().to_string();
    assert!(other.contains("expected \"other\""), "{other}");
    let checkpoint = load::<Vec<usize>>(folder.path(), MANIFEST, MODEL).unwrap();
    checkpoint.check_vocabulary("abc").unwrap();
    let message = checkpoint.check_vocabulary("xyz").unwrap_err().to_string();
    assert!(message.contains("trained with item vocabulary abc, the data has xyz"), "{message}");
    let message = checkpoint.restore(&model(4).0).unwrap_err().to_string();
    assert!(message.contains("m.w has shape [3, 2], expected [4, 2]"), "{message}");
}

/// A file of 8 GB, but for its header a hole, is never read: its shapes are others, or it has not
/// the bytes that they take.
#[test]
#[cfg(unix)]
fn tensors_are_read_once_their_shapes_fit() {
    const ENTRIES: u64 = 1 << 31;
    let folder = tempfile::tempdir().unwrap();
    let (params, adam) = model(3);
    save(folder.path(), describe(1), &params.snapshot().unwrap(), Some(&adam)).unwrap();
    let manifest = fs::read(folder.path().join(MANIFEST)).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let path = folder.path().join(manifest["tensors"].as_str().unwrap());
    let forge = |name: &str, length: u64| {
        let shape = json!({ "dtype": "F32", "shape": [ENTRIES], "data_offsets": [0, ENTRIES * 4] });
        let header = json!({ name: shape }).to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        fs::write(&path, &bytes).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(bytes.len() as u64 + length).unwrap();
    };
    for name in ["parameter.m.w", "parameter.other", "moments.m.w"] {
        forge(name, ENTRIES * 4);
        let checkpoint = load::<Vec<usize>>(folder.path(), MANIFEST, MODEL).unwrap();
        let (params, mut adam) = model(3);
        let refused = checkpoint.restore(&params).unwrap_err().to_string();
        assert!(refused.contains("m.w"), "{refused}");
        let refused = checkpoint.restore_optimiser(&mut adam).unwrap_err().to_string();
        assert!(refused.contains("expected [m.w] with [2, entries] each"), "{refused}");
    }
    for length in [ENTRIES * 4 - 1, ENTRIES * 4 + 1, 0] {
        forge("parameter.m.w", length);
        let refused = load::<Vec<usize>>(folder.path(), MANIFEST, MODEL).unwrap_err().to_string();
        assert!(refused.contains("its tensors take"), "{refused}");
    }
    forge("parameter.m.w", 17 << 30);
    let refused = load::<Vec<usize>>(folder.path(), MANIFEST, MODEL).unwrap_err().to_string();
    assert!(refused.contains("expected at most"), "{refused}");
    for bytes in [vec![], vec![1; 7], u64::MAX.to_le_bytes().to_vec(), 9u64.to_le_bytes().to_vec()]
    {
        fs::write(&path, bytes).unwrap();
        assert!(problem(folder.path()).contains("damaged"));
    }
}

#[test]
fn every_damaged_byte_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let (params, adam) = model(1);
    save(folder.path(), describe(1), &params.snapshot().unwrap(), Some(&adam)).unwrap();
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
        assert!(load::<Vec<usize>>(folder.path(), MANIFEST, MODEL).is_err(), "byte {at}");
    }
}
