//! How far learned users may be trusted: `foretaste trust`.

#[path = "common/place.rs"]
mod place;

use std::fs;

use foretaste_data::{Catalogue, Choice, Dataset, Log, LogBuilder, Step, cache};
use foretaste_random::Seed;
use foretaste_sim::policies::{Popularity, UniformRandom};
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Outside, Rollout};
use rand::Rng;
use serde_json::Value;

use self::place::Place;

const CHOICE: &str = "bundled:simulated-choice.tsv";
const MDP: &str = "bundled:simulated-mdp.csv";
const ITEMS: usize = 15;
const FIT: [&str; 6] = ["--to", "users", "--epochs", "10", "--device", "cpu"];

impl Place {
    fn keep(&self, name: &str, log: Log) {
        let catalogue = Catalogue::numbered(ITEMS);
        let dataset = Dataset { name: name.into(), log, catalogue, ..Dataset::default() };
        cache::save(&dataset, &self.path().join(name)).unwrap();
    }

    fn fit(&self, log: &str, more: &[&str]) {
        self.text(&[&["fit", log], &FIT[..], more].concat());
    }
}

/// Users who like some items more than others, and leave where they like none.
fn users() -> ChoiceUsers {
    let config = ChoiceUsersConfig {
        items: ITEMS,
        base: -1.0,
        preference: 2.0,
        boredom: 0.0,
        outside: Outside::Skip { leaving: 0.3 },
        ..ChoiceUsersConfig::default()
    };
    ChoiceUsers::new(&config).unwrap()
}

fn rollout(seed: u64, sessions: u64) -> Rollout {
    Rollout::new(Seed::new(seed), 0..sessions, 3).max_steps(8)
}

fn uniform(seed: u64, sessions: u64) -> Log {
    rollout(seed, sessions).run(&users(), &Blind(UniformRandom { items: ITEMS })).unwrap()
}

/// The log with another item of each slate as the clicked one, drawn alike.
fn shuffled(log: &Log) -> Log {
    let (mut shuffled, mut stream) = (LogBuilder::default(), Seed::new(9).stream(0));
    for session in log.iter() {
        for step in session.steps() {
            let choice = match step.choice {
                Choice::Item(_) => {
                    Choice::Item(step.slate[stream.random_range(0..step.slate.len())])
                }
                other => other,
            };
            shuffled.push(Step { choice, propensity: None, ..step }).unwrap();
        }
        shuffled.end_session(None).unwrap();
    }
    shuffled.build()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Of 2,000 sessions a model learns what these users like, and of the same sessions with other
/// clicks nothing: no model predicts those.
#[test]
fn good_users_may_be_asked_and_those_of_a_shuffled_log_may_not() {
    let place = Place::new();
    let log = uniform(1, 2_000);
    place.keep("shuffled.log", shuffled(&log));
    place.keep("good.log", log);
    // Fewer epochs leave users that a model of another form, trained to its end, knows better.
    place.text(&["fit", "good.log", "--to", "users", "--epochs", "60", "--device", "cpu"]);
    let found = place.json(&["trust", "users", "--log", "good.log"]);
    assert!(["rank_policies", "tune"].contains(&found["verdict"].as_str().unwrap()), "{found}");
    assert_eq!(found["sessions"], serde_json::json!({ "learned": 1_500, "held_out": 500 }));
    assert_eq!(found["left_out"], serde_json::json!({}));
    let clicks = &found["replay"]["click_rate"];
    assert!((number(&clicks["users"]) - number(&clicks["log"])).abs() < 0.05, "{clicks}");
    let halves = &found["halves"];
    assert!(number(&halves["correlation"]["mean"]) > 0.8 && number(&halves["order"]) > 0.5);
    assert!(number(&found["told_apart"]["auc"]["mean"]) < 0.65);
    assert!(number(&found["replay_of_all_sessions"]["sessions"]) == 2_000.0);
    let form = &found["other_form"];
    assert!(number(&form["order"]) > 0.5 && number(&form["greed"]) > 0.9, "{form}");
    // What the verdict says is what its conditions say.
    let broken = |of: &Value| of["holds"] == false;
    let conditions = found["conditions"].as_array().unwrap();
    assert!(conditions.iter().filter(|of| broken(of)).all(|of| of["for"] == "tune"));
    // The tenths hold all items that were shown in the held-out sessions.
    let tenths = found["calibration"]["by_tenth"].as_array().unwrap();
    let places = found["calibration"]["by_place"].as_array().unwrap();
    let shown = |groups: &[Value]| -> f64 {
        groups
            .iter()
            .map(|of| {
                number(if of["group"].is_null() { &of["shown"] } else { &of["group"]["shown"] })
            })
            .sum()
    };
    assert_eq!((tenths.len(), places.len(), shown(tenths)), (10, 3, shown(places)));

    place.fit("shuffled.log", &["--force", "--no-features"]);
    let found = place.json(&["trust", "users", "--log", "shuffled.log"]);
    assert_eq!(found["verdict"], "nothing", "{found}");
}

#[test]
fn the_log_of_another_policy_is_what_users_are_held_against() {
    let place = Place::new();
    place.keep("ours.log", uniform(1, 800));
    let weights = (0..ITEMS).map(|item| 1.0 + item as f64).collect();
    let drawn = Blind(Popularity::new(weights).unwrap());
    let theirs = rollout(2, 600).run(&users(), &drawn).unwrap();
    let clicks = theirs.iter().flat_map(|session| session.clicks()).count();
    let rate = clicks as f64 / theirs.steps() as f64;
    place.keep("theirs.log", theirs);
    place.fit("ours.log", &["--no-features"]);
    let trust = ["trust", "users", "--log", "ours.log"];
    let found = place.json(&[&trust[..], &["--against", "theirs.log"]].concat());
    let other = &found["other_log"];
    assert_eq!(other["is_of_another_policy"], true);
    assert_eq!(number(&other["replay"]["sessions"]), 600.0);
    assert!((number(&other["replay"]["click_rate"]["log"]) - rate).abs() < 1e-9, "{other}");
    assert!(number(&other["items"]["correlation"]["mean"]) > 0.7, "{other}");
    assert!(!found["evidence"]["other_log"].is_null());

    // Without one, what is missing is said, and the end of the log stands in.
    let said = place.text(&trust);
    assert!(said.contains("missing: a log of another policy"), "{said}");
    assert!(said.contains("verdict: "), "{said}");
    let found = place.json(&trust);
    assert_eq!(found["other_log"]["source"], "the last fifth of the log in its order");
    assert!(found["evidence"]["other_log"].is_null());
    assert!(number(&found["other_log"]["replay"]["sessions"]) < 100.0);
    let same = place.json(&[&trust[..], &["--threads", "1"]].concat());
    assert_eq!(found, same);
}

#[test]
fn what_cannot_be_judged_is_refused_and_what_can_is_said() {
    let place = Place::new();
    place.text(&["fit", MDP, "--to", "users", "--epochs", "1", "--device", "cpu", "--no-features"]);
    let message = place.fails(1, &["trust", "users", "--log", CHOICE]);
    assert!(message.contains("items that the users never saw"), "{message}");
    let message = place.fails(1, &["trust", "nobody", "--log", MDP]);
    assert!(message.contains("cannot load the users"), "{message}");

    // Users of another log with the same items: nothing of this one was learned from.
    place.keep("ours.log", uniform(1, 60));
    place.keep("later.log", uniform(7, 200));
    let brief = ["--epochs", "1", "--device", "cpu", "--no-features", "--force"];
    place.text(&[&["fit", "ours.log", "--to", "users"], &brief[..]].concat());
    let found = place.json(&["trust", "users", "--log", "later.log"]);
    assert_eq!(found["verdict"], "nothing");
    assert_eq!(found["sessions"], serde_json::json!({ "learned": 0, "held_out": 200 }));
    let left_out = found["left_out"].as_object().unwrap();
    let expected = ["halves", "other_form", "policies", "predicted_clicks"];
    assert_eq!(left_out.keys().collect::<Vec<_>>(), expected);
    assert!(number(&found["replay"]["click_rate"]["log"]) > 0.0);

    // All that is left of the log was learned from.
    let learned = uniform(1, 60);
    let all: Vec<usize> = (0..60).collect();
    let users =
        foretaste_recommender::Users::load(&place.path().join("users"), &candle_core::Device::Cpu)
            .unwrap();
    let dataset = Dataset {
        log: learned.clone(),
        catalogue: Catalogue::numbered(ITEMS),
        ..Dataset::default()
    };
    let seen = users.origin().unwrap().overlap(&dataset).seen;
    let kept: Vec<usize> = all.into_iter().filter(|&session| seen[session]).collect();
    place.keep("learned.log", learned.select(&kept));
    let message = place.fails(1, &["trust", "users", "--log", "learned.log"]);
    assert!(message.contains("learned from all"), "{message}");

    // No user clicks anything.
    let mut silent = LogBuilder::default();
    for session in uniform(3, 40).iter() {
        for step in session.steps() {
            silent.push(Step::new(step.slate, Choice::Skip, 0.0)).unwrap();
        }
        silent.end_session(None).unwrap();
    }
    place.keep("silent.log", silent.build());
    let message = place.fails(1, &["trust", "users", "--log", "silent.log"]);
    assert!(message.contains("no item is chosen"), "{message}");
    assert!(fs::read_dir(place.path().join("users")).unwrap().count() > 0);
}
