//! Laws of learned users that need simulated ones, or long training.

#[path = "common/comparison.rs"]
mod comparison;

use std::ops::ControlFlow;

use candle_core::Device;
use foretaste_data::{Catalogue, Choice, Fractions, ItemId, Log, LogBuilder, Split, Step};
use foretaste_eval::choice::{ChoiceModel, evaluate};
use foretaste_nn::AdamConfig;
use foretaste_random::{Seed, Stream};
use foretaste_sim::bounds::ChoiceOracle;
use foretaste_sim::policies::{TopItems, UniformRandom};
use foretaste_sim::{
    Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Outcome, Responses, Rollout, Slates,
};
use foretaste_train::{Fitted, Progress};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourModel, BehaviourUsers};
use foretaste_user_model::{
    AdversarialConfig, CurvePoint, Error, ItemFeatures, LearnedUsers, Outside, Pays, Regulariser,
    StateEncoder, TrainConfig, UserModel, UserModelConfig, fit, fit_adversarial,
};

use comparison::compare;

const ITEMS: usize = 12;

fn encoders() -> [StateEncoder; 2] {
    [StateEncoder::position_weights(), StateEncoder::lstm()]
}

fn simulate(config: ChoiceUsersConfig, seed: u64, sessions: u64) -> (ChoiceUsers, Log) {
    let users = ChoiceUsers::new(&ChoiceUsersConfig { items: ITEMS, ..config }).unwrap();
    let rollout = Rollout::new(Seed::new(seed), 0..sessions, 4).max_steps(6);
    let log = rollout.run(&users, &Blind(UniformRandom { items: ITEMS })).unwrap();
    (users, log)
}

fn model(config: UserModelConfig, catalogue: &Catalogue) -> UserModel {
    UserModel::new(config, catalogue, Seed::new(1), &Device::Cpu).unwrap()
}

fn train(model: &mut UserModel, log: &Log, config: TrainConfig) -> Fitted<CurvePoint> {
    let split = Split::by_session(log, Fractions::default(), Seed::new(2)).unwrap();
    fit(model, log, &split, &config, Seed::new(3), |_| ControlFlow::Continue(())).unwrap()
}

fn quick(iterations: u64) -> TrainConfig {
    TrainConfig {
        iterations,
        optimiser: AdamConfig { learning_rate: 2e-3, ..Default::default() },
        ..Default::default()
    }
}

/// Users without preferences, attraction or boredom choose uniformly among 4 items and nothing, so
/// no model can beat log 5 but by luck. 1,500 slates are held out; the best validation may lie a
/// few thousandths below log 5 by chance.
#[test]
fn uniform_choices_cost_log_of_k_plus_one() {
    let blind =
        ChoiceUsersConfig { preference: 0.0, attraction: 0.0, boredom: 0.0, ..Default::default() };
    let (_, log) = simulate(blind, 5, 1_500);
    for state in encoders() {
        let mut model = model(
            UserModelConfig { state, ..UserModelConfig::new(ITEMS) },
            &Catalogue::numbered(ITEMS),
        );
        let fit = train(&mut model, &log, quick(150));
        assert!((fit.best.validation_nll - 5f64.ln()).abs() < 0.01, "{:?}", fit.best);
        let all: Vec<usize> = (0..log.sessions()).collect();
        let evaluation = evaluate(&model, &log, &all).unwrap();
        assert!((evaluation.nll_given_choice.unwrap() - 4f64.ln()).abs() < 0.01, "{evaluation:?}");
        assert!((evaluation.precision_at_1.unwrap() - 0.25).abs() < 0.02);
        assert!((evaluation.precision_at_2.unwrap() - 0.5).abs() < 0.02);
    }
}

/// Where training ends and acting begins: in a log of a model's own doing, log φ(clicked) - log
/// φ(nothing) = η r for the reward that was paid, at every step, so both ways of computing states
/// and rewards agree.
#[test]
fn the_environment_pays_the_reward_that_the_likelihood_sees() {
    let catalogue = Catalogue::numbered(ITEMS);
    for state in encoders() {
        let config = UserModelConfig { state, eta: 1.3, ..UserModelConfig::new(ITEMS) };
        let (_, log) = simulate(ChoiceUsersConfig::default(), 6, 200);
        let mut model = model(config, &catalogue);
        train(&mut model, &log, quick(30));
        let rollout = Rollout::new(Seed::new(7), 0..40, 3).max_steps(25);
        let users = LearnedUsers::paying(model, Pays::Utility).unwrap();
        let (log, model) =
            (rollout.run(&users, &Blind(UniformRandom { items: ITEMS })).unwrap(), users.model());
        let all: Vec<usize> = (0..log.sessions()).collect();
        let predictions = model.predict(&log, &all).unwrap();
        let steps = log.iter().flat_map(|session| session.steps());
        let mut clicks = 0;
        for (step, prediction) in steps.zip(&predictions) {
            let log_choice = prediction.log_choice.as_ref().unwrap();
            if let Some(item) = step.choice.item() {
                let place = step.slate.iter().position(|shown| *shown == item).unwrap();
                let reward = (log_choice[place] - log_choice[step.slate.len()]) / 1.3;
                let paid = f64::from(step.reward);
                assert!((reward - paid).abs() < 1e-3, "{reward} {paid}");
                clicks += 1;
            } else {
                assert_eq!((step.choice, step.reward), (Choice::Skip, 0.0));
            }
        }
        assert!(clicks > 300 && predictions.len() == log.steps());
    }
}

/// Sums of (chosen - φ) over 6,000 steps at most, in standard errors: |z| > 4.5 by chance once in
/// 150,000 per option.
#[test]
fn learned_users_choose_with_the_probabilities_of_the_model() {
    let (_, log) = simulate(ChoiceUsersConfig::default(), 6, 300);
    let [weights, lstm] = encoders();
    let (shannon, l2) = (Regulariser::Shannon, Regulariser::L2);
    for (state, regulariser) in [(weights.clone(), shannon), (lstm, shannon), (weights, l2)] {
        let config = UserModelConfig { state, regulariser, ..UserModelConfig::new(ITEMS) };
        let mut model = model(config, &Catalogue::numbered(ITEMS));
        train(&mut model, &log, quick(60));
        let rollout = Rollout::new(Seed::new(8), 0..3_000, 3).max_steps(2);
        let users = LearnedUsers::paying(model, Pays::Utility).unwrap();
        let (log, model) =
            (rollout.run(&users, &Blind(UniformRandom { items: ITEMS })).unwrap(), users.model());
        let all: Vec<usize> = (0..log.sessions()).collect();
        let (mut excess, mut variance) = ([0.0; 4], [0.0; 4]);
        let mut impossible = 0;
        let steps = log.iter().flat_map(|session| session.steps());
        for (step, prediction) in steps.zip(model.predict(&log, &all).unwrap()) {
            let chosen = step.slate.iter().position(|item| step.choice.item() == Some(*item));
            let (chosen, log_choice) = (chosen.unwrap_or(3), prediction.log_choice.unwrap());
            assert!(log_choice[chosen] > f64::NEG_INFINITY);
            for (option, log_phi) in log_choice.iter().enumerate() {
                let phi = log_phi.exp();
                excess[option] += f64::from(u8::from(chosen == option)) - phi;
                variance[option] += phi * (1.0 - phi);
                impossible += u32::from(phi == 0.0);
            }
        }
        assert_eq!(impossible > 0, regulariser != shannon);
        for option in 0..4 {
            let z = excess[option] / variance[option].sqrt();
            assert!(z.abs() < 4.5, "option {option}: z = {z}");
        }
    }
}

#[test]
fn an_outside_option_that_leaves_ends_sessions_and_an_absent_one_is_never_chosen() {
    let rollout = Rollout::new(Seed::new(8), 0..50, 3).max_steps(30);
    let leaving = Outside::Nothing { leaving: 1.0 };
    for (outside, choice) in [(leaving, Some(Choice::Leave)), (Outside::Absent, None)] {
        let config = UserModelConfig { outside, ..UserModelConfig::new(ITEMS) };
        let model = model(config, &Catalogue::numbered(ITEMS));
        let users = LearnedUsers::paying(model, Pays::Utility).unwrap();
        let log = rollout.run(&users, &Blind(UniformRandom { items: ITEMS })).unwrap();
        for session in log.iter() {
            let last = session.step(session.len() - 1).choice;
            match choice {
                Some(choice) => assert!(last == choice || session.len() == 30),
                None => assert_eq!(session.clicks().count(), 30),
            }
        }
    }
}

/// 2,000 users who choose nothing about a third of the time: the share that leaves lies within 0.05
/// of what was learned, more than 6 standard errors.
#[test]
fn users_leave_as_often_as_the_log_says() {
    let (_, log) = simulate(ChoiceUsersConfig::default(), 6, 500);
    let outside = Outside::observed(&log);
    let Outside::Nothing { leaving } = outside else { panic!("{outside:?}") };
    assert!((leaving - 0.2).abs() < 0.05, "{leaving}");
    let config = UserModelConfig { outside, ..UserModelConfig::new(ITEMS) };
    let model = model(config, &Catalogue::numbered(ITEMS));
    let users = LearnedUsers::paying(model, Pays::Utility).unwrap();
    let rollout = Rollout::new(Seed::new(8), 0..2_000, 3).max_steps(10);
    let played = rollout.run(&users, &Blind(UniformRandom { items: ITEMS })).unwrap();
    assert!(
        matches!(Outside::observed(&played), Outside::Nothing { leaving: p } if (p - leaving).abs() < 0.05)
    );
}

#[test]
fn learned_users_answer_alike_on_any_number_of_threads_and_in_any_batch() {
    for state in encoders() {
        let config = UserModelConfig { state, ..UserModelConfig::new(ITEMS) };
        let model = model(config, &Catalogue::numbered(ITEMS));
        let users = LearnedUsers::paying(model, Pays::Utility).unwrap();
        let logs = [(1, 16), (2, 16), (8, 1), (1, 7), (2, 64)].map(|(threads, chunk)| {
            let rollout = Rollout::new(Seed::new(8), 0..64, 3).max_steps(300).chunk(chunk);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| rollout.run(&users, &Blind(UniformRandom { items: ITEMS }))).unwrap()
        });
        assert!(logs.iter().all(|log| *log == logs[0]));
        assert_eq!(logs[0].steps(), 64 * 300);
    }
}

#[test]
fn the_same_seed_fits_the_same_bits_and_the_best_validation_is_kept() {
    let (_, log) = simulate(ChoiceUsersConfig::default(), 9, 200);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    for state in encoders() {
        let run = || {
            let config = UserModelConfig { state: state.clone(), ..UserModelConfig::new(ITEMS) };
            let mut model = model(config, &Catalogue::numbered(ITEMS));
            (train(&mut model, &log, quick(60)), model)
        };
        let ((one, model), (two, _)) = (run(), run());
        assert_eq!(one, two);
        let lowest =
            one.curve.iter().map(|point| point.validation_nll).fold(f64::INFINITY, f64::min);
        assert_eq!(one.best.validation_nll, lowest);
        assert!((model.loss(&log, &split.validation).unwrap() - lowest).abs() < 1e-6);
    }
}

#[test]
fn a_fit_can_be_stopped_early_by_its_callback_and_by_patience() {
    let (_, log) = simulate(ChoiceUsersConfig::default(), 9, 100);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let fresh = || model(UserModelConfig::new(ITEMS), &Catalogue::numbered(ITEMS));
    let callback = |update: Progress<CurvePoint>| {
        if update.iteration == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(matches!(
        fit(&mut fresh(), &log, &split, &quick(50), Seed::new(1), callback),
        Err(Error::Training(foretaste_train::Error::Interrupted))
    ));

    let hasty = TrainConfig {
        patience: Some(3),
        optimiser: AdamConfig { learning_rate: 0.05, ..Default::default() },
        ..quick(5_000)
    };
    let mut heard = Vec::new();
    let callback = |update: Progress<CurvePoint>| {
        assert!(update.point.is_none_or(|point| point.iteration == update.iteration));
        heard.extend(update.point);
        ControlFlow::Continue(())
    };
    let fit = fit(&mut fresh(), &log, &split, &hasty, Seed::new(3), callback).unwrap();
    assert_eq!(heard, fit.curve);
    let norms = fit.curve.iter().map(|point| point.gradient_norm);
    assert!(
        norms.clone().skip(1).all(|norm| norm > Some(0.0)) && fit.curve[0].gradient_norm.is_none()
    );
    assert_eq!(fit.curve.last().unwrap().iteration, fit.best.iteration + 30);
}

#[test]
fn a_diverging_fit_says_so() {
    let (_, log) = simulate(ChoiceUsersConfig::default(), 9, 100);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let wild = TrainConfig {
        optimiser: AdamConfig { learning_rate: 1e30, ..Default::default() },
        ..quick(50)
    };
    let mut model = model(UserModelConfig::new(ITEMS), &Catalogue::numbered(ITEMS));
    let result = fit(&mut model, &log, &split, &wild, Seed::new(1), |_| ControlFlow::Continue(()));
    let diverged = |error: &Error| {
        matches!(error, Error::Training(foretaste_train::Error::Diverged { iteration: 2, .. }))
    };
    assert!(result.as_ref().is_err_and(diverged), "{result:?}");
}

/// Lemma 2. Fits by maximum likelihood from four initializations lay within 0.002 nats of each
/// other on test sessions like these, and the min-max within 0.002 of the fit from its own. The
/// tolerance is 0.005, of the 0.3 that there are to learn.
#[test]
fn the_min_max_of_entropy_and_maximum_likelihood_reach_the_same_held_out_likelihood() {
    let (_, log) = simulate(ChoiceUsersConfig::default(), 6, 400);
    let (_, test) = simulate(ChoiceUsersConfig::default(), 7, 500);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let all: Vec<usize> = (0..test.sessions()).collect();
    let config =
        UserModelConfig { state: StateEncoder::position_weights(), ..UserModelConfig::new(ITEMS) };
    let [untrained, mut likelihood, mut reward, mut generator] =
        [(); 4].map(|()| model(config.clone(), &Catalogue::numbered(ITEMS)));
    let training = quick(60);
    train(&mut likelihood, &log, training.clone());
    let optimiser = AdamConfig { learning_rate: 4e-3, ..Default::default() };
    let config = AdversarialConfig { generator: optimiser, inner: 2, warm_up: 0, reward: training };
    let go_on = |_| ControlFlow::Continue(());
    let fit =
        fit_adversarial(&mut reward, &mut generator, &log, &split, &config, Seed::new(3), go_on)
            .unwrap();

    let [untrained, likelihood, reward, generator] = [untrained, likelihood, reward, generator]
        .map(|model| evaluate(&model, &test, &all).unwrap().nll.unwrap());
    assert!(untrained - likelihood > 0.25, "{untrained} to {likelihood}");
    assert!(
        (reward - likelihood).abs() < 0.005 && (generator - likelihood).abs() < 0.005,
        "{reward} {generator}"
    );
    // Under Shannon the loss is η times the objective's maximum, and η is 1.
    for point in &fit.curve {
        assert!(
            (point.validation_objective + point.validation_shortfall - point.validation_loss).abs()
                < 1e-6
        );
        assert!(point.validation_shortfall > -1e-6);
    }
    let lowest = fit.curve.iter().map(|point| point.validation_loss).fold(f64::INFINITY, f64::min);
    assert_eq!(fit.best.validation_loss, lowest);
}

/// With the reward known, the learned choice and the learned ranking come closer to the truth as
/// the log grows.
#[test]
fn the_learned_reward_approaches_the_truth_as_the_log_grows() {
    let truth = ChoiceUsersConfig { dims: 4, ..Default::default() };
    let (users, test) = simulate(truth.clone(), 100, 300);
    let catalogue = Catalogue::numbered(ITEMS).with_features(users.features().to_vec(), 4).unwrap();
    for state in encoders() {
        let learn = |sessions| {
            let (_, log) = simulate(truth.clone(), 10, sessions);
            let (features, head) = (ItemFeatures::Given, vec![24]);
            let config = UserModelConfig {
                features,
                head,
                state: state.clone(),
                ..UserModelConfig::new(ITEMS)
            };
            let mut model = model(config, &catalogue);
            let optimiser = AdamConfig { learning_rate: 1e-2, ..Default::default() };
            train(&mut model, &log, TrainConfig { optimiser, validate_every: 25, ..quick(700) });
            compare(&model, &users, &test).unwrap()
        };
        let (small, large) = (learn(40), learn(2_000));
        assert!(
            large.divergence < 0.25 * small.divergence && large.divergence < 0.06,
            "{small:?} {large:?}"
        );
        assert!(
            large.ranked_alike > 0.85 && large.ranked_alike > small.ranked_alike,
            "{small:?} {large:?}"
        );
        assert!(large.nll - large.true_nll < 0.06, "{large:?}");
    }
}

/// The floor, a policy learned from a log, the ceiling: mean rewards over 4,000 paired sessions,
/// differences of more than 4 standard errors, which chance makes once in 30,000.
#[test]
fn random_earns_less_than_learned_and_learned_no_more_than_the_oracle() {
    let (users, log) = simulate(
        ChoiceUsersConfig { attraction: 0.2, boredom: 0.2, ..Default::default() },
        11,
        600,
    );
    let mut model = model(UserModelConfig::new(ITEMS), &Catalogue::numbered(ITEMS));
    train(&mut model, &log, quick(200));
    let mut all_items = LogBuilder::default();
    let slate: Vec<ItemId> = (0..ITEMS as u32).map(ItemId).collect();
    let (choice, propensity, timestamp) = (Choice::Skip, None, None);
    all_items.push(Step { slate: &slate, choice, reward: 0.0, propensity, timestamp }).unwrap();
    all_items.end_session(None).unwrap();
    let prediction = model.predict(&all_items.build(), &[0]).unwrap().remove(0);
    let scores = &prediction.log_choice.unwrap()[..ITEMS];

    let rollout = Rollout::new(Seed::new(12), 0..4_000, 3).max_steps(6);
    let rewards = |outcomes: Vec<Outcome>| {
        outcomes.iter().map(|outcome| outcome.reward).collect::<Vec<f64>>()
    };
    let random = rewards(rollout.outcomes(&users, &Blind(UniformRandom { items: ITEMS })).unwrap());
    let learned = rewards(rollout.outcomes(&users, &Blind(TopItems::new(scores))).unwrap());
    let oracle =
        rewards(rollout.outcomes(&users, &ChoiceOracle::new(&users, 3, 6).unwrap()).unwrap());
    let z = |a: &[f64], b: &[f64]| {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let mean = differences.iter().sum::<f64>() / 4e3;
        mean / (differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 4e3 / 4e3).sqrt()
    };
    assert!(z(&learned, &random) > 4.0, "{}", z(&learned, &random));
    assert!(z(&oracle, &learned) > -4.0, "{}", z(&oracle, &learned));
}

/// Six sessions after two steps, of which some are replaced, answer two more slates as new sessions
/// do in those rows, and as they would have done in the others.
fn replacing_rows_changes_no_other<E: Environment>(users: &E) {
    let (rows, slate) = ([1, 4], [ItemId(1), ItemId(4), ItemId(2)]);
    let step = |state: &mut E::State, streams: &mut [Stream]| {
        let (mut slates, mut responses) = (Slates::with_k(3), Responses::default());
        streams.iter().for_each(|_| slates.push(&slate, None));
        users.step(state, &slates, streams, &mut responses).unwrap();
        responses
    };
    let mut streams = Seed::new(1).streams(0..6);
    let mut new_streams = Seed::new(2).streams(0..6);
    let mut state = users.reset(&mut streams).unwrap();
    (0..2).for_each(|_| drop(step(&mut state, &mut streams)));
    let mut alone = users.select(&state, &[0, 1, 2, 3, 4, 5]).unwrap();
    let mut streams_alone = streams.clone();

    let mut fresh = rows.map(|row| new_streams[row].clone());
    users.replace(&mut state, &rows, &mut fresh).unwrap();
    rows.iter().zip(fresh).for_each(|(&row, stream)| streams[row] = stream);
    let mut new = users.reset(&mut new_streams).unwrap();
    for _ in 0..2 {
        let found = step(&mut state, &mut streams);
        let went_on = step(&mut alone, &mut streams_alone);
        let began = step(&mut new, &mut new_streams);
        for row in 0..6 {
            let expected = if rows.contains(&row) { &began } else { &went_on };
            assert_eq!(found.choice[row], expected.choice[row], "row {row}");
            assert_eq!(found.ended[row], expected.ended[row], "row {row}");
            assert!((found.reward[row] - expected.reward[row]).abs() < 1e-5, "row {row}");
        }
    }
}

#[test]
fn a_replaced_row_is_a_new_session_and_the_others_go_on() {
    let (_, log) = simulate(ChoiceUsersConfig::default(), 6, 100);
    for state in encoders() {
        let config = UserModelConfig { state, eta: 4.0, ..UserModelConfig::new(ITEMS) };
        let mut model = model(config, &Catalogue::numbered(ITEMS));
        train(&mut model, &log, quick(30));
        replacing_rows_changes_no_other(&LearnedUsers::paying(model, Pays::Utility).unwrap());
    }
    let config = BehaviourConfig { embedding: 4, hidden: 5, ..BehaviourConfig::new(ITEMS) };
    let behaviour = BehaviourModel::new(config, Seed::new(1), &Device::Cpu).unwrap();
    for (_, var) in behaviour.params().iter() {
        var.set(&(var.as_tensor() * 6.0).unwrap()).unwrap();
    }
    replacing_rows_changes_no_other(&BehaviourUsers::new(&behaviour).unwrap());
}
