//! Agreement with the Open Bandit Pipeline on the synthetic logs of `tests/obp/`, whose
//! `reference.py` wrote its figures.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use foretaste_eval::Result;
use foretaste_eval::counterfactual::*;

const TOLERANCE: f64 = 1e-6;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/obp")
}

/// The columns of a table of numbers.
fn columns(file: &str) -> Vec<Vec<f64>> {
    let mut reader = csv::Reader::from_path(folder().join(file)).unwrap();
    let mut columns = vec![Vec::new(); reader.headers().unwrap().len()];
    for row in reader.records() {
        row.unwrap()
            .iter()
            .zip(&mut columns)
            .for_each(|(cell, column)| column.push(cell.parse().unwrap()));
    }
    columns
}

/// Holds every figure of the reference's part against ours.
fn check(part: &str, ours: &[(&str, Result<PolicyValue>)]) {
    let reference: serde_json::Value =
        serde_json::from_str(&read_to_string(folder().join("reference.json")).unwrap()).unwrap();
    let figures = reference[part].as_object().unwrap();
    assert_eq!(figures.len(), ours.len());
    for (name, value) in ours {
        let (found, expected) =
            (value.as_ref().unwrap().estimate.mean, figures[*name].as_f64().unwrap());
        assert!(
            (found - expected).abs() < TOLERANCE,
            "{name}: {found}, the pipeline says {expected}"
        );
    }
}

#[test]
fn single_actions_agree_with_the_open_bandit_pipeline() {
    let [reward, action, _position, propensity, table @ ..] = &columns("actions.csv")[..] else {
        panic!("columns")
    };
    let (evaluation, q) = table.split_at(4);
    let of_logged = |columns: &[Vec<f64>]| -> Vec<f64> {
        action.iter().enumerate().map(|(row, &action)| columns[action as usize][row]).collect()
    };
    let expected: Vec<f64> = (0..reward.len())
        .map(|row| (0..4).map(|action| evaluation[action][row] * q[action][row]).sum())
        .collect();
    let logged = of_logged(q);
    let log = ActionLog::new(reward, propensity, &of_logged(evaluation)).unwrap();
    let model = Predictions::new(&logged, &expected).unwrap();
    let cap = 2.0;
    let ours = [
        ("ips", ips(&log)),
        ("clipped_ips", clipped_ips(&log, cap)),
        ("snips", snips(&log)),
        ("dm", dm(&model)),
        ("dr", dr(&log, &model)),
        ("clipped_dr", clipped_dr(&log, &model, cap)),
        ("sndr", sndr(&log, &model)),
    ];
    check("actions", &ours);
}

#[test]
fn slates_agree_with_the_open_bandit_pipeline() {
    let columns = columns("slates.csv");
    let [
        _slate,
        place,
        _item,
        reward,
        logging,
        evaluation,
        marginal,
        evaluation_marginal,
        logged,
        expected,
    ] = &columns[..]
    else {
        panic!("columns")
    };
    let lengths = vec![3; place.iter().filter(|&&place| place == 0.0).count()];
    let sequential = SequentialSlates::new(&lengths, reward, logging, evaluation).unwrap();
    let alone = MarginalSlates::new(&lengths, reward, marginal, evaluation_marginal).unwrap();
    let ours = [
        ("sips", sips(&sequential)),
        ("snsips", snsips(&sequential)),
        ("iips", iips(&alone)),
        ("sniips", sniips(&alone)),
        ("rips", rips(&sequential)),
        ("snrips", snrips(&sequential)),
        ("cascade_dr", cascade_dr(&sequential, &Predictions::new(logged, expected).unwrap())),
    ];
    check("slates", &ours);
}
