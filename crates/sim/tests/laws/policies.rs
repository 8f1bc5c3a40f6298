//! Policies show distinct items that may be shown, as often as their propensities say.

use std::collections::HashMap;

use foretaste_data::ItemId;
use foretaste_random::Seed;
use foretaste_sim::bounds::{ChoiceBelief, ChoiceOracle, MdpBelief, MdpOracle};
use foretaste_sim::policies::{
    EpsilonGreedy, MaxReward, MixReward, Popularity, TopItems, UniformRandom,
};
use foretaste_sim::{
    Blind, Candidates, Error, Mdp, MdpConfig, Outside, Policy, Privileged, Propensities, Rollout,
    Slates,
};
use proptest::prelude::*;

use crate::support::{chi_square, choice_users, mdp, slates_for};

/// Fixed seeds: a comparison of frequencies fails by chance with at most this probability.
const FALSE_ALARM: f64 = 1e-4;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn slates_hold_k_distinct_items(items in 12usize..40, k in 1usize..4, seed: u64, epsilon in 0.0f64..=1.0) {
        fn check<P: Privileged<Mdp>>(policy: &P, mdp: &Mdp, k: usize, seed: u64) -> Result<(), TestCaseError> {
            let log = Rollout::new(Seed::new(seed), 0..20, k).max_steps(4).run(mdp, policy).unwrap();
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
        check(&Blind(UniformRandom { items }), &mdp, k, seed)?;
        check(&Blind(TopItems::new(&weights)), &mdp, k, seed)?;
        check(&Blind(Popularity::new(weights).unwrap()), &mdp, k, seed)?;
        check(&EpsilonGreedy::new(MaxReward::new(&mdp), epsilon, items).unwrap(), &mdp, k, seed)?;
        check(&MaxReward::new(&mdp), &mdp, k, seed)?;
        check(&MixReward::new(&mdp), &mdp, k, seed)?;
        check(&MdpOracle::new(&mdp, k).unwrap(), &mdp, k, seed)?;
        check(&Blind(MdpBelief::new(&mdp, k).unwrap()), &mdp, k, seed)?;
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
fn propensities_are_the_slates_probabilities<P: Privileged<Mdp>>(name: &str, policy: &P, k: usize) {
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
    let uniform = Blind(UniformRandom { items: 6 });
    propensities_are_the_slates_probabilities("uniform", &uniform, 3);
    let popularity = Blind(Popularity::new(weights.clone()).unwrap());
    propensities_are_the_slates_probabilities("popularity", &popularity, 3);
    propensities_are_the_slates_probabilities("top", &Blind(TopItems::new(&weights)), 3);
    propensities_are_the_slates_probabilities("max", &MaxReward::new(&mdp), 3);
    propensities_are_the_slates_probabilities("mix", &MixReward::new(&mdp), 2);
    let greedy = EpsilonGreedy::new(TopItems::new(&weights), 0.6, 6).unwrap();
    propensities_are_the_slates_probabilities("epsilon", &Blind(greedy), 3);
}

#[test]
fn popularity_ends_even_if_one_item_has_nearly_all_the_weight() {
    let policy = Popularity::new(vec![1e-12, 1.0, 1e-12, 0.0]).unwrap();
    let slates = slates_for(&Blind(&policy), vec![0; 50], 3, Seed::new(1));
    assert!(slates.items().iter().all(|item| item.0 < 3));
    let mdp = mdp(1, 4, 0);
    let four = Rollout::new(Seed::new(0), 0..1, 4).run(&mdp, &Blind(policy));
    assert!(matches!(four, Err(Error::Setting(_))));
}

#[test]
fn epsilon_greedy_over_a_random_policy_logs_no_propensity() {
    let policy = EpsilonGreedy::new(UniformRandom { items: 6 }, 0.5, 6).unwrap();
    assert!(!slates_for(&Blind(policy), vec![0; 50], 2, Seed::new(1)).has_propensities());
}

#[test]
fn a_slate_depends_on_its_own_stream_only() {
    let policy = UniformRandom { items: 30 };
    let seed = Seed::new(11);
    let all = slates_for(&Blind(policy), vec![0; 40], 5, seed);
    for row in [0, 17, 39] {
        let mut alone = Slates::with_k(5);
        policy.rank(&(), None, 5, &mut [seed.stream(row)], &mut alone).unwrap();
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

/// The slates of `rows` sessions that begin.
fn first_slates<P: Policy>(
    policy: &P,
    allowed: Option<&Candidates>,
    rows: usize,
    k: usize,
    seed: u64,
) -> foretaste_sim::Result<Slates> {
    let mut slates = Slates::default();
    let mut streams = Seed::new(seed).streams(0..rows as u64);
    policy.rank(&policy.begin(rows)?, allowed, k, &mut streams, &mut slates)?;
    Ok(slates)
}

/// A policy shows nothing but candidates, shows what it ever showed where all items are candidates,
/// and refuses too few of them, or sets that do not fit.
fn candidates_are_honoured<P: Policy>(
    policy: &P,
    items: usize,
    k: usize,
    sets: &[Vec<ItemId>],
    seed: u64,
) -> Result<(), TestCaseError> {
    let (rows, all) = (sets.len(), (0..items as u32).map(ItemId).collect::<Vec<_>>());
    let show = |allowed: Option<&Candidates>| first_slates(policy, allowed, rows, k, seed);
    let others =
        |set: &Vec<ItemId>| all.iter().copied().filter(|item| !set.contains(item)).collect();
    let by_row = Candidates::only_by_row(sets.to_vec());
    let but_others = Candidates::default().without_by_row(sets.iter().map(others).collect());
    for allowed in [&by_row, &but_others] {
        let slates = show(Some(allowed)).unwrap();
        for (row, set) in sets.iter().enumerate() {
            let mut slate = slates.row(row).to_vec();
            prop_assert!(slate.iter().all(|item| set.contains(item)), "{slate:?} of {set:?}");
            slate.sort_unstable();
            slate.dedup();
            prop_assert_eq!(slate.len(), k);
        }
    }
    prop_assert_eq!(show(Some(&by_row)).unwrap(), show(Some(&but_others)).unwrap());
    let unrestricted = show(None).unwrap();
    for everything in [
        Candidates::only(all.clone()),
        Candidates::default(),
        Candidates::only_by_row(vec![all.clone(); rows]),
        Candidates::default().without(vec![]),
    ] {
        prop_assert_eq!(&show(Some(&everything)).unwrap(), &unrestricted);
    }
    let too_few = Candidates::only(all[..k - 1].to_vec());
    let unknown = Candidates::only(vec![ItemId(items as u32)]);
    let short = Candidates::only_by_row(vec![all.clone(); rows - 1]);
    for wrong in [too_few, unknown, short] {
        prop_assert!(matches!(show(Some(&wrong)), Err(Error::Setting(_))), "{wrong:?}");
    }
    Ok(())
}

/// The probabilities that a policy gives to its own slates are those that it logs, and those of all
/// ordered slates sum to 1.
fn propensities_are_those_logged<P: Propensities>(
    policy: &P,
    allowed: Option<&Candidates>,
    items: usize,
    k: usize,
    seed: u64,
) -> Result<(), TestCaseError> {
    let slates = first_slates(policy, allowed, 3, k, seed).unwrap();
    let found = policy.propensities(&policy.begin(3).unwrap(), allowed, &slates).unwrap();
    for (found, logged) in found.iter().zip(slates.propensities().unwrap()) {
        prop_assert!((found - f64::from(*logged)).abs() < 1e-6, "{found} {logged}");
    }
    let mut every = Slates::with_k(k);
    ordered_slates(items, k).iter().for_each(|slate| every.push(slate, None));
    // Of the first row's candidates.
    let shared = allowed.map(|allowed| Candidates::only(allowed.of_row(0, items).to_vec()));
    let memory = policy.begin(every.rows()).unwrap();
    let found = policy.propensities(&memory, shared.as_ref(), &every).unwrap();
    let sum: f64 = found.chunks_exact(k).map(|places| places.iter().product::<f64>()).sum();
    prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_item_is_shown_that_is_not_a_candidate(
        k in 1usize..4, seed: u64, epsilon in 0.0f64..=1.0,
        sets in prop::collection::vec(prop::sample::subsequence((0..9).map(ItemId).collect::<Vec<_>>(), 4..=9), 1..4),
    ) {
        let items = 9;
        let (mdp, users) = (mdp(3, items, seed), choice_users(2, items, Outside::Leave, seed));
        let weights: Vec<f64> = (0..items).map(|item| 1.0 + (item % 5) as f64).collect();
        candidates_are_honoured(&UniformRandom { items }, items, k, &sets, seed)?;
        candidates_are_honoured(&TopItems::new(&weights), items, k, &sets, seed)?;
        let popularity = Popularity::new(weights).unwrap();
        candidates_are_honoured(&popularity, items, k, &sets, seed)?;
        let greedy = EpsilonGreedy::new(&popularity, epsilon, items).unwrap();
        candidates_are_honoured(&greedy, items, k, &sets, seed)?;
        candidates_are_honoured(&MdpBelief::new(&mdp, k).unwrap(), items, k, &sets, seed)?;
        let belief = ChoiceBelief::new(ChoiceOracle::new(&users, k, 2).unwrap());
        candidates_are_honoured(&belief, items, k, &sets, seed)?;
    }

    #[test]
    fn propensities_are_known_for_any_slate(
        k in 1usize..4, seed: u64, weights in prop::collection::vec(0.1f64..9.0, 6),
        set in prop::option::of(prop::sample::subsequence((0..6).map(ItemId).collect::<Vec<_>>(), 3..=6)),
    ) {
        let allowed = set.map(Candidates::only);
        let allowed = allowed.as_ref();
        propensities_are_those_logged(&UniformRandom { items: 6 }, allowed, 6, k, seed)?;
        propensities_are_those_logged(&TopItems::new(&weights), allowed, 6, k, seed)?;
        propensities_are_those_logged(&Popularity::new(weights).unwrap(), allowed, 6, k, seed)?;
    }
}
