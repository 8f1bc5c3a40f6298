//! Power and the numbers of pairs: published values, simulation, laws.

mod simulated;

use foretaste_eval::interval::resampled_difference;
use foretaste_eval::power::{Goal, MOST_PAIRS, POWER, PairedTest};
use foretaste_eval::{Error, NoInterval, equivalence};
use foretaste_random::Seed;
use proptest::prelude::*;

use simulated::normal;

/// The test of differences with the standard deviation 1: effects are Cohen's d.
fn standard(test_per_train: f64) -> PairedTest {
    PairedTest::new(1.0, test_per_train).unwrap()
}

/// Two-sided at 5% with a power of 0.8, as G*Power 3.1 and R's `power.t.test` print them: d = 0.5
/// needs 34 pairs.
#[test]
fn pairs_needed_are_those_of_the_published_tables() {
    for (effect, pairs) in
        [(0.2, 199), (0.3, 90), (0.4, 52), (0.5, 34), (0.6, 24), (0.8, 15), (1.0, 10), (1.2, 8)]
    {
        assert_eq!(standard(0.0).pairs_needed(Goal::Difference(effect)), Some(pairs), "{effect}");
    }
}

/// Of the noncentral t-distribution of scipy 1.17.
#[test]
fn the_power_is_that_of_the_noncentral_t_distribution() {
    for (effect, pairs, power) in [
        (0.1, 2, 0.050_497_107_9),
        (3.0, 3, 0.745_268_007_0),
        (1.0, 5, 0.401_389_917_4),
        (0.5, 34, 0.807_777_501_3),
        (0.05, 1_000, 0.352_045_012_6),
        (0.03, 10_000, 0.850_771_824_8),
    ] {
        let found = standard(0.0).power(Goal::Difference(effect), pairs);
        assert!((found - power).abs() < 1e-9, "{effect}, {pairs}: {found}");
    }
    let found = standard(0.0).power(Goal::NotWorse(1.0), 5);
    assert!((found - 0.579_904_532_4).abs() < 2e-4, "{found}");
}

/// The share of `EXPERIMENTS` in which a test of differences with this mean shows something. What
/// splits share is a part of their differences of variance ρ that is the same for all.
fn shown(
    mean: f64,
    pairs: usize,
    test_per_train: f64,
    shows: impl Fn(&[f64], &[f64]) -> bool,
) -> f64 {
    let seed = Seed::new(5).derive("power").index(pairs as u64);
    let experiment = |number: &u64| {
        let mut draws = seed.stream(*number);
        let shared = test_per_train.sqrt() * normal(&mut draws);
        let ours: Vec<f64> = (0..pairs).map(|_| mean + shared + normal(&mut draws)).collect();
        shows(&ours, &vec![0.0; pairs])
    };
    (0..EXPERIMENTS).filter(experiment).count() as f64 / EXPERIMENTS as f64
}

const EXPERIMENTS: u64 = 10_000;
/// 4.5 standard deviations of a share of 0.8: a right figure lies outside with a probability of
/// 7e-6, had the seed not been fixed.
const BOUND: f64 = 4.5 * 0.004;

#[test]
fn a_true_smallest_effect_is_detected_in_80_percent_of_experiments() {
    for (pairs, test_per_train) in [(2, 0.0), (3, 0.0), (5, 0.5), (10, 0.0), (10, 0.5)] {
        let effect = standard(test_per_train).smallest_effect(pairs);
        let detects = |ours: &[f64], theirs: &[f64]| {
            resampled_difference(ours, theirs, test_per_train).unwrap().1.unwrap() < 0.05
        };
        let share = shown(effect, pairs, test_per_train, detects);
        assert!((share - POWER).abs() < BOUND, "{pairs}, {test_per_train}: {share}");
    }
}

/// The pairs that equivalence needs are a bound from above; here it is close.
#[test]
fn methods_without_a_difference_are_shown_to_be_alike_as_often_as_the_power_says() {
    for (pairs, margin) in [(8, 1.2), (20, 0.7)] {
        let power = standard(0.0).power(Goal::Equivalence(margin), pairs);
        assert!((0.7..0.99).contains(&power), "{power}");
        let tests = |ours: &[f64], theirs: &[f64]| equivalence(ours, theirs, 0.0, margin).unwrap();
        let alike = |ours: &[f64], theirs: &[f64]| tests(ours, theirs).unwrap().is_equivalent();
        let share = shown(0.0, pairs, 0.0, alike);
        assert!((share - power).abs() < BOUND, "{pairs}: {share}, {power}");
        let power = standard(0.0).power(Goal::NotWorse(margin), pairs);
        let not_worse = |ours: &[f64], theirs: &[f64]| tests(ours, theirs).unwrap().is_not_worse();
        let share = shown(0.0, pairs, 0.0, not_worse);
        assert!((share - power).abs() < BOUND, "{pairs}: {share}, {power}");
    }
}

/// With ρ = ½ the standard error stays above s/√2: an effect below 1.98 s is never detected.
#[test]
fn of_splits_that_share_users_no_number_may_suffice() {
    assert_eq!(standard(0.5).pairs_needed(Goal::Difference(1.95)), None);
    assert!(standard(0.5).pairs_needed(Goal::Difference(2.2)).is_some_and(|pairs| pairs < 100));
    assert_eq!(standard(0.0).pairs_needed(Goal::Difference(0.01)), None);
}

#[test]
fn a_test_takes_its_spread_from_the_differences() {
    let (a, b) = ([11.0, 22.0, 33.0, 44.0], [10.0, 20.0, 30.0, 40.0]);
    let test = PairedTest::of(&a, &b, 0.5).unwrap().unwrap();
    let expected = PairedTest::new((5.0_f64 / 3.0).sqrt(), 0.5).unwrap();
    assert!((test.smallest_effect(7) - expected.smallest_effect(7)).abs() < 1e-9);
    let reason = |a: &[f64], b: &[f64]| PairedTest::of(a, b, 0.0).unwrap().unwrap_err();
    assert_eq!(reason(&[1.0], &[0.0]), NoInterval::OneValue);
    assert_eq!(reason(&[1.0, 2.0], &[0.0, 1.0]), NoInterval::NoSpread);
    for spread in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = PairedTest::new(spread, 0.0).unwrap_err();
        assert!(matches!(error, Error::NotPositive { what: "spread", .. }), "{error}");
    }
    assert!(PairedTest::new(1.0, -0.5).is_err() && PairedTest::new(1.0, f64::NAN).is_err());
}

#[test]
fn one_pair_shows_nothing() {
    assert_eq!(standard(0.0).power(Goal::Difference(1e9), 1), 0.0);
    assert_eq!(standard(0.0).smallest_effect(1), f64::INFINITY);
    assert_eq!(standard(0.0).pairs_needed(Goal::Difference(1e9)), Some(2));
    assert_eq!(standard(0.0).pairs_needed(Goal::Difference(0.0)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_smallest_effect_has_a_power_of_80_percent_and_scales_with_the_spread(
        spread in 1e-3..1e3_f64, pairs in 2..300_usize, test_per_train in 0.0..1.0_f64,
    ) {
        let test = PairedTest::new(spread, test_per_train).unwrap();
        let effect = test.smallest_effect(pairs);
        prop_assert!((test.power(Goal::Difference(effect), pairs) - POWER).abs() < 1e-8);
        prop_assert!((test.power(Goal::Difference(-effect), pairs) - POWER).abs() < 1e-8);
        let unit = standard(test_per_train).smallest_effect(pairs);
        prop_assert!((effect / spread / unit - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_pairs_needed_are_the_fewest_with_the_power(size in 0.05..5.0_f64, kind in 0..3_u8) {
        let goal = match kind {
            0 => Goal::Difference(size),
            1 => Goal::Equivalence(size),
            _ => Goal::NotWorse(size),
        };
        let test = standard(0.0);
        let pairs = test.pairs_needed(goal).unwrap();
        prop_assert!((2..=MOST_PAIRS).contains(&pairs));
        prop_assert!(test.power(goal, pairs) >= POWER);
        prop_assert!(test.power(goal, pairs - 1) < POWER);
    }

    #[test]
    fn power_grows_with_the_effect_and_with_the_pairs(
        effect in 0.0..50.0_f64, more in 0.0..1.0_f64, pairs in 2..500_usize,
    ) {
        let test = standard(0.0);
        let power = test.power(Goal::Difference(effect), pairs);
        prop_assert!((0.05 - 1e-9..=1.0).contains(&power), "{}", power);
        prop_assert!(test.power(Goal::Difference(effect + more), pairs) >= power - 1e-9);
        prop_assert!(test.power(Goal::Difference(effect), pairs + 1) >= power - 1e-9);
    }
}
