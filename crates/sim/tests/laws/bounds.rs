//! Oracles and beliefs equal brute force in small worlds, and no policy earns more than an oracle.

use foretaste_data::{Choice, ItemId};
use foretaste_random::Seed;
use foretaste_sim::bounds::{
    ChoiceBelief, ChoiceOracle, MdpBelief, MdpOracle, expected_length, expected_length_of_slates,
};
use foretaste_sim::policies::{MaxReward, MixReward, UniformRandom};
use foretaste_sim::{
    Blind, ChoiceUsers, ChoiceUsersConfig, ClickReward, Environment, Error, Mdp, MdpConfig,
    Outside, Policy, Privileged, Responses, Rollout, Slates, Transitions,
};
use proptest::prelude::*;

use crate::support::{choice_users, mdp, mean, outside};

/// Standard errors: a normal mean strays this far to a given side with probability 5e-5.
const SIGMAS: f64 = 3.89;

/// All slates of k of n items.
fn slates(n: usize, k: usize) -> Vec<Vec<ItemId>> {
    let chosen =
        |mask: u32| (0..n as u32).filter(move |item| mask >> item & 1 == 1).map(ItemId).collect();
    (0u32..1 << n).filter(|mask| mask.count_ones() as usize == k).map(chosen).collect()
}

/// Σ_j p(j|s, A) r_sj (1 + Σ_s' P(s'|s, j) v(s')).
fn worth(mdp: &Mdp, state: usize, slate: &[ItemId], values: &[f64]) -> f64 {
    let sum: f64 = slate.iter().map(|&item| mdp.reward(state, item)).sum();
    let worth = |&item: &ItemId| {
        let later: f64 = mdp.transition(state, item).iter().zip(values).map(|(p, v)| p * v).sum();
        mdp.reward(state, item) / sum * mdp.reward(state, item) * (1.0 + later)
    };
    slate.iter().map(worth).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_oracle_equals_value_iteration_over_all_slates(states in 1usize..4, items in 2usize..7, k in 1usize..3, seed: u64) {
        let mdp = mdp(states, items, seed);
        let oracle = MdpOracle::new(&mdp, k).unwrap();
        prop_assume!(oracle.value() < 50.0);
        let all = slates(items, k);
        let mut values = vec![0.0; states];
        for _ in 0..5_000 {
            values = (0..states)
                .map(|state| all.iter().map(|slate| worth(&mdp, state, slate, &values)).fold(0.0, f64::max))
                .collect();
        }
        for (found, expected) in oracle.values().iter().zip(&values) {
            prop_assert!((found - expected).abs() < 1e-8 * (1.0 + expected), "{found} {expected}");
        }
        for (state, value) in values.iter().enumerate() {
            for slate in &all {
                let expected = value - worth(&mdp, state, slate, &values);
                let found = oracle.regret(&mdp, state, slate);
                prop_assert!((found - expected).abs() < 1e-8 * (1.0 + value), "{found} {expected}");
            }
        }
        // Every step but the last is a click.
        let length = expected_length_of_slates(&mdp, oracle.slates()).unwrap();
        prop_assert!((length - 1.0 - oracle.value()).abs() < 1e-8 * length);
    }

    #[test]
    fn belief_equals_enumeration_of_hidden_paths(
        states in 1usize..4, seed: u64, shown in prop::collection::vec((0usize..10, 0usize..2), 1..5),
    ) {
        let (items, k) = (5, 2);
        let mdp = mdp(states, items, seed);
        let policy = MdpBelief::new(&mdp, k).unwrap();
        let all = slates(items, k);
        let history: Vec<(&Vec<ItemId>, ItemId)> = shown.iter().map(|&(slate, place)| (&all[slate], all[slate][place])).collect();
        // Every path of hidden states that begins in s_0.
        let mut paths = vec![(vec![0], 1.0)];
        for (slate, item) in &history {
            let follow = |(path, probability): (Vec<usize>, f64)| {
                let state = path[path.len() - 1];
                let sum: f64 = slate.iter().map(|&item| mdp.reward(state, item)).sum();
                let click = mdp.reward(state, *item) / sum * mdp.reward(state, *item);
                (0..states)
                    .map(|next| ([&path[..], &[next]].concat(), probability * click * mdp.transition(state, *item)[next]))
                    .collect::<Vec<_>>()
            };
            paths = paths.into_iter().flat_map(follow).collect();
        }
        let evidence: f64 = paths.iter().map(|(_, probability)| probability).sum();
        let mut memory = policy.begin(1).unwrap();
        for (slate, item) in history {
            let (mut slates, mut responses) = (Slates::with_k(k), Responses::default());
            slates.push(slate, None);
            responses.push(Choice::Item(item), 1.0, false);
            policy.observe(&mut memory, &slates, &responses).unwrap();
        }
        for (state, found) in memory[0].iter().enumerate() {
            let here = paths.iter().filter(|(path, _)| path[path.len() - 1] == state);
            let expected = here.map(|(_, probability)| probability).sum::<f64>() / evidence;
            prop_assert!((found - expected).abs() < 1e-9);
        }
        let oracle = MdpOracle::new(&mdp, k).unwrap();
        let value = |slate: &[ItemId]| -> f64 {
            (0..states).map(|state| memory[0][state] * worth(&mdp, state, slate, oracle.values())).sum()
        };
        let best = all.iter().map(|slate| value(slate)).fold(0.0, f64::max);
        prop_assert!((value(&policy.slate(&memory[0])) - best).abs() < 1e-9 * best);
    }

    #[test]
    fn the_choice_oracle_equals_expectimax(outside in outside(), seed: u64, utility: bool, k in 1usize..3) {
        let users = {
            let config = choice_users(2, 3, outside, seed).config().clone();
            let click_reward = if utility { ClickReward::Utility } else { ClickReward::One };
            ChoiceUsers::new(&ChoiceUsersConfig { click_reward, ..config }).unwrap()
        };
        let all = slates(3, k);
        let oracle = ChoiceOracle::new(&users, k, 3).unwrap();
        let expected = (0..2).map(|user_type| expectimax(&users, user_type, &mut vec![], &all, 3)).sum::<f64>() / 2.0;
        prop_assert!((oracle.value() - expected).abs() < 1e-9 * (1.0 + expected.abs()));
        for (item, user_type) in [(0, 0), (1, 1), (2, 0)] {
            let mut history = vec![ItemId(item)];
            let best = expectimax(&users, user_type, &mut history, &all, 2);
            for slate in &all {
                let worth = expectimax_after(&users, user_type, &mut history, &all, 2, slate);
                let regret = oracle.regret(user_type, &[ItemId(item)], 1, slate).unwrap();
                prop_assert!((regret - (best - worth)).abs() < 1e-9 * (1.0 + best.abs()));
            }
        }
        let refused = |user_type, clicks: &[ItemId], steps, slate: &[ItemId]| {
            oracle.regret(user_type, clicks, steps, slate).is_err()
        };
        prop_assert!(refused(0, &[], 3, &all[0]), "no step is left");
        prop_assert!(refused(2, &[], 0, &all[0]), "no such type");
        prop_assert!(refused(0, &[ItemId(3)], 0, &all[0]), "no such item");
        prop_assert!(refused(0, &[ItemId(0); 9], 0, &all[0]), "more clicks than users remember");
        prop_assert!(refused(0, &[], 0, &[]), "another number of items");
        prop_assert!(ChoiceOracle::new(&users, k, usize::MAX).is_err());
    }

    #[test]
    fn the_type_is_filtered_by_bayes_rule(
        outside in outside(), seed: u64, shown in prop::collection::vec((0usize..6, 0usize..3), 1..6),
    ) {
        let users = choice_users(3, 4, outside, seed);
        let policy = ChoiceBelief::new(ChoiceOracle::new(&users, 2, 6).unwrap());
        let all = slates(4, 2);
        let mut memory = policy.begin(1).unwrap();
        let (mut likelihood, mut history) = ([1.0; 3], Vec::new());
        for (slate, place) in shown {
            let slate = &all[slate];
            let choice = match slate.get(place) {
                Some(&item) => Choice::Item(item),
                None if outside == Outside::Absent => Choice::Item(slate[0]),
                None => Choice::Skip,
            };
            for (user_type, likelihood) in likelihood.iter_mut().enumerate() {
                let probabilities = users.choice_probabilities(user_type, &history, slate);
                let cell = choice.item().map_or(2, |item| slate.iter().position(|shown| *shown == item).unwrap());
                *likelihood *= probabilities[cell];
            }
            let (mut slates, mut responses) = (Slates::with_k(2), Responses::default());
            slates.push(slate, None);
            responses.push(choice, 0.0, false);
            policy.observe(&mut memory, &slates, &responses).unwrap();
            history.extend(choice.item());
        }
        let evidence: f64 = likelihood.iter().sum();
        for (found, likelihood) in memory.belief(0).iter().zip(likelihood) {
            prop_assert!((found - likelihood / evidence).abs() < 1e-9);
        }
    }
}

/// The most that users of one type can earn in `to_go` steps, by trying every slate at every
/// history.
fn expectimax(
    users: &ChoiceUsers,
    user_type: usize,
    history: &mut Vec<ItemId>,
    all: &[Vec<ItemId>],
    to_go: usize,
) -> f64 {
    if to_go == 0 {
        return 0.0;
    }
    let after =
        |slate: &Vec<ItemId>| expectimax_after(users, user_type, history, all, to_go, slate);
    all.iter().map(after).fold(f64::NEG_INFINITY, f64::max)
}

/// The same if `slate` is shown first.
fn expectimax_after(
    users: &ChoiceUsers,
    user_type: usize,
    history: &mut Vec<ItemId>,
    all: &[Vec<ItemId>],
    to_go: usize,
    slate: &[ItemId],
) -> f64 {
    let utilities = users.utilities(user_type, history, slate);
    let probabilities = users.choice_probabilities(user_type, history, slate);
    let mut value = 0.0;
    for (place, &item) in slate.iter().enumerate() {
        let reward =
            if users.config().click_reward == ClickReward::One { 1.0 } else { utilities[place] };
        history.push(item);
        value +=
            probabilities[place] * (reward + expectimax(users, user_type, history, all, to_go - 1));
        history.pop();
    }
    if let Outside::Skip { leaving } = users.config().outside {
        value += probabilities[slate.len()]
            * (1.0 - leaving)
            * expectimax(users, user_type, history, all, to_go - 1);
    }
    value
}

/// Four comparisons at two-sided false-alarm rate 1e-4 each.
#[test]
fn random_sessions_are_as_long_as_linear_algebra_says() {
    for (seed, transitions) in
        [Transitions::SoftmaxUniform, Transitions::Dirichlet(0.1)].into_iter().enumerate()
    {
        for (states, items, k) in [(10, 50, 10), (3, 7, 2)] {
            let mdp =
                Mdp::new(&MdpConfig { states, items, transitions, seed: seed as u64 }).unwrap();
            let rollout = Rollout::new(Seed::new(21), 0..40_000, k).max_steps(100_000);
            let outcomes = rollout.outcomes(&mdp, &Blind(UniformRandom { items })).unwrap();
            let (found, error) = mean(outcomes.iter().map(|outcome| f64::from(outcome.steps)));
            let expected = expected_length(&mdp, k).unwrap();
            assert!(
                (found - expected).abs() < SIGMAS * error,
                "{found} ± {error}, expected {expected}"
            );
        }
    }
}

fn reward_of<E: Environment, P: Privileged<E>>(
    environment: &E,
    policy: &P,
    k: usize,
    max_steps: usize,
) -> (f64, f64) {
    let rollout = Rollout::new(Seed::new(5), 0..4_000, k).max_steps(max_steps);
    mean(rollout.outcomes(environment, policy).unwrap().iter().map(|outcome| outcome.reward))
}

/// Whether the mean of `a` is at most that of `b` but for noise; the same users, so the errors
/// overstate the noise.
fn at_most(a: (f64, f64), b: (f64, f64)) -> bool {
    a.0 <= b.0 + SIGMAS * (a.1 * a.1 + b.1 * b.1).sqrt()
}

/// Each comparison fails by chance with probability at most 1e-4.
#[test]
fn no_policy_earns_more_than_the_oracle_and_knowing_more_earns_no_less() {
    for (seed, transitions) in
        [Transitions::SoftmaxUniform, Transitions::Dirichlet(0.1)].into_iter().enumerate()
    {
        let mdp =
            Mdp::new(&MdpConfig { transitions, seed: seed as u64, ..Default::default() }).unwrap();
        let oracle = MdpOracle::new(&mdp, 10).unwrap();
        let cut = 100_000;
        let random = reward_of(&mdp, &Blind(UniformRandom { items: 50 }), 10, cut);
        let mix = reward_of(&mdp, &MixReward::new(&mdp), 10, cut);
        let max = reward_of(&mdp, &MaxReward::new(&mdp), 10, cut);
        let belief = reward_of(&mdp, &Blind(MdpBelief::new(&mdp, 10).unwrap()), 10, cut);
        let best = reward_of(&mdp, &oracle, 10, cut);
        assert!(
            at_most(random, mix)
                && at_most(mix, max)
                && at_most(max, best)
                && at_most(random, belief)
        );
        for (name, policy) in [("random", random), ("mix", mix), ("max", max), ("belief", belief)] {
            assert!(
                at_most(policy, (oracle.value(), 0.0)),
                "{name}: {policy:?}, oracle {}",
                oracle.value()
            );
        }
        assert!((best.0 - oracle.value()).abs() < SIGMAS * best.1);
    }
}

/// As above, for users with hidden types.
#[test]
fn no_policy_earns_more_than_the_choice_oracle() {
    let users = choice_users(3, 12, Outside::Skip { leaving: 0.3 }, 4);
    let (k, horizon) = (3, 12);
    let oracle = ChoiceOracle::new(&users, k, horizon).unwrap();
    let random = reward_of(&users, &Blind(UniformRandom { items: 12 }), k, horizon);
    let best = reward_of(&users, &oracle, k, horizon);
    let value = oracle.value();
    let belief = reward_of(&users, &Blind(ChoiceBelief::new(oracle)), k, horizon);
    assert!(at_most(random, belief) && at_most(belief, (value, 0.0)));
    assert!((best.0 - value).abs() < SIGMAS * best.1, "{best:?} {value}");
}

#[test]
fn with_one_type_belief_is_the_oracle() {
    let users = choice_users(1, 6, Outside::Leave, 2);
    let rollout = Rollout::new(Seed::new(3), 0..100, 2).max_steps(8);
    let oracle = ChoiceOracle::new(&users, 2, 8).unwrap();
    let seeing = rollout.run(&users, &oracle).unwrap();
    assert_eq!(rollout.run(&users, &Blind(ChoiceBelief::new(oracle))).unwrap(), seeing);
}

#[test]
fn bounds_that_do_not_exist_are_refused() {
    let refused =
        |outcome: foretaste_sim::Result<()>| assert!(matches!(outcome, Err(Error::Setting(_))));
    let endless = Mdp::from_parts(1, 1, vec![1.0], vec![1.0]).unwrap();
    refused(MdpOracle::new(&endless, 1).map(drop));
    refused(expected_length(&endless, 1).map(drop));
    let mdp = mdp(2, 4, 0);
    refused(MdpOracle::new(&mdp, 5).map(drop));
    refused(expected_length(&mdp, 0).map(drop));
    refused(expected_length_of_slates(&mdp, &[]).map(drop));
    let users = choice_users(1, 200, Outside::Leave, 0);
    refused(ChoiceOracle::new(&users, 3, 1_000).map(drop));
    let oracle = ChoiceOracle::new(&choice_users(1, 5, Outside::Absent, 0), 2, 3).unwrap();
    let rollout = Rollout::new(Seed::new(0), 0..5, 2).max_steps(4);
    refused(rollout.run(&choice_users(1, 5, Outside::Absent, 0), &oracle).map(drop));
}
