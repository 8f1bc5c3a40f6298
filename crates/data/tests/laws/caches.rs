//! A cache file is whole and ours, or an error.

use std::path::{Path, PathBuf};

use foretaste_data::{
    Catalogue, Choice, Columns, Context, Dataset, Error, Facts, Fractions, ItemId, Log, Part,
    PropensityKind, Split, cache,
};
use foretaste_random::Seed;
use proptest::prelude::*;

use crate::generate::any_dataset;

fn saved(dataset: &Dataset) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.cache");
    cache::save(dataset, &path).unwrap();
    (folder, path)
}

fn refused(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).unwrap();
    match cache::load(path) {
        Err(Error::File { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_cached_data_set_comes_back_as_it_was(mut dataset in any_dataset(), split: bool, features: bool) {
        if split {
            dataset.split = Some(Split::by_session(&dataset.log, Fractions::default(), Seed::new(1)).unwrap());
        }
        if features {
            dataset.catalogue = dataset.catalogue.with_features(vec![0.5; 16], 2).unwrap();
        }
        let (_folder, path) = saved(&dataset);
        prop_assert!(cache::is_cache(&path));
        prop_assert_eq!(cache::load(&path).unwrap(), dataset);
    }

    #[test]
    fn every_truncation_and_every_bit_flip_is_detected(
        dataset in any_dataset(),
        cut in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (_folder, path) = saved(&dataset);
        let bytes = std::fs::read(&path).unwrap();
        refused(&path, &bytes[..cut.index(bytes.len())]);
        let mut flipped = bytes.clone();
        flipped[flip.index(bytes.len())] ^= 1 << bit;
        refused(&path, &flipped);
    }
}

#[test]
fn every_single_truncation_and_bit_flip_of_a_small_file_is_detected() {
    let mut log = foretaste_data::LogBuilder::default();
    let slate = [foretaste_data::ItemId(0)];
    let choice = foretaste_data::Choice::Leave;
    log.push(foretaste_data::Step::new(&slate, choice, 0.0)).unwrap();
    log.end_session(None).unwrap();
    let catalogue = foretaste_data::Catalogue::numbered(1);
    let (_folder, path) = saved(&Dataset { log: log.build(), catalogue, ..Dataset::default() });
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        refused(&path, &bytes[..length]);
    }
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            refused(&path, &flipped);
        }
    }
    let mut longer = bytes.clone();
    longer.push(0);
    refused(&path, &longer);
}

#[test]
fn a_file_that_is_no_cache_is_told_apart() {
    let (folder, path) = saved(&Dataset::default());
    let bytes = std::fs::read(&path).unwrap();
    assert!(refused(&path, b"").contains("is empty"));
    assert!(refused(&path, b"session,step,shown,chosen,reward\n").contains("not a cached log"));
    assert!(refused(&path, &bytes[..20]).contains("truncated"));
    assert!(refused(&path, &bytes[..bytes.len() - 1]).contains("truncated"));
    let mut newer = bytes.clone();
    newer[8] = 99;
    assert!(refused(&path, &newer).contains("version 99"));
    let mut damaged = bytes;
    *damaged.last_mut().unwrap() ^= 1;
    assert!(refused(&path, &damaged).contains("checksum"));
    let error = cache::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is a directory"), "{error}");
    assert!(matches!(cache::load(&folder.path().join("none")), Err(Error::Files(_))));
}

#[test]
fn a_file_of_version_2_is_read_and_its_sessions_go_by_their_indices() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let full = cache::load(&fixtures.join("version-2-full.log")).unwrap();
    let users: Vec<String> =
        full.log.iter().map(|session| full.user_name(session.user().unwrap())).collect();
    assert_eq!(
        (full.name.as_str(), &users[..]),
        ("shop", &["ann", "bob", "ann"].map(String::from)[..])
    );
    assert_eq!([0, 1, 2].map(|session| full.session_name(session).into_owned()), ["0", "1", "2"]);
    let step = full.log.session(0).step(1);
    let slate: Vec<&str> = step.slate.iter().map(|&item| full.catalogue.raw(item)).collect();
    assert_eq!((slate, step.choice, step.reward), (vec!["hat", "coat", "7"], Choice::Leave, 0.0));
    assert_eq!((step.propensity, step.timestamp), (Some(&[0.5, 1.0, 0.125][..]), Some(12)));
    assert_eq!(full.log.session(1).start(), Some(-3));
    assert_eq!(full.catalogue.features(), Some((&[0.0, 1.0, 2.0, 3.0][..], 1)));
    assert_eq!(full.split, Some(Split { train: vec![1], validation: vec![0], test: vec![2] }));

    let bare = cache::load(&fixtures.join("version-2-bare.log")).unwrap();
    assert_eq!((bare.log.sessions(), bare.log.steps(), bare.catalogue.len()), (2, 2, 3));
    assert!(!bare.log.has_users() && !bare.log.has_timestamps() && !bare.log.has_propensities());
    let (_folder, path) = saved(&full);
    assert_eq!(cache::load(&path).unwrap(), full);
}

#[test]
fn a_file_of_version_3_is_read_and_its_log_has_nothing_beside_slates() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let old = cache::load(&fixtures.join("version-3.log")).unwrap();
    assert_eq!((old.log.sessions(), old.log.steps(), old.catalogue.len()), (2, 3, 4));
    assert_eq!([0, 1].map(|session| old.session_name(session).into_owned()), ["monday", "tuesday"]);
    let step = old.log.session(1).step(0);
    assert_eq!((step.reward, step.timestamp), (-2.5, Some(-3)));
    assert_eq!(step.propensity, Some(&[1.0, 0.25][..]));
    assert_eq!(old.log.facts(), Facts::default());
    assert_eq!((old.log.several_clicks(), old.log.events()), ((0, 0), 0));
    let (_folder, path) = saved(&old);
    assert_eq!(cache::load(&path).unwrap(), old);
}

#[test]
fn a_file_of_version_4_is_read_and_its_log_has_no_context() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let old = cache::load(&fixtures.join("version-4.log")).unwrap();
    assert_eq!((old.log.sessions(), old.log.steps(), old.catalogue.len()), (2, 3, 3));
    assert_eq!([0, 1].map(|session| old.session_name(session).into_owned()), ["monday", "tuesday"]);
    let session = old.log.session(0);
    assert_eq!(session.events().map(|event| event.after).collect::<Vec<_>>(), [0]);
    assert_eq!(session.extras(0).clicks, [(ItemId(0), 1.0), (ItemId(1), 0.5)]);
    assert_eq!(session.candidates(1).map(<[ItemId]>::len), Some(3));
    assert_eq!(session.user().map(|user| old.user_name(user)), Some("ann".into()));
    assert_eq!(old.log.facts().propensity, PropensityKind::Marginal);
    let features = [2.5, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    assert_eq!(old.catalogue.features(), Some((&features[..], 3)));
    assert!(!old.has(Part::Context) && !old.has(Part::UserFeatures));
    let (_folder, path) = saved(&old);
    assert_eq!(cache::load(&path).unwrap(), old);
}

#[test]
fn what_is_beside_slates_that_does_not_fit_is_refused() {
    let (_folder, path) = saved(&crate::extras::rich());
    assert_eq!(cache::load(&path).unwrap(), crate::extras::rich());
    let few = Dataset { catalogue: Catalogue::numbered(6), ..crate::extras::rich() };
    let (_folder, path) = saved(&few);
    let error = cache::load(&path).unwrap_err().to_string();
    assert!(error.contains("the candidates do not fit"), "{error}");
    let rich = crate::extras::rich;
    let one = |dataset: Dataset| dataset.contexts[..1].to_vec();
    let damaged = [
        (Dataset { contexts: one(rich()), ..rich() }, "the categories of the context do not fit"),
        (
            Dataset { contexts: vec![Context::default(); 2], ..rich() },
            "the categories of the context do not fit",
        ),
        (
            Dataset { users: ["ann", "bob", "eve"].into_iter().collect(), ..rich() },
            "4 feature values for 3 users of 2 features",
        ),
    ];
    for (dataset, problem) in damaged {
        let (_folder, path) = saved(&dataset);
        let error = cache::load(&path).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_failed_save_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    assert!(cache::save(&Dataset::default(), folder.path()).is_err());
    assert!(cache::save(&Dataset::default(), &folder.path().join("no/such/folder")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_whole_file_with_a_log_that_cannot_be_is_refused() {
    let (item, leave) = (|item| Choice::Item(ItemId(item)), Choice::Leave);
    let log = |shown: &[u32], chosen: &[Choice], reward: f32, propensity: Option<f32>| {
        Log::from_columns(Columns {
            session_offsets: vec![0, chosen.len() as u64],
            slate_offsets: (0..=chosen.len() as u64).map(|step| 2 * step).collect(),
            shown: shown.to_vec(),
            chosen: chosen.iter().map(|choice| choice.code()).collect(),
            reward: vec![reward; chosen.len()],
            propensity: propensity.map(|p| vec![p; shown.len()]),
        })
        .unwrap()
    };
    let good = || Dataset {
        log: log(&[0, 1], &[item(1)], 1.0, None),
        catalogue: Catalogue::numbered(2),
        ..Dataset::default()
    };
    let (_folder, path) = saved(&good());
    assert_eq!(cache::load(&path).unwrap(), good());
    let cases = [
        (Dataset { sessions: ["a", "b"].into_iter().collect(), ..good() }, "ids of the sessions"),
        (
            Dataset {
                sessions: ["w41"].into_iter().collect(),
                log: log(&[1, 1], &[item(1)], 1.0, None),
                ..good()
            },
            "session \"w41\", step 0: an item is on the slate twice",
        ),
        (
            Dataset { catalogue: Catalogue::numbered(1), ..good() },
            "item number 1 of a catalogue of 1",
        ),
        (Dataset { users: ["ann"].into_iter().collect(), ..good() }, "no user of a session"),
        (Dataset { split: Some(Split::default()), ..good() }, "leaves out session 0"),
        (
            Dataset { split: Some(Split { train: vec![0, 0], ..Split::default() }), ..good() },
            "session 0 twice",
        ),
        (
            Dataset { split: Some(Split { test: vec![7], ..Split::default() }), ..good() },
            "session 7 of 1",
        ),
        (Dataset { log: log(&[1, 1], &[item(1)], 1.0, None), ..good() }, "on the slate twice"),
        (Dataset { log: log(&[0, 1], &[item(3)], 1.0, None), ..good() }, "not on the slate"),
        (
            Dataset { log: log(&[0, 1, 0, 1], &[leave, item(1)], 1.0, None), ..good() },
            "on which the user left",
        ),
        (Dataset { log: log(&[0, 1], &[item(1)], f32::NAN, None), ..good() }, "not finite"),
        (Dataset { log: log(&[0, 1], &[item(1)], 1.0, Some(0.0)), ..good() }, "not in (0, 1]"),
    ];
    for (dataset, expected) in cases {
        let (_folder, path) = saved(&dataset);
        let error = cache::load(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
