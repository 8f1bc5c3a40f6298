//! The probability of a click on the first slate that Eq 10 can reach, for some shares λ₁ of
//! generated trajectories: the fixed point of docs/irecgan.md, a mean over MDPs of the paper.
//!
//! `cargo run --release -p foretaste-irecgan --example fixed_point -- [MDPS]` (default 1)

use foretaste_data::ItemId;
use foretaste_nn::gumbel_top_k;
use foretaste_random::Seed;
use foretaste_sim::{Mdp, MdpConfig};
use rand::{Rng, seq::SliceRandom};

const K: usize = 10;
const SHARES: [f64; 4] = [0.0, 1.0 / 11.0, 1.0 / 2.0, 6.0 / 7.0];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mdps = std::env::args().nth(1).map_or(Ok(1), |count| count.parse())?;
    println!("log,logging policy,PG,1:10,1:1,6:1");
    for log in ["random", "max", "mix"] {
        let mut sums = [0.0; 1 + SHARES.len()];
        for seed in 0..mdps {
            let mdp = Mdp::new(&MdpConfig { seed, ..MdpConfig::default() })?;
            let stream = &mut Seed::new(seed).derive(log).stream(0);
            let mut ranked: Vec<ItemId> = (0..mdp.items() as u32).map(ItemId).collect();
            ranked.sort_by(|&a, &b| mdp.reward(0, b).total_cmp(&mdp.reward(0, a)));
            let logged = clicks(&mdp, || {
                let mut among = match log {
                    "random" => ranked.clone(),
                    "mix" if stream.random() => ranked[ranked.len() / 5..ranked.len() / 2].to_vec(),
                    _ => ranked[..K].to_vec(),
                };
                among.partial_shuffle(stream, K).0.to_vec()
            });
            sums[0] += logged.iter().sum::<f64>();
            for (share, sum) in SHARES.iter().zip(&mut sums[1..]) {
                // π* ∝ λ₂ p_log + λ₁ p_π*: the mean return Q is nearly the same for all items.
                let (mut policy, mut own) = (logged.clone(), vec![]);
                for _ in 0..if *share > 0.0 { 30 } else { 1 } {
                    let logits: Vec<_> = policy.iter().map(|p| p.max(1e-12).ln() as f32).collect();
                    let mut draw = || gumbel_top_k(&logits, K, stream).expect("finite logits");
                    own = clicks(&mdp, || draw().into_iter().map(ItemId).collect());
                    let both = logged.iter().zip(&own);
                    policy = both.map(|(log, own)| (1.0 - share) * log + share * own).collect();
                }
                *sum += own.iter().sum::<f64>();
            }
        }
        println!("{log},{}", sums.map(|sum| format!("{:.3}", sum / mdps as f64)).join(","));
    }
    Ok(())
}

/// The probability of a click on each item, over slates that are drawn for users in state 0.
fn clicks(mdp: &Mdp, slate: impl FnMut() -> Vec<ItemId>) -> Vec<f64> {
    let mut clicks = vec![0.0; mdp.items()];
    for slate in std::iter::repeat_with(slate).take(2_000) {
        let click = |&item: &ItemId| mdp.click_probability(0, &slate, item) / 2e3;
        slate.iter().for_each(|item| clicks[item.index()] += click(item));
    }
    clicks
}
