//! Logs of simulated users, against the evaluated policy's true value: bias, and coverage of the
//! 95% intervals over 200 logs.
//!
//! `cargo test -p foretaste-eval --test counterfactual simulated -- --nocapture` prints the tables.
//!
//! Where an interval is exact, it covers in 179 to 199 of 200 logs but for one time in 1,900, and
//! the mean error stays within 3.5 of its standard errors but for one time in 1,700: the
//! false-alarm rate is 1 in 900 per figure. Seeds are fixed.

use foretaste_data::ItemId;
use foretaste_eval::Result;
use foretaste_eval::counterfactual::*;
use foretaste_random::Seed;
use foretaste_sim::{ChoiceUsers, ChoiceUsersConfig, Environment, Outside, Responses, Slates};
use rand::Rng;

use crate::policies::{ITEMS, K, PlackettLuce, TYPES, scores};
use crate::repetitions::{COVERED, LOGS, Tally, repeat};

/// The users of GAN-CDQN on their first visit: the type is the context, and all places compete for
/// one click.
fn choice_users() -> ChoiceUsers {
    let config = ChoiceUsersConfig {
        types: TYPES,
        items: ITEMS,
        dims: 3,
        preference: 1.5,
        base: -0.5,
        outside: Outside::Leave,
        ..Default::default()
    };
    ChoiceUsers::new(&config).unwrap()
}

/// Shows the slates that `policy` draws to `rows` users; returns their types, the slates and their
/// answers.
fn show(
    users: &ChoiceUsers,
    policy: &PlackettLuce,
    k: usize,
    rows: usize,
    seed: Seed,
) -> (Vec<usize>, Slates, Responses) {
    let mut streams = seed.derive("users").streams(0..rows as u64);
    let mut own = seed.derive("policy").stream(0);
    let mut state = users.reset(&mut streams).unwrap();
    let types: Vec<usize> = (0..rows).map(|row| state.user_type(row)).collect();
    let (mut slates, mut responses) = (Slates::with_k(k), Responses::default());
    for &context in &types {
        let items = policy.draw(context, k, &mut own).into_iter().map(|item| ItemId(item as u32));
        slates.push(&items.collect::<Vec<_>>(), None);
    }
    users.step(&mut state, &slates, &mut streams, &mut responses).unwrap();
    (types, slates, responses)
}

fn liking(users: &ChoiceUsers) -> impl Fn(usize, usize) -> f64 {
    |context, item| users.utilities(context, &[], &[ItemId(item as u32)])[0]
}

/// The columns of a log of single actions.
struct Actions {
    types: Vec<usize>,
    items: Vec<usize>,
    reward: Vec<f64>,
    logging: Vec<f64>,
    evaluation: Vec<f64>,
}

fn log_actions(
    users: &ChoiceUsers,
    logging: &PlackettLuce,
    evaluation: &PlackettLuce,
    rows: usize,
    seed: Seed,
) -> Actions {
    let (types, slates, responses) = show(users, logging, 1, rows, seed);
    let items: Vec<usize> = slates.items().iter().map(|item| item.index()).collect();
    let chances = |policy: &PlackettLuce| -> Vec<f64> {
        types.iter().zip(&items).map(|(&context, &item)| policy.next(context, &[])[item]).collect()
    };
    let reward = responses.reward.iter().map(|&reward| f64::from(reward)).collect();
    Actions { reward, logging: chances(logging), evaluation: chances(evaluation), types, items }
}

/// Σ_x Σ_a π_e(a|x) P(click | x, a) / types.
fn true_value_of_actions(users: &ChoiceUsers, policy: &PlackettLuce) -> f64 {
    let of_type = |context: usize| -> f64 {
        let chances = policy.next(context, &[]).into_iter().enumerate();
        chances
            .map(|(item, p)| {
                p * users.choice_probabilities(context, &[], &[ItemId(item as u32)])[0]
            })
            .sum()
    };
    (0..TYPES).map(of_type).sum::<f64>() / TYPES as f64
}

#[test]
fn single_actions_are_evaluated_without_bias_and_intervals_cover() {
    let users = choice_users();
    let logging = PlackettLuce::new(&scores(1, liking(&users), 2.0), 0.5);
    let evaluation = PlackettLuce::new(&scores(2, liking(&users), 1.0), 1.0);
    // A model that ignores the user's type, fitted on a log of its own.
    let training =
        log_actions(&users, &logging, &evaluation, 500, Seed::new(17).derive("training"));
    let q: [f64; ITEMS] = std::array::from_fn(|item| {
        let of_item =
            || training.items.iter().zip(&training.reward).filter(|(other, _)| **other == item);
        of_item().map(|(_, reward)| reward).sum::<f64>() / of_item().count() as f64
    });
    let truth = true_value_of_actions(&users, &evaluation);
    let tallies = repeat("one item, 500 rows", truth, |seed| {
        let Actions { types, items, reward, logging, evaluation: chances } =
            log_actions(&users, &logging, &evaluation, 500, seed);
        let log = ActionLog::new(&reward, &logging, &chances).unwrap();
        let logged: Vec<f64> = items.iter().map(|&item| q[item]).collect();
        let of_policy = |&context: &usize| {
            evaluation.next(context, &[]).iter().zip(q).map(|(p, q)| p * q).sum()
        };
        let expected: Vec<f64> = types.iter().map(of_policy).collect();
        let model = Predictions::new(&logged, &expected).unwrap();
        vec![
            ("IPS", ips(&log)),
            ("SNIPS", snips(&log)),
            ("DR", dr(&log, &model)),
            ("SNDR", sndr(&log, &model)),
            ("IPS clipped at 1.5", clipped_ips(&log, 1.5)),
            ("DR clipped at 1.5", clipped_dr(&log, &model, 1.5)),
            ("DM", dm(&model)),
        ]
    });
    tallies[..4].iter().for_each(Tally::assert_right);
    // A clipped DR errs little here, with the model that it falls back to.
    [4, 6].iter().for_each(|&biased| tallies[biased].assert_biased());
    assert!(tallies[2].spread() < tallies[0].spread(), "a model takes variance away");
}

/// Policies ever farther from the log's: their intervals cover ever less, and the diagnostics say
/// so.
#[test]
fn where_intervals_fail_the_diagnostics_warn() {
    let users = choice_users();
    let logging = PlackettLuce::new(&scores(1, liking(&users), 2.0), 1.0);
    let of = |sharpness: f64| {
        let evaluation = PlackettLuce::new(&scores(1, liking(&users), 2.0), sharpness);
        let truth = true_value_of_actions(&users, &evaluation);
        let log = |seed| log_actions(&users, &logging, &evaluation, 500, seed);
        let title = format!("one item, 500 rows, sharpness 1 evaluated at {sharpness}");
        let tallies = repeat(&title, truth, |seed| {
            let Actions { reward, logging, evaluation, .. } = log(seed);
            let log = ActionLog::new(&reward, &logging, &evaluation).unwrap();
            vec![("IPS", ips(&log)), ("SNIPS", snips(&log))]
        });
        let (mut warned, mut effective) = (0, 0.0);
        for index in 0..LOGS {
            let Actions { reward, logging, evaluation, .. } =
                log(Seed::new(17).derive(&title).index(index));
            let found =
                ActionLog::new(&reward, &logging, &evaluation).unwrap().diagnostics().unwrap();
            let serious = |warning: &Warning| !matches!(warning, Warning::MeanWeight { .. });
            warned += usize::from(found.warnings().iter().any(serious));
            effective += found.effective_sample_size / LOGS as f64;
        }
        println!(
            "{effective:.0} effective rows on average, a warning about weights or propensities on {warned} of {LOGS} logs"
        );
        (tallies, warned)
    };
    let (near, quiet) = of(1.5);
    near.iter().for_each(Tally::assert_right);
    assert_eq!(quiet, 0);
    [0.5, 0.25, 0.0, -0.5, -1.0].iter().for_each(|&sharpness| drop(of(sharpness)));
    let (far, loud) = of(-2.0);
    assert!(far[0].covered < *COVERED.start() && far[1].covered < *COVERED.start());
    assert_eq!(loud, LOGS as usize);
}

/// Slates, as columns.
struct SlateColumns {
    lengths: Vec<usize>,
    reward: Vec<f64>,
    logging: Vec<f64>,
    evaluation: Vec<f64>,
    logging_everywhere: Vec<f64>,
    evaluation_everywhere: Vec<f64>,
    /// The mean over all logged places of the clicks, as a model that knows nothing else: q̂ of
    /// each place.
    q: Vec<f64>,
}

impl SlateColumns {
    fn new(
        logging: &PlackettLuce,
        evaluation: &PlackettLuce,
        slates: &[(usize, Vec<usize>)],
        reward: Vec<f64>,
        q: [f64; K],
    ) -> Self {
        let chances = |policy: &PlackettLuce| {
            slates.iter().flat_map(|(x, slate)| policy.chances(*x, slate)).collect()
        };
        let everywhere = |policy: &PlackettLuce| -> Vec<f64> {
            slates
                .iter()
                .flat_map(|(x, slate)| slate.iter().flat_map(|&item| policy.marginal[*x][item]))
                .collect()
        };
        Self {
            lengths: vec![K; slates.len()],
            logging: chances(logging),
            evaluation: chances(evaluation),
            logging_everywhere: everywhere(logging),
            evaluation_everywhere: everywhere(evaluation),
            q: slates.iter().flat_map(|_| q).collect(),
            reward,
        }
    }

    fn evaluate(&self) -> Vec<(&'static str, Result<PolicyValue>)> {
        let own = |everywhere: &[f64]| -> Vec<f64> {
            everywhere.chunks(K).enumerate().map(|(i, row)| row[i % K]).collect()
        };
        let (logging, evaluation) =
            (own(&self.logging_everywhere), own(&self.evaluation_everywhere));
        let sequential =
            SequentialSlates::new(&self.lengths, &self.reward, &self.logging, &self.evaluation)
                .unwrap();
        let marginal =
            MarginalSlates::new(&self.lengths, &self.reward, &logging, &evaluation).unwrap();
        let position = PositionSlates::new(
            K,
            &self.reward,
            &self.logging_everywhere,
            &self.evaluation_everywhere,
        )
        .unwrap();
        let model = Predictions::new(&self.q, &self.q).unwrap();
        vec![
            ("SIPS", sips(&sequential)),
            ("SNSIPS", snsips(&sequential)),
            ("RIPS", rips(&sequential)),
            ("SNRIPS", snrips(&sequential)),
            ("cascade-DR", cascade_dr(&sequential, &model)),
            ("IIPS", iips(&marginal)),
            ("SNIIPS", sniips(&marginal)),
            ("PBM", pbm(&position, Examination::FromLog)),
            ("SNPBM", snpbm(&position, Examination::FromLog)),
        ]
    }
}

/// Σ_x Σ_slate π_e(slate|x) clicks(x, slate) / types.
fn true_value_of_slates(policy: &PlackettLuce, clicks: impl Fn(usize, &[usize]) -> f64) -> f64 {
    let of_type =
        |x: usize| policy.slates(x).iter().map(|(slate, p)| p * clicks(x, slate)).sum::<f64>();
    (0..TYPES).map(of_type).sum::<f64>() / TYPES as f64
}

#[test]
fn whole_slate_weights_alone_are_right_for_users_who_compare_the_items() {
    let users = choice_users();
    let logging = PlackettLuce::new(&scores(1, liking(&users), 2.0), 0.3);
    let evaluation = PlackettLuce::new(&scores(2, liking(&users), 1.0), 0.8);
    let ids = |slate: &[usize]| slate.iter().map(|&item| ItemId(item as u32)).collect::<Vec<_>>();
    let truth = true_value_of_slates(&evaluation, |x, slate| {
        users.choice_probabilities(x, &[], &ids(slate))[..K].iter().sum()
    });
    let tallies = repeat("users who compare, 1,000 slates", truth, |seed| {
        let (types, slates, responses) = show(&users, &logging, K, 1_000, seed);
        let clicked = |row: usize, item: &ItemId| {
            f64::from(u8::from(responses.choice[row].item() == Some(*item)))
        };
        let reward = (0..types.len())
            .flat_map(|row| slates.row(row).iter().map(move |item| clicked(row, item)));
        let items = |row: usize| slates.row(row).iter().map(|item| item.index()).collect();
        let shown: Vec<(usize, Vec<usize>)> =
            types.iter().enumerate().map(|(row, &x)| (x, items(row))).collect();
        SlateColumns::new(&logging, &evaluation, &shown, reward.collect(), [0.2; K]).evaluate()
    });
    tallies[..2].iter().for_each(Tally::assert_right);
    // The click model does not hold: places compete.
    tallies[5..].iter().for_each(Tally::assert_biased);
}

const EXAMINED: [f64; K] = [0.9, 0.5, 0.25];

/// Slates shown to users who look at place l with probability p_l, and click what attracts them
/// there.
fn position_based(
    logging: &PlackettLuce,
    evaluation: &PlackettLuce,
    attraction: impl Fn(usize, usize) -> f64,
    seed: Seed,
) -> SlateColumns {
    let (mut users, mut own) = (seed.derive("users").stream(0), seed.derive("policy").stream(0));
    let (mut shown, mut reward) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        let x = users.random_range(0..TYPES);
        let slate = logging.draw(x, K, &mut own);
        for (&item, p) in slate.iter().zip(EXAMINED) {
            reward.push(f64::from(u8::from(users.random_bool(p * attraction(x, item)))));
        }
        shown.push((x, slate));
    }
    SlateColumns::new(logging, evaluation, &shown, reward, [0.45, 0.25, 0.12])
}

fn value_for_position_based(
    policy: &PlackettLuce,
    attraction: impl Fn(usize, usize) -> f64,
) -> f64 {
    true_value_of_slates(policy, |x, slate| {
        slate.iter().zip(EXAMINED).map(|(&item, p)| p * attraction(x, item)).sum()
    })
}

#[test]
fn every_form_is_right_for_position_based_users_and_what_assumes_more_spreads_less() {
    let (logging, evaluation, attraction) = click_model_policies();
    let truth = value_for_position_based(&evaluation, &attraction);
    let tallies = repeat("position-based users, 1,000 slates", truth, |seed| {
        position_based(&logging, &evaluation, &attraction, seed).evaluate()
    });
    tallies.iter().for_each(Tally::assert_right);
    let [sips, rips, iips] = [0, 2, 5].map(|index: usize| tallies[index].spread());
    assert!(iips < rips && rips < sips);
}

/// The same three items on top of both policies, in opposite order: an item's clicks at one place
/// tell of the others.
#[test]
fn the_click_model_is_sharpest_where_the_evaluated_policy_reorders() {
    let (_, _, attraction) = click_model_policies();
    let ordered = |order: [f64; ITEMS]| PlackettLuce::new(&[order; TYPES], 1.0);
    let logging = ordered([3.0, 1.5, 0.0, -3.0, -3.0, -3.0]);
    let evaluation = ordered([0.0, 1.5, 3.0, -3.0, -3.0, -3.0]);
    let truth = value_for_position_based(&evaluation, &attraction);
    let tallies =
        repeat("position-based users, same items in another order, 1,000 slates", truth, |seed| {
            let columns = position_based(&logging, &evaluation, &attraction, seed);
            let log = PositionSlates::new(
                K,
                &columns.reward,
                &columns.logging_everywhere,
                &columns.evaluation_everywhere,
            );
            let log = log.unwrap();
            let mut of_positions = columns.evaluate();
            of_positions.drain(..of_positions.len() - 4);
            of_positions.push(("PBM, examination known", pbm(&log, Examination::Given(&EXAMINED))));
            of_positions
        });
    tallies[2..].iter().for_each(Tally::assert_right);
    assert!(tallies[2].spread() < 0.5 * tallies[0].spread());
}

/// Users who read from the top and stop at the first item that they click.
#[test]
fn prefix_weights_are_right_for_users_who_stop_at_their_click() {
    let (logging, evaluation, attraction) = click_model_policies();
    let truth = true_value_of_slates(&evaluation, |x, slate| {
        1.0 - slate.iter().map(|&item| 1.0 - attraction(x, item)).product::<f64>()
    });
    let tallies = repeat("cascade users, 1,000 slates", truth, |seed| {
        let (mut users, mut own) =
            (seed.derive("users").stream(0), seed.derive("policy").stream(0));
        let (mut shown, mut reward) = (Vec::new(), Vec::new());
        for _ in 0..1_000 {
            let x = users.random_range(0..TYPES);
            let slate = logging.draw(x, K, &mut own);
            let click = slate.iter().position(|&item| users.random_bool(attraction(x, item)));
            reward.extend((0..K).map(|place| f64::from(u8::from(click == Some(place)))));
            shown.push((x, slate));
        }
        SlateColumns::new(&logging, &evaluation, &shown, reward, [0.5, 0.25, 0.12]).evaluate()
    });
    tallies[..5].iter().for_each(Tally::assert_right);
    tallies[5..].iter().for_each(Tally::assert_biased);
}

/// A logging and an evaluated policy, and how much an item attracts a user of a type.
fn click_model_policies() -> (PlackettLuce, PlackettLuce, impl Fn(usize, usize) -> f64) {
    let mut stream = Seed::new(9).derive("attraction").stream(0);
    let attraction: Vec<f64> = (0..TYPES * ITEMS).map(|_| stream.random_range(0.1..0.9)).collect();
    let attraction = move |x: usize, item: usize| attraction[x * ITEMS + item];
    let logging = PlackettLuce::new(&scores(1, &attraction, 1.0), 0.7);
    let evaluation = PlackettLuce::new(&scores(2, &attraction, 0.5), 1.7);
    (logging, evaluation, attraction)
}
