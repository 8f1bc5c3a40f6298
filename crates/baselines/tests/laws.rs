//! Laws of the click models: scores against computations by hand and by brute force, and what a
//! choice may depend on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use foretaste_baselines::{
    Architecture, Candidate, ClickModel, Data, Error, Impressions, ItemKnnConfig, Likelihood, Loss,
    ModelKind, NetworkConfig, PopularityConfig, PositionConfig, Selection, SessionKnnConfig,
    SessionRnnConfig, Settings, Training, TreesConfig, select, select_among,
};
use foretaste_data::{Catalogue, Choice, Fractions, ItemId, Log, LogBuilder, Split, Step};
use foretaste_eval::choice::{ChoiceModel, evaluate};
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Outside, Rollout};
use proptest::prelude::*;

const ITEMS: usize = 20;

/// Sessions of (slate, clicked item).
type Sessions = Vec<Vec<(Vec<u32>, Option<u32>)>>;

fn log(sessions: &Sessions) -> Log {
    let mut log = LogBuilder::default();
    for session in sessions {
        for (slate, clicked) in session {
            let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
            let choice = clicked.map_or(Choice::Skip, |item| Choice::Item(ItemId(item)));
            log.push(Step::new(&slate, choice, 0.0)).unwrap();
        }
        log.end_session(None).unwrap();
    }
    log.build()
}

/// Users of four tastes, who click one of four items each time.
fn simulate(sessions: u64, outside: Outside) -> Log {
    let config = ChoiceUsersConfig {
        items: ITEMS,
        types: 4,
        preference: 3.0,
        attraction: 0.0,
        boredom: 0.0,
        outside,
        ..ChoiceUsersConfig::default()
    };
    let rollout = Rollout::new(Seed::new(3), 0..sessions, 4).max_steps(8);
    let policy = Blind(UniformRandom { items: ITEMS });
    rollout.run(&ChoiceUsers::new(&config).unwrap(), &policy).unwrap()
}

fn go_on<T>(_: T) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn training(iterations: u64) -> Training {
    Training { learning_rate: 1e-2, iterations, validate_every: 25, ..Training::default() }
}

/// A few settings of every kind but the position, small enough for tests, and training of so many
/// iterations.
fn grids(iterations: u64) -> Vec<Vec<Settings>> {
    let network = |architecture, loss| {
        let (hidden, buckets, training) = (vec![16], 1 << 10, training(iterations));
        let base = NetworkConfig {
            architecture,
            loss,
            hidden,
            buckets,
            training,
            ..NetworkConfig::default()
        };
        Settings::Network(NetworkConfig { dim: 4, ..base })
    };
    let features = match network(Architecture::WideDeep, Loss::Competitive) {
        Settings::Network(config) => Settings::Network(NetworkConfig { context: true, ..config }),
        other => other,
    };
    let knn = |neighbours| ItemKnnConfig {
        neighbours,
        regularisation: 0.0,
        popularity_breaks_ties: true,
    };
    let sessions = |neighbours| SessionKnnConfig { neighbours, popularity_breaks_ties: true };
    let popularity = |smoothing| PopularityConfig { per_slate: true, smoothing };
    let rnn = SessionRnnConfig {
        hidden: 8,
        training: training(iterations),
        ..SessionRnnConfig::default()
    };
    let trees = |max_depth| TreesConfig { max_depth, trees: 40, ..TreesConfig::default() };
    vec![
        vec![Settings::Popularity(popularity(1.0)), Settings::Popularity(popularity(30.0))],
        vec![Settings::ItemKnn(knn(3)), Settings::ItemKnn(knn(20))],
        vec![Settings::SessionKnn(sessions(10)), Settings::SessionKnn(sessions(50))],
        vec![Settings::SessionRnn(rnn)],
        vec![Settings::Trees(trees(2)), Settings::Trees(trees(3))],
        vec![network(Architecture::DeepFm, Loss::Logistic)],
        vec![network(Architecture::WideDeep, Loss::Logistic)],
        vec![network(Architecture::WideDeep, Loss::Competitive)],
        vec![features],
    ]
}

/// A model fitted to all sessions but the last, and its scores of the last.
fn scores_of_last(
    settings: &Settings,
    log: &Log,
    items: usize,
) -> (Box<dyn ClickModel>, Vec<Vec<f32>>) {
    let train: Vec<usize> = (0..log.sessions() - 1).collect();
    let data = Data { log, items, train: &train, validation: &[] };
    let model = settings.fit(&data, Seed::new(1), go_on).unwrap();
    let scores = model.scores(&Impressions::new(log, &[log.sessions() - 1])).unwrap();
    (model, scores)
}

fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((f64::from(*a) - b).abs() < 1e-6, "{found:?} {expected:?}");
    }
}

/// Training clicks {0, 1}, {0, 1, 2}, {0, 2}, {3}; a session that clicks 1 and 0 and is then shown
/// everything.
fn knn_log() -> Log {
    let click = |item: u32| (vec![item], Some(item));
    let clicks = |items: &[u32]| items.iter().map(|&item| click(item)).collect::<Vec<_>>();
    let all = || (vec![0, 1, 2, 3, 4], Some(4));
    log(&vec![
        clicks(&[0, 1]),
        clicks(&[2, 0, 1, 0]),
        clicks(&[0, 2]),
        clicks(&[3]),
        vec![all(), click(1), all(), click(0), all()],
    ])
}

/// s_01 = 2 / √(3·2), s_02 = 2 / √(3·2), s_12 = 1 / √(2·2), and no others.
#[test]
fn item_knn_by_hand() {
    let log = knn_log();
    let settings = |neighbours, regularisation, popularity_breaks_ties| {
        Settings::ItemKnn(ItemKnnConfig { neighbours, regularisation, popularity_breaks_ties })
    };
    let s = 2.0 / 6f64.sqrt();
    let (model, scores) = scores_of_last(&settings(9, 0.0, false), &log, 5);
    assert_eq!(model.likelihood(), Likelihood::Absent);
    let predictions = model.predict(&log, &[4]).unwrap();
    assert!(predictions.iter().all(|prediction| prediction.log_given_choice.is_none()));
    // The last session clicks 4 on the first slate, which nothing was clicked with.
    assert_close(&scores[0], &[0.0; 5]);
    assert_close(&scores[2], &[s, 0.0, 0.5, 0.0, 0.0]);
    assert_close(&scores[4], &[s, s, s + 0.5, 0.0, 0.0]);
    // The nearest neighbor of 2 is 0, of 1 it is 0, and of 0 it is 1, the smaller of two that tie.
    let (_, scores) = scores_of_last(&settings(1, 0.0, false), &log, 5);
    assert_close(&scores[4], &[s, s, s, 0.0, 0.0]);
    let (_, scores) = scores_of_last(&settings(9, 1.0, false), &log, 5);
    let s = 2.0 / 12f64.sqrt();
    assert_close(&scores[4], &[s, s, s + 1.0 / 3.0, 0.0, 0.0]);
    // Clicked in 3, 2, 2, 1 and 0 sessions.
    let (_, scores) = scores_of_last(&settings(9, 0.0, true), &log, 5);
    assert_close(&scores[0], &[3.0, 2.0, 2.0, 1.0, 0.0]);
    assert_close(&scores[2], &[4.0, 2.0, 3.0, 1.0, 0.0]);
}

/// After {4, 1}: one item in common with {0, 1} and {0, 1, 2}, so 1 / √(2·2) and 1 / √(2·3). After
/// {4, 1, 0}: 2 / √(3·2), 2 / √(3·3) and, with {0, 2}, 1 / √(3·2).
#[test]
fn session_knn_by_hand() {
    let log = knn_log();
    let settings = |neighbours| {
        Settings::SessionKnn(SessionKnnConfig { neighbours, popularity_breaks_ties: false })
    };
    let (model, scores) = scores_of_last(&settings(9), &log, 5);
    assert_eq!(model.likelihood(), Likelihood::Absent);
    assert_close(&scores[0], &[0.0; 5]);
    let (a, b) = (0.5, 1.0 / 6f64.sqrt());
    assert_close(&scores[2], &[a + b, a + b, b, 0.0, 0.0]);
    let (a, b, c) = (2.0 / 6f64.sqrt(), 2.0 / 3.0, 1.0 / 6f64.sqrt());
    assert_close(&scores[4], &[a + b + c, a + b, b + c, 0.0, 0.0]);
    let (_, scores) = scores_of_last(&settings(2), &log, 5);
    assert_close(&scores[4], &[a + b, a + b, b, 0.0, 0.0]);
}

#[test]
fn popularity_and_position_by_hand() {
    let log = log(&vec![
        vec![(vec![0, 1, 2], Some(0)), (vec![1, 2], Some(2)), (vec![0, 1], None)],
        vec![(vec![2, 0, 1], Some(0))],
        vec![(vec![0, 1, 2], None), (vec![2, 0], None), (vec![3], None)],
    ]);
    // Clicks 2, 0, 1 and 0 on 3, 4, 3 and 0 showings; 3 clicks on 10 showings in all.
    let popularity =
        |per_slate| Settings::Popularity(PopularityConfig { per_slate, smoothing: 2.0 });
    let (_, scores) = scores_of_last(&popularity(false), &log, 4);
    assert_close(&scores[0], &[4f64.ln(), 2f64.ln(), 3f64.ln()]);
    let (model, scores) = scores_of_last(&popularity(true), &log, 4);
    assert_close(&scores[0], &[(2.6f64 / 5.0).ln(), (0.6f64 / 6.0).ln(), (1.6f64 / 5.0).ln()]);
    assert_close(&scores[2], &[0.3f64.ln()]);
    assert_eq!(model.likelihood(), Likelihood::Derived);
    let weights = [2.6f64 / 5.0, 0.6 / 6.0, 1.6 / 5.0];
    let choice = model.predict(&log, &[2]).unwrap().remove(0).log_given_choice.unwrap();
    let expected = weights.map(|weight| (weight / weights.iter().sum::<f64>()).ln());
    assert!(choice.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6));

    // Of two slates of three, clicks on the first and the second place; of one of two, on the
    // second.
    let (model, scores) =
        scores_of_last(&Settings::Position(PositionConfig { smoothing: 3.0 }), &log, 4);
    assert_close(&scores[0], &[2.0 / 5.0, 2.0 / 5.0, 1.0 / 5.0].map(f64::ln));
    assert_close(&scores[1], &[1.5 / 4.0, 2.5 / 4.0].map(f64::ln));
    assert_close(&scores[2], &[0.0]);
    assert_eq!(model.likelihood(), Likelihood::Fitted);
}

/// Sessions of up to five slates of up to four of seven items, most of them with a click.
fn sessions() -> impl Strategy<Value = Sessions> {
    let slate = proptest::sample::subsequence((0..7u32).collect::<Vec<_>>(), 1..5).prop_shuffle();
    let impression = (slate, 0usize..5).prop_map(|(slate, place)| {
        let clicked = slate.get(place % 5).copied();
        (slate, clicked)
    });
    proptest::collection::vec(proptest::collection::vec(impression, 1..6), 2..9)
}

/// The distinct clicks of a session before one of its slates.
fn before(session: &[(Vec<u32>, Option<u32>)], impression: usize) -> Vec<u32> {
    let mut clicks: Vec<u32> =
        session[..impression].iter().filter_map(|(_, clicked)| *clicked).collect();
    clicks.sort_unstable();
    clicks.dedup();
    clicks
}

fn common(a: &[u32], b: &[u32]) -> f64 {
    a.iter().filter(|item| b.contains(item)).count() as f64
}

proptest! {
    #[test]
    fn nearest_neighbours_equal_brute_force(sessions in sessions(), k in 1usize..6, regularisation in 0f64..3.0) {
        let (train, last) = sessions.split_at(sessions.len() - 1);
        let clicks: Vec<Vec<u32>> = train.iter().map(|session| before(session, session.len())).collect();
        prop_assume!(clicks.iter().any(|clicks| !clicks.is_empty()));
        let size = |item: u32| clicks.iter().filter(|clicks| clicks.contains(&item)).count() as f64 + regularisation;
        let cosine = |a: u32, b: u32| {
            let both = clicks.iter().filter(|clicks| clicks.contains(&a) && clicks.contains(&b)).count() as f64;
            both / (size(a) * size(b)).sqrt()
        };
        let neighbours = |item: u32| {
            let mut others: Vec<u32> = (0..7).filter(|&other| other != item && cosine(item, other) > 0.0).collect();
            others.sort_by(|&a, &b| cosine(item, b).total_cmp(&cosine(item, a)));
            others.truncate(k);
            others
        };
        let log = log(&sessions);
        let config = ItemKnnConfig { neighbours: k, regularisation, popularity_breaks_ties: false };
        let (_, scores) = scores_of_last(&Settings::ItemKnn(config), &log, 7);
        for (impression, scores) in scores.iter().enumerate() {
            let (slate, _) = &last[0][impression];
            let history = before(&last[0], impression);
            let score = |&item: &u32| {
                neighbours(item).iter().filter(|other| history.contains(other)).map(|&other| cosine(item, other)).sum()
            };
            assert_close(scores, &slate.iter().map(score).collect::<Vec<f64>>());
        }

        let config = SessionKnnConfig { neighbours: k, popularity_breaks_ties: false };
        let (_, scores) = scores_of_last(&Settings::SessionKnn(config), &log, 7);
        for (impression, scores) in scores.iter().enumerate() {
            let (slate, _) = &last[0][impression];
            let history = before(&last[0], impression);
            let similarity = |session: &Vec<u32>| {
                common(session, &history) / ((session.len() * history.len()) as f64).sqrt()
            };
            let mut nearest: Vec<&Vec<u32>> = clicks.iter().filter(|clicks| common(clicks, &history) > 0.0).collect();
            nearest.sort_by(|a, b| similarity(b).total_cmp(&similarity(a)));
            nearest.truncate(k);
            let score = |item: &u32| {
                nearest.iter().filter(|session| session.contains(item)).map(|session| similarity(session)).sum()
            };
            assert_close(scores, &slate.iter().map(score).collect::<Vec<f64>>());
        }
    }

    #[test]
    fn probabilities_add_up_to_one(sessions in sessions(), smoothing in 0.1f64..20.0, per_slate: bool) {
        prop_assume!(sessions[..sessions.len() - 1].iter().flatten().any(|(_, clicked)| clicked.is_some()));
        let log = log(&sessions);
        let popularity = Settings::Popularity(PopularityConfig { per_slate, smoothing });
        for settings in [popularity, Settings::Position(PositionConfig { smoothing })] {
            let (model, _) = scores_of_last(&settings, &log, 7);
            for prediction in model.predict(&log, &[log.sessions() - 1]).unwrap() {
                let sum: f64 = prediction.log_given_choice.unwrap().iter().map(|x| x.exp()).sum();
                prop_assert!((sum - 1.0).abs() < 1e-5, "{sum}");
            }
        }
    }
}

/// 75 sessions of 8 slates are held out: a model that knows nothing has a precision@1 of 0.25 ±
/// 0.0177 and a likelihood of log 4. More than 4.5 standard errors come by chance once in 300,000
/// for each of the 8 models.
#[test]
fn every_model_of_tastes_beats_chance() {
    let log = simulate(300, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, ITEMS, &split);
    for grid in grids(150) {
        let selection = select_among(&grid, &data, Seed::new(4), go_on).unwrap();
        let figures = evaluate(&*selection.model, &log, &split.test).unwrap();
        assert_eq!(figures.choices, 600);
        assert!(figures.precision_at_1 > Some(0.25 + 4.5 * 0.0177), "{:?} {figures:?}", grid[0]);
        assert!(figures.precision_at_2 > figures.precision_at_1);
        assert_eq!(
            figures.nll_given_choice.is_none(),
            selection.model.likelihood() == Likelihood::Absent
        );
        if let Some(nll) = figures.nll_given_choice {
            assert!(nll < 4f64.ln() - 0.02, "{:?} {figures:?}", grid[0]);
        }
    }
}

/// Half of the clicks fall on the last place, whatever is shown there.
#[test]
fn position_learns_what_places_tell_and_nothing_from_shuffled_slates() {
    let mut sessions: Sessions = Vec::new();
    for session in 0..200u32 {
        let slate = vec![session % 5, 5 + session % 7, 12 + session % 3];
        let click = if session % 2 == 0 { slate[2] } else { slate[(session / 2 % 3) as usize] };
        sessions.push(vec![(slate, Some(click))]);
    }
    let log = log(&sessions);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, 15, &split);
    let selection = select(ModelKind::Position, &data, Seed::new(1), go_on).unwrap();
    let figures = evaluate(&*selection.model, &log, &split.test).unwrap();
    assert!(figures.precision_at_1 > Some(0.5), "{figures:?}");
    let shuffled = simulate(300, Outside::Absent);
    let split = Split::by_session(&shuffled, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&shuffled, ITEMS, &split);
    let selection = select(ModelKind::Position, &data, Seed::new(1), go_on).unwrap();
    let figures = evaluate(&*selection.model, &shuffled, &split.test).unwrap();
    assert!((figures.nll_given_choice.unwrap() - 4f64.ln()).abs() < 0.03, "{figures:?}");
}

/// Everything that a selection shows: its candidates, its choice, and the scores of its model.
fn shown(selection: &Selection, impressions: &Impressions<'_>) -> (String, Vec<Vec<f32>>) {
    let table = format!("{} {:?}", selection.chosen, selection.candidates);
    (table, selection.model.scores(impressions).unwrap())
}

#[test]
fn a_selection_never_reads_test_sessions() {
    let log = simulate(80, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let mut garbled = LogBuilder::default();
    for session in log.iter() {
        let test = split.test.contains(&session.index());
        for step in session.steps() {
            let slate: Vec<ItemId> = step
                .slate
                .iter()
                .map(|item| ItemId(if test { 19 - item.0 } else { item.0 }))
                .collect();
            let choice = if test { Choice::Item(slate[0]) } else { step.choice };
            garbled.push(Step { slate: &slate, choice, ..step }).unwrap();
        }
        garbled.end_session(session.user()).unwrap();
    }
    let garbled = garbled.build();
    assert_ne!(log, garbled);
    let judged = Impressions::new(&log, &split.validation);
    for grid in grids(30).into_iter().chain([ModelKind::Position.grid()]) {
        let choose =
            |log| select_among(&grid, &Data::new(log, ITEMS, &split), Seed::new(4), go_on).unwrap();
        assert!(
            shown(&choose(&log), &judged) == shown(&choose(&garbled), &judged),
            "{:?}",
            grid[0]
        );
    }
}

#[test]
fn the_same_seed_selects_the_same_bits_on_any_number_of_threads() {
    let log = simulate(80, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, ITEMS, &split);
    let test = Impressions::new(&log, &split.test);
    for grid in grids(30) {
        let results = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| shown(&select_among(&grid, &data, Seed::new(4), go_on).unwrap(), &test))
        });
        assert!(results[0] == results[1], "{:?}", grid[0]);
    }
}

#[test]
fn the_order_of_a_slate_does_not_matter_to_models_that_do_not_look_at_it() {
    let log = simulate(60, Outside::Absent);
    let mut turned = LogBuilder::default();
    for session in log.iter() {
        for step in session.steps() {
            let slate: Vec<ItemId> = step.slate.iter().rev().copied().collect();
            turned.push(Step { slate: &slate, propensity: None, ..step }).unwrap();
        }
        turned.end_session(session.user()).unwrap();
    }
    let turned = turned.build();
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    for grid in grids(30) {
        let model = grid[0].fit(&Data::new(&log, ITEMS, &split), Seed::new(4), go_on).unwrap();
        let scores = model.scores(&Impressions::new(&log, &split.test)).unwrap();
        let of_turned = model.scores(&Impressions::new(&turned, &split.test)).unwrap();
        for (a, b) in scores.iter().zip(&of_turned) {
            assert!(a.iter().rev().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}", grid[0]);
        }
    }
}

#[test]
fn impressions_without_a_click_are_not_judged() {
    let log = simulate(60, Outside::Skip { leaving: 0.2 });
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let test = Impressions::new(&log, &split.test);
    let clicks = test.slates().filter(|(_, clicked)| clicked.is_some()).count();
    assert!(0 < clicks && clicks < test.len());
    for grid in grids(30) {
        let model = grid[0].fit(&Data::new(&log, ITEMS, &split), Seed::new(4), go_on).unwrap();
        assert_eq!(model.scores(&test).unwrap().len(), test.len());
        assert_eq!(evaluate(&*model, &log, &split.test).unwrap().choices, clicks);
    }
    let nothing = crate::log(&vec![vec![(vec![0, 1], None)]]);
    let model = grids(30)[0][0].fit(&Data::new(&log, ITEMS, &split), Seed::new(4), go_on).unwrap();
    let figures = evaluate(&*model, &nothing, &[0]).unwrap();
    assert_eq!((figures.slates, figures.choices, figures.precision_at_1), (1, 0, None));
}

#[test]
fn the_best_of_validation_is_chosen() {
    let log = simulate(80, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, ITEMS, &split);
    for kind in
        [ModelKind::Popularity, ModelKind::Position, ModelKind::ItemKnn, ModelKind::SessionKnn]
    {
        let selection = select(kind, &data, Seed::new(1), go_on).unwrap();
        assert_eq!(selection.candidates.len(), kind.grid().len());
        let chosen = selection.candidates[selection.chosen].validation;
        assert_eq!(evaluate(&*selection.model, &log, &split.validation).unwrap(), chosen);
        for candidate in &selection.candidates {
            match (candidate.validation.nll_given_choice, chosen.nll_given_choice) {
                (Some(nll), Some(best)) => assert!(best <= nll),
                _ => assert!(chosen.precision_at_1 >= candidate.validation.precision_at_1),
            }
        }
    }
}

/// A curve holds every validation, in order, and the model is that of its lowest point: the
/// validation sessions of this log are fewer than a sample would be, so the networks' lowest point
/// is what an evaluation finds.
#[test]
fn curves_hold_the_validations_and_the_model_is_of_the_lowest() {
    let log = simulate(80, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, ITEMS, &split);
    let validation = Impressions::new(&log, &split.validation);
    for grid in grids(60) {
        let selection = select_among(&grid, &data, Seed::new(4), go_on).unwrap();
        assert_eq!(selection.model.curve(), selection.candidates[selection.chosen].curve);
        for Candidate { settings, validation: figures, curve } in &selection.candidates {
            let lowest =
                curve.iter().map(|point| point.validation_loss).fold(f64::INFINITY, f64::min);
            let iterations: Vec<u64> = curve.iter().map(|point| point.iteration).collect();
            match settings {
                Settings::SessionRnn(_) | Settings::Network(_) => {
                    assert_eq!(iterations, [0, 25, 50, 60]);
                    assert!((lowest - figures.nll_given_choice.unwrap()).abs() < 1e-6);
                    assert_eq!(curve[0].training_loss, None);
                    assert!(
                        curve[3].training_loss.unwrap() < curve[1].training_loss.unwrap(),
                        "{settings:?} {curve:?}"
                    );
                }
                Settings::Trees(_) => {
                    assert_eq!(iterations, (1..=iterations.len() as u64).collect::<Vec<_>>());
                    assert!(
                        curve.is_sorted_by(
                            |a, b| a.training_loss.unwrap() > b.training_loss.unwrap()
                        )
                    );
                }
                _ => assert!(curve.is_empty()),
            }
        }
        let Settings::Trees(_) = &grid[0] else { continue };
        // The log-loss of single items from the log-odds: four to a slate, of which the clicked
        // one counts as a click.
        let scores = selection.model.scores(&validation).unwrap();
        let of_item = |clicked: bool, z: f32| {
            (1.0 + f64::from(z).exp()).ln() - if clicked { z.into() } else { 0.0 }
        };
        let losses = scores.iter().zip(validation.slates()).flat_map(|(scores, (_, clicked))| {
            scores.iter().enumerate().map(move |(place, &z)| of_item(clicked == Some(place), z))
        });
        let mean = losses.sum::<f64>() / (4 * validation.len()) as f64;
        let curve = selection.model.curve().iter().map(|point| point.validation_loss);
        assert!((mean - curve.fold(f64::INFINITY, f64::min)).abs() < 1e-6);
    }
}

#[test]
fn grids_are_small_and_of_one_kind() {
    for kind in ModelKind::ALL {
        let (grid, coarse) = (kind.grid(), kind.coarse_grid());
        let most = if matches!(
            coarse[0],
            Settings::SessionRnn(_) | Settings::Trees(_) | Settings::Network(_)
        ) {
            2
        } else {
            4
        };
        assert!((1..=most).contains(&coarse.len()), "{}", kind.name());
        assert!(coarse.iter().all(|settings| grid.contains(settings)));
        assert!((1..=8).contains(&grid.len()), "{}", kind.name());
        for (at, settings) in grid.iter().enumerate() {
            assert_eq!(std::mem::discriminant(settings), std::mem::discriminant(&grid[0]));
            assert!(!grid[..at].contains(settings));
        }
    }
}

#[test]
fn the_callback_is_told_every_point_of_a_networks_learning_curve() {
    let log = simulate(40, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, ITEMS, &split);
    for grid in [&grids(30)[3], &grids(30)[5]] {
        let mut heard = Vec::new();
        let callback = |progress: foretaste_baselines::Progress| {
            assert!(progress.seen.is_none_or(|seen| seen.iteration == progress.iteration));
            heard.extend(progress.seen);
            ControlFlow::Continue(())
        };
        let selection = select_among(grid, &data, Seed::new(1), callback).unwrap();
        assert!(heard.len() > 1 && heard == selection.candidates[0].curve, "{heard:?}");
    }
}

#[test]
fn a_selection_can_be_broken_off_at_a_point_and_within_a_fit() {
    let log = simulate(40, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, ITEMS, &split);
    let grids = grids(30);
    // Of networks the validation before any update is reported too.
    for (grid, point, iteration, reports) in
        [(&grids[1], 1, 0, 2), (&grids[3], 0, 7, 9), (&grids[5], 0, 7, 9)]
    {
        let mut heard = Vec::new();
        let callback = |progress: foretaste_baselines::Progress| {
            heard.push(progress);
            let stop = (progress.point, progress.iteration) == (point, iteration);
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let result = select_among(grid, &data, Seed::new(1), callback);
        let interrupted =
            |error: &Error| matches!(error, Error::Training(foretaste_train::Error::Interrupted));
        assert!(result.as_ref().is_err_and(interrupted));
        assert_eq!(heard.len(), reports);
    }
}

#[test]
fn settings_and_data_that_do_not_fit_are_refused() {
    let log = simulate(20, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, ITEMS, &split);
    let network = |change: fn(&mut NetworkConfig)| {
        let mut config = NetworkConfig::default();
        change(&mut config);
        Settings::Network(config)
    };
    for settings in [
        Settings::Popularity(PopularityConfig { per_slate: false, smoothing: 0.0 }),
        Settings::Position(PositionConfig { smoothing: f64::NAN }),
        Settings::ItemKnn(ItemKnnConfig {
            neighbours: 0,
            regularisation: 0.0,
            popularity_breaks_ties: false,
        }),
        Settings::ItemKnn(ItemKnnConfig {
            neighbours: 1,
            regularisation: -1.0,
            popularity_breaks_ties: false,
        }),
        Settings::SessionKnn(SessionKnnConfig { neighbours: 0, popularity_breaks_ties: false }),
        Settings::SessionRnn(SessionRnnConfig { hidden: 0, ..SessionRnnConfig::default() }),
        Settings::Trees(TreesConfig { max_depth: 0, ..TreesConfig::default() }),
        Settings::Trees(TreesConfig { learning_rate: 1.5, ..TreesConfig::default() }),
        network(|config| config.dim = 0),
        network(|config| config.training.batch = 0),
        network(|config| config.training.learning_rate = f64::NAN),
    ] {
        assert!(settings.fit(&data, Seed::new(1), go_on).is_err(), "{settings:?}");
    }
    let (few, none) = (Data { items: 5, ..data }, Data { train: &[], ..data });
    for grid in grids(30) {
        assert!(grid[0].fit(&few, Seed::new(1), go_on).is_err(), "{:?}", grid[0]);
        assert!(
            grid[0].fit(&none, Seed::new(1), go_on).is_err()
                || matches!(grid[0], Settings::SessionKnn(_) | Settings::ItemKnn(_))
        );
    }
    assert!(select_among(&[], &data, Seed::new(1), go_on).is_err());
}

#[test]
fn a_diverging_fit_says_so() {
    let log = simulate(40, Outside::Absent);
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let wild = Training { learning_rate: 1e30, ..training(30) };
    let settings = Settings::Network(NetworkConfig { training: wild, ..NetworkConfig::default() });
    let result = settings.fit(&Data::new(&log, ITEMS, &split), Seed::new(1), go_on);
    let diverged =
        |error: &Error| matches!(error, Error::Training(foretaste_train::Error::Diverged { .. }));
    assert!(result.as_ref().is_err_and(diverged), "{:?}", result.err());
}

#[test]
fn a_saved_model_scores_as_it_did_and_needs_all_its_weights() {
    let (log, catalogue) =
        (simulate(120, Outside::Skip { leaving: 0.2 }), Catalogue::numbered(ITEMS));
    let (train, validation): (Vec<usize>, Vec<usize>) = ((0..90).collect(), (90..120).collect());
    let data = Data { log: &log, items: ITEMS, train: &train, validation: &validation };
    let alone = TreesConfig { alone: true, trees: 20, ..TreesConfig::default() };
    let mut saved = 0;
    for settings in grids(30).into_iter().flatten().chain([Settings::Trees(alone)]) {
        let model = settings.fit(&data, Seed::new(5), go_on).unwrap();
        let Some(weights) = model.weights().unwrap() else {
            assert!(settings.restore(&catalogue, &BTreeMap::new().into()).is_err(), "{settings:?}");
            continue;
        };
        let shown = Impressions::new(&log, &validation);
        let restored = settings.restore(&catalogue, &weights.clone().into()).unwrap();
        assert_eq!(restored.scores(&shown).unwrap(), model.scores(&shown).unwrap(), "{settings:?}");
        for name in weights.keys() {
            let mut lacking = weights.clone();
            lacking.remove(name);
            // Without a pair that was clicked together there is no such table.
            let refused = settings.restore(&catalogue, &lacking.into()).is_err();
            assert!(refused || name == "table.context.together" || name == "table.trees.roots");
        }
        assert!(settings.restore(&Catalogue::numbered(ITEMS + 1), &weights.into()).is_err());
        saved += 1;
    }
    assert!(saved >= 7);
}

/// An item that is judged alone has the score that it has on any slate after the same clicks.
#[test]
fn items_that_are_judged_alone_score_the_same_on_any_slate() {
    let log = simulate(120, Outside::Skip { leaving: 0.2 });
    let (train, validation): (Vec<usize>, Vec<usize>) = ((0..90).collect(), (90..120).collect());
    let data = Data { log: &log, items: ITEMS, train: &train, validation: &validation };
    let settings =
        Settings::Trees(TreesConfig { alone: true, trees: 20, ..TreesConfig::default() });
    let model = settings.fit(&data, Seed::new(5), go_on).unwrap();
    let scores = |slate: &[u32]| {
        let after = self::log(&vec![vec![(vec![3, 4], Some(3)), (slate.to_vec(), None)]]);
        model.scores(&Impressions::new(&after, &[0])).unwrap()[1].clone()
    };
    let all: Vec<u32> = (0..ITEMS as u32).collect();
    let whole = scores(&all);
    assert!(whole.iter().any(|score| *score != whole[0]));
    for item in all {
        assert_eq!(scores(&[item]), [whole[item as usize]]);
    }
}
