//! Every method trains a recommender of its kind, continues a stopped training to the same bytes,
//! and learns from nothing that it should not see.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use foretaste_data::{
    Catalogue, Choice, Dataset, Event, EventKind, ItemId, LogBuilder, Origin, Provenance,
};
use foretaste_random::Seed;
use foretaste_recommender::{
    Effort, Error, Job, Method, Model, Progress, Recommender, Trained, TrainingLog, Users, Watch,
};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{ITEMS, K, behaviour, catalogue, fitted_users, memory, shop, slates};

const EFFORT: Effort = Effort {
    epochs: Some(EPOCHS),
    adversarial: Some(1),
    hidden: Some(4),
    iterations: Some(ITERATIONS),
    first_click_given: false,
    k: None,
};
const EPOCHS: u64 = 2;
const ITERATIONS: u64 = 3;

/// The log of [`shop`] without rewards that are neither 0 nor 1.
pub fn purchases() -> Dataset {
    let mut log = LogBuilder::default();
    let shop = shop(24);
    for session in shop.log.iter() {
        for (t, step) in session.steps().enumerate() {
            let bought = t % 2 == 0 && step.choice.item().is_some();
            let step = foretaste_data::Step { reward: f32::from(bought), ..step };
            log.push(step).unwrap();
        }
        log.end_session(None).unwrap();
    }
    Dataset { log: log.build(), ..shop }
}

fn settings(method: Method, log: &TrainingLog<'_>) -> Value {
    method.settings(log, &EFFORT).unwrap()
}

pub fn train(
    method: &str,
    dataset: &Dataset,
    unfinished: Option<&Path>,
    watch: &mut dyn Watch,
) -> Result<Trained, Error> {
    train_in(method, dataset, None, unfinished, watch)
}

fn train_in(
    method: &str,
    dataset: &Dataset,
    users: Option<&Users>,
    unfinished: Option<&Path>,
    watch: &mut dyn Watch,
) -> Result<Trained, Error> {
    let sessions: Vec<usize> = (0..20).collect();
    let method = Method::named(method)?;
    let log = TrainingLog { dataset, sessions: &sessions, users };
    let settings = settings(method, &log);
    let (device, origin) = (&Device::Cpu, None);
    method.train(&log, &Job { settings: &settings, seed: 3, device, origin, unfinished }, watch)
}

/// Of the first slates of sessions only the clicks are known where these are given.
#[test]
fn nothing_is_learned_from_the_slates_of_clicks_that_are_given() {
    let dataset = purchases();
    let mut log = LogBuilder::default();
    for session in dataset.log.iter() {
        for (t, step) in session.steps().enumerate() {
            let mut slate = step.slate.to_vec();
            if t == 0 && step.choice.item() == Some(slate[0]) {
                slate[1] = (0..).map(ItemId).find(|item| !step.slate.contains(item)).unwrap();
            }
            log.push(foretaste_data::Step { slate: &slate, propensity: None, ..step }).unwrap();
        }
        log.end_session(None).unwrap();
    }
    let other = Dataset { log: log.build(), ..dataset.clone() };
    for (first_click_given, same) in [(true, true), (false, false)] {
        let effort = Effort { first_click_given, ..EFFORT };
        let (sessions, method) = ((0..20).collect::<Vec<_>>(), Method::named("lstm").unwrap());
        let [a, b] = [&dataset, &other].map(|dataset| {
            let log = TrainingLog { dataset, sessions: &sessions, users: None };
            let settings = &method.settings(&log, &effort).unwrap();
            let (device, origin, unfinished) = (&Device::Cpu, None, None);
            let job = Job { settings, seed: 3, device, origin, unfinished };
            files(method.train(&log, &job, &mut ()).unwrap(), dataset)
        });
        assert_eq!(a == b, same);
    }
}

fn recommender(trained: Trained, dataset: &Dataset) -> Recommender {
    Recommender::new(trained.content, &dataset.catalogue, &Device::Cpu).unwrap()
}

/// Counts epochs, and stops after some of them.
#[derive(Default)]
struct Counted<'a> {
    seen: Vec<(u64, u64)>,
    stop: Option<(u64, &'a Path)>,
    warnings: Vec<String>,
}

impl Watch for Counted<'_> {
    fn warn(&mut self, text: &str) {
        self.warnings.push(text.into());
    }

    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        self.seen.push((progress.done, progress.total));
        match self.stop {
            Some((after, place)) if progress.done == after => {
                (progress.save)(place).unwrap();
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

#[test]
fn every_method_gives_a_recommender_of_its_kind_that_ranks() {
    let dataset = purchases();
    let mut methods = 0;
    for method in Method::all() {
        let mut watch = Counted::default();
        let trained = train(method.name(), &dataset, None, &mut watch).unwrap();
        // Of a long epoch there is more than one sign.
        let mut epochs: Vec<u64> = watch.seen.iter().map(|(done, _)| *done).collect();
        epochs.dedup();
        let total = watch.seen.first().map_or(0, |(_, total)| total + 1);
        assert_eq!(epochs, (0..total).collect::<Vec<_>>(), "{}", method.name());
        let sessions: Vec<usize> = (0..20).collect();
        let log = TrainingLog { dataset: &dataset, sessions: &sessions, users: None };
        let learned = method.learns_from(&log);
        assert_eq!(learned.is_empty(), trained.sessions == 0, "{}", method.name());
        let policy = recommender(trained, &dataset);
        assert_eq!(policy.kind(), method.name());
        assert_eq!(slates(&policy, &memory(&policy), None).unwrap().rows(), 3);
        methods += 1;
    }
    assert!(methods >= 12);
    let message = Method::named("bandit").err().unwrap().to_string();
    let all = "irecgan, pg, lstm, cdqn, gdqn, greedy, assortment, \
               wide-deep, trees, linucb, popularity, random";
    assert!(message.contains(all), "{message}");
}

/// The files of a recommender, with their contents.
fn files(trained: Trained, dataset: &Dataset) -> BTreeMap<OsString, Vec<u8>> {
    let folder = tempdir().unwrap();
    recommender(trained, dataset).save(folder.path()).unwrap();
    let entries = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_training_that_goes_on_leaves_the_bytes_of_one_that_was_not_stopped() {
    let (dataset, folder) = (purchases(), tempdir().unwrap());
    let algorithm = 2 * EPOCHS + 1 + 1;
    for (method, given, total) in [
        ("irecgan", false, algorithm),
        ("pg", false, EPOCHS),
        ("lstm", false, EPOCHS),
        ("cdqn", false, 1 + ITERATIONS),
        ("cdqn", true, ITERATIONS),
        ("gdqn", true, ITERATIONS),
        ("linucb", false, 1 + ITERATIONS),
        ("greedy", false, 1),
        ("assortment", false, 1),
        ("trees", false, 2),
        ("wide-deep", false, 2),
    ] {
        let users = given.then(users);
        let train = |unfinished: Option<&Path>, watch: &mut dyn Watch| {
            train_in(method, &dataset, users.as_ref(), unfinished, watch)
        };
        let whole = files(train(None, &mut ()).unwrap(), &dataset);
        for after in 0..=total {
            let place = folder.path().join(format!("{method}-{given}-{after}"));
            let mut watch = Counted { stop: Some((after, &place)), ..Counted::default() };
            let stopped = train(None, &mut watch);
            assert!(matches!(stopped, Err(Error::Interrupted)));
            let mut watch = Counted::default();
            let resumed = train(Some(&place), &mut watch).unwrap();
            // What is one epoch begins again.
            let kept = if total == 1 { 0 } else { after };
            assert_eq!(watch.seen[0], (kept, total), "{method}");
            assert_eq!(files(resumed, &dataset), whole, "{method} after {after}");
        }
    }
}

/// A longer training sees all that a shorter one saw, in the same sessions.
#[test]
fn who_learns_in_users_keeps_what_earned_most_and_ends_where_nothing_better_comes() {
    let (dataset, users, folder) = (shop(24), users(), tempdir().unwrap());
    let sessions: Vec<usize> = (0..20).collect();
    let log = TrainingLog { dataset: &dataset, sessions: &sessions, users: Some(&users) };
    for (method, longest) in [("linucb", 400), ("cdqn", 20)] {
        let method = Method::named(method).unwrap();
        let train = |iterations, unfinished, watch: &mut dyn Watch| {
            let effort = Effort { iterations: Some(iterations), ..EFFORT };
            let settings = &method.settings(&log, &effort).unwrap();
            let job = Job { settings, seed: 3, device: &Device::Cpu, origin: None, unfinished };
            method.train(&log, &job, watch)
        };
        let mut earned = f64::NEG_INFINITY;
        for iterations in [1, 10, 15, longest] {
            let mut watch = Counted::default();
            let trained = train(iterations, None, &mut watch).unwrap();
            let now = trained.earned.unwrap().session;
            assert!(now.mean >= earned && now.n == 512, "{now:?} after {earned}");
            earned = now.mean;
            let (done, total) = *watch.seen.last().unwrap();
            assert_eq!(done, total);
            let kept = kept(recommender(trained, &dataset));
            assert!(kept.is_multiple_of(10) || kept == iterations, "{kept} of {iterations}");
            assert!(done == iterations || done == kept + 100, "{done} of {iterations}, {kept}");
        }
        let whole = files(train(20, None, &mut ()).unwrap(), &dataset);
        let mut watch = Counted { stop: Some((13, folder.path())), ..Counted::default() };
        assert!(matches!(train(20, None, &mut watch), Err(Error::Interrupted)));
        let resumed = train(20, Some(folder.path()), &mut ()).unwrap();
        assert!(files(resumed, &dataset) == whole, "{}", method.name());
        fs::remove_dir_all(folder.path()).unwrap();
    }
}

/// The iteration of a recommender.
fn kept(recommender: Recommender) -> u64 {
    let folder = tempdir().unwrap();
    recommender.save(folder.path()).unwrap();
    let manifest = fs::read_to_string(folder.path().join("recommender.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["iteration"].as_u64().unwrap_or_else(|| panic!("{manifest}"))
}

/// Stops at a sign of progress, of which users that are fitted give one after each update.
struct Signs<'a>(usize, &'a Path);

impl Watch for Signs<'_> {
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        self.0 -= 1;
        if self.0 > 0 {
            return ControlFlow::Continue(());
        }
        (progress.save)(self.1).unwrap();
        ControlFlow::Break(())
    }
}

/// Of two updates, each of all sessions.
#[test]
fn users_who_are_fitted_are_gone_on_with_in_the_midst_of_their_fit() {
    let (dataset, folder) = (purchases(), tempdir().unwrap());
    for method in ["greedy", "cdqn"] {
        let whole = files(train(method, &dataset, None, &mut ()).unwrap(), &dataset);
        for signs in [1, 2] {
            let place = folder.path().join(format!("{method}-{signs}"));
            let stopped = train(method, &dataset, None, &mut Signs(signs, &place));
            assert!(matches!(stopped, Err(Error::Interrupted)));
            // And once more.
            let stopped = train(method, &dataset, Some(&place), &mut Signs(2, &place));
            assert!(matches!(stopped, Err(Error::Interrupted)));
            let resumed = train(method, &dataset, Some(&place), &mut ()).unwrap();
            assert!(files(resumed, &dataset) == whole, "{method} after {signs} signs");
        }
    }
}

fn users() -> Users {
    Users::new(Model::Gan(Box::new(fitted_users())), &catalogue())
}

/// Nothing of the log is learned then, and other users teach otherwise.
#[test]
fn users_who_are_given_are_those_that_are_learned_in() {
    let (dataset, users) = (shop(24), users());
    let sessions: Vec<usize> = (0..20).collect();
    let log = TrainingLog { dataset: &dataset, sessions: &sessions, users: Some(&users) };
    let mut methods = 0;
    for method in Method::all().filter(|method| method.learns_in_users()) {
        assert!(method.learns_from(&log).is_empty());
        let train = |users| {
            train_in(method.name(), &dataset, users, None, &mut ())
                .map_err(|error| error.to_string())
        };
        let given = train(Some(&users)).unwrap();
        assert_eq!(given.sessions, 0);
        assert_eq!(train(None).unwrap().sessions, 20);
        let again = files(train(Some(&users)).unwrap(), &dataset);
        assert!(again == files(given, &dataset) && again != files(train(None).unwrap(), &dataset));
        let others = Users::new(Model::Gan(Box::new(fitted_users())), &Catalogue::numbered(ITEMS));
        assert!(train(Some(&others)).unwrap_err().contains("other items"));
        let behaviour = Users::new(Model::Behaviour(behaviour()), &catalogue());
        match (method.name(), train(Some(&behaviour))) {
            ("greedy" | "assortment", refused) => {
                assert!(refused.unwrap_err().contains("train --method lstm"))
            }
            (_, trained) => assert_eq!(trained.unwrap().sessions, 0),
        }
        methods += 1;
    }
    assert_eq!(methods, 5);
}

/// The users learned from the first ten sessions; all that is chosen later is changed.
#[test]
fn who_learns_in_given_users_learns_from_no_session_that_they_did_not_learn_from() {
    let dataset = shop(24);
    let mut log = LogBuilder::default();
    for session in dataset.log.iter() {
        for step in session.steps() {
            let chosen = step.choice.item().filter(|_| session.index() >= 10);
            let other = chosen.map(|_| Choice::Item(step.slate[0]));
            log.push(foretaste_data::Step { choice: other.unwrap_or(step.choice), ..step })
                .unwrap();
        }
        log.end_session(None).unwrap();
    }
    let changed = Dataset { log: log.build(), ..dataset.clone() };
    assert_ne!(changed.log, dataset.log);
    let taught: Vec<usize> = (0..10).collect();
    let origin = Origin::new(&dataset, &taught, Value::Null, 1, "v1");
    let provenance = Provenance { catalogue: &dataset.catalogue, origin: Some(&origin) };
    let users = Users::new(Model::Gan(Box::new(fitted_users())), provenance);
    for method in ["cdqn", "linucb"] {
        let train = |users: &Users, dataset: &Dataset| {
            files(train_in(method, dataset, Some(users), None, &mut ()).unwrap(), dataset)
        };
        assert!(train(&users, &changed) == train(&users, &dataset), "{method}");
        // And those that taught them count.
        assert!(train(&users, &dataset) != train(&self::users(), &dataset), "{method}");
    }
}

/// The place on a slate is no feature of an item that is looked for.
#[test]
fn greedy_does_not_depend_on_the_order_of_the_items() {
    let dataset = shop(24);
    let policy =
        recommender(train_in("greedy", &dataset, Some(&users()), None, &mut ()).unwrap(), &dataset);
    let memory = foretaste_sim::Policy::begin(&policy, 1).unwrap();
    let first = |sets: &[u32]| {
        let allowed = foretaste_sim::Candidates::only(sets.iter().copied().map(ItemId).collect());
        let (mut slates, mut streams) =
            (foretaste_sim::Slates::default(), Seed::new(1).streams(0..1));
        foretaste_sim::Policy::rank(&policy, &memory, Some(&allowed), 1, &mut streams, &mut slates)
            .unwrap();
        slates.row(0)[0].0
    };
    let best = first(&(0..ITEMS as u32).collect::<Vec<_>>());
    // The best one is best compared with any other, which is before it or behind it.
    for other in (0..ITEMS as u32).filter(|&other| other != best) {
        assert_eq!(first(&[other, best]), best);
    }
    assert_eq!(slates(&policy, &crate::support::memory(&policy), None).unwrap().k(), K);
}

/// A log on which every slate is clicked has users who must choose.
#[test]
fn users_who_must_choose_are_learned_in() {
    let clicked = |step: &foretaste_data::Step<'_>| step.choice.item().is_some();
    let mut log = LogBuilder::default();
    for session in shop(60).log.iter().filter(|session| session.steps().any(|step| clicked(&step)))
    {
        session.steps().filter(clicked).for_each(|step| log.push(step).unwrap());
        log.end_session(None).unwrap();
    }
    let dataset = Dataset { log: log.build(), ..shop(60) };
    for method in Method::all().filter(|method| method.learns_in_users()) {
        let policy = recommender(train(method.name(), &dataset, None, &mut ()).unwrap(), &dataset);
        assert_eq!(slates(&policy, &memory(&policy), None).unwrap().rows(), 3);
    }
}

/// What IRecGAN's networks learn does not depend on the unit of the rewards, and does on their
/// sign.
#[test]
fn the_unit_of_rewards_makes_no_difference_to_a_training_and_their_sign_does() {
    let with = |reward: fn(f32) -> f32| {
        let purchases = purchases();
        let mut log = LogBuilder::default();
        for session in purchases.log.iter() {
            for step in session.steps() {
                log.push(foretaste_data::Step { reward: reward(step.reward), ..step }).unwrap();
            }
            log.end_session(None).unwrap();
        }
        Dataset { log: log.build(), ..purchases }
    };
    for method in ["irecgan", "pg", "lstm"] {
        let of = |reward| {
            let dataset = with(reward);
            files(train(method, &dataset, None, &mut ()).unwrap(), &dataset)
        };
        let bought = of(|reward| reward);
        assert_eq!(of(|reward| 250.0 * reward), bought, "{method}");
        let returned = of(|reward| -reward);
        assert_ne!(returned, bought, "{method}");
        assert_eq!(of(|reward| -250.0 * reward), returned, "{method}");
    }
}

#[test]
fn rewards_that_are_not_learned_from_are_told() {
    let dataset = purchases();
    let mut log = foretaste_data::LogBuilder::default();
    let mut ignored = 0;
    for (index, session) in dataset.log.iter().enumerate() {
        for step in session.steps() {
            let reward = if step.choice.item().is_none() { 1.0 } else { step.reward };
            ignored += usize::from(step.choice.item().is_none() && index < 20);
            log.push(foretaste_data::Step { reward, ..step }).unwrap();
        }
        log.end_session(None).unwrap();
    }
    let rewarded = Dataset { log: log.build(), ..purchases() };
    assert!(ignored > 0);
    let methods =
        [("irecgan", false), ("pg", false), ("lstm", false), ("popularity", true), ("trees", true)];
    for (method, learns) in methods {
        let warnings = |dataset| {
            let mut watch = Counted::default();
            train(method, dataset, None, &mut watch).unwrap();
            watch.warnings
        };
        assert!(warnings(&dataset).is_empty(), "{method}");
        let told = warnings(&rewarded);
        assert_eq!(told.is_empty(), learns, "{method}: {told:?}");
        let start = format!("{ignored} slates have a reward although nothing was chosen");
        assert!(told.iter().all(|told| told.starts_with(&start)), "{method}: {told:?}");
    }
}

#[test]
fn popularity_draws_by_clicks_and_events_and_once_more() {
    let clicks = purchases();
    let mut log = LogBuilder::default();
    for session in clicks.log.iter() {
        let item = ItemId(session.index() as u32 % 3);
        log.event(Event { item, kind: EventKind::View, after: 0, timestamp: None });
        session.steps().for_each(|step| log.push(step).unwrap());
        log.end_session(None).unwrap();
    }
    let dataset = Dataset { log: log.build(), ..clicks };
    let trained = train("popularity", &dataset, None, &mut ()).unwrap();
    let mut clicks = [1.0; ITEMS];
    for session in dataset.log.iter().take(20) {
        let events = session.events().map(|event| event.item);
        session.clicks().chain(events).for_each(|item| clicks[item.index()] += 1.0);
    }
    let policy = recommender(trained, &dataset);
    let memory = foretaste_sim::Policy::begin(&policy, ITEMS).unwrap();
    let mut slates = foretaste_sim::Slates::with_k(1);
    (0..ITEMS as u32).for_each(|item| slates.push(&[ItemId(item)], None));
    let said = policy.propensities(&memory, None, &slates).unwrap();
    let all: f64 = clicks.iter().sum();
    assert!(all > ITEMS as f64);
    for (said, clicks) in said.iter().zip(clicks) {
        assert!((said - clicks / all).abs() < 1e-12, "{said}, {clicks} of {all}");
    }
}
