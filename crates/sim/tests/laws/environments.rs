//! Users click, move and leave with the probabilities that their definitions state.

use foretaste_data::{Choice, ItemId};
use foretaste_random::{Seed, Stream};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{
    Blind, ChoiceUsers, ChoiceUsersConfig, ClickReward, Environment, Error, Mdp, MdpConfig,
    MdpState, Outside, Population, Responses, Rollout, Shop, ShopConfig, Slates, Transitions,
};
use proptest::prelude::*;

use crate::support::{Fixed, chi_square, choice_users, mdp, outside};

/// Each test below draws once from fixed seeds: it fails by chance with at most this probability
/// per comparison.
const FALSE_ALARM: f64 = 1e-4;

/// One step of an Mdp from `state`, for every row.
fn one_step(
    mdp: &Mdp,
    state: u32,
    slate: &[ItemId],
    rows: usize,
    seed: Seed,
) -> (MdpState, Responses) {
    let mut streams: Vec<Stream> = (0..rows as u64).map(|row| seed.stream(row)).collect();
    let mut slates = Slates::with_k(slate.len());
    (0..rows).for_each(|_| slates.push(slate, None));
    let (mut state, mut responses) = (MdpState(vec![state; rows]), Responses::default());
    mdp.step(&mut state, &slates, &mut streams, &mut responses).unwrap();
    (state, responses)
}

#[test]
fn mdp_clicks_and_moves_with_the_stated_probabilities() {
    let (states, rows) = (4, 40_000);
    for seed in 0..4 {
        let mdp = mdp(states, 8, seed);
        let slate = [5, 0, 3].map(ItemId);
        for state in 0..states {
            let draws = Seed::new(seed).index(state as u64);
            let (next, responses) = one_step(&mdp, state as u32, &slate, rows, draws);
            let sum: f64 = slate.iter().map(|&item| mdp.reward(state, item)).sum();
            // Cells: (click on place j, next state), then leaving.
            let mut probabilities = Vec::new();
            for &item in &slate {
                let click = mdp.reward(state, item) / sum * mdp.reward(state, item);
                probabilities.extend(mdp.transition(state, item).iter().map(|p| click * p));
            }
            probabilities.push(1.0 - probabilities.iter().sum::<f64>());
            let mut counts = vec![0; probabilities.len()];
            for row in 0..rows {
                let cell = match responses.choice[row] {
                    Choice::Item(item) => {
                        slate.iter().position(|shown| *shown == item).unwrap() * states
                            + next.0[row] as usize
                    }
                    Choice::Skip | Choice::Leave => slate.len() * states,
                };
                counts[cell] += 1;
            }
            assert!(
                chi_square(&counts, &probabilities) > FALSE_ALARM,
                "seed {seed}, state {state}"
            );
        }
    }
}

#[test]
fn choice_users_choose_by_softmax_of_eta_r() {
    let slate = [4, 1, 2].map(ItemId);
    let (rows, history) = (40_000, [ItemId(4), ItemId(2), ItemId(4)]);
    for (seed, outside) in
        [Outside::Skip { leaving: 0.3 }, Outside::Leave, Outside::Absent].into_iter().enumerate()
    {
        let config = ChoiceUsersConfig {
            eta: 1.7,
            outside,
            seed: seed as u64,
            items: 6,
            ..Default::default()
        };
        let users = ChoiceUsers::new(&config).unwrap();
        // Slates of one item and no way out lead to the history that the test wants.
        let forced =
            ChoiceUsers::new(&ChoiceUsersConfig { outside: Outside::Absent, ..config }).unwrap();
        let mut streams: Vec<Stream> = (0..rows).map(|row| Seed::new(9).stream(row)).collect();
        let (mut state, mut responses) =
            (forced.reset(&mut streams).unwrap(), Responses::default());
        let mut slates = Slates::default();
        for item in history {
            slates.clear(1);
            streams.iter().for_each(|_| slates.push(&[item], None));
            forced.step(&mut state, &slates, &mut streams, &mut responses).unwrap();
        }
        slates.clear(slate.len());
        streams.iter().for_each(|_| slates.push(&slate, None));
        users.step(&mut state, &slates, &mut streams, &mut responses).unwrap();

        let utilities = users.utilities(0, &history, &slate);
        let mut expected: Vec<f64> = utilities.iter().map(|r| (1.7 * r).exp()).collect();
        let outside_weight = if outside == Outside::Absent { 0.0 } else { 1.0 };
        let sum = expected.iter().sum::<f64>() + outside_weight;
        expected.iter_mut().for_each(|weight| *weight /= sum);
        let nothing = outside_weight / sum;
        match outside {
            Outside::Skip { leaving } => {
                expected.extend([nothing * (1.0 - leaving), nothing * leaving])
            }
            Outside::Leave => expected.extend([0.0, nothing]),
            Outside::Absent => expected.extend([0.0, 0.0]),
        }
        let mut counts = [0; 5];
        for (choice, ended) in responses.choice.iter().zip(&responses.ended) {
            assert_eq!(*ended, *choice == Choice::Leave);
            let cell = match choice {
                Choice::Item(item) => slate.iter().position(|shown| shown == item).unwrap(),
                Choice::Skip => 3,
                Choice::Leave => 4,
            };
            counts[cell] += 1;
        }
        assert!(
            chi_square(&counts, &expected) > FALSE_ALARM,
            "{outside:?}: {counts:?} {expected:?}"
        );
    }
}

#[test]
fn repetition_first_pleases_then_bores() {
    let config = ChoiceUsersConfig {
        dims: 1,
        items: 1,
        position_weights: vec![1.0; 8],
        ..Default::default()
    };
    let users = ChoiceUsers::with_features(&config, vec![0.5]).unwrap();
    let reward = |clicks: usize| users.utilities(0, &vec![ItemId(0); clicks], &[ItemId(0)])[0];
    let liking = reward(0);
    // g = 0.25 per click: 2 g - 1.5 g² peaks between two clicks and three, and is negative from six
    // on.
    assert!((reward(2) - liking - (2.0 * 0.5 - 1.5 * 0.25)).abs() < 1e-12);
    assert!(
        reward(2) > reward(1) && reward(1) > liking && reward(4) < reward(3) && reward(6) < liking
    );
}

#[test]
fn a_click_earns_what_the_setting_says() {
    let config =
        ChoiceUsersConfig { click_reward: ClickReward::Utility, items: 8, ..Default::default() };
    let users = ChoiceUsers::new(&config).unwrap();
    let log = Rollout::new(Seed::new(3), 0..50, 3)
        .run(&users, &Blind(UniformRandom { items: 8 }))
        .unwrap();
    for session in log.iter() {
        let mut clicks = Vec::new();
        for step in session.steps() {
            let Choice::Item(item) = step.choice else {
                assert_eq!(step.reward, 0.0);
                continue;
            };
            assert_eq!(step.reward, users.utilities(0, &clicks, &[item])[0] as f32);
            clicks.push(item);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn choice_probabilities_are_a_distribution_in_the_order_of_the_utilities(
        outside in outside(), seed: u64, history in prop::collection::vec(0u32..12, 0..5),
    ) {
        let users = choice_users(2, 12, outside, seed);
        let (history, slate): (Vec<ItemId>, Vec<ItemId>) = (history.into_iter().map(ItemId).collect(), (3..8).map(ItemId).collect());
        for user_type in 0..2 {
            let utilities = users.utilities(user_type, &history, &slate);
            let probabilities = users.choice_probabilities(user_type, &history, &slate);
            prop_assert_eq!(probabilities.len(), slate.len() + usize::from(outside != Outside::Absent));
            prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (p, r) in probabilities.iter().zip(&utilities) {
                prop_assert!(((p / probabilities[0]).ln() - (r - utilities[0])).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_session_ends_exactly_where_the_user_leaves(outside in outside(), seed: u64, mdp_too: bool) {
        let rollout = Rollout::new(Seed::new(seed), 0..60, 3).max_steps(7);
        let policy = Blind(UniformRandom { items: 9 });
        let log = if mdp_too {
            rollout.run(&mdp(3, 9, seed), &policy)
        } else {
            rollout.run(&choice_users(2, 9, outside, seed), &policy)
        }.unwrap();
        prop_assert_eq!(log.sessions(), 60);
        for session in log.iter() {
            let leaves: Vec<bool> = session.steps().map(|step| step.choice == Choice::Leave).collect();
            prop_assert!(!leaves[..leaves.len() - 1].contains(&true));
            prop_assert!(session.left() || session.len() == 7);
            for step in session.steps() {
                prop_assert_eq!(step.reward, f32::from(u8::from(step.choice.item().is_some())));
                prop_assert!(step.choice.item().is_none_or(|item| step.slate.contains(&item)));
            }
        }
    }

    #[test]
    fn a_replaced_row_is_a_new_session_and_the_others_go_on(outside in outside(), seed: u64, rows in prop::sample::subsequence((0..6).collect::<Vec<usize>>(), 0..=6)) {
        replacing_rows_changes_no_other(&mdp(3, 9, seed), &rows, seed);
        replacing_rows_changes_no_other(&choice_users(2, 9, outside, seed), &rows, seed);
        let shop = ShopConfig { items: 9, appeal: 0.2, seed, ..ShopConfig::default() };
        replacing_rows_changes_no_other(&Shop::new(&shop).unwrap(), &rows, seed);
    }

    #[test]
    fn transition_rows_are_distributions(states in 1usize..6, items in 1usize..6, seed: u64, alpha in 0.01f64..5.0) {
        for transitions in [Transitions::SoftmaxUniform, Transitions::Dirichlet(alpha)] {
            let mdp = Mdp::new(&MdpConfig { states, items, transitions, seed }).unwrap();
            for (state, item) in (0..states).flat_map(|s| (0..items as u32).map(move |i| (s, ItemId(i)))) {
                let row = mdp.transition(state, item);
                prop_assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12 && row.iter().all(|p| *p >= 0.0));
                prop_assert!((0.0..1.0).contains(&mdp.reward(state, item)));
            }
        }
    }
}

/// Six sessions after two steps, of which `rows` are replaced, answer two more slates as six that
/// were left alone do, and as new sessions do, row by row.
fn replacing_rows_changes_no_other<E: Environment>(users: &E, rows: &[usize], seed: u64) {
    let open = |part: &str| -> Vec<Stream> { Seed::new(seed).derive(part).streams(0..6) };
    let slate = [ItemId(1), ItemId(4), ItemId(2)];
    let step = |state: &mut E::State, streams: &mut [Stream]| {
        let (mut slates, mut responses) = (Slates::with_k(3), Responses::default());
        streams.iter().for_each(|_| slates.push(&slate, None));
        users.step(state, &slates, streams, &mut responses).unwrap();
        (responses.choice, responses.reward, responses.ended)
    };
    let (mut streams, mut new_streams) = (open("old"), open("new"));
    let mut state = users.reset(&mut streams).unwrap();
    (0..2).for_each(|_| drop(step(&mut state, &mut streams)));
    let mut alone = users.select(&state, &[0, 1, 2, 3, 4, 5]).unwrap();
    let mut streams_alone = streams.clone();

    let mut fresh: Vec<Stream> = rows.iter().map(|&row| new_streams[row].clone()).collect();
    users.replace(&mut state, rows, &mut fresh).unwrap();
    rows.iter().zip(fresh).for_each(|(&row, stream)| streams[row] = stream);
    let mut new = users.reset(&mut new_streams).unwrap();
    for _ in 0..2 {
        let found = step(&mut state, &mut streams);
        let went_on = step(&mut alone, &mut streams_alone);
        let began = step(&mut new, &mut new_streams);
        for row in 0..6 {
            let expected = if rows.contains(&row) { &began } else { &went_on };
            let of = |(choice, reward, ended): &(Vec<Choice>, Vec<f32>, Vec<bool>)| {
                (choice[row], reward[row], ended[row])
            };
            assert_eq!(of(&found), of(expected), "row {row}");
        }
    }
}

#[test]
fn rows_of_softmax_are_flat_and_rows_of_a_small_dirichlet_are_not() {
    let largest = |transitions| {
        let mdp = Mdp::new(&MdpConfig { transitions, ..Default::default() }).unwrap();
        let peak = |item| mdp.transition(0, ItemId(item)).iter().copied().fold(0.0, f64::max);
        (0..50).map(peak).sum::<f64>() / 50.0
    };
    assert!(largest(Transitions::SoftmaxUniform) < 0.2);
    assert!(largest(Transitions::Dirichlet(0.05)) > 0.7);
}

#[test]
fn a_slate_without_reward_makes_the_user_leave() {
    let mdp = Mdp::from_parts(1, 2, vec![0.0, 0.9], vec![1.0, 1.0]).unwrap();
    let policy = Blind(Fixed(vec![ItemId(0)]));
    let mut population = Population::begin(&mdp, &policy, 1, Seed::new(0), 0..20).unwrap();
    assert!(population.step().unwrap().responses.ended.iter().all(|ended| *ended));
    assert!(population.rows().is_empty());
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |mdp: foretaste_sim::Result<Mdp>| assert!(matches!(mdp, Err(Error::Setting(_))));
    refused(Mdp::new(&MdpConfig { states: 0, ..Default::default() }));
    refused(Mdp::new(&MdpConfig { items: 0, ..Default::default() }));
    refused(Mdp::new(&MdpConfig {
        transitions: Transitions::Dirichlet(0.0),
        ..Default::default()
    }));
    refused(Mdp::new(&MdpConfig {
        transitions: Transitions::Dirichlet(f64::NAN),
        ..Default::default()
    }));
    refused(Mdp::from_parts(1, 1, vec![1.5], vec![1.0]));
    refused(Mdp::from_parts(1, 1, vec![f64::NAN], vec![1.0]));
    refused(Mdp::from_parts(1, 1, vec![0.5], vec![0.9]));
    refused(Mdp::from_parts(2, 1, vec![0.5; 2], vec![1.5, -0.5, 0.5, 0.5]));
    refused(Mdp::from_parts(2, 1, vec![0.5], vec![0.5; 4]));
    let refused = |change: fn(&mut ChoiceUsersConfig)| {
        let mut config = ChoiceUsersConfig::default();
        change(&mut config);
        assert!(matches!(ChoiceUsers::new(&config), Err(Error::Setting(_))));
    };
    refused(|config| config.types = 0);
    refused(|config| config.items = 0);
    refused(|config| config.dims = 0);
    refused(|config| config.eta = -1.0);
    refused(|config| config.boredom = f64::INFINITY);
    refused(|config| config.position_weights[1] = f64::NAN);
    refused(|config| config.outside = Outside::Skip { leaving: 1.5 });
    assert!(ChoiceUsers::with_features(&ChoiceUsersConfig::default(), vec![0.0; 3]).is_err());
}
