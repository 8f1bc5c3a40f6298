//! Holds our figures on the Open Bandit Dataset against those of the Open Bandit Pipeline, which
//! `tests/obp/reference.py` writes. Fails where a figure differs by more than 1e-6.
//!
//! `cargo run --release -p foretaste-eval --example open_bandit -- DIR REFERENCE.json`, where DIR
//! holds `{random,bts}/{men,women}/*.csv`

use foretaste_eval::counterfactual::*;
use serde_json::{Value, from_reader, from_value};

#[derive(serde::Deserialize)]
struct Row {
    item_id: usize,
    position: usize,
    click: f64,
    propensity_score: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, reference] = &arguments[..] else { return Err("expected DIR REFERENCE".into()) };
    let reference: Value = from_reader(std::fs::File::open(reference)?)?;
    let mut worst = 0.0_f64;
    for run in reference["runs"].as_array().ok_or("the reference has no runs")? {
        let text = |key: &str| run[key].as_str().ok_or(format!("a run has no `{key}`"));
        let (campaign, logged) = (text("campaign")?, text("logged")?);
        let path = format!("{folder}/{logged}/{campaign}/{campaign}.csv");
        let rows: Result<Vec<Row>, _> = csv::Reader::from_path(path)?.deserialize().collect();
        let rows = rows?;
        let column = |of: &dyn Fn(&Row) -> f64| rows.iter().map(of).collect::<Vec<f64>>();
        let (reward, logging) = (column(&|row| row.click), column(&|row| row.propensity_score));
        // π_e of each item at each position.
        let policy: Vec<Vec<f64>> = from_value(run["evaluation"].clone())?;
        let chance = |item: usize, row: &Row| policy[item][row.position - 1];
        let evaluation = column(&|row| chance(row.item_id, row));
        let log = ActionLog::new(&reward, &logging, &evaluation)?;
        // A model of the rewards: the mean reward of each item in the log.
        let mut sums = vec![(0.0, 0.0); policy.len()];
        for row in &rows {
            sums[row.item_id] = (sums[row.item_id].0 + row.click, sums[row.item_id].1 + 1.0);
        }
        let q: Vec<f64> = sums.iter().map(|(clicks, shown)| clicks / shown).collect();
        let expected = column(&|row| (0..q.len()).map(|item| chance(item, row) * q[item]).sum());
        let shown = column(&|row| q[row.item_id]);
        let model = Predictions::new(&shown, &expected)?;
        let cap = run["cap"].as_f64().ok_or("a run has no `cap`")?;
        let names = ["ips", "snips", "clipped_ips", "dm", "dr", "clipped_dr", "sndr"];
        let single = [ips(&log)?, snips(&log)?, clipped_ips(&log, cap)?, dm(&model)?];
        let doubly = [dr(&log, &model)?, clipped_dr(&log, &model, cap)?, sndr(&log, &model)?];
        for (name, value) in names.into_iter().zip(single.into_iter().chain(doubly)) {
            println!("{campaign}, log of {logged}: {name} {}", value.estimate_text());
            let theirs = run["figures"][name].as_f64().ok_or(name)?;
            worst = worst.max((value.estimate.mean - theirs).abs());
        }
    }
    println!("largest difference from the pipeline: {worst:.1e}");
    if worst > 1e-6 { Err("the figures do not agree".into()) } else { Ok(()) }
}
