//! Laws of splits.

use std::collections::HashSet;

use foretaste_data::{Dataset, Error, Fractions, Split};
use foretaste_random::Seed;
use proptest::prelude::*;

use crate::generate::{Holds, ODD_NAMES, ODD_SESSIONS, any_dataset, datasets};

fn full() -> impl Strategy<Value = Dataset> {
    datasets(Holds {
        names: ODD_NAMES,
        sessions: ODD_SESSIONS,
        of_some: false,
        only_clicks: false,
        rewards: |r| r,
        users: true,
        timestamps: true,
        propensities: false,
    })
}

fn fractions() -> impl Strategy<Value = Fractions> {
    (0.0..=1.0, 0.0..=1.0)
        .prop_map(|(train, rest): (f64, f64)| Fractions { train, validation: (1.0 - train) * rest })
}

fn all(dataset: &Dataset, fractions: Fractions, seed: u64) -> [Split; 3] {
    let (log, seed) = (&dataset.log, Seed::new(seed));
    [
        Split::by_user(log, fractions, seed).unwrap(),
        Split::by_session(log, fractions, seed).unwrap(),
        Split::by_time(log, fractions).unwrap(),
    ]
}

proptest! {
    #[test]
    fn a_split_is_a_partition(dataset in full(), fractions in fractions(), seed: u64) {
        for split in all(&dataset, fractions, seed) {
            let mut sessions = [&split.train[..], &split.validation, &split.test].concat();
            sessions.sort_unstable();
            prop_assert_eq!(sessions, (0..dataset.log.sessions()).collect::<Vec<_>>());
            for part in [&split.train, &split.validation, &split.test] {
                prop_assert!(part.is_sorted());
            }
        }
    }

    #[test]
    fn no_user_stands_in_two_parts(dataset in full(), fractions in fractions(), seed: u64) {
        let split = Split::by_user(&dataset.log, fractions, Seed::new(seed)).unwrap();
        let users = |part: &[usize]| part.iter().map(|&s| dataset.log.session(s).user()).collect::<HashSet<_>>();
        let [train, validation, test] = [users(&split.train), users(&split.validation), users(&split.test)];
        prop_assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
    }

    #[test]
    fn a_session_without_a_user_is_a_user_of_its_own(users in proptest::collection::vec(0..4_u32, 1..9), seed: u64) {
        // Users 0 are unknown; with as many names as sessions the split must be that of one whose
        // users are all known.
        let nobody = |session: usize| if users[session] == 0 { 100 + session as u32 } else { users[session] };
        let known = of_users((0..users.len()).map(|session| Some(nobody(session))));
        let some = of_users(users.iter().map(|&user| (user > 0).then_some(user)));
        prop_assume!(some.sessions_with_users() > 0);
        let split = |log| Split::by_user(log, Fractions::default(), Seed::new(seed)).unwrap();
        prop_assert_eq!(split(&some), split(&known));
    }

    #[test]
    fn a_selection_keeps_what_belongs_to_its_sessions(
        dataset in any_dataset(),
        parts in proptest::collection::vec(0..3, 8),
        order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(),
        count in 0..8_usize,
    ) {
        let mut dataset = dataset;
        let sessions = dataset.log.sessions();
        let part = |wanted: i32| (0..sessions).filter(|&session| parts[session] == wanted).collect();
        dataset.split = Some(Split { train: part(0), validation: part(1), test: part(2) });
        let order: Vec<usize> = order.into_iter().filter(|&session| session < sessions).take(count).collect();
        let selected = dataset.select(&order).unwrap();
        prop_assert_eq!(selected.log.sessions(), order.len());
        for (place, &session) in order.iter().enumerate() {
            let (kept, given) = (selected.log.session(place), dataset.log.session(session));
            prop_assert_eq!(selected.session_name(place), dataset.session_name(session));
            prop_assert_eq!(kept.user(), given.user());
            prop_assert!(kept.steps().eq(given.steps()));
            let split = selected.split.as_ref().unwrap();
            let part = [&split.train, &split.validation, &split.test].map(|part| part.contains(&place));
            prop_assert_eq!(part, [0, 1, 2].map(|wanted| parts[session] == wanted));
        }
        if let Some(&first) = order.first() {
            let name = format!("{:?} twice", dataset.session_name(first));
            prop_assert!(dataset.select(&[first, first]).unwrap_err().to_string().contains(&name));
        }
        prop_assert!(matches!(dataset.select(&[sessions]), Err(Error::Setting(_))));
    }

    #[test]
    fn no_session_starts_before_one_of_an_earlier_part(dataset in full(), fractions in fractions()) {
        let split = Split::by_time(&dataset.log, fractions).unwrap();
        let starts = |part: &[usize]| part.iter().filter_map(|&s| dataset.log.session(s).start()).collect::<Vec<_>>();
        let parts = [starts(&split.train), starts(&split.validation), starts(&split.test)];
        for (earlier, later) in [(0, 1), (0, 2), (1, 2)] {
            if let (Some(last), Some(first)) = (parts[earlier].iter().max(), parts[later].iter().min()) {
                prop_assert!(last <= first);
            }
        }
    }
}

fn of_users(users: impl Iterator<Item = Option<u32>>) -> foretaste_data::Log {
    let mut log = foretaste_data::LogBuilder::default();
    for user in users {
        let (slate, choice) = ([foretaste_data::ItemId(0)], foretaste_data::Choice::Skip);
        log.push(foretaste_data::Step::new(&slate, choice, 0.0)).unwrap();
        log.end_session(user).unwrap();
    }
    log.build()
}

#[test]
fn the_same_seed_gives_the_same_split_in_every_release() {
    let log = of_users((0..12).map(|session| Some(session / 2)));
    let parts = |split: Split| [split.train, split.validation, split.test];
    let by_user = parts(Split::by_user(&log, Fractions::default(), Seed::new(1)).unwrap());
    assert_eq!(by_user, [vec![4, 5, 6, 7, 8, 9], vec![10, 11], vec![0, 1, 2, 3]]);
    let by_session = parts(Split::by_session(&log, Fractions::default(), Seed::new(1)).unwrap());
    assert_eq!(by_session, [vec![0, 1, 3, 5, 8, 10], vec![2, 9, 11], vec![4, 6, 7]]);
    let by_fold = parts(Split::by_fold(log.sessions(), 4, 2, 1, Seed::new(1)).unwrap());
    assert_eq!(by_fold, [vec![2, 4, 6, 7, 8, 11], vec![1, 3, 10], vec![0, 5, 9]]);
}

#[test]
fn folds_are_of_one_size_and_the_last_takes_the_rest() {
    let split = |sessions, folds, train, validation| {
        let log = of_users((0..sessions).map(Some));
        Split::by_fold(log.sessions(), folds, train, validation, Seed::new(1)).map(|split| {
            let mut all = [&split.train[..], &split.validation, &split.test].concat();
            all.sort_unstable();
            assert_eq!(all, (0..sessions as usize).collect::<Vec<_>>());
            [split.train.len(), split.validation.len(), split.test.len()]
        })
    };
    // The counts that the IRecGAN paper publishes of CIKM Cup 2016, but for its 1,820 test
    // sessions.
    assert_eq!(split(68_722, 40, 38, 1).unwrap(), [65_284, 1_718, 1_720]);
    assert_eq!(split(39, 40, 38, 1).unwrap(), [0, 0, 39]);
    assert_eq!(split(7, 3, 1, 2).unwrap(), [2, 4, 1]);
    for (folds, train, validation) in [(0, 0, 0), (3, 2, 2), (3, usize::MAX, 1)] {
        assert!(matches!(split(7, folds, train, validation), Err(Error::Setting(_))));
    }
}

#[test]
fn the_default_fractions_are_half_a_quarter_and_a_quarter() {
    let log = of_users((0..1406).map(Some));
    let split = Split::by_user(&log, Fractions::default(), Seed::new(3)).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (703, 351, 352));
    assert_ne!(split, Split::by_user(&log, Fractions::default(), Seed::new(4)).unwrap());
    assert!(matches!(Split::by_time(&log, Fractions::default()), Err(Error::Log(_))));
    for (train, validation) in [(-0.1, 0.5), (0.8, 0.3), (f64::NAN, 0.1)] {
        let fractions = Fractions { train, validation };
        assert!(matches!(Split::by_session(&log, fractions, Seed::new(1)), Err(Error::Setting(_))));
    }
}
