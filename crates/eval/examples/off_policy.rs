//! Estimates, from the log of one recommender, what two others would have earned, next to the truth
//! that the simulator knows.
//!
//! `cargo run -p foretaste-eval --example off_policy`
//!
//! Users have one of four types, which the recommender sees; it shows one item, and a click earns
//! 1.

use std::error::Error;

use foretaste_data::ItemId;
use foretaste_eval::counterfactual::*;
use foretaste_random::{Seed, Stream};
use foretaste_sim::{ChoiceUsers, ChoiceUsersConfig, Environment, Outside, Responses, Slates};
use rand::Rng;

const TYPES: usize = 4;
const ITEMS: usize = 8;
const ROWS: usize = 2_000;
const CAP: f64 = 10.0;

/// The probability of each item for each type of user: `[types, items]`.
type Recommender = Vec<Vec<f64>>;

fn main() -> Result<(), Box<dyn Error>> {
    let config = ChoiceUsersConfig {
        types: TYPES,
        items: ITEMS,
        dims: 3,
        outside: Outside::Leave,
        ..Default::default()
    };
    let users = ChoiceUsers::new(&config)?;
    let logging = recommender(&users, 1.0);
    let train = Log::draw(&users, &logging, Seed::new(1))?;
    let log = Log::draw(&users, &logging, Seed::new(2))?;
    let q = train.click_rates();
    println!(
        "a log of {ROWS} slates by a recommender that earns {:.4} a slate",
        value(&users, &logging)
    );
    for (name, evaluated) in
        [("a keener one", recommender(&users, 2.0)), ("its opposite", recommender(&users, -3.0))]
    {
        println!("\n{name}, which truly earns {:.4}", value(&users, &evaluated));
        evaluate(&log, &logging, &evaluated, &q)?;
    }
    Ok(())
}

/// Prints every estimate and what the diagnostics say.
fn evaluate(
    log: &Log,
    logging: &Recommender,
    evaluated: &Recommender,
    q: &[f64],
) -> Result<(), Box<dyn Error>> {
    let (propensity, evaluation) = (log.chances(logging), log.chances(evaluated));
    let logged: Vec<f64> = log.items.iter().map(|&item| q[item]).collect();
    let expected: Vec<f64> = log
        .types
        .iter()
        .map(|&user| evaluated[user].iter().zip(q).map(|(p, q)| p * q).sum())
        .collect();
    let rows = ActionLog::new(&log.reward, &propensity, &evaluation)?;
    let model = Predictions::new(&logged, &expected)?;
    let clipped = format!("clipped IPS, {CAP}");
    let clipped_doubly = format!("clipped DR, {CAP}");
    let values = [
        ("IPS", ips(&rows)?),
        ("SNIPS", snips(&rows)?),
        (&clipped, clipped_ips(&rows, CAP)?),
        ("DM", dm(&model)?),
        ("DR", dr(&rows, &model)?),
        (&clipped_doubly, clipped_dr(&rows, &model, CAP)?),
        ("SNDR", sndr(&rows, &model)?),
    ];
    for (name, value) in values {
        println!(
            "  {name:<16} {:<18} standard error {}",
            value.estimate_text(),
            value.standard_error_text()
        );
    }
    let found = rows.diagnostics()?;
    println!(
        "  {:.0} effective rows; largest weight {:.1}; 1% of the weights hold {:.0}%; smallest propensity {:.4}; mean weight {}",
        found.effective_sample_size,
        found.largest_weight,
        100.0 * found.tail_share,
        found.smallest_propensity,
        found.mean_weight
    );
    found.warnings().iter().for_each(|warning| println!("  warning: {warning}"));
    Ok(())
}

/// Shows items in proportion to e^(sharpness · what the user likes).
fn recommender(users: &ChoiceUsers, sharpness: f64) -> Recommender {
    let items: Vec<ItemId> = (0..ITEMS as u32).map(ItemId).collect();
    let of_type = |user: usize| {
        let weights: Vec<f64> =
            users.utilities(user, &[], &items).iter().map(|r| (sharpness * r).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    };
    (0..TYPES).map(of_type).collect()
}

/// The expected reward of a slate.
fn value(users: &ChoiceUsers, recommender: &Recommender) -> f64 {
    let click =
        |user: usize, item: usize| users.choice_probabilities(user, &[], &[ItemId(item as u32)])[0];
    let of_type = |user: usize| {
        (0..ITEMS).map(|item| recommender[user][item] * click(user, item)).sum::<f64>()
    };
    (0..TYPES).map(of_type).sum::<f64>() / TYPES as f64
}

struct Log {
    types: Vec<usize>,
    items: Vec<usize>,
    reward: Vec<f64>,
}

impl Log {
    fn draw(
        users: &ChoiceUsers,
        recommender: &Recommender,
        seed: Seed,
    ) -> foretaste_sim::Result<Self> {
        let mut streams = seed.derive("users").streams(0..ROWS as u64);
        let mut own = seed.derive("recommender").stream(0);
        let mut state = users.reset(&mut streams)?;
        let types: Vec<usize> = (0..ROWS).map(|row| state.user_type(row)).collect();
        let items: Vec<usize> =
            types.iter().map(|&user| draw(&recommender[user], &mut own)).collect();
        let (mut slates, mut responses) = (Slates::with_k(1), Responses::default());
        items.iter().for_each(|&item| slates.push(&[ItemId(item as u32)], None));
        users.step(&mut state, &slates, &mut streams, &mut responses)?;
        let reward = responses.reward.iter().map(|&reward| f64::from(reward)).collect();
        Ok(Self { types, items, reward })
    }

    /// The probability of each logged item under a recommender.
    fn chances(&self, recommender: &Recommender) -> Vec<f64> {
        self.types.iter().zip(&self.items).map(|(&user, &item)| recommender[user][item]).collect()
    }

    /// A model of the rewards: the click rate of each item, the same for all users.
    fn click_rates(&self) -> Vec<f64> {
        let rate = |item: usize| {
            let of_item =
                || self.items.iter().zip(&self.reward).filter(|(other, _)| **other == item);
            of_item().map(|(_, reward)| reward).sum::<f64>() / of_item().count().max(1) as f64
        };
        (0..ITEMS).map(rate).collect()
    }
}

fn draw(chances: &[f64], stream: &mut Stream) -> usize {
    let mut point = stream.random::<f64>();
    let found = chances.iter().position(|chance| {
        point -= chance;
        point < 0.0
    });
    // Rounding may leave a point beyond the last.
    found.unwrap_or(chances.len() - 1)
}
