//! Standard errors against the jackknife, which knows no derivative: (n - 1)/n Σ (θ_{-i} - θ̄)².

use foretaste_eval::counterfactual::*;
use foretaste_eval::{NoInterval, Result};
use foretaste_random::{Seed, Stream};
use rand::Rng;

const ROWS: usize = 300;

/// Both are consistent; on 300 rows of moderate weights they differ by a few per cent at most.
const TOLERANCE: f64 = 0.06;

fn check(name: &str, rows: usize, estimate: impl Fn(&[usize]) -> Result<PolicyValue>) {
    let all: Vec<usize> = (0..rows).collect();
    let stated = estimate(&all).unwrap().standard_error.unwrap();
    let without = |left_out: usize| {
        let kept: Vec<usize> = all.iter().copied().filter(|&row| row != left_out).collect();
        estimate(&kept).unwrap().estimate.mean
    };
    let values: Vec<f64> = all.iter().map(|&row| without(row)).collect();
    let n = rows as f64;
    let mean = values.iter().sum::<f64>() / n;
    let jackknife =
        ((n - 1.0) / n * values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()).sqrt();
    assert!(
        (stated / jackknife - 1.0).abs() < TOLERANCE,
        "{name}: {stated} stated, {jackknife} by the jackknife"
    );
}

fn draw(stream: &mut Stream, n: usize, range: std::ops::Range<f64>) -> Vec<f64> {
    (0..n).map(|_| stream.random_range(range.clone())).collect()
}

/// The `width` entries of each of the chosen rows.
fn take(column: &[f64], width: usize, rows: &[usize]) -> Vec<f64> {
    rows.iter().flat_map(|row| column[row * width..(row + 1) * width].iter().copied()).collect()
}

#[test]
fn of_single_actions() {
    let mut stream = Seed::new(3).derive("jackknife").stream(0);
    let mut column = |range| draw(&mut stream, ROWS, range);
    let (reward, logging, evaluation) = (column(-1.0..2.0), column(0.2..0.9), column(0.1..0.9));
    let (logged, expected) = (column(0.0..1.0), column(0.0..1.0));
    let estimate =
        |rows: &[usize], run: &dyn Fn(&ActionLog, &Predictions) -> Result<PolicyValue>| {
            let part = |column| take(column, 1, rows);
            let (reward, logging, logged, expected) =
                (part(&reward), part(&logging), part(&logged), part(&expected));
            let log = ActionLog::new(&reward, &logging, &part(&evaluation))?;
            run(&log, &Predictions::new(&logged, &expected)?)
        };
    check("IPS", ROWS, |rows| estimate(rows, &|log, _| ips(log)));
    check("SNIPS", ROWS, |rows| estimate(rows, &|log, _| snips(log)));
    check("clipped IPS", ROWS, |rows| estimate(rows, &|log, _| clipped_ips(log, 1.5)));
    check("DR", ROWS, |rows| estimate(rows, &dr));
    check("SNDR", ROWS, |rows| estimate(rows, &sndr));
}

#[test]
fn of_slates_of_different_lengths() {
    const K: usize = 4;
    let mut stream = Seed::new(4).derive("jackknife").stream(0);
    let lengths: Vec<usize> = (0..ROWS).map(|_| stream.random_range(1..=K)).collect();
    let mut column = |range| draw(&mut stream, ROWS * K, range);
    // Rewards far from zero, so that the share of slates that have a place matters.
    let (reward, logging, evaluation) = (column(1.0..3.0), column(0.4..0.9), column(0.3..0.9));
    let estimate =
        |rows: &[usize],
         run: &dyn Fn(&SequentialSlates, &MarginalSlates) -> Result<PolicyValue>| {
            let lengths: Vec<usize> = rows.iter().map(|&row| lengths[row]).collect();
            let part = |column: &[f64]| -> Vec<f64> {
                let slates = rows.iter().zip(&lengths);
                slates
                    .flat_map(|(row, &length)| column[row * K..row * K + length].iter().copied())
                    .collect()
            };
            let (reward, logging, evaluation) = (part(&reward), part(&logging), part(&evaluation));
            let sequential = SequentialSlates::new(&lengths, &reward, &logging, &evaluation)?;
            run(&sequential, &MarginalSlates::new(&lengths, &reward, &logging, &evaluation)?)
        };
    check("SIPS", ROWS, |rows| estimate(rows, &|log, _| sips(log)));
    check("self-normalized SIPS", ROWS, |rows| estimate(rows, &|log, _| snsips(log)));
    check("RIPS", ROWS, |rows| estimate(rows, &|log, _| rips(log)));
    check("self-normalized RIPS", ROWS, |rows| estimate(rows, &|log, _| snrips(log)));
    check("IIPS", ROWS, |rows| estimate(rows, &|_, log| iips(log)));
    check("self-normalized IIPS", ROWS, |rows| estimate(rows, &|_, log| sniips(log)));
}

#[test]
fn of_the_position_based_estimators() {
    const K: usize = 3;
    let mut stream = Seed::new(5).derive("jackknife").stream(0);
    let clicks: Vec<f64> = (0..ROWS * K)
        .map(|place| f64::from(u8::from(stream.random_bool(0.8 / (1 + place % K) as f64))))
        .collect();
    let logging = draw(&mut stream, ROWS * K * K, 0.1..0.33);
    let evaluation = draw(&mut stream, ROWS * K * K, 0.0..0.33);
    let estimate = |rows: &[usize], run: &dyn Fn(&PositionSlates) -> Result<PolicyValue>| {
        let (clicks, logging) = (take(&clicks, K, rows), take(&logging, K * K, rows));
        run(&PositionSlates::new(K, &clicks, &logging, &take(&evaluation, K * K, rows))?)
    };
    let given = [0.9, 0.5, 0.2];
    check("given examination", ROWS, |rows| {
        estimate(rows, &|log| pbm(log, Examination::Given(&given)))
    });
    check("given, self-normalized", ROWS, |rows| {
        estimate(rows, &|log| snpbm(log, Examination::Given(&given)))
    });
    check("estimated examination", ROWS, |rows| {
        estimate(rows, &|log| pbm(log, Examination::FromLog))
    });
    check("estimated, self-normalized", ROWS, |rows| {
        estimate(rows, &|log| snpbm(log, Examination::FromLog))
    });
}

/// The spread of what a model predicts over rows is no error of the model.
#[test]
fn the_direct_method_has_neither_interval_nor_standard_error() {
    for expected in [[0.2, 0.8, 0.5], [0.5; 3]] {
        let value = dm(&Predictions::new(&[0.0; 3], &expected).unwrap()).unwrap();
        assert!((value.estimate.mean - 0.5).abs() < 1e-12);
        assert_eq!(value.estimate.interval, Err(NoInterval::ModelError));
        assert_eq!(value.standard_error, Err(NoInterval::ModelError));
        assert_eq!(value.estimate_text(), "0.5000 ± n/a (the model's error is unknown)");
        assert_eq!(value.standard_error_text(), "n/a (the model's error is unknown)");
    }
}

#[test]
fn a_small_standard_error_is_shown_and_one_that_cannot_be_had_is_not() {
    let value = |reward: &[f64]| {
        let sure = vec![1.0; reward.len()];
        ips(&ActionLog::new(reward, &sure, &sure).unwrap()).unwrap()
    };
    let small = value(&[0.5, 0.500_02]);
    assert_eq!(small.standard_error_text(), "1.0e-5");
    assert_eq!(small.estimate_text(), "0.50001 ± 0.00013");
    assert_eq!(value(&[0.5]).standard_error_text(), "n/a (n = 1)");
    assert_eq!(value(&[0.1; 7]).standard_error_text(), "n/a (no spread)");
    assert_eq!(value(&[0.5, 1.5]).standard_error_text(), "0.50");
}
