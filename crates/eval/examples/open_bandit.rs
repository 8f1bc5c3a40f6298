//! Holds our figures on the Open Bandit Dataset against those of the Open Bandit Pipeline, written
//! by `tests/obp/reference.py`.
//!
//! `cargo run -p foretaste-eval --example open_bandit -- DIR REFERENCE.json`, where DIR holds
//! `{random,bts}/{men,women}/*.csv`. Fails where a figure differs by more than 1e-6.

use std::error::Error;
use std::path::Path;

use foretaste_eval::counterfactual::*;
use foretaste_eval::{Estimate, Interval};
use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Reference {
    runs: Vec<Run>,
}

/// One log and the policy evaluated on it.
#[derive(Deserialize)]
struct Run {
    campaign: String,
    logged: String,
    evaluated: String,
    cap: f64,
    /// Mean reward of the log that the evaluated policy made itself.
    own_log_mean: f64,
    figures: std::collections::BTreeMap<String, f64>,
    /// π_e of each item at each position.
    evaluation: Vec<Vec<f64>>,
}

/// The columns of a log that matter here.
#[derive(Deserialize)]
struct Row {
    item_id: usize,
    position: usize,
    click: f64,
    propensity_score: f64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, reference] = &arguments[..] else {
        return Err("usage: open_bandit DIR REFERENCE.json".into());
    };
    let reference: Reference = serde_json::from_str(&std::fs::read_to_string(reference)?)?;
    let mut worst: f64 = 0.0;
    for run in &reference.runs {
        let path = Path::new(folder)
            .join(&run.logged)
            .join(&run.campaign)
            .join(format!("{}.csv", run.campaign));
        worst = worst.max(compare(run, &read(&path, run)?)?);
    }
    println!("largest difference from the pipeline: {worst:.1e}");
    if worst > TOLERANCE { Err("the figures do not agree".into()) } else { Ok(()) }
}

fn read(path: &Path, run: &Run) -> Result<Vec<Row>> {
    let rows: Vec<Row> =
        csv::Reader::from_path(path)?.deserialize().collect::<std::result::Result<_, _>>()?;
    let fits = |row: &Row| {
        row.position >= 1
            && run.evaluation.get(row.item_id).is_some_and(|p| row.position <= p.len())
    };
    if rows.iter().all(fits) {
        Ok(rows)
    } else {
        Err(format!("{}: an item or position without π_e", path.display()).into())
    }
}

/// Prints a table and returns the largest difference.
fn compare(run: &Run, rows: &[Row]) -> Result<f64> {
    let reward: Vec<f64> = rows.iter().map(|row| row.click).collect();
    let logging: Vec<f64> = rows.iter().map(|row| row.propensity_score).collect();
    let evaluation: Vec<f64> =
        rows.iter().map(|row| run.evaluation[row.item_id][row.position - 1]).collect();
    let q = item_means(run.evaluation.len(), rows);
    let logged: Vec<f64> = rows.iter().map(|row| q[row.item_id]).collect();
    let expected: Vec<f64> = rows
        .iter()
        .map(|row| run.evaluation.iter().zip(&q).map(|(p, q)| p[row.position - 1] * q).sum())
        .collect();
    let log = ActionLog::new(&reward, &logging, &evaluation)?;
    let model = Predictions::new(&logged, &expected)?;
    let ours = [
        ("ips", ips(&log)?),
        ("snips", snips(&log)?),
        ("clipped_ips", clipped_ips(&log, run.cap)?),
        ("dm", dm(&model)?),
        ("dr", dr(&log, &model)?),
        ("clipped_dr", clipped_dr(&log, &model, run.cap)?),
        ("sndr", sndr(&log, &model)?),
    ];
    println!(
        "{}: log of {}, policy {}, clicks per 1,000 slates",
        run.campaign, run.logged, run.evaluated
    );
    let mut worst: f64 = 0.0;
    for (name, PolicyValue { estimate, .. }) in ours {
        let theirs = *run.figures.get(name).ok_or("a figure is missing from the reference")?;
        let difference = (estimate.mean - theirs).abs();
        let interval = estimate.interval.map(|ends| Interval {
            low: 1e3 * ends.low,
            high: 1e3 * ends.high,
            ..ends
        });
        let clicks = Estimate { mean: 1e3 * estimate.mean, interval, ..estimate };
        println!(
            "  {name:<12} {clicks}   pipeline {:.4}   difference {difference:.1e}",
            1e3 * theirs
        );
        worst = worst.max(difference);
    }
    println!(
        "  {} itself earned {:.4} on its own log of as many slates",
        run.evaluated,
        1e3 * run.own_log_mean
    );
    let found = log.diagnostics()?;
    println!(
        "  {:.0} effective of {} rows, largest weight {:.1}, tail share {:.2}, mean weight {}",
        found.effective_sample_size,
        found.rows,
        found.largest_weight,
        found.tail_share,
        found.mean_weight
    );
    found.warnings().iter().for_each(|warning| println!("  warning: {warning}"));
    Ok(worst)
}

/// The mean reward of each item in the log; NaN, which no estimator accepts, for one that it never
/// shows.
fn item_means(items: usize, rows: &[Row]) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); items];
    for row in rows {
        sums[row.item_id].0 += row.click;
        sums[row.item_id].1 += 1.0;
    }
    sums.iter().map(|(clicks, shown)| clicks / shown).collect()
}
