use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use foretaste_data::{Dataset, Event, EventKind, ItemId, LogBuilder};
use foretaste_recommender::{
    Effort, Error, Job, Method, Progress, Recommender, Trained, TrainingLog, Watch,
};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{ITEMS, memory, shop, slates};

const EFFORT: Effort = Effort { epochs: 2, adversarial: 1, hidden: 4 };

/// The log of [`shop`] without rewards that are neither 0 nor 1.
fn purchases() -> Dataset {
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

fn train(
    method: &str,
    dataset: &Dataset,
    unfinished: Option<&Path>,
    watch: &mut dyn Watch,
) -> Result<Trained, Error> {
    let sessions: Vec<usize> = (0..20).collect();
    let (method, log) = (Method::named(method)?, TrainingLog { dataset, sessions: &sessions });
    let settings = settings(method, &log);
    let (device, origin) = (&Device::Cpu, None);
    method.train(&log, &Job { settings: &settings, seed: 3, device, origin, unfinished }, watch)
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
        let epochs: Vec<u64> = watch.seen.iter().map(|(done, _)| *done).collect();
        let total = watch.seen.first().map_or(0, |(_, total)| total + 1);
        assert_eq!(epochs, (0..total).collect::<Vec<_>>(), "{}", method.name());
        let sessions: Vec<usize> = (0..20).collect();
        let learned = method.learns_from(&TrainingLog { dataset: &dataset, sessions: &sessions });
        assert_eq!(learned.is_empty(), trained.sessions == 0, "{}", method.name());
        let policy = recommender(trained, &dataset);
        assert_eq!(policy.kind(), method.name());
        assert_eq!(slates(&policy, &memory(&policy), None).unwrap().rows(), 3);
        methods += 1;
    }
    assert!(methods >= 4);
    let message = Method::named("bandit").err().unwrap().to_string();
    assert!(message.contains("irecgan, lstm, popularity, random"), "{message}");
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
    let total = 2 * EFFORT.epochs + 1 + EFFORT.adversarial;
    for (method, total) in [("irecgan", total), ("lstm", EFFORT.epochs)] {
        let whole = files(train(method, &dataset, None, &mut ()).unwrap(), &dataset);
        for after in 0..=total {
            let place = folder.path().join(format!("{method}-{after}"));
            let mut watch = Counted { stop: Some((after, &place)), ..Counted::default() };
            let stopped = train(method, &dataset, None, &mut watch);
            assert!(matches!(stopped, Err(Error::Interrupted)));
            let mut watch = Counted::default();
            let resumed = train(method, &dataset, Some(&place), &mut watch).unwrap();
            assert_eq!(watch.seen[0], (after, total));
            assert_eq!(files(resumed, &dataset), whole, "{method} after {after}");
        }
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
    for (method, learns) in [("irecgan", false), ("lstm", false), ("popularity", true)] {
        let warnings = |dataset| {
            let mut watch = Counted::default();
            train(method, dataset, None, &mut watch).unwrap();
            watch.warnings
        };
        assert!(warnings(&dataset).is_empty(), "{method}");
        let told = warnings(&rewarded);
        assert_eq!(told.is_empty(), learns, "{method}: {told:?}");
        let start = format!("{ignored} slates earned a reward though nothing was chosen");
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
