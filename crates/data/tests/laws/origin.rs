//! What a model was fitted on is found again in other logs.

use foretaste_data::{
    Catalogue, Choice, Dataset, ItemId, LogBuilder, Origin, Provenance, Saved, Step,
};
use foretaste_random::Seed;
use proptest::prelude::*;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::generate::any_dataset;

fn origin(dataset: &Dataset, sessions: &[usize]) -> Origin {
    Origin::new(dataset, sessions, serde_json::json!({ "epochs": 3 }), 7, "v1")
}

/// Sessions of one to four slates of `k` of 50 items (of one item: of 3), with times if asked; the
/// same number gives the same sessions.
fn log(number: u64, sessions: usize, k: usize, times: bool) -> Dataset {
    let mut stream = Seed::new(number).stream(0);
    let mut log = LogBuilder::default();
    let mut time = 1_000_000 * number as i64;
    for _ in 0..sessions {
        for _ in 0..stream.random_range(1..5) {
            let first = stream.random_range(0..if k == 1 { 3 } else { 50 });
            let slate: Vec<ItemId> =
                (0..k as u32).map(|place| ItemId((first + 7 * place) % 50)).collect();
            let choice = slate
                .get(stream.random_range(0..=k))
                .map_or(Choice::Skip, |&item| Choice::Item(item));
            time += stream.random_range(1..100);
            let timestamp = times.then_some(time);
            log.push(Step { timestamp, ..Step::new(&slate, choice, 1.0) }).unwrap();
        }
        log.end_session(None).unwrap();
    }
    Dataset { log: log.build(), catalogue: Catalogue::numbered(50), ..Dataset::default() }
}

/// The data set with its items numbered backwards.
fn renumbered(dataset: Dataset) -> Dataset {
    let mut names: Vec<String> = dataset.catalogue.names().iter().map(str::to_owned).collect();
    names.reverse();
    let catalogue = Catalogue::new(names.iter().map(String::as_str).collect());
    dataset.mapped_to(&catalogue, Default::default()).unwrap().0
}

proptest! {
    #[test]
    fn what_is_written_is_read(dataset in any_dataset(), seed in any::<u64>()) {
        let sessions: Vec<usize> = (0..dataset.log.sessions()).step_by(2).collect();
        let mut origin = origin(&dataset, &sessions);
        origin.seed = seed;
        let files = Provenance { catalogue: &dataset.catalogue, origin: Some(&origin) }.files();
        let file = |name: &str| files.iter().find(|(of, _)| *of == name).map(|(_, bytes)| &bytes[..]);
        let saved = Saved::read(file, &dataset.catalogue, || false).unwrap();
        prop_assert_eq!(saved, Saved { catalogue: dataset.catalogue, origin: Some(origin) });
    }

    #[test]
    fn sessions_of_the_same_log_are_known_by_their_place(dataset in any_dataset(), learned in proptest::collection::vec(any::<bool>(), 8)) {
        let learned = &learned[..dataset.log.sessions()];
        let sessions: Vec<usize> = (0..learned.len()).filter(|&session| learned[session]).collect();
        prop_assert_eq!(origin(&dataset, &sessions).overlap(&dataset).seen, learned);
        prop_assert_eq!(origin(&dataset, &sessions).overlap(&renumbered(dataset)).seen, learned);
    }
}

/// The data set with these ids of its sessions: a prefix before their indices.
fn with_ids(dataset: Dataset, prefix: &str) -> Dataset {
    let ids: Vec<String> =
        (0..dataset.log.sessions()).map(|session| format!("{prefix}{session}")).collect();
    Dataset { sessions: ids.iter().map(String::as_str).collect(), ..dataset }
}

/// Of the same log, of another that holds some of the sessions, and of one that holds none: what
/// either learned from is found in both logs, also once it was written and read.
#[test]
fn an_origin_that_includes_another_finds_the_sessions_of_both() {
    let (shop, later) = (with_ids(log(1, 60, 3, true), "s"), with_ids(log(2, 40, 3, true), "t"));
    let own = origin(&shop, &[0, 2, 4]);
    let part = shop.clone().select(&(30..60).collect::<Vec<_>>()).unwrap();
    let seen = |origin: &Origin, of: &Dataset| -> Vec<usize> {
        let seen = origin.overlap(of).seen;
        (0..seen.len()).filter(|&session| seen[session]).collect()
    };
    for (other, expected, expected_later) in [
        (origin(&shop, &[2, 7]), vec![0, 2, 4, 7], vec![]),
        (origin(&part, &[0, 5]), vec![0, 2, 4, 30, 35], vec![]),
        (origin(&later, &[1, 3]), vec![0, 2, 4], vec![1, 3]),
    ] {
        let both = own.clone().including(&other, &shop);
        let files = Provenance { catalogue: &shop.catalogue, origin: Some(&both) }.files();
        let file =
            |name: &str| files.iter().find(|(of, _)| *of == name).map(|(_, bytes)| &bytes[..]);
        let read = Saved::read(file, &shop.catalogue, || false).unwrap().origin.unwrap();
        for both in [both, read] {
            assert_eq!(seen(&both, &shop), expected);
            assert_eq!(seen(&both, &later), expected_later);
        }
    }
}

/// Reordered, in part, next to others, and with other items: each session that was learned from is
/// found, and no other. Both logs have ids of their own, or number their sessions alike.
#[test]
fn sessions_are_found_in_other_logs() {
    for (mine, next, times) in
        [("a", "b", false), ("a", "b", true), ("", "", false), ("", "", true)]
    {
        let (mine, next) =
            (with_ids(log(1, 200, 4, times), mine), with_ids(log(2, 200, 4, times), next));
        let origin = origin(&mine, &(0..100).collect::<Vec<_>>());

        let mut order: Vec<usize> = (0..200).collect();
        order.shuffle(&mut Seed::new(3).stream(0));
        let expected: Vec<bool> = order.iter().map(|&session| session < 100).collect();
        assert_eq!(
            origin.overlap(&renumbered(mine.select(&order).unwrap())).seen,
            expected,
            "reordered"
        );
        let part: Vec<usize> = (50..170).collect();
        let expected: Vec<bool> = part.iter().map(|&session| session < 100).collect();
        assert_eq!(origin.overlap(&mine.select(&part).unwrap()).seen, expected, "a part");
        assert_eq!(origin.overlap(&next).seen, [false; 200], "next week's");
    }
}

/// With other ids in the other log, only times, or a log that holds all of the sessions, tell.
#[test]
fn sessions_with_other_ids_are_found_by_what_they_hold() {
    for times in [false, true] {
        let mine = log(1, 200, 4, times);
        let half: Vec<usize> = (0..100).collect();
        let mut order: Vec<usize> = (0..200).collect();
        order.shuffle(&mut Seed::new(3).stream(0));
        let seen =
            origin(&mine, &half).overlap(&with_ids(mine.select(&order).unwrap(), "other")).seen;
        // Of two sessions that are alike in all, either may be the one that was learned from.
        let alike =
            |a: usize, b: usize| mine.log.session(a).steps().eq(mine.log.session(b).steps());
        let found: Vec<usize> =
            order.iter().zip(seen).filter(|(_, seen)| *seen).map(|(&session, _)| session).collect();
        assert_eq!(found.len(), 100);
        assert!(found.iter().all(|&session| half.iter().any(|&learned| alike(session, learned))));
        assert_eq!(
            origin(&mine, &half).overlap(&with_ids(log(2, 200, 4, times), "other")).seen,
            [false; 200]
        );
    }
}

/// Sessions 100 to 199 of one log next to another's, under ids of neither.
fn mixed(mine: &Dataset, next: &Dataset) -> Dataset {
    let mut log = LogBuilder::default();
    for session in (100..200).map(|session| mine.log.session(session)).chain(next.log.iter()) {
        session.steps().for_each(|step| log.push(step).unwrap());
        log.end_session(None).unwrap();
    }
    with_ids(
        Dataset { log: log.build(), catalogue: mine.catalogue.clone(), ..Dataset::default() },
        "other",
    )
}

#[test]
fn sessions_beside_others_and_under_other_ids_are_found_by_what_they_hold() {
    for times in [false, true] {
        let (mine, next) = (log(1, 200, 4, times), log(2, 200, 4, times));
        let found = origin(&mine, &(0..150).collect::<Vec<_>>()).overlap(&mixed(&mine, &next));
        let (learned, rest) = found.seen.split_at(50);
        // A session of three slates or so is like no other; one of a single slate may be.
        assert!(learned.iter().all(|&seen| seen) && found.alike == 0);
        let mistaken = rest.iter().filter(|&&seen| seen).count();
        assert!(if times { mistaken == 0 } else { mistaken < 50 }, "{mistaken}");
    }
}

/// What sessions earn may change, by another unit or a late purchase, and so may a row that was
/// corrected.
#[test]
fn sessions_are_known_whatever_they_earned_and_whatever_a_few_of_them_became() {
    let mine = with_ids(log(1, 60, 4, false), "a");
    let learned: Vec<usize> = (0..40).collect();
    let mut log = LogBuilder::default();
    for session in mine.select(&(25..40).collect::<Vec<_>>()).unwrap().log.iter() {
        for step in session.steps() {
            let choice = if session.index() == 3 { Choice::Skip } else { step.choice };
            log.push(Step { reward: -2.5 * step.reward, choice, ..step }).unwrap();
        }
        log.end_session(None).unwrap();
    }
    let ids: Vec<String> = (25..40).map(|session| format!("a{session}")).collect();
    let sessions = ids.iter().map(String::as_str).collect();
    let part = Dataset {
        log: log.build(),
        sessions,
        catalogue: mine.catalogue.clone(),
        ..Dataset::default()
    };
    assert_eq!(origin(&mine, &learned).overlap(&part).seen, [true; 15]);
}

/// The times of one session are missing: the others are found by theirs.
#[test]
fn times_are_each_sessions_own() {
    let mine = log(1, 200, 1, true);
    let mut log = LogBuilder::default();
    for session in mine.log.iter() {
        let timed = session.index() != 7;
        session.steps().for_each(|step| {
            log.push(Step { timestamp: step.timestamp.filter(|_| timed), ..step }).unwrap();
        });
        log.end_session(None).unwrap();
    }
    let other = with_ids(
        Dataset { log: log.build(), catalogue: mine.catalogue.clone(), ..Dataset::default() },
        "b",
    );
    let expected: Vec<bool> = (0..200).map(|session| session < 100 && session != 7).collect();
    assert_eq!(origin(&mine, &(0..100).collect::<Vec<_>>()).overlap(&other).seen, expected);
}

/// Short sessions of few items are alike by chance: another log's are not taken for those that were
/// learned from, though both logs number theirs alike.
#[test]
fn sessions_that_are_alike_by_chance_are_not_taken_for_each_other() {
    let (mine, other) = (log(1, 500, 1, false), log(2, 300, 1, false));
    let alike = |index: usize| mine.log.session(index).steps().eq(other.log.session(index).steps());
    assert!((0..300).any(alike) && !(0..300).all(alike));
    for count in [300, 5] {
        let other = other.select(&(0..count).collect::<Vec<_>>()).unwrap();
        for other in [other.clone(), with_ids(other, "b")] {
            let found = origin(&mine, &(0..500).collect::<Vec<_>>()).overlap(&other);
            assert_eq!(found.seen, vec![false; count]);
            assert!(found.alike > 0, "{count}");
        }
    }
}

/// The same session in next week's log has more steps; in a log that was cut it has fewer.
#[test]
fn a_session_that_has_grown_or_was_cut_is_known_by_its_id() {
    let mine = with_ids(log(1, 100, 4, false), "a");
    let cut = |keep: usize| {
        let mut log = LogBuilder::default();
        for session in mine.log.iter() {
            session.steps().take(keep).for_each(|step| log.push(step).unwrap());
            log.end_session(None).unwrap();
        }
        with_ids(
            Dataset { log: log.build(), catalogue: mine.catalogue.clone(), ..Dataset::default() },
            "a",
        )
    };
    let learned: Vec<usize> = (0..50).collect();
    let expected: Vec<bool> = (0..100).map(|session| session < 50).collect();
    assert_eq!(origin(&cut(1), &learned).overlap(&mine).seen, expected);
    assert_eq!(origin(&mine, &learned).overlap(&cut(2)).seen, expected);
}
