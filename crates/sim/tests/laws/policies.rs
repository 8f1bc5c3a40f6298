use std::collections::HashMap;

use foretaste_data::ItemId;
use foretaste_random::Seed;
use foretaste_sim::bounds::{MdpBelief, MdpOracle};
use foretaste_sim::policies::{
    EpsilonGreedy, MaxReward, MixReward, Popularity, TopItems, UniformRandom,
};
use foretaste_sim::{Error, Mdp, MdpConfig, MdpState, Policy, Rollout, Slates};
use proptest::prelude::*;

use crate::support::{chi_square, mdp, slates_for};

/// Fixed seeds: a comparison of frequencies fails by chance with at most this probability.
const FALSE_ALARM: f64 = 1e-4;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn slates_hold_k_distinct_items(items in 12usize..40, k in 1usize..4, seed: u64, epsilon in 0.0f64..=1.0) {
        fn check<P: Policy<Mdp>>(policy: &P, mdp: &Mdp, k: usize, seed: u64) -> Result<(), TestCaseError> {
            let log = Rollout { max_steps: 4, ..Rollout::new(Seed::new(seed), 0..20, k) }.run(mdp, policy).unwrap();
            for step in log.iter().flat_map(|session| session.steps()) {
                let mut slate = step.slate.to_vec();
                slate.sort_unstable();
                slate.dedup();
                prop_assert_eq!(slate.len(), k);
                prop_assert!(slate.iter().all(|item| item.index() < mdp.items()));
                prop_assert!(step.propensity.unwrap().iter().all(|p| *p > 0.0 && *p <= 1.0));
            }
            Ok(())
        }
        let mdp = mdp(3, items, seed);
        let weights: Vec<f64> = (0..items).map(|item| (item % 5) as f64).collect();
        check(&UniformRandom { items }, &mdp, k, seed)?;
        check(&TopItems::new(&weights), &mdp, k, seed)?;
        check(&Popularity::new(weights).unwrap(), &mdp, k, seed)?;
        check(&EpsilonGreedy::new(MaxReward::new(&mdp), epsilon, items).unwrap(), &mdp, k, seed)?;
        check(&MaxReward::new(&mdp), &mdp, k, seed)?;
        check(&MixReward::new(&mdp), &mdp, k, seed)?;
        check(&MdpOracle::new(&mdp, k).unwrap(), &mdp, k, seed)?;
        check(&MdpBelief::new(&mdp, k).unwrap(), &mdp, k, seed)?;
    }
}

/// All ordered slates of k of n items.
fn ordered_slates(n: usize, k: usize) -> Vec<Vec<ItemId>> {
    let mut slates = vec![vec![]];
    for _ in 0..k {
        let extend = |slate: &Vec<ItemId>| -> Vec<Vec<ItemId>> {
            let free = (0..n as u32).map(ItemId).filter(|item| !slate.contains(item));
            free.map(|item| [&slate[..], &[item]].concat()).collect()
        };
        slates = slates.iter().flat_map(extend).collect();
    }
    slates
}

/// Every slate that was drawn names its probability; over all slates that can be drawn these sum to
/// 1, and they match the frequencies.
fn propensities_are_the_slates_probabilities<P: Policy<Mdp>>(name: &str, policy: &P, k: usize) {
    let rows = 60_000;
    let slates = slates_for(policy, vec![0; rows], k, Seed::new(4).derive(name));
    let mut probability: HashMap<&[ItemId], f64> = HashMap::new();
    let mut count: HashMap<&[ItemId], u64> = HashMap::new();
    for row in 0..rows {
        let product = slates.propensity(row).unwrap().iter().map(|&p| f64::from(p)).product();
        let known = *probability.entry(slates.row(row)).or_insert(product);
        assert!((known - product).abs() < 1e-6, "{name}: one slate, two propensities");
        *count.entry(slates.row(row)).or_insert(0) += 1;
    }
    // The rarest slate here is expected 70 times: that one of them never comes has probability
    // below 1e-30.
    let sum: f64 = probability.values().sum();
    assert!((sum - 1.0).abs() < 1e-4, "{name}: propensities sum to {sum}");
    if probability.len() > 1 {
        let drawn =
            ordered_slates(6, k).into_iter().filter(|slate| probability.contains_key(&slate[..]));
        let (counts, probabilities): (Vec<u64>, Vec<f64>) =
            drawn.map(|slate| (count[&slate[..]], probability[&slate[..]])).unzip();
        assert_eq!(counts.iter().sum::<u64>(), rows as u64);
        assert!(chi_square(&counts, &probabilities) > FALSE_ALARM, "{name}");
    }
}

#[test]
fn propensities_sum_to_one_and_match_frequencies() {
    let mdp = mdp(1, 6, 2);
    let weights = vec![3.0, 1.0, 0.0, 1.0, 2.0, 3.0];
    propensities_are_the_slates_probabilities("uniform", &UniformRandom { items: 6 }, 3);
    propensities_are_the_slates_probabilities(
        "popularity",
        &Popularity::new(weights.clone()).unwrap(),
        3,
    );
    propensities_are_the_slates_probabilities("top", &TopItems::new(&weights), 3);
    propensities_are_the_slates_probabilities("max", &MaxReward::new(&mdp), 3);
    propensities_are_the_slates_probabilities("mix", &MixReward::new(&mdp), 2);
    let greedy = EpsilonGreedy::new(TopItems::new(&weights), 0.6, 6).unwrap();
    propensities_are_the_slates_probabilities("epsilon", &greedy, 3);
}

#[test]
fn popularity_ends_even_if_one_item_has_nearly_all_the_weight() {
    let policy = Popularity::new(vec![1e-12, 1.0, 1e-12, 0.0]).unwrap();
    let slates = slates_for(&policy, vec![0; 50], 3, Seed::new(1));
    assert!(slates.items().iter().all(|item| item.0 < 3));
    let mdp = mdp(1, 4, 0);
    let four = Rollout::new(Seed::new(0), 0..1, 4).run(&mdp, &policy);
    assert!(matches!(four, Err(Error::Setting { .. })));
}

#[test]
fn epsilon_greedy_over_a_random_policy_logs_no_propensity() {
    let policy = EpsilonGreedy::new(UniformRandom { items: 6 }, 0.5, 6).unwrap();
    assert!(!slates_for(&policy, vec![0; 50], 2, Seed::new(1)).has_propensities());
}

#[test]
fn a_slate_depends_on_its_own_stream_only() {
    let policy = UniformRandom { items: 30 };
    let seed = Seed::new(11);
    let all = slates_for(&policy, vec![0; 40], 5, seed);
    for row in [0, 17, 39] {
        let mut alone = Slates::with_k(5);
        Policy::<Mdp>::recommend(
            &policy,
            &(),
            &MdpState(vec![0]),
            5,
            &mut [seed.stream(row)],
            &mut alone,
        )
        .unwrap();
        assert_eq!(alone.row(0), all.row(row as usize));
    }
}

#[test]
fn max_and_mix_show_the_ranks_that_the_paper_names() {
    let mdp = mdp(3, 20, 5);
    let states: Vec<u32> = (0..300).map(|row| row % 3).collect();
    let rank = |state: usize, item: ItemId| {
        mdp.rewards(state).iter().filter(|reward| **reward > mdp.reward(state, item)).count()
    };
    let max = slates_for(&MaxReward::new(&mdp), states.clone(), 5, Seed::new(0));
    let mix = slates_for(&MixReward::new(&mdp), states.clone(), 5, Seed::new(0));
    let mut band = 0;
    for (row, &state) in states.iter().enumerate() {
        let ranks = |slates: &Slates| {
            slates.row(row).iter().map(|&item| rank(state as usize, item)).collect::<Vec<_>>()
        };
        assert_eq!(ranks(&max), [0, 1, 2, 3, 4]);
        let ranks = ranks(&mix);
        if ranks != [0, 1, 2, 3, 4] {
            assert!(ranks.iter().all(|rank| (4..10).contains(rank)));
            band += 1;
        }
    }
    // Binomial(300, 1/2): outside 105..=195 with probability below 1e-6.
    assert!((105..=195).contains(&band));
}

proptest! {
    #[test]
    fn the_slates_of_a_state_share_its_probability(items in 5usize..9, k in 1usize..3, state in 0usize..3, seed: u64) {
        let mdp = Mdp::new(&MdpConfig { states: 3, items, seed, ..MdpConfig::default() }).unwrap();
        let (uniform, best, mix) = (UniformRandom { items }, MaxReward::new(&mdp), MixReward::new(&mdp));
        let mut sums = [0.0; 3];
        for set in (0..1u32 << items).filter(|set| set.count_ones() as usize == k) {
            let slate: Vec<ItemId> = (0..items as u32).filter(|item| set & (1 << item) != 0).map(ItemId).collect();
            let found = [uniform.slate_probability(k), best.slate_probability(state, &slate), mix.slate_probability(state, &slate)];
            sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
        }
        // The band of π_mix holds n/2 - n/5 items: too few for two where n = 5.
        for (sum, possible) in sums.into_iter().zip([true, true, items / 2 - items / 5 >= k]) {
            prop_assert!((sum - if possible { 1.0 } else { 0.5 }).abs() < 1e-12, "{sum}");
        }
    }
}
