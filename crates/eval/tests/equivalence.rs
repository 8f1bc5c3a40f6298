//! Laws of equivalence: two one-sided tests.

mod simulated;

use foretaste_eval::{Equivalence, Error, NoInterval, equivalence};
use foretaste_random::Seed;
use proptest::prelude::*;

use simulated::normal;

fn tests(a: &[f64], b: &[f64], test_per_train: f64, margin: f64) -> Equivalence {
    equivalence(a, b, test_per_train, margin).unwrap().unwrap()
}

/// By hand: the differences 1, 2, 3, 4 have the mean 2.5 and the standard error √(5/3)/2 =
/// 0.645497; t(3) at 95% is 2.353363, and the 90% interval 2.5 ± 1.519089. Against a margin of 4.5
/// the tests have t = -2/0.645497 = -3.098387 and t = 7/0.645497; P(t(3) < -3.098387) = 0.026681.
#[test]
fn two_one_sided_tests_by_hand() {
    let (a, b) = ([11.0, 22.0, 33.0, 44.0], [10.0, 20.0, 30.0, 40.0]);
    let found = tests(&a, &b, 0.0, 4.5);
    for (value, expected) in [(found.low, 0.980_911), (found.high, 4.019_089), (found.p, 0.026_681)]
    {
        assert!((value - expected).abs() < 1e-6, "{found:?}");
    }
    assert!(found.is_equivalent() && found.is_not_worse() && !found.is_different());
    let undecided = tests(&a, &b, 0.0, 2.0);
    assert!(!undecided.is_equivalent() && !undecided.is_different());
    let beyond = tests(&a, &b, 0.0, 0.9);
    assert!(beyond.is_different() && beyond.is_not_worse() && !beyond.is_worse());
    let turned = tests(&b, &a, 0.0, 0.9);
    assert!(turned.is_different() && turned.is_worse() && !turned.is_not_worse());
}

/// With four splits of ½ the variance of the mean is (1/4 + 1/2) s² instead of s²/4.
#[test]
fn splits_that_share_users_widen_the_tests_too() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [0.0; 4]);
    let half = |test_per_train| {
        let found = tests(&a, &b, test_per_train, 1.0);
        (found.high - found.low) / 2.0
    };
    assert!((half(0.5) / half(0.0) - 3.0_f64.sqrt()).abs() < 1e-12);
}

#[test]
fn there_are_no_tests_without_spread_nor_without_a_margin() {
    let reason = |a: &[f64], b: &[f64]| equivalence(a, b, 0.0, 1.0).unwrap().unwrap_err();
    assert_eq!(reason(&[1.0], &[1.0]), NoInterval::OneValue);
    assert_eq!(reason(&[1.0, 2.0], &[1.0, 2.0]), NoInterval::NoSpread);
    for margin in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = equivalence(&[1.0, 2.0], &[0.0, 3.0], 0.0, margin).unwrap_err();
        assert!(matches!(error, Error::NotPositive { what: "margin", .. }), "{error}");
    }
}

/// Eight pairs whose true difference is the margin, two standard deviations: a share of 0.05 among
/// 10,000 experiments has a standard deviation of 0.0022; the bounds lie 4.5 of them away, a
/// false-alarm rate of 7e-6, had the seed not been fixed.
#[test]
fn methods_that_differ_by_the_margin_pass_for_equivalent_in_5_percent_of_experiments() {
    let passes = |experiment: &u64| {
        let mut draws = Seed::new(8).stream(*experiment);
        let differences: Vec<f64> = (0..8).map(|_| 2.0 + normal(&mut draws)).collect();
        tests(&differences, &[0.0; 8], 0.0, 2.0).is_equivalent()
    };
    let share = (0..10_000).filter(passes).count() as f64 / 10_000.0;
    assert!((share - 0.05).abs() < 4.5 * 0.0022, "{share}");
}

proptest! {
    #[test]
    fn both_tests_reject_just_where_the_interval_of_90_percent_lies_within_the_margin(
        values in proptest::collection::vec(-10.0..10.0_f64, 2..20), margin in 0.1..10.0_f64,
    ) {
        let found = equivalence(&values, &vec![0.0; values.len()], 0.0, margin).unwrap();
        prop_assume!(found.is_ok_and(|found| (found.p - 0.05).abs() > 1e-9));
        let found = found.unwrap();
        prop_assert_eq!(found.is_equivalent(), found.p < 0.05);
        prop_assert!(!(found.is_equivalent() && found.is_different()));
    }

    #[test]
    fn a_wider_margin_keeps_what_is_equivalent_and_swapping_the_methods_changes_nothing_of_it(
        values in proptest::collection::vec(-1.0..1.0_f64, 2..20), margin in 0.1..2.0_f64, wider in 1.0..3.0_f64,
    ) {
        let none = vec![0.0; values.len()];
        let found = equivalence(&values, &none, 0.0, margin).unwrap();
        prop_assume!(found.is_ok());
        let found = found.unwrap();
        prop_assert!(!found.is_equivalent() || tests(&values, &none, 0.0, wider * margin).is_equivalent());
        let swapped = tests(&none, &values, 0.0, margin);
        prop_assert_eq!(found.is_equivalent(), swapped.is_equivalent());
        prop_assert_eq!(found.is_different(), swapped.is_different());
    }
}
