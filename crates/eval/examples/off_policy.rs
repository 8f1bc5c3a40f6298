//! Estimates, from the log of one recommender, what two others would have earned, next to the truth
//! that the simulator knows. There are four kinds of users, a recommender shows one of eight items,
//! and a click earns 1.
//!
//! `cargo run --release -p foretaste-eval --example off_policy`

use foretaste_eval::counterfactual::*;
use foretaste_random::Seed;
use rand::{Rng, distr::weighted::WeightedIndex};

/// A number for each kind of user and each item.
type Table = Vec<Vec<f64>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut stream = Seed::new(1).stream(0);
    let rates: Table = (0..4).map(|_| (0..8).map(|_| stream.random()).collect()).collect();
    let value = |shown: &Table| {
        shown.iter().zip(&rates).map(|(shown, rates)| product(shown, rates) / 4.0).sum::<f64>()
    };
    let logging = recommender(&rates, 2.0);
    let mut rows: Vec<(usize, usize, f64)> = Vec::new();
    for _ in 0..2_000 {
        let kind = stream.random_range(0..4);
        let item = stream.sample(WeightedIndex::new(&logging[kind])?);
        rows.push((kind, item, f64::from(stream.random_bool(rates[kind][item]))));
    }
    println!("2000 slates of a recommender that earns {:.4} a slate", value(&logging));
    let reward: Vec<f64> = rows.iter().map(|row| row.2).collect();
    // A model of the rewards that is wrong: the same for all kinds of users.
    let model: Vec<f64> = (0..8).map(|i| rates.iter().map(|rates| rates[i] / 4.0).sum()).collect();
    let modeled: Vec<f64> = rows.iter().map(|row| model[row.1]).collect();
    for (name, keenness) in [("a keener one", 6.0), ("its opposite", -6.0)] {
        let shown = recommender(&rates, keenness);
        let chances = |of: &Table| rows.iter().map(|row| of[row.0][row.1]).collect::<Vec<f64>>();
        let (propensity, evaluation) = (chances(&logging), chances(&shown));
        let log = ActionLog::new(&reward, &propensity, &evaluation)?;
        let expected: Vec<f64> = rows.iter().map(|row| product(&shown[row.0], &model)).collect();
        let model = Predictions::new(&modeled, &expected)?;
        println!("\n{name}, which truly earns {:.4}", value(&shown));
        println!("  IPS    {}", ips(&log)?.estimate_text());
        println!("  SNIPS  {}", snips(&log)?.estimate_text());
        println!("  DR     {}", dr(&log, &model)?.estimate_text());
        let found = log.diagnostics()?;
        println!("  {:.0} effective rows {:?}", found.effective_sample_size, found.warnings());
    }
    Ok(())
}

/// Shows items in proportion to e^(keenness · click rate).
fn recommender(rates: &Table, keenness: f64) -> Table {
    let of_kind = |rates: &Vec<f64>| {
        let weights = rates.iter().map(|rate| (keenness * rate).exp());
        weights.clone().map(|weight| weight / weights.clone().sum::<f64>()).collect()
    };
    rates.iter().map(of_kind).collect()
}

fn product(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p * q).sum()
}
