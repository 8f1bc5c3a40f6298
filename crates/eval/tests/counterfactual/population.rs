//! A whole population of slates as a log: every slate as often as the logging policy shows it, with
//! the expected reward at each place. Estimators that are unbiased, or consistent, return the truth
//! on it.

use proptest::prelude::*;

pub const ITEMS: usize = 4;

#[derive(Clone, Debug)]
pub struct Population {
    pub k: usize,
    /// Every ordered slate of k of the items, with how often the log holds it and how likely it is
    /// evaluated.
    slates: Vec<(Vec<usize>, usize, f64)>,
}

/// The columns of such a log, `[slates, k]`, and the probabilities at every place,
/// `[slates, k, k]`.
#[derive(Default)]
pub struct Columns {
    pub lengths: Vec<usize>,
    pub items: Vec<usize>,
    pub reward: Vec<f64>,
    pub logging: Vec<f64>,
    pub evaluation: Vec<f64>,
    pub logging_marginal: Vec<f64>,
    pub evaluation_marginal: Vec<f64>,
    pub logging_everywhere: Vec<f64>,
    pub evaluation_everywhere: Vec<f64>,
}

pub fn population(k: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Population> {
    k.prop_flat_map(|k| {
        let slates = orders(k);
        let n = slates.len();
        (prop::collection::vec(1_usize..4, n), prop::collection::vec(0_u32..5, n)).prop_map(
            move |(counts, weights)| {
                let total = f64::from(weights.iter().sum::<u32>()).max(1.0);
                // Where all weights are 0, the first slate is always shown.
                let sure = weights.iter().all(|&weight| weight == 0);
                let evaluation = weights.iter().enumerate().map(|(i, &weight)| match (sure, i) {
                    (true, 0) => 1.0,
                    _ => f64::from(weight) / total,
                });
                let slates = slates.iter().cloned().zip(counts).zip(evaluation);
                Population {
                    k,
                    slates: slates.map(|((slate, count), p)| (slate, count, p)).collect(),
                }
            },
        )
    })
}

impl Population {
    /// The log, where place l of a slate earns `reward(slate, l)`.
    pub fn columns(&self, reward: impl Fn(&[usize], usize) -> f64) -> Columns {
        let mut columns = Columns::default();
        for (slate, count, _) in &self.slates {
            for _ in 0..*count {
                columns.lengths.push(self.k);
                for place in 0..self.k {
                    let before = |other: &[usize]| other[..place] == slate[..place];
                    let until = |other: &[usize]| other[..=place] == slate[..=place];
                    let (logging, evaluation) = (self.share(until), self.share(before));
                    columns.items.push(slate[place]);
                    columns.reward.push(reward(slate, place));
                    columns.logging.push(logging.0 / evaluation.0);
                    columns.evaluation.push(if evaluation.1 > 0.0 {
                        logging.1 / evaluation.1
                    } else {
                        0.0
                    });
                    for other in 0..self.k {
                        let (logging, evaluation) =
                            self.share(|shown| shown[other] == slate[place]);
                        columns.logging_everywhere.push(logging);
                        columns.evaluation_everywhere.push(evaluation);
                        if other == place {
                            columns.logging_marginal.push(logging);
                            columns.evaluation_marginal.push(evaluation);
                        }
                    }
                }
            }
        }
        columns
    }

    /// The evaluated policy's expected reward of a slate.
    pub fn truth(&self, reward: impl Fn(&[usize], usize) -> f64) -> f64 {
        self.slates
            .iter()
            .map(|(slate, _, p)| p * (0..self.k).map(|place| reward(slate, place)).sum::<f64>())
            .sum()
    }

    /// Σ_a π_e(a | the places before) f(the places before, a) of each logged place, `[slates, k]`.
    pub fn expected(&self, f: impl Fn(&[usize]) -> f64) -> Vec<f64> {
        let mut column = Vec::new();
        for (slate, count, _) in &self.slates {
            let of_place = |place: usize| {
                let whole = self.share(|other| other[..place] == slate[..place]).1;
                let part = |item: usize| {
                    let prefix = [&slate[..place], &[item]].concat();
                    self.share(|other| other[..=place] == prefix[..]).1 * f(&prefix)
                };
                if whole > 0.0 { (0..ITEMS).map(part).sum::<f64>() / whole } else { 0.0 }
            };
            let row: Vec<f64> = (0..self.k).map(of_place).collect();
            (0..*count).for_each(|_| column.extend_from_slice(&row));
        }
        column
    }

    /// The probability, logged and evaluated, of slates of some kind.
    fn share(&self, kind: impl Fn(&[usize]) -> bool) -> (f64, f64) {
        let total: usize = self.slates.iter().map(|(_, count, _)| count).sum();
        let of_kind = || self.slates.iter().filter(|(slate, ..)| kind(slate));
        let logged: usize = of_kind().map(|(_, count, _)| count).sum();
        (logged as f64 / total as f64, of_kind().map(|(_, _, p)| p).sum())
    }
}

/// All ordered slates of k of the items.
fn orders(k: usize) -> Vec<Vec<usize>> {
    (0..k).fold(vec![Vec::new()], |shorter, _| {
        let longer = |slate: &Vec<usize>| -> Vec<Vec<usize>> {
            let next = (0..ITEMS).filter(|item| !slate.contains(item));
            next.map(|item| [&slate[..], &[item]].concat()).collect()
        };
        shorter.iter().flat_map(longer).collect()
    })
}
