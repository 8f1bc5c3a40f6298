//! Logs that cannot be evaluated are refused, with the row and the reason; hand-computed
//! diagnostics.

use foretaste_eval::Error;
use foretaste_eval::counterfactual::*;

const ONE: [f64; 2] = [1.0, 0.0];
const HALF: [f64; 2] = [0.5, 0.5];

#[test]
fn single_actions() {
    let new = |reward: &[f64], logging: &[f64], evaluation: &[f64]| {
        ActionLog::new(reward, logging, evaluation).err()
    };
    assert!(matches!(new(&[], &[], &[]), Some(Error::Empty { .. })));
    assert!(matches!(new(&ONE, &HALF[..1], &HALF), Some(Error::Lengths { left: 2, right: 1, .. })));
    assert!(matches!(new(&ONE, &HALF, &HALF[..1]), Some(Error::Lengths { left: 2, right: 1, .. })));
    assert!(matches!(new(&[1.0, f64::NAN], &HALF, &HALF), Some(Error::NotFinite { index: 1, .. })));
    for wrong in [0.0, -0.1, 1.1, f64::NAN] {
        assert!(matches!(new(&ONE, &[0.5, wrong], &HALF), Some(Error::Probability { row: 1, .. })));
    }
    for wrong in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(new(&ONE, &HALF, &[wrong, 0.5]), Some(Error::Probability { row: 0, .. })));
    }
    let message = new(&ONE, &[0.5, 1.5], &HALF).map(|error| error.to_string());
    assert_eq!(
        message.as_deref(),
        Some("logging propensity: row 1 is 1.5, expected a probability in (0, 1]")
    );
    let log = ActionLog::new(&ONE, &HALF, &HALF).unwrap();
    for cap in [0.0, -1.0, f64::NAN] {
        assert!(matches!(clipped_ips(&log, cap), Err(Error::Cap { .. })));
    }
    let model = Predictions::new(&ONE[..1], &HALF[..1]).unwrap();
    assert!(matches!(dr(&log, &model), Err(Error::Lengths { left: 2, right: 1, .. })));
    assert!(matches!(Predictions::new(&ONE, &HALF[..1]), Err(Error::Lengths { .. })));
    assert!(matches!(Predictions::new(&[], &[]), Err(Error::Empty { .. })));
    assert!(matches!(
        Predictions::new(&ONE, &[0.0, f64::INFINITY]),
        Err(Error::NotFinite { index: 1, .. })
    ));
    let overflowing = ActionLog::new(&ONE, &[1e-310, 0.5], &HALF).unwrap();
    assert!(matches!(ips(&overflowing), Err(Error::NotFinite { index: 0, .. })));
    assert!(matches!(overflowing.diagnostics(), Err(Error::NotFinite { index: 0, .. })));
}

#[test]
fn slates() {
    let new = |lengths: &[usize]| SequentialSlates::new(lengths, &ONE, &HALF, &HALF).err();
    assert!(new(&[2]).is_none() && new(&[1, 1]).is_none());
    assert!(matches!(new(&[3]), Some(Error::Lengths { left: 3, right: 2, .. })));
    assert!(matches!(new(&[2, 0]), Some(Error::Empty { .. })));
    assert!(matches!(
        MarginalSlates::new(&[2], &ONE, &HALF, &[2.0, 0.0]),
        Err(Error::Probability { row: 0, .. })
    ));
    let unseen = SequentialSlates::new(&[2], &ONE, &HALF, &[0.5, 0.0]).unwrap();
    assert!(matches!(snsips(&unseen), Err(Error::NoOverlap { .. })));
    assert!(matches!(snrips(&unseen), Err(Error::NoOverlap { .. })));
    assert!(matches!(
        cascade_dr(&unseen, &Predictions::new(&ONE[..1], &ONE[..1]).unwrap()),
        Err(Error::Lengths { .. })
    ));
}

#[test]
fn position_based_slates() {
    let everywhere = [0.5; 4];
    let new = |k, logging: &[f64]| PositionSlates::new(k, &ONE, logging, &everywhere).err();
    assert!(new(2, &everywhere).is_none());
    assert!(matches!(new(0, &everywhere), Some(Error::Empty { .. })));
    assert!(matches!(new(3, &everywhere), Some(Error::Lengths { left: 2, right: 0, .. })));
    assert!(matches!(new(2, &HALF), Some(Error::Lengths { left: 2, right: 4, .. })));
    // Place 1 shows what it never shows; elsewhere a zero is no fault.
    assert!(matches!(new(2, &[0.5, 0.5, 0.5, 0.0]), Some(Error::Probability { row: 1, .. })));
    assert!(new(2, &[0.5, 0.0, 0.5, 0.5]).is_none());
    let log = PositionSlates::new(2, &ONE, &everywhere, &everywhere).unwrap();
    assert!(matches!(examination(&log), Err(Error::Unexamined { place: 1 })));
    assert!(matches!(pbm(&log, Examination::Given(&HALF[..1])), Err(Error::Lengths { .. })));
    assert!(matches!(
        pbm(&log, Examination::Given(&[0.5, 0.0])),
        Err(Error::Probability { row: 1, .. })
    ));
}

/// 200 rows: 2 of weight 50, 98 of weight 1, 100 of weight 0, so (100 + 98)² / (2 · 2500 + 98)
/// effective rows.
#[test]
fn hand_computed_diagnostics() {
    let evaluation: Vec<f64> = (0..200)
        .map(|row| if row < 2 { 0.025 } else { [0.0, 0.5][usize::from(row < 100)] })
        .collect();
    let logging: Vec<f64> = (0..200).map(|row| if row < 2 { 0.0005 } else { 0.5 }).collect();
    let reward = vec![1.0; 200];
    let found = ActionLog::new(&reward, &logging, &evaluation).unwrap().diagnostics().unwrap();
    assert_eq!((found.rows, found.smallest_propensity, found.below_floor), (200, 0.0005, 0.01));
    assert!((found.effective_sample_size - 198.0 * 198.0 / 5098.0).abs() < 1e-9);
    assert!(
        (found.tail_share - 100.0 / 198.0).abs() < 1e-12
            && (found.largest_weight - 50.0).abs() < 1e-9
    );
    assert!((found.mean_weight.mean - 0.99).abs() < 1e-12);
    let said: Vec<String> = found.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("the 200 weights are worth 7 equally weighted ones, fewer than 100: the policies differ too much for this log, or the log is too small"), "{said:?}");
    assert!(said[1].starts_with("the largest 1% of the weights hold 51% of their sum"), "{said:?}");
    assert!(
        said[2].starts_with(
            "1.00% of the logged propensities are below 0.001, the smallest is 5.0e-4"
        ),
        "{said:?}"
    );
}

/// What is below the bound is not said to be at it; where the rows alone are too few, the policies
/// are not to blame.
#[test]
fn effective_rows_are_rounded_down() {
    let said = |effective, rows| Warning::FewEffectiveRows { effective, rows }.to_string();
    let many = said(99.99, 100);
    assert!(
        many.starts_with("the 100 weights are worth 99 equally weighted ones, fewer than 100"),
        "{many}"
    );
    assert!(many.contains("differ too much for this log, or the log is too small,"), "{many}");
    let few = said(29.0, 29);
    assert!(
        few.starts_with(
            "the 29 weights are worth 29 equally weighted ones, fewer than 100: the log is"
        ),
        "{few}"
    );
    assert!(few.contains("too small") && !few.contains("policies"), "{few}");
}

/// A policy that the log's propensities do not fit: all weights are 0.8 or 0.9.
#[test]
fn weights_that_do_not_average_one_are_reported() {
    let evaluation: Vec<f64> = (0..400).map(|row| if row % 2 == 0 { 0.4 } else { 0.45 }).collect();
    let found =
        ActionLog::new(&[1.0; 400], &[0.5; 400], &evaluation).unwrap().diagnostics().unwrap();
    let [Warning::MeanWeight { mean }] = found.warnings()[..] else {
        panic!("{:?}", found.warnings())
    };
    assert!((mean.mean - 0.85).abs() < 1e-12);
}

#[test]
fn a_propensity_at_the_floor_is_not_below_it() {
    let logging = [PROPENSITY_FLOOR, PROPENSITY_FLOOR / 2.0, 0.5, 1.0];
    let log = ActionLog::new(&[0.0; 4], &logging, &[0.0; 4]).unwrap();
    assert_eq!(log.diagnostics().unwrap().below_floor, 0.25);
}
