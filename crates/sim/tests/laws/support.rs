//! Small worlds, and the tests of frequencies that several laws need.

use foretaste_data::ItemId;
use foretaste_random::Stream;
use foretaste_sim::{
    Candidates, ChoiceUsers, ChoiceUsersConfig, Mdp, MdpConfig, MdpState, Outside, Policy,
    Privileged, Responses, Result, Slates, Transitions,
};
use proptest::prelude::*;
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// An Mdp of `m` states and `n` items.
pub fn mdp(states: usize, items: usize, seed: u64) -> Mdp {
    Mdp::new(&MdpConfig { states, items, transitions: Transitions::Dirichlet(0.5), seed }).unwrap()
}

pub fn choice_users(types: usize, items: usize, outside: Outside, seed: u64) -> ChoiceUsers {
    let position_weights = vec![1.0, 0.5];
    ChoiceUsers::new(&ChoiceUsersConfig {
        types,
        items,
        dims: 3,
        position_weights,
        outside,
        seed,
        ..Default::default()
    })
    .unwrap()
}

pub fn outside() -> impl Strategy<Value = Outside> {
    prop_oneof![
        (0.1f64..1.0).prop_map(|leaving| Outside::Skip { leaving }),
        Just(Outside::Leave),
        Just(Outside::Absent)
    ]
}

/// Shows the same slate to everyone: what tests of an environment's frequencies need.
pub struct Fixed(pub Vec<ItemId>);

impl Policy for Fixed {
    type Memory = ();

    fn begin(&self, _rows: usize) -> Result<()> {
        Ok(())
    }

    fn rank(
        &self,
        _: &(),
        _: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        slates.clear(k);
        streams.iter().for_each(|_| slates.push(&self.0, None));
        Ok(())
    }

    fn observe(&self, _: &mut (), _: &Slates, _: &Responses) -> Result<()> {
        Ok(())
    }

    fn select(&self, _: &(), _: &[usize]) -> Result<()> {
        Ok(())
    }
}

/// The slates that a policy of the Mdp draws for users in the given states.
pub fn slates_for<P: Privileged<Mdp>>(
    policy: &P,
    states: Vec<u32>,
    k: usize,
    seed: foretaste_random::Seed,
) -> Slates {
    let mut streams: Vec<Stream> = (0..states.len() as u64).map(|row| seed.stream(row)).collect();
    let mut slates = Slates::with_k(k);
    let memory = policy.begin(states.len()).unwrap();
    policy.recommend(&memory, &MdpState(states), k, &mut streams, &mut slates).unwrap();
    slates
}

/// Pearson's chi-square: the probability of a deviation this large if `counts` come from
/// `probabilities`. Cells expected fewer than 5 times are merged; a count in a cell of probability
/// 0 gives 0.
pub fn chi_square(counts: &[u64], probabilities: &[f64]) -> f64 {
    chi_square_fitted(counts, probabilities, 0)
}

/// As [`chi_square`], for probabilities with `fitted` parameters that were estimated from the
/// counts.
pub fn chi_square_fitted(counts: &[u64], probabilities: &[f64], fitted: i32) -> f64 {
    let total: u64 = counts.iter().sum();
    let (mut statistic, mut cells, mut rare) = (0.0, 0, (0.0, 0.0));
    let mut add = |count: f64, expected: f64| {
        statistic += (count - expected).powi(2) / expected;
        cells += 1;
    };
    for (&count, probability) in counts.iter().zip(probabilities) {
        if *probability <= 0.0 && count > 0 {
            return 0.0;
        }
        let expected = probability * total as f64;
        if expected >= 5.0 {
            add(count as f64, expected);
        } else {
            rare = (rare.0 + count as f64, rare.1 + expected);
        }
    }
    if rare.1 >= 5.0 {
        add(rare.0, rare.1);
    }
    assert!(cells > 1 + fitted, "nothing to compare");
    ChiSquared::new(f64::from(cells - 1 - fitted)).unwrap().sf(statistic)
}

/// Mean and its standard error.
pub fn mean(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        n += 1.0;
        sum += value;
        squares += value * value;
    }
    let mean = sum / n;
    (mean, ((squares / n - mean * mean) / (n - 1.0)).sqrt())
}
