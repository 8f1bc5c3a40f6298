//! What logs and splits do at the edges: each of these tests fails where one operator or constant
//! is another.

use foretaste_data::{
    Choice, Dataset, Error, Fractions, ItemId, Log, LogBuilder, Split, Step, Summary,
};
use foretaste_random::Seed;

fn step<'a>(slate: &'a [ItemId], choice: Choice, timestamp: Option<i64>) -> Step<'a> {
    Step { timestamp, ..Step::new(slate, choice, 0.5) }
}

fn items(count: u32) -> Vec<ItemId> {
    (0..count).map(ItemId).collect()
}

/// A session of one step for each of the times.
fn at(times: &[i64]) -> Log {
    let mut log = LogBuilder::default();
    for &time in times {
        log.push(step(&[ItemId(0)], Choice::Skip, Some(time))).unwrap();
        log.end_session(None).unwrap();
    }
    log.build()
}

#[test]
fn a_split_by_time_gives_the_earliest_half_to_training() {
    let log = at(&[70, 10, 60, 20, 50, 30, 40, 0]);
    let split = Split::by_time(&log, Fractions::default()).unwrap();
    assert_eq!(
        (split.train, split.validation, split.test),
        (vec![1, 3, 5, 7], vec![4, 6], vec![0, 2])
    );
}

#[test]
fn sessions_that_start_together_keep_the_order_of_the_log() {
    let split = Split::by_time(&at(&[5, 5, 1, 5]), Fractions::default()).unwrap();
    assert_eq!((split.train, split.validation, split.test), (vec![0, 2], vec![1], vec![3]));
}

#[test]
fn a_log_without_sessions_has_a_split_by_time_without_sessions() {
    let split = Split::by_time(&Log::default(), Fractions::default()).unwrap();
    assert_eq!((split.sessions(), split), (0, Split::default()));
}

#[test]
fn a_split_counts_the_sessions_of_all_its_parts() {
    let split = Split { train: vec![0, 1, 2, 3], validation: vec![4, 5], test: vec![6] };
    assert_eq!(split.sessions(), 7);
}

#[test]
fn shares_that_add_up_to_one_leave_nothing_for_test() {
    let log = at(&[0; 10]);
    let parts = |train, validation| {
        let split = Split::by_session(&log, Fractions { train, validation }, Seed::new(1))?;
        Ok::<_, Error>([split.train.len(), split.validation.len(), split.test.len()])
    };
    assert_eq!(parts(0.7, 0.3).unwrap(), [7, 3, 0]);
    assert_eq!(parts(0.1, 0.2).unwrap(), [1, 2, 7]);
    assert_eq!(parts(0.0, 0.0).unwrap(), [0, 0, 10]);
    assert_eq!(parts(1.0, 0.0).unwrap(), [10, 0, 0]);
    assert_eq!(parts(0.19, 0.0).unwrap(), [1, 0, 9]);
    for (train, validation) in [(0.7, 0.31), (1.1, -0.1), (-0.1, 0.1)] {
        assert!(matches!(parts(train, validation), Err(Error::Setting(_))), "{train} {validation}");
    }
}

/// Slates up to 24 items are compared in pairs, longer ones are sorted.
#[test]
fn an_item_that_stands_twice_is_found_on_short_and_on_long_slates() {
    for length in [2, 24, 25, 60] {
        let whole = items(length);
        assert!(LogBuilder::default().push(step(&whole, Choice::Skip, None)).is_ok());
        let mut twice = whole;
        *twice.last_mut().unwrap() = ItemId(0);
        assert!(
            matches!(
                LogBuilder::default().push(step(&twice, Choice::Skip, None)),
                Err(Error::Log(_))
            ),
            "{length}"
        );
    }
}

#[test]
fn a_propensity_is_above_zero_and_at_most_one() {
    let push = |propensity: &[f32]| {
        let slate = items(2);
        LogBuilder::default().push(step(&slate, Choice::Skip, None).propensity(propensity))
    };
    assert!(push(&[1.0, f32::MIN_POSITIVE]).is_ok());
    for wrong in [0.0, -0.5, 1.000_001, f32::NAN] {
        assert!(matches!(push(&[0.5, wrong]), Err(Error::Log(_))), "{wrong}");
    }
    assert!(matches!(push(&[0.5]), Err(Error::Log(_))));
}

#[test]
fn choices_have_the_codes_that_files_hold() {
    for (choice, code) in [
        (Choice::Item(ItemId(7)), 7),
        (Choice::Skip, 4_294_967_294),
        (Choice::Leave, 4_294_967_295),
    ] {
        assert_eq!(choice.code(), code);
    }
    assert_eq!(ItemId::MAX_ITEMS, 4_294_967_294);
}

#[test]
fn steps_of_a_session_that_was_not_closed_are_dropped_with_their_columns() {
    let slate = items(3);
    let full = |time| step(&slate, Choice::Skip, Some(time)).propensity(&[0.5, 0.25, 0.25]);
    let mut builder = LogBuilder::default();
    builder.push(full(3)).unwrap();
    assert_eq!(builder.open_steps(), 1);
    let nothing = builder.clone().build();
    assert_eq!(nothing, Log::default());
    assert!(!nothing.has_timestamps() && !nothing.has_propensities());

    builder.push(full(4)).unwrap();
    assert_eq!(builder.open_steps(), 2);
    builder.end_session(Some(9)).unwrap();
    assert_eq!(builder.open_steps(), 0);
    let closed = builder.clone().build();
    builder.push(full(5)).unwrap();
    assert_eq!(builder.build(), closed);
    assert_eq!((closed.sessions(), closed.steps(), closed.impressions()), (1, 2, 6));
    assert!(closed.has_timestamps() && closed.has_propensities() && closed.has_users());
    let session = closed.session(0);
    assert_eq!(
        (session.start(), session.user(), session.len(), session.is_empty()),
        (Some(3), Some(9), 2, false)
    );
}

/// 8 bytes for each offset and time, 4 for each item, choice, reward, propensity and user.
#[test]
fn the_bytes_of_a_log_are_those_of_its_columns() {
    let slate = items(3);
    let log = |step: Step<'_>, user| {
        let mut builder = LogBuilder::default();
        builder.push(step).unwrap();
        builder.push(step).unwrap();
        builder.end_session(user).unwrap();
        builder.build().bytes()
    };
    let plain = step(&slate, Choice::Skip, None);
    let bytes = 8 * (2 + 3) + 4 * (6 + 2 + 2);
    assert_eq!(log(plain, None), bytes);
    assert_eq!(log(plain, Some(1)), bytes + 4);
    assert_eq!(log(step(&slate, Choice::Skip, Some(1)), None), bytes + 8 * 2);
    assert_eq!(log(plain.propensity(&[0.5; 3]), None), bytes + 4 * 6);
}

#[test]
fn only_a_session_whose_last_step_says_so_was_left() {
    let slate = items(2);
    let last = |choice| {
        let mut builder = LogBuilder::default();
        builder.push(step(&slate, Choice::Item(ItemId(1)), None)).unwrap();
        builder.push(step(&slate, choice, None)).unwrap();
        builder.end_session(None).unwrap();
        builder.build()
    };
    let left = |choice| last(choice).session(0).left();
    assert!(left(Choice::Leave) && !left(Choice::Skip) && !left(Choice::Item(ItemId(0))));
    let log = last(Choice::Item(ItemId(0)));
    assert_eq!(log.session(0).clicks().collect::<Vec<_>>(), [ItemId(1), ItemId(0)]);
}

/// A session may begin right after one that was left.
#[test]
fn nothing_follows_leaving_but_the_next_session() {
    let slate = items(2);
    let mut builder = LogBuilder::default();
    builder.push(step(&slate, Choice::Leave, None)).unwrap();
    assert!(matches!(builder.push(step(&slate, Choice::Skip, None)), Err(Error::Log(_))));
    builder.end_session(None).unwrap();
    builder.push(step(&slate, Choice::Skip, None)).unwrap();
    builder.end_session(None).unwrap();
    assert!(matches!(builder.end_session(None), Err(Error::Log(_))));
    assert_eq!(builder.build().sessions(), 2);
}

#[test]
fn optional_columns_are_given_by_all_steps_of_a_session_or_by_none() {
    let slate = items(2);
    let (bare, timed) = (step(&slate, Choice::Skip, None), step(&slate, Choice::Skip, Some(1)));
    let likely = bare.propensity(&[0.5, 0.5]);
    for (first, second) in [(bare, timed), (timed, bare), (bare, likely), (likely, bare)] {
        let mut builder = LogBuilder::default();
        builder.push(first).unwrap();
        assert!(matches!(builder.push(second), Err(Error::Log(_))));
        assert!(builder.push(first).is_ok(), "the builder is as it was before");
    }
}

#[test]
fn a_figure_that_is_not_zero_does_not_look_like_zero() {
    let figures = [
        (0.0, "0.0000"),
        (1e-6, "1.0e-6"),
        (-1e-6, "-1.0e-6"),
        (-0.000_012_34, "-1.2e-5"),
        (0.000_05, "0.0001"),
        (0.000_049_99, "5.0e-5"),
        (-0.00006, "-0.0001"),
        (0.25, "0.2500"),
    ];
    for (value, expected) in figures {
        let rates =
            Summary { click_rate: value, reward_rate: value, ..Summary::new(&Dataset::default()) };
        let table = rates.to_string();
        for label in ["click rate           ", "mean reward per step "] {
            assert!(
                table.contains(&format!("{label} {expected}\n")),
                "{expected}\nis not in\n{table}"
            );
        }
    }
}

/// By hand, of one session of two slates of two: offsets 8 · (2 + 3), items, choices and rewards 4
/// · (4 + 2 + 2), propensities 4 · 4, times 8 · 2, users 4.
#[test]
fn a_log_takes_the_bytes_of_its_columns() {
    let slate = items(2);
    let bytes = |timestamp, propensity, user| {
        let mut builder = LogBuilder::default();
        for _ in 0..2 {
            builder.push(Step { propensity, ..step(&slate, Choice::Skip, timestamp) }).unwrap();
        }
        builder.end_session(user).unwrap();
        builder.build().bytes()
    };
    assert_eq!(bytes(None, None, None), 72);
    assert_eq!(bytes(Some(1), None, None), 88);
    assert_eq!(bytes(None, Some(&[0.5, 0.5]), None), 88);
    assert_eq!(bytes(None, None, Some(3)), 76);
    assert_eq!(bytes(Some(1), Some(&[0.5, 0.5]), Some(3)), 108);
}
