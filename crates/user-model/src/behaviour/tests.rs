//! U is compared with the paper's formulas, with finite differences, and with the frequencies of
//! its own users.

use candle_core::{DType, Device, Tensor};
use foretaste_data::{
    Catalogue, Choice, Event, EventKind, ItemId, Log, LogBuilder, PaddedBatch, Step,
};
use foretaste_eval::choice::{ChoiceModel, Prediction, evaluate};
use foretaste_nn::{AdamConfig, backward, check_gradients, scalar};
use foretaste_random::Seed;
use foretaste_sim::{
    Blind, Environment, Mdp, MdpConfig, Responses, Rollout, Slates, policies::UniformRandom,
};
use foretaste_train::{FirstInput, Network};
use rand::Rng;

use super::*;

const ITEMS: usize = 6;

fn session(builder: &mut LogBuilder, steps: &[(&[u32], Choice, f32)]) {
    for (slate, choice, reward) in steps {
        let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
        builder.push(Step::new(&slate, *choice, *reward)).unwrap();
    }
    builder.end_session(None).unwrap();
}

fn click(item: u32) -> Choice {
    Choice::Item(ItemId(item))
}

/// Slates of several sizes, purchases, a skip, sessions that end and one that was cut.
fn log() -> Log {
    let mut builder = LogBuilder::default();
    session(
        &mut builder,
        &[
            (&[0, 1, 2], click(1), 1.0),
            (&[2, 3], Choice::Skip, 0.0),
            (&[3, 4], click(4), 0.0),
            (&[5, 0, 1], Choice::Leave, 0.0),
        ],
    );
    session(&mut builder, &[(&[4, 2], Choice::Leave, 0.0)]);
    session(&mut builder, &[(&[1, 2], click(2), 0.0), (&[5, 3, 0], click(3), 1.0)]);
    builder.build()
}

fn prepared() -> Log {
    clicked_sessions(&log(), &[0, 1, 2], ITEMS, Seed::new(1)).unwrap()
}

fn config() -> BehaviourConfig {
    BehaviourConfig {
        embedding: 3,
        hidden: 4,
        lambda_p: 0.8,
        purchase_weight: 2.5,
        ..BehaviourConfig::new(ITEMS)
    }
}

fn values(model: &BehaviourModel) -> Vec<Vec<f32>> {
    model
        .params()
        .snapshot()
        .unwrap()
        .into_values()
        .map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

/// Weights of Eq 7, one a step.
const WEIGHTS: [f32; 6] = [0.3, 0.9, 0.1, 0.5, 0.7, 1.0];

fn padded(batch: &PaddedBatch) -> Vec<f32> {
    let mut weights = WEIGHTS.iter();
    batch.step_mask.iter().map(|&step| if step { *weights.next().unwrap() } else { 9.0 }).collect()
}

#[test]
fn gradients_match_finite_differences() {
    let batch = PaddedBatch::new(&prepared(), &[0, 1, 2], None);
    let model =
        BehaviourModel::with_type(config(), Seed::new(2), &Device::Cpu, DType::F64).unwrap();
    for weights in [None, Some(padded(&batch))] {
        check_gradients(model.params(), || Ok(model.loss(&batch, weights.as_deref()).unwrap()));
    }
}

#[test]
fn sequences_hold_clicks_and_end_with_leaving_where_the_log_knows_it() {
    let found = prepared();
    let choices: Vec<Vec<Choice>> =
        found.iter().map(|s| s.steps().map(|step| step.choice).collect()).collect();
    assert_eq!(
        choices,
        [vec![click(1), click(4), Choice::Leave], vec![Choice::Leave], vec![click(2), click(3)]]
    );

    // Without a session that left, each gets a random slate as large as its last, the same for the
    // same seed.
    let mut builder = LogBuilder::default();
    session(&mut builder, &[(&[0, 1], click(0), 0.0), (&[0, 1, 2], click(1), 0.0)]);
    session(&mut builder, &[(&[2, 3], Choice::Skip, 0.0)]);
    let lacking = builder.build();
    let found = clicked_sessions(&lacking, &[0, 1], ITEMS, Seed::new(1)).unwrap();
    assert_eq!((found.sessions(), found.steps()), (1, 3));
    let last = found.session(0).step(2);
    assert_eq!((last.choice, last.slate.len(), last.reward), (Choice::Leave, 3, 0.0));
    assert_eq!(found, clicked_sessions(&lacking, &[0], ITEMS, Seed::new(1)).unwrap());
    assert_ne!(found, clicked_sessions(&lacking, &[0], ITEMS, Seed::new(2)).unwrap());
}

/// A click that is given, events of the log, sessions of a single click, of none, and of one with
/// nothing behind it.
#[test]
fn clicks_that_are_given_are_inputs_and_their_slates_are_no_steps() {
    let event =
        |item| Event { item: ItemId(item), kind: EventKind::Cart, after: 0, timestamp: None };
    let mut builder = LogBuilder::default();
    builder.event(event(5));
    builder.push(Step::new(&[ItemId(2)], Choice::Skip, 0.0)).unwrap();
    builder.event(event(0));
    let clicked: [(&[u32], Choice, f32); 3] =
        [(&[0, 1, 2], click(1), 1.0), (&[3, 4], click(4), 1.0), (&[5, 0, 1], Choice::Leave, 0.0)];
    session(&mut builder, &clicked);
    for steps in [&[clicked[0], clicked[2]][..], &[clicked[2]], &[clicked[1]]] {
        session(&mut builder, steps);
    }
    let log = builder.build();
    let clicks = clicked_sessions(&log, &[0, 1, 2, 3], ITEMS, Seed::new(1)).unwrap();
    let events = |log: &Log, at| -> Vec<(u32, u32)> {
        log.session(at).events().map(|event| (event.item.0, event.after)).collect()
    };
    assert_eq!((clicks.sessions(), events(&clicks, 0)), (4, vec![(5, 0), (0, 0)]));

    let given = first_clicks_given(&clicks).unwrap();
    assert_eq!((given.sessions(), given.steps()), (2, 3));
    assert_eq!(
        (events(&given, 0), events(&given, 1)),
        (vec![(5, 0), (0, 0), (1, 0)], vec![(1, 0)])
    );
    assert_eq!(given.session(0).step(0), clicks.session(0).step(1));
    // The states that are left are the ones that come after the click.
    let model = BehaviourModel::new(config(), Seed::new(2), &Device::Cpu).unwrap();
    let rows = |log: &Log| -> Vec<Vec<f32>> {
        let batch = PaddedBatch::new(log, &[0], None);
        model.click_log_probabilities(&batch).unwrap().to_vec2().unwrap()
    };
    let (whole, later) = (rows(&clicks), rows(&given));
    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
    // The two steps of both; the wider slate of the first has a column more.
    assert!(whole[2].iter().zip(&later[1]).all(close), "{whole:?} {later:?}");
}

#[test]
fn sequences_refuse_items_that_do_not_fit() {
    let message =
        |items| clicked_sessions(&log(), &[0], items, Seed::new(1)).unwrap_err().to_string();
    assert!(
        message(5).contains("session 0, step 3: item 5 is shown, expected less than 5"),
        "{}",
        message(5)
    );
}

/// Where rewards are purchases, others are refused; where they are amounts, Eq 2 gives their mean,
/// and the loss of a click holds half the square of what is left.
#[test]
fn rewards_are_purchases_or_amounts() {
    let mut builder = LogBuilder::default();
    session(&mut builder, &[(&[0, 1], click(0), -2.5)]);
    let log = builder.build();
    let batch = PaddedBatch::new(&log, &[0], None);
    let model = |config| BehaviourModel::new(config, Seed::new(2), &Device::Cpu).unwrap();
    let message = model(config()).loss(&batch, None).unwrap_err().to_string();
    assert!(message.contains("the reward of a click is -2.5, expected 0 or 1"), "{message}");

    let amounts = || BehaviourConfig { rewards: Rewards::Amounts, ..config() };
    let paying = model(amounts());
    let users = BehaviourUsers::new(&paying).unwrap();
    let slate = [ItemId(0), ItemId(1)];
    let expected = users.expectations(&users.begin(1).unwrap(), &[&slate]).unwrap().remove(0);
    let (click, mean) = expected[0];
    let by_hand = 0.5 * config().lambda_p * (-2.5 - mean).powi(2) - click.ln();
    let found = foretaste_nn::scalar(&paying.loss(&batch, None).unwrap()).unwrap();
    assert!((found - by_hand).abs() < 1e-5, "{found} {by_hand}");
    // Users pay the mean.
    let mut streams = Seed::new(3).streams(0..50);
    let mut state = users.reset(&mut streams).unwrap();
    let (mut slates, mut responses) = (Slates::with_k(2), Responses::default());
    streams.iter().for_each(|_| slates.push(&slate, None));
    users.step(&mut state, &slates, &mut streams, &mut responses).unwrap();
    for (choice, reward) in responses.choice.iter().zip(&responses.reward) {
        let place = slate.iter().position(|item| *choice == Choice::Item(*item));
        assert_eq!(*reward, place.map_or(0.0, |place| expected[place].1 as f32));
    }

    // In the log's unit they pay so many times as much, be it an amount or a purchase.
    let of_unit = |config| BehaviourUsers::new(&model(config)).unwrap().as_logged();
    let logged = of_unit(BehaviourConfig { reward_unit: 40.0, ..amounts() });
    let paid = logged.expectations(&logged.begin(1).unwrap(), &[&slate]).unwrap().remove(0);
    for ((chance, mean), (found, paid)) in expected.iter().zip(&paid) {
        assert!(chance == found && (40.0 * mean - paid).abs() < 1e-9, "{mean} {paid}");
    }
    let mut state = logged.reset(&mut streams).unwrap();
    logged.step(&mut state, &slates, &mut streams, &mut responses).unwrap();
    for (choice, reward) in responses.choice.iter().zip(&responses.reward) {
        let place = slate.iter().position(|item| *choice == Choice::Item(*item));
        assert_eq!(*reward, place.map_or(0.0, |place| paid[place].1 as f32));
    }
    let buyers = of_unit(BehaviourConfig { reward_unit: 2.5, ..config() });
    let mut state = buyers.reset(&mut streams).unwrap();
    buyers.step(&mut state, &slates, &mut streams, &mut responses).unwrap();
    let bought = responses.reward.iter().filter(|&&reward| reward == 2.5).count();
    assert!(bought > 0 && responses.reward.iter().all(|&reward| reward == 2.5 || reward == 0.0));
    for unit in [0.0, -1.0, f32::NAN] {
        let config = BehaviourConfig { reward_unit: unit, ..amounts() };
        assert!(BehaviourModel::new(config, Seed::new(2), &Device::Cpu).is_err(), "{unit}");
    }

    let precise =
        BehaviourModel::with_type(amounts(), Seed::new(2), &Device::Cpu, DType::F64).unwrap();
    foretaste_nn::check_gradients(precise.params(), || Ok(precise.loss(&batch, None).unwrap()));
    assert_eq!(Rewards::of([0.0, 1.0]), Rewards::Purchases);
    assert_eq!(Rewards::of([0.0, -1.0]), Rewards::Amounts);
}

#[test]
fn sequences_ignore_rewards_of_steps_without_a_choice() {
    let with = |reward| {
        let mut builder = LogBuilder::default();
        session(
            &mut builder,
            &[
                (&[0], click(0), 1.0),
                (&[0, 1], Choice::Skip, reward),
                (&[1, 2], Choice::Leave, reward),
            ],
        );
        clicked_sessions(&builder.build(), &[0], ITEMS, Seed::new(1)).unwrap()
    };
    assert_eq!(with(-1.0), with(0.0));
    assert_eq!(with(1.0), with(0.0));
}

/// The loss from the click probabilities and, on first steps, whose state is 0 without a START
/// entry, from the reward head's bias by hand.
#[test]
fn the_loss_equals_the_formulas_of_the_paper() {
    let config = BehaviourConfig { first_input: FirstInput::Nothing, ..config() };
    let model = BehaviourModel::with_type(config, Seed::new(2), &Device::Cpu, DType::F64).unwrap();
    let bias = [[0.4, -0.2, 1.0], [-0.6, 0.3, 0.8]];
    for (name, bias) in ["click.bias", "reward.bias"].iter().zip(bias) {
        model
            .params()
            .get(name)
            .unwrap()
            .set(&candle_core::Tensor::new(&bias, &Device::Cpu).unwrap())
            .unwrap();
    }
    let table = model.params().get("clicks.embedding.table").unwrap().to_vec2::<f64>().unwrap();
    let dot = |head: usize, item: usize| {
        table[item].iter().zip(bias[head]).map(|(a, b)| a * b).sum::<f64>()
    };
    // First steps: item 1 of [0, 1, 2] bought, END of [4, 2], item 2 of [1, 2] not bought.
    let first: [(&[usize], usize, Option<bool>); 3] = [
        (&[0, 1, 2, ITEMS], 1, Some(true)),
        (&[4, 2, ITEMS], ITEMS, None),
        (&[1, 2, ITEMS], 2, Some(false)),
    ];
    let mut expected = 0.0;
    for ((options, chosen, bought), weight) in first.iter().zip([0.5f32, 2.0, 1.0]) {
        let total: f64 = options.iter().map(|&option| dot(0, option).exp()).sum();
        let log_p = dot(0, *chosen) - total.ln();
        let bought = 1.0 / (1.0 + (-dot(1, *chosen)).exp()) * f64::from(*bought == Some(true))
            + 1.0 / (1.0 + dot(1, *chosen).exp()) * f64::from(*bought == Some(false))
            + f64::from(bought.is_none());
        let class = if *chosen == 1 { 2.5 } else { 1.0 };
        expected -= f64::from(weight) * (log_p + 0.8 * class * bought.ln()) / 3.0;
    }
    let mut cut = LogBuilder::default();
    for part in prepared().iter() {
        cut.push(part.step(0)).unwrap();
        cut.end_session(None).unwrap();
    }
    let batch = PaddedBatch::new(&cut.build(), &[0, 1, 2], None);
    let found = foretaste_nn::scalar(&model.loss(&batch, Some(&[0.5, 2.0, 1.0])).unwrap()).unwrap();
    // Weights are 32 bits wide.
    assert!((found - expected).abs() < 1e-7, "{found} {expected}");
}

#[test]
fn click_probabilities_lie_on_the_simplex_and_ignore_the_batch() {
    let (log, model) =
        (prepared(), BehaviourModel::new(config(), Seed::new(2), &Device::Cpu).unwrap());
    let batch = PaddedBatch::new(&log, &[0, 1, 2], None);
    let rows = model.click_log_probabilities(&batch).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(rows.len(), 6);
    for (row, step) in rows.iter().zip(log.iter().flat_map(|session| session.steps())) {
        let on_slate = row[..step.slate.len()].iter().chain([&row[3]]);
        assert!((on_slate.map(|p| f64::from(p.exp())).sum::<f64>() - 1.0).abs() < 1e-6);
    }
    let alone = model
        .click_log_probabilities(&PaddedBatch::new(&log, &[2], None))
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    for (together, alone) in rows[4..].iter().zip(&alone) {
        assert!(
            (together[0] - alone[0]).abs() < 1e-6
                && (together[3] - alone[alone.len() - 1]).abs() < 1e-6
        );
    }
    let mean = model.mean_loss(&log).unwrap();
    assert!(
        (mean - foretaste_nn::scalar(&model.loss(&batch, None).unwrap()).unwrap()).abs() < 1e-6
    );
}

/// Users of a model against its own probabilities, first and second step: chi-square of 4 options
/// over 20,000 sessions, 3 degrees of freedom; 21.1 is exceeded by chance once in 10,000. Rewards:
/// within 5 standard errors. The seeds are fixed.
#[test]
fn users_answer_as_the_model_says() {
    let model = BehaviourModel::new(config(), Seed::new(8), &Device::Cpu).unwrap();
    let users = BehaviourUsers::new(&model).unwrap();
    let sessions = 20_000;
    let mut streams = Seed::new(3).streams(0..sessions);
    let mut state = users.reset(&mut streams).unwrap();
    let (mut slates, mut responses) = (Slates::with_k(3), Responses::default());
    let mut expected = LogBuilder::default();
    session(&mut expected, &[(&[0, 1, 2], click(1), 0.0), (&[3, 4, 5], click(4), 0.0)]);
    let batch = PaddedBatch::new(&expected.build(), &[0], None);
    let log_p = model.click_log_probabilities(&batch).unwrap().to_vec2::<f32>().unwrap();
    for (step, slate) in [[0, 1, 2], [3, 4, 5]].iter().enumerate() {
        slates.clear(3);
        let slate = slate.map(ItemId);
        streams.iter().for_each(|_| slates.push(&slate, None));
        users.step(&mut state, &slates, &mut streams, &mut responses).unwrap();
        let count =
            |choice| responses.choice.iter().filter(|&&found| found == choice).count() as f64;
        let options = slate.map(Choice::Item).into_iter().chain([Choice::Leave]);
        let statistic: f64 = options
            .zip(&log_p[step])
            .map(|(choice, p)| {
                let expected = responses.rows() as f64 * f64::from(p.exp());
                (count(choice) - expected).powi(2) / expected
            })
            .sum();
        assert!(statistic < 21.1, "step {step}: {statistic}");
        assert!(
            (0..responses.rows())
                .all(|row| responses.ended[row] == (responses.choice[row] == Choice::Leave))
        );
        // Only those that clicked what the expected session clicks go on.
        let kept: Vec<usize> =
            (0..responses.rows()).filter(|&row| responses.choice[row] == click(1)).collect();
        if step == 0 {
            let bought = kept.iter().map(|&row| f64::from(responses.reward[row])).sum::<f64>();
            let (n, p) = (kept.len() as f64, 0.5);
            assert!((bought - n * p).abs() < 5.0 * (n * p * (1.0 - p)).sqrt(), "{bought} of {n}");
            state = users.select(&state, &kept).unwrap();
            streams = kept.iter().map(|&row| streams[row].clone()).collect();
        }
    }
}

#[test]
fn sessions_depend_on_neither_threads_nor_chunks() {
    let model =
        BehaviourModel::new(BehaviourConfig::small(20), Seed::new(2), &Device::Cpu).unwrap();
    let users = BehaviourUsers::new(&model).unwrap();
    let run = |threads, chunk| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let rollout = Rollout::new(Seed::new(5), 0..23, 3).max_steps(4).chunk(chunk);
        pool.install(|| rollout.run(&users, &Blind(UniformRandom { items: 20 })).unwrap())
    };
    let log = run(1, 23);
    assert!(log.steps() > 40);
    assert_eq!(run(3, 23), log);
    assert_eq!(run(3, 1), log);
}

#[test]
fn a_resumed_training_is_one_that_was_not_stopped() {
    let (log, catalogue, folder) =
        (prepared(), Catalogue::numbered(ITEMS), tempfile::tempdir().unwrap());
    // A rate at which the loss does not fall steadily, so that the learning rate does.
    let optimiser = AdamConfig { learning_rate: 0.5, clip: Some(5.0), ..AdamConfig::default() };
    let training = BehaviourTraining { optimiser, batch: 2, decay: 0.95 };
    let start = || {
        BehaviourTrainer::new(
            BehaviourModel::new(config(), Seed::new(2), &Device::Cpu).unwrap(),
            training.clone(),
        )
    };
    let epoch = |trainer: &mut BehaviourTrainer, e: u64| {
        let weights = (e % 2 == 1).then_some(&WEIGHTS[..]);
        trainer.epoch(&log, weights, Seed::new(4).index(e)).unwrap()
    };
    let mut straight = start().unwrap();
    let losses: Vec<f64> = (0..12).map(|e| epoch(&mut straight, e)).collect();
    let falls = losses.windows(4).filter(|w| w[..3].iter().all(|&before| w[3] > before)).count();
    assert!(falls > 0, "{losses:?}");
    assert_eq!(straight.learning_rate().rate(), (0..falls).fold(0.5, |rate, _| rate * 0.95));

    let mut resumed = start().unwrap();
    for e in 0..12 {
        epoch(&mut resumed, e);
        resumed.save(folder.path(), &catalogue, e, 2).unwrap();
        let learning_rate = resumed.learning_rate().clone();
        resumed = BehaviourTrainer::resume(
            folder.path(),
            &catalogue,
            training.clone(),
            learning_rate,
            &Device::Cpu,
        )
        .unwrap();
    }
    assert_eq!(values(resumed.model()), values(straight.model()));
    let other = Catalogue::new(["a", "b", "c", "d", "e", "f"].into_iter().collect());
    let rate = straight.learning_rate().clone();
    let refused =
        BehaviourTrainer::resume(folder.path(), &other, training.clone(), rate, &Device::Cpu);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("trained with item vocabulary"), "{message}");
    let (loaded, saved) = BehaviourModel::load(folder.path(), &other, &Device::Cpu).unwrap();
    assert_eq!((values(&loaded), saved.catalogue), (values(straight.model()), catalogue));
}

#[test]
fn training_does_not_depend_on_the_threads() {
    let mdp = Mdp::new(&MdpConfig::default()).unwrap();
    let log = Rollout::new(Seed::new(1), 0..60, 10)
        .run(&mdp, &Blind(UniformRandom { items: 50 }))
        .unwrap();
    let log = clicked_sessions(&log, &(0..60).collect::<Vec<_>>(), 50, Seed::new(2)).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = BehaviourModel::new(BehaviourConfig::small(50), Seed::new(3), &Device::Cpu)
                .unwrap();
            let mut trainer = BehaviourTrainer::new(model, BehaviourTraining::default()).unwrap();
            let loss = trainer.epoch(&log, None, Seed::new(4)).unwrap();
            (loss, values(trainer.model()))
        })
    };
    assert_eq!(run(1), run(3));
}

/// Users who click item 0 whenever it is shown, else leave, and buy it: a model of them must find
/// both.
#[test]
fn what_users_want_is_learned() {
    let (mut builder, mut stream) = (LogBuilder::default(), Seed::new(6).stream(0));
    for _ in 0..200 {
        let slate: Vec<u32> =
            rand::seq::index::sample(&mut stream, ITEMS, 2).into_iter().map(|i| i as u32).collect();
        let wanted = slate.contains(&0);
        let bought = if stream.random_bool(0.1) { 0.0 } else { 1.0 };
        let choice = if wanted { click(0) } else { Choice::Leave };
        session(&mut builder, &[(&slate, choice, if wanted { bought } else { 0.0 })]);
    }
    let log =
        clicked_sessions(&builder.build(), &(0..200).collect::<Vec<_>>(), ITEMS, Seed::new(1))
            .unwrap();
    let optimiser = AdamConfig { learning_rate: 0.05, ..AdamConfig::default() };
    let training = BehaviourTraining { optimiser, ..BehaviourTraining::default() };
    let config = BehaviourConfig { purchase_weight: 1.0, ..config() };
    let model = BehaviourModel::new(config, Seed::new(2), &Device::Cpu).unwrap();
    let mut trainer = BehaviourTrainer::new(model, training).unwrap();
    let fit =
        trainer.fit(&log, &log, 20, Seed::new(4), |_| std::ops::ControlFlow::Continue(())).unwrap();
    // What is left is the entropy of buying, 0.33 nats on a third of the steps.
    assert!(fit.best.validation_nll < 0.2 && fit.curve[0].validation_nll > 1.0, "{fit:?}");
    assert_eq!(trainer.model().mean_loss(&log).unwrap(), fit.best.validation_nll);
}

/// Users who buy one click in five, and a model in whose training a purchase counts 2^5.3 times:
/// its odds are 39 · 0.25, some 0.91 of clicks. As logged they buy 0.2 again: within 0.06, which is
/// what 600 clicks of training allow (three standard errors of 0.016 and some for the fit).
#[test]
fn as_logged_users_buy_as_often_as_the_log_in_spite_of_the_weight_of_a_purchase() {
    let (mut builder, mut stream) = (LogBuilder::default(), Seed::new(7).stream(0));
    for _ in 0..600 {
        let item = stream.random_range(0..ITEMS as u32);
        let bought = f32::from(stream.random_bool(0.2));
        session(&mut builder, &[(&[item], click(item), bought), (&[item], Choice::Leave, 0.0)]);
    }
    let log = builder.build();
    let optimiser = AdamConfig { learning_rate: 0.02, ..AdamConfig::default() };
    let training = BehaviourTraining { optimiser, ..BehaviourTraining::default() };
    let config = BehaviourConfig { purchase_weight: 5.3f64.exp2(), ..config() };
    let model = BehaviourModel::new(config, Seed::new(2), &Device::Cpu).unwrap();
    let mut trainer = BehaviourTrainer::new(model, training).unwrap();
    trainer.fit(&log, &log, 8, Seed::new(4), |_| std::ops::ControlFlow::Continue(())).unwrap();
    let rate = |users: BehaviourUsers| {
        let slates: Vec<[ItemId; 1]> = (0..ITEMS as u32).map(|item| [ItemId(item)]).collect();
        let slates: Vec<&[ItemId]> = slates.iter().map(|slate| &slate[..]).collect();
        let expected = users.expectations(&users.begin(ITEMS).unwrap(), &slates).unwrap();
        expected.iter().map(|slate| slate[0].1).sum::<f64>() / ITEMS as f64
    };
    let users = || BehaviourUsers::new(trainer.model()).unwrap();
    let (published, logged) = (rate(users()), rate(users().as_logged()));
    assert!(published > 0.8 && (logged - 0.2).abs() < 0.06, "{published} {logged}");
}

#[test]
fn the_gradient_norm_is_that_before_clipping() {
    let model = || BehaviourModel::new(config(), Seed::new(2), &Device::Cpu).unwrap();
    let untrained = model();
    let loss = untrained.loss(&PaddedBatch::new(&prepared(), &[0, 1, 2], None), None).unwrap();
    let gradients = backward(&loss).unwrap();
    let squares = |var: &Tensor| {
        scalar(&gradients.get(var).unwrap().unwrap().sqr().unwrap().sum_all().unwrap())
    };
    let norm = untrained.params().iter().map(|(_, var)| squares(var).unwrap()).sum::<f64>().sqrt();
    // One batch of all sessions, and a clip that bites.
    let optimiser = AdamConfig { clip: Some(norm / 10.0), ..AdamConfig::default() };
    let training = BehaviourTraining { optimiser, batch: 3, ..BehaviourTraining::default() };
    let mut trainer = BehaviourTrainer::new(model(), training).unwrap();
    assert_eq!(trainer.gradient_norm(), None);
    trainer.epoch(&prepared(), None, Seed::new(1)).unwrap();
    let found = trainer.gradient_norm().unwrap();
    assert!((found / norm - 1.0).abs() < 1e-5, "{found} {norm}");
}

/// Predictions are the probabilities by which U acts: of each item, of END, and of each item given
/// that one is clicked.
#[test]
fn a_prediction_is_what_the_users_do() {
    let model = BehaviourModel::new(config(), Seed::new(1), &Device::Cpu).unwrap();
    let log = prepared();
    for (_, var) in model.params().iter() {
        var.set(&(var.as_tensor() * 3.0).unwrap()).unwrap();
    }
    let all: Vec<usize> = (0..log.sessions()).collect();
    let predictions = model.predict(&log, &all).unwrap();
    let users = BehaviourUsers::new(&model).unwrap();
    let mut steps = predictions.iter();
    for session in log.iter() {
        let mut state = users.begin(1).unwrap();
        for step in session.steps() {
            let Prediction { log_choice, log_given_choice, .. } = steps.next().unwrap();
            let expected = users.expectations(&state, &[step.slate]).unwrap().remove(0);
            let clicked: f64 = expected.iter().map(|(click, _)| click).sum();
            let (choice, given) =
                (log_choice.as_ref().unwrap(), log_given_choice.as_ref().unwrap());
            for (place, (click, _)) in expected.iter().enumerate() {
                assert!((choice[place].exp() - click).abs() < 1e-5);
                assert!((given[place].exp() - click / clicked).abs() < 1e-5);
            }
            assert_eq!(choice.len(), step.slate.len() + 1);
            assert!((choice[step.slate.len()].exp() - (1.0 - clicked)).abs() < 1e-5);
            users.observe(&mut state, &[step.choice]).unwrap();
        }
    }
    assert!(steps.next().is_none());
    let nll = evaluate(&model, &log, &all).unwrap().nll.unwrap();
    let rewards_left_out = BehaviourConfig { lambda_p: 0.0, ..model.config().clone() };
    let clicks_alone = BehaviourModel::new(rewards_left_out, Seed::new(2), &Device::Cpu).unwrap();
    clicks_alone.params().restore(&model.params().snapshot().unwrap()).unwrap();
    assert!((nll - clicks_alone.mean_loss(&log).unwrap()).abs() < 1e-5);
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let new = |config| BehaviourModel::new(config, Seed::new(1), &Device::Cpu);
    assert!(new(BehaviourConfig { items: 0, ..config() }).is_err());
    assert!(new(BehaviourConfig { hidden: 0, ..config() }).is_err());
    assert!(new(BehaviourConfig { lambda_p: f64::NAN, ..config() }).is_err());
    let training = BehaviourTraining { decay: 0.0, ..BehaviourTraining::default() };
    assert!(BehaviourTrainer::new(new(config()).unwrap(), training).is_err());
    let mut trainer =
        BehaviourTrainer::new(new(config()).unwrap(), BehaviourTraining::default()).unwrap();
    assert!(trainer.epoch(&prepared(), Some(&[1.0]), Seed::new(1)).is_err());
    assert!(trainer.epoch(&Log::default(), None, Seed::new(1)).is_err());
}
