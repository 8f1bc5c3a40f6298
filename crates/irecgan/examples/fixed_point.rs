//! What Eq 10 can reach on the first slate of a session, for some shares λ₁ of generated
//! trajectories: the fixed point of docs/irecgan.md, with a perfect user model and no limit on the
//! data. Means over ten MDPs of the paper.

use foretaste_data::ItemId;
use foretaste_nn::gumbel_top_k;
use foretaste_random::{Seed, Stream};
use foretaste_sim::{Mdp, MdpConfig};
use rand::Rng;
use rand::seq::SliceRandom;

const K: usize = 10;
const SLATES: usize = 2_000;
const STEPS: usize = 30;
/// λ₁ of 1:10, 1:1 and 6:1 generated to offline trajectories.
const SHARES: [f64; 4] = [0.0, 1.0 / 11.0, 0.5, 6.0 / 7.0];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("log      logging   PG     1:10    1:1    6:1   (probability of a click)");
    for log in ["random", "max", "mix"] {
        let mut sums = [0.0; 1 + SHARES.len()];
        for seed in 0..10 {
            let mdp = Mdp::new(&MdpConfig { seed, ..MdpConfig::default() })?;
            let mut stream = Seed::new(seed).derive(log).stream(0);
            let mut ranked: Vec<ItemId> = (0..mdp.items() as u32).map(ItemId).collect();
            ranked.sort_by(|&a, &b| mdp.reward(0, b).total_cmp(&mdp.reward(0, a)));
            let logged = clicks(&mdp, || logged(log, &ranked, &mut stream));
            sums[0] += logged.iter().sum::<f64>();
            for (share, sum) in SHARES.iter().zip(&mut sums[1..]) {
                let policy = fixed_point(&mdp, &logged, *share, &mut stream)?;
                *sum += generated(&mdp, &policy, &mut stream)?.iter().sum::<f64>();
            }
        }
        let cells: Vec<String> = sums.iter().map(|sum| format!("{:.3}", sum / 10.0)).collect();
        println!("{log:8} {}", cells.join("  "));
    }
    Ok(())
}

/// A slate of a logging policy for a user in state 0, whose items are ranked by reward.
fn logged(log: &str, ranked: &[ItemId], stream: &mut Stream) -> Vec<ItemId> {
    let mut among = match log {
        "random" => ranked.to_vec(),
        "mix" if stream.random::<bool>() => ranked[ranked.len() / 5..ranked.len() / 2].to_vec(),
        _ => ranked[..K].to_vec(),
    };
    among.shuffle(stream);
    among.truncate(K);
    among
}

/// The probability of a click on each item, over slates that are made.
fn clicks(mdp: &Mdp, mut slate: impl FnMut() -> Vec<ItemId>) -> Vec<f64> {
    let mut clicks = vec![0.0; mdp.items()];
    for _ in 0..SLATES {
        let slate = slate();
        for &item in &slate {
            clicks[item.index()] += mdp.click_probability(0, &slate, item) / SLATES as f64;
        }
    }
    clicks
}

/// The same over slates that are drawn from a policy.
fn generated(
    mdp: &Mdp,
    policy: &[f64],
    stream: &mut Stream,
) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let logits: Vec<f32> = policy.iter().map(|p| (p.max(1e-12)).ln() as f32).collect();
    let drawn: Vec<Vec<u32>> =
        (0..SLATES).map(|_| gumbel_top_k(&logits, K, stream)).collect::<Result<_, _>>()?;
    let mut drawn = drawn.into_iter();
    Ok(clicks(mdp, || drawn.next().into_iter().flatten().map(ItemId).collect()))
}

/// π* ∝ λ₂ p_log + λ₁ p_π*, Q being the same for all items.
fn fixed_point(
    mdp: &Mdp,
    logged: &[f64],
    lambda_1: f64,
    stream: &mut Stream,
) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let normal = |weights: Vec<f64>| {
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect::<Vec<_>>()
    };
    let mut policy = normal(logged.to_vec());
    for _ in 0..if lambda_1 > 0.0 { STEPS } else { 0 } {
        let made = generated(mdp, &policy, stream)?;
        let both =
            logged.iter().zip(made).map(|(log, own)| (1.0 - lambda_1) * log + lambda_1 * own);
        policy = normal(both.collect());
    }
    Ok(policy)
}
