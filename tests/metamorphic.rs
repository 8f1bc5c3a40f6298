//! How the answers of the program must change, or stay, when its log is changed in a known way:
//! sessions in another order, items under other names, a file in parts, an item that was never
//! shown, rewards in another unit.

#[allow(dead_code, reason = "it is shared with tests that call all of it")]
#[path = "common/place.rs"]
mod place;

use std::collections::BTreeMap;
use std::fs;

use foretaste_data::{Dataset, cache};
use foretaste_random::Seed;
use foretaste_report::{Claim, DataSet, Design, Results};
use rand::Rng;
use serde_json::Value;

use self::place::Place;

const ITEMS: [&str; 6] = ["hat", "shoe", "tie", "sock", "coat", "belt"];
const OTHERS: [&str; 6] = ["8", "a-b", "zebra", "1", "hat", "ü"];
const HEADER: &str = "session\tstep\tshown\tchosen\treward\tpropensity\tcandidates\n";
const SESSIONS: usize = 60;

/// A session as the rows of a file.
type Rows = Vec<String>;

/// Sessions of three slates of two of some items, drawn uniformly. The second item is clicked less
/// often, and clicks earn 1 or 1.5 times `unit`.
fn sessions(items: [&str; 6], unit: f64) -> Vec<Rows> {
    let list = |names: &[&str]| format!("['{}']", names.join("', '"));
    let session = |session: usize| {
        let mut stream = Seed::new(3).stream(session as u64);
        let row = |step: usize| {
            let first = stream.random_range(0..6);
            let second = (first + stream.random_range(1..6)) % 6;
            let clicked = [Some(first), Some(first), Some(second), None][stream.random_range(0..4)];
            let chosen = clicked.map_or("", |item| items[item]);
            let reward = clicked.map_or(0.0, |item| unit * (1.0 + (item % 2) as f64 / 2.0));
            let (shown, all) = (list(&[items[first], items[second]]), list(&items));
            format!("s{session}\t{step}\t{shown}\t{chosen}\t{reward}\t0.16666667 0.2\t{all}\n")
        };
        (0..3).map(row).collect()
    };
    (0..SESSIONS).map(session).collect()
}

fn text(sessions: &[Rows]) -> String {
    format!("{HEADER}{}", sessions.iter().flatten().map(String::as_str).collect::<String>())
}

/// The same sessions in an order that is drawn.
fn permuted(mut sessions: Vec<Rows>) -> Vec<Rows> {
    let mut stream = Seed::new(4).stream(0);
    for last in (1..sessions.len()).rev() {
        sessions.swap(last, stream.random_range(0..=last));
    }
    sessions
}

/// A folder with a log of this name.
fn with(name: &str, content: &str) -> Place {
    let place = Place::new();
    fs::write(place.path().join(name), content).unwrap();
    place
}

fn imported(place: &Place, log: &str) -> Dataset {
    place.text(&["import", log, "--to", "cached", "--force"]);
    cache::load(&place.path().join("cached")).unwrap()
}

/// The steps of each session by raw ids.
fn steps(dataset: &Dataset) -> BTreeMap<String, Vec<String>> {
    let raw = |item| dataset.catalogue.raw(item);
    let session = |session: foretaste_data::Session<'_>| {
        let step = |step: foretaste_data::Step<'_>| {
            let slate: Vec<&str> = step.slate.iter().map(|&item| raw(item)).collect();
            let chosen = step.choice.item().map(raw);
            format!("{slate:?} {chosen:?} {} {:?}", step.reward, step.propensity)
        };
        let name = dataset.session_name(session.index()).into_owned();
        (name, session.steps().map(step).collect())
    };
    dataset.log.iter().map(session).collect()
}

fn judge(place: &Place, log: &str) -> Value {
    place.json(&["judge", log, "--policy", "uniform"])
}

fn fit(place: &Place, log: &str) -> Value {
    place.json(&["fit", log, "--to", "users", "--epochs", "3", "--device", "cpu", "--force"])
}

/// The digest of the weights of the users that were fitted, which is in the name of their file.
fn weights(place: &Place) -> String {
    let names = fs::read_dir(place.path().join("users")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.find(|name| name.starts_with("tensors-")).unwrap()
}

/// An estimate of a judgment: its value and the ends of its interval.
fn estimate(judged: &Value, name: &str) -> [f64; 3] {
    let all = judged["policies"][0]["estimators"].as_array().unwrap();
    let found = all.iter().find(|of| of["estimator"].as_str().unwrap().starts_with(name)).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let interval = &found["interval"];
    [number(&found["reward_per_slate"]), number(&interval[0]), number(&interval[1])]
}

fn assert_near(found: [f64; 3], expected: [f64; 3]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} {expected}");
    }
}

/// What is not exact is the order of sums.
#[test]
fn sessions_in_another_order_are_the_same_sessions_with_the_same_estimates() {
    let place = with("log.tsv", &text(&sessions(ITEMS, 1.0)));
    let other = with("log.tsv", &text(&permuted(sessions(ITEMS, 1.0))));
    let [here, there] = [&place, &other].map(|place| imported(place, "log.tsv"));
    assert_ne!(here.log, there.log);
    assert_eq!(steps(&here), steps(&there));
    let [here, there] = [&place, &other].map(|place| judge(place, "log.tsv"));
    for name in ["IPS, whole", "SNIPS, whole", "RIPS", "SNRIPS"] {
        assert_near(estimate(&there, name), estimate(&here, name));
    }
    assert_eq!(here["slates"], there["slates"]);
    let [here, there] = [&place, &other].map(|place| fit(place, "log.tsv"));
    assert_eq!(here["sessions"], there["sessions"]);
}

#[test]
fn items_under_other_names_change_names_alone() {
    let place = with("log.tsv", &text(&sessions(ITEMS, 1.0)));
    let other = with("log.tsv", &text(&sessions(OTHERS, 1.0)));
    let [here, there] = [&place, &other].map(|place| imported(place, "log.tsv"));
    assert_eq!(here.log, there.log);
    let renamed: Vec<&str> = here.catalogue.names().iter().collect();
    let renamed: Vec<&str> = renamed
        .iter()
        .map(|name| OTHERS[ITEMS.iter().position(|item| item == name).unwrap()])
        .collect();
    assert_eq!(there.catalogue.names().iter().collect::<Vec<_>>(), renamed);
    assert_eq!(judge(&place, "log.tsv"), judge(&other, "log.tsv"));
    assert_eq!(fit(&place, "log.tsv"), fit(&other, "log.tsv"));
    assert_eq!(weights(&place), weights(&other));
}

#[test]
fn a_file_in_parts_is_the_file() {
    let all = sessions(ITEMS, 1.0);
    let place = with("log.tsv", &text(&all));
    let other = Place::new();
    fs::create_dir(other.path().join("log")).unwrap();
    for (part, sessions) in all.chunks(25).enumerate() {
        fs::write(other.path().join(format!("log/part-{part}.tsv")), text(sessions)).unwrap();
    }
    let [here, there] =
        [(&place, "log.tsv"), (&other, "log")].map(|(place, log)| imported(place, log));
    assert_eq!((&here.log, &here.catalogue), (&there.log, &there.catalogue));
    assert_eq!(judge(&place, "log.tsv"), judge(&other, "log"));
    assert_eq!(fit(&place, "log.tsv"), fit(&other, "log"));
    assert_eq!(weights(&place), weights(&other));
}

/// It could have been shown on every slate. Uniform slates of two of seven items show those of the
/// log with 30/42 of the probability that uniform slates of six have, which multiplies what IPS
/// estimates; weights that add up to 1 take it out again.
#[test]
fn an_item_that_was_never_shown_is_in_the_catalogue_and_dilutes_uniform_slates() {
    let log = text(&sessions(ITEMS, 1.0));
    let place = with("log.tsv", &log);
    let other = with("log.tsv", &log.replace("'belt']\n", "'belt', 'glove']\n"));
    let [here, there] = [&place, &other].map(|place| imported(place, "log.tsv"));
    assert_eq!(steps(&here), steps(&there));
    let names: Vec<&str> = here.catalogue.names().iter().chain(["glove"]).collect();
    assert_eq!(there.catalogue.names().iter().collect::<Vec<_>>(), names);
    let [here, there] = [&place, &other].map(|place| judge(place, "log.tsv"));
    let diluted = estimate(&here, "IPS, whole").map(|value| value * 30.0 / 42.0);
    assert_near(estimate(&there, "IPS, whole"), diluted);
    assert_near(estimate(&there, "SNIPS, whole"), estimate(&here, "SNIPS, whole"));
}

/// Twice a number has the same digits in base two: nothing is rounded another way.
#[test]
fn rewards_that_double_double_every_estimate_and_change_no_choice() {
    let place = with("log.tsv", &text(&sessions(ITEMS, 1.0)));
    let other = with("log.tsv", &text(&sessions(ITEMS, 2.0)));
    let [here, there] = [&place, &other].map(|place| imported(place, "log.tsv"));
    let rewards = |dataset: &Dataset, unit: f32| {
        let steps = dataset.log.iter().flat_map(|session| session.steps());
        steps.map(|step| step.reward * unit).collect::<Vec<_>>()
    };
    assert_eq!(rewards(&here, 2.0), rewards(&there, 1.0));
    let [here, there] = [&place, &other].map(|place| judge(place, "log.tsv"));
    let names = ["IPS, whole", "SNIPS, whole", "DR, whole", "SNDR", "RIPS", "SNRIPS", "cascade-DR"];
    for name in names {
        assert_eq!(
            estimate(&there, name),
            estimate(&here, name).map(|value| 2.0 * value),
            "{name}"
        );
    }
    assert_eq!(here["policies"][0]["verdict"], there["policies"][0]["verdict"]);
    assert_eq!(
        here["policies"][0]["overlap"]["effective_sample_size"],
        there["policies"][0]["overlap"]["effective_sample_size"]
    );
    assert_eq!(fit(&place, "log.tsv"), fit(&other, "log.tsv"));
    assert_eq!(weights(&place), weights(&other));
}

/// Of a claim's results, the rows in another order, and figures in a unit of half the size.
#[test]
fn a_verdict_depends_neither_on_the_order_of_rows_nor_on_the_unit() {
    const CLAIM: &str = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,\
        settings\nA,§1,clicks,ours earns more,reward,larger,ours,theirs,beats the best,,\n";
    let rows = |unit: f64| {
        let row = |seed: usize, method: &str, value: f64| {
            format!("clicks,shop,{method},,{seed},reward,{}\n", value * unit)
        };
        let seeds = (0..5).flat_map(|seed| {
            let noise = [0.25, -0.5, 0.125, 0.0, 0.375][seed];
            [row(seed, "ours", 3.0 + noise), row(seed, "theirs", 2.0 - noise / 2.0)]
        });
        seeds.collect::<Vec<_>>()
    };
    let read = |rows: &[String]| {
        let head = "experiment,dataset,method,setting,seed,metric,value\n";
        Results::read(format!("{head}{}", rows.concat()).as_bytes(), "results.csv").unwrap()
    };
    let arm = |method: &str| foretaste_report::Arm {
        dataset: "shop".into(),
        method: method.into(),
        setting: String::new(),
    };
    let metrics = vec!["reward".parse().unwrap()];
    let shop = DataSet { name: "shop".into(), test_per_train: 0.5, caveat: String::new() };
    let design = Design {
        experiment: "clicks".into(),
        datasets: vec![shop],
        arms: vec![arm("ours"), arm("theirs")],
        metrics,
        ..Design::default()
    };
    let claim = &Claim::read(CLAIM.as_bytes(), "claims.csv").unwrap()[0];
    let plain = read(&rows(1.0));
    let backwards = read(&rows(1.0).into_iter().rev().collect::<Vec<_>>());
    assert_eq!(plain.to_csv().unwrap(), backwards.to_csv().unwrap());
    let [plain, doubled] = [&plain, &read(&rows(2.0))].map(|of| claim.decide(&design, of).unwrap());
    assert_eq!(plain.verdict, doubled.verdict);
    let means = [&plain, &doubled].map(|finding| finding.differences[0].estimate.mean);
    assert_eq!(2.0 * means[0], means[1]);
}
