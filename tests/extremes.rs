//! Logs with which numbers get out of hand, or from which there is nothing to learn: each gives
//! users and a recommender whose numbers are finite, or an error of one sentence or two.

#[allow(dead_code, reason = "it is shared with tests that call all of it")]
#[path = "common/place.rs"]
mod place;

use std::fs;

use candle_core::{DType, Device};
use foretaste_recommender::{Recommender, Users};
use serde_json::Value;

use self::place::Place;

/// A log: whether there is something in it to learn users from is not said here.
struct Extreme {
    name: &'static str,
    items: usize,
    sessions: usize,
    /// Which place of the slate of a step is clicked, if one is.
    clicked: fn(usize) -> Option<usize>,
    reward: &'static str,
    /// The number that every item has as a feature, twice.
    feature: Option<&'static str>,
}

const USUAL: Extreme = Extreme {
    name: "usual",
    items: 6,
    sessions: 40,
    clicked: |step| [Some(0), Some(1), None][step % 3],
    reward: "1",
    feature: None,
};

fn extremes() -> Vec<Extreme> {
    vec![
        USUAL,
        Extreme { name: "one item", items: 1, clicked: |step| [Some(0), None][step % 2], ..USUAL },
        Extreme { name: "one session", sessions: 1, ..USUAL },
        Extreme { name: "all clicked", clicked: |_| Some(0), ..USUAL },
        Extreme { name: "none clicked", clicked: |_| None, ..USUAL },
        Extreme { name: "rewards of 1e30", reward: "1e30", ..USUAL },
        Extreme { name: "rewards of -1e30", reward: "-1e30", ..USUAL },
        Extreme { name: "rewards of 1e-40", reward: "1e-40", ..USUAL },
        Extreme { name: "no rewards", reward: "0", ..USUAL },
        Extreme { name: "equal features", feature: Some("1"), ..USUAL },
        Extreme { name: "features of 1e30", feature: Some("1e30"), ..USUAL },
    ]
}

impl Extreme {
    /// Imports the log as `log`, with its features where there are some; whether it is one.
    fn import(&self, place: &Place) -> bool {
        let mut log = String::from("session,step,shown,chosen,reward,propensity\n");
        for session in 0..self.sessions {
            for step in 0..4 {
                let first = (session + step) % self.items;
                let slate: Vec<usize> = match self.items {
                    1 => vec![0],
                    items => vec![first, (first + 1 + session % (items - 1)) % items],
                };
                let chosen = (self.clicked)(session + step).map(|place| slate[place % slate.len()]);
                let reward = if chosen.is_some() { self.reward } else { "0" };
                let chosen = chosen.map(|item| item.to_string()).unwrap_or_default();
                let shown: Vec<String> = slate.iter().map(usize::to_string).collect();
                let propensity = ["1", "0.2 0.2"][slate.len() - 1];
                let shown = shown.join(" ");
                log += &format!("s{session},{step},{shown},{chosen},{reward},{propensity}\n");
            }
        }
        fs::write(place.path().join("log.csv"), log).unwrap();
        let mut import = vec!["import", "log.csv", "--to", "log"];
        if let Some(feature) = self.feature {
            let rows = (0..self.items).map(|item| format!("{item},{feature},{feature}\n"));
            let features = format!("item,one,two\n{}", rows.collect::<String>());
            fs::write(place.path().join("features.csv"), features).unwrap();
            import.extend(["--item-features", "features.csv"]);
        }
        succeeds_or_says_why(place, self.name, &import)
    }
}

/// Whether the command succeeded; where not, it said why in a message for people.
fn succeeds_or_says_why(place: &Place, name: &str, arguments: &[&str]) -> bool {
    let output = place.run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    println!("{name}: {}: {:?}: {}", arguments.join(" "), output.status.code(), said.trim());
    if output.status.success() {
        return true;
    }
    assert_eq!(output.status.code(), Some(1), "{name}, {arguments:?}: {said}");
    let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(error.len() > 30 && !said.contains("panicked"), "{name}, {arguments:?}: {said}");
    for word in ["{", "Some(", "None", "unwrap"] {
        assert!(!error.contains(word), "{name}: {error}");
    }
    false
}

/// Every weight of a folder's tensors is finite.
fn assert_finite(place: &Place, folder: &str, name: &str) {
    for entry in fs::read_dir(place.path().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        for (tensor, values) in candle_core::safetensors::load(&path, &Device::Cpu).unwrap() {
            let values = values.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
            let values = values.to_vec1::<f64>().unwrap();
            assert!(values.iter().all(|value| value.is_finite()), "{name}, {folder}: {tensor}");
        }
    }
}

/// No number of an answer is missing because it is not finite: JSON has none for these.
fn assert_numbers(answer: &Value, places: &[&str], name: &str) {
    for place in places {
        let number = answer.pointer(place).unwrap_or(&Value::Null);
        assert!(number.as_f64().is_some_and(f64::is_finite), "{name}: {place} is {number}");
    }
}

#[test]
fn an_extreme_log_gives_finite_users_or_a_sentence() {
    let mut fitted = Vec::new();
    for extreme in extremes() {
        let (place, name) = (Place::new(), extreme.name);
        if !extreme.import(&place) {
            continue;
        }
        for model in ["pw", "irecgan"] {
            let fit = ["fit", "log", "--to", "users", "--model", model, "--epochs", "2", "--force"];
            let fit = [&fit[..], &["--device", "cpu"]].concat();
            if !succeeds_or_says_why(&place, name, &fit) {
                continue;
            }
            fitted.push((name, model));
            assert_finite(&place, "users", name);
            Users::load(&place.path().join("users"), &Device::Cpu).unwrap();
            let simulate = ["simulate", "users", "--policy", "uniform", "--sessions", "20"];
            succeeds_or_says_why(
                &place,
                name,
                &[&simulate[..], &["--to", "new", "--force"]].concat(),
            );
        }
    }
    for model in ["pw", "irecgan"] {
        assert!(fitted.contains(&("usual", model)), "{fitted:?}");
    }
}

#[test]
fn an_extreme_log_gives_a_finite_recommender_or_a_sentence() {
    for extreme in extremes() {
        let (place, name) = (Place::new(), extreme.name);
        if !extreme.import(&place) {
            continue;
        }
        let mut trained = 0;
        for method in ["popularity", "pg", "lstm", "wide-deep", "trees", "linucb", "cdqn"] {
            let mut train = vec!["train", "log", "--to", "policy", "--method", method, "--force"];
            match method {
                "pg" => train.extend(["--epochs", "2", "--hidden", "8"]),
                "lstm" => train.extend(["--epochs", "2"]),
                "linucb" | "cdqn" => train.extend(["--epochs", "1", "--iterations", "1"]),
                _ => {}
            }
            if !succeeds_or_says_why(&place, name, &train) {
                continue;
            }
            trained += 1;
            assert_finite(&place, "policy", name);
            Recommender::load(&place.path().join("policy"), &Device::Cpu).unwrap();
            let judge = ["judge", "log", "--policy", "policy"];
            succeeds_or_says_why(&place, name, &judge);
        }
        assert!(trained > 0 || name != "usual");
    }
}

/// What is estimated of such rewards is a number, or there is a sentence.
#[test]
fn extreme_rewards_are_judged_in_finite_numbers_or_refused() {
    let mut judged = 0;
    for extreme in extremes() {
        let (place, name) = (Place::new(), extreme.name);
        if !extreme.import(&place) {
            continue;
        }
        let judge = ["judge", "log", "--policy", "uniform"];
        if succeeds_or_says_why(&place, name, &judge) {
            judged += 1;
            let answer = place.json(&judge);
            assert_numbers(&answer, &["/logging_policy_earned"], name);
            let estimators = answer["policies"][0]["estimators"].as_array().unwrap();
            assert!(!estimators.is_empty(), "{name}");
        }
    }
    assert!(judged > 0);
}
