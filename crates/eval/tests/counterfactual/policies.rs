//! Policies that know the user's type, with every probability that an estimator may ask for.

use foretaste_random::{Seed, Stream};
use rand::Rng;

pub const TYPES: usize = 3;
pub const ITEMS: usize = 6;
pub const K: usize = 3;

/// Draws items one by one, without replacement, in proportion to weights that depend on the user's
/// type.
pub struct PlackettLuce {
    weights: Vec<[f64; ITEMS]>,
    /// The probability of each item at each place, `[types, items, k]`.
    pub marginal: Vec<[[f64; K]; ITEMS]>,
}

impl PlackettLuce {
    /// Weights e^(sharpness · score).
    pub fn new(scores: &[[f64; ITEMS]], sharpness: f64) -> Self {
        let weights: Vec<_> =
            scores.iter().map(|scores| scores.map(|score| (sharpness * score).exp())).collect();
        let mut policy = Self { weights, marginal: vec![[[0.0; K]; ITEMS]; scores.len()] };
        for context in 0..scores.len() {
            for (slate, chance) in policy.slates(context) {
                slate
                    .iter()
                    .enumerate()
                    .for_each(|(place, &item)| policy.marginal[context][item][place] += chance);
            }
        }
        policy
    }

    /// The probability of each item after those of `before`.
    pub fn next(&self, context: usize, before: &[usize]) -> [f64; ITEMS] {
        let mut left = self.weights[context];
        before.iter().for_each(|&item| left[item] = 0.0);
        let total: f64 = left.iter().sum();
        left.map(|weight| weight / total)
    }

    /// The probability of each place of a slate, given those before it.
    pub fn chances(&self, context: usize, slate: &[usize]) -> Vec<f64> {
        (0..slate.len()).map(|place| self.next(context, &slate[..place])[slate[place]]).collect()
    }

    pub fn draw(&self, context: usize, k: usize, stream: &mut Stream) -> Vec<usize> {
        let mut slate = Vec::new();
        while slate.len() < k {
            let mut point = stream.random::<f64>();
            let chances = self.next(context, &slate);
            let item = chances.iter().position(|chance| {
                point -= chance;
                point < 0.0
            });
            slate.extend(item);
        }
        slate
    }

    /// Every slate with its probability.
    pub fn slates(&self, context: usize) -> Vec<(Vec<usize>, f64)> {
        let mut slates = Vec::new();
        for code in 0..ITEMS.pow(K as u32) {
            let slate = vec![code / ITEMS / ITEMS, code / ITEMS % ITEMS, code % ITEMS];
            if slate[0] != slate[1] && slate[0] != slate[2] && slate[1] != slate[2] {
                let chance = self.chances(context, &slate).iter().product();
                slates.push((slate, chance));
            }
        }
        slates
    }
}

/// Scores that both policies of a test rise with: what users like, with an error that is the
/// policy's own.
pub fn scores(seed: u64, liking: impl Fn(usize, usize) -> f64, error: f64) -> Vec<[f64; ITEMS]> {
    let mut stream = Seed::new(seed).derive("scores").stream(0);
    let mut score = |context: usize, item: usize| {
        liking(context, item) + error * (stream.random::<f64>() - 0.5)
    };
    (0..TYPES).map(|context| std::array::from_fn(|item| score(context, item))).collect()
}
