//! What the program keeps between two commands may come from strangers, who can write any number
//! into it and give it the digest that it then has.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "it is shared with tests that call all of it")]
#[path = "common/place.rs"]
mod place;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use self::place::Place;

const FIT: [&str; 9] = [
    "fit",
    "bundled:simulated-choice.tsv",
    "--to",
    "users",
    "--epochs",
    "8",
    "--device",
    "cpu",
    "--quiet",
];

/// What a number is changed to, and a list.
fn forgeries() -> Vec<Value> {
    let counts = [0, 1, 4_000_000_000, u64::MAX].map(Value::from);
    let long = Value::Array(vec![json!(0.5); 100]);
    counts.into_iter().chain([json!(-1), json!(-1e300), json!(1e300), Value::Null, long]).collect()
}

/// Where the numbers and lists of some content stand.
fn places(content: &Value, place: &str) -> Vec<String> {
    let (here, below) = match content {
        Value::Number(_) => (true, Vec::new()),
        Value::Array(values) => {
            let values = values.iter().enumerate();
            (true, values.flat_map(|(at, value)| places(value, &format!("{place}/{at}"))).collect())
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let below = fields.flat_map(|(name, value)| places(value, &format!("{place}/{name}")));
            (false, below.collect())
        }
        _ => (false, Vec::new()),
    };
    here.then(|| place.to_owned()).into_iter().chain(below).collect()
}

/// A command of the program in 1.5 GB of addresses.
fn in_little_memory(place: &Place, arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", "ulimit -v 1500000 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_foretaste")])
        .args(arguments)
        .env("RAYON_NUM_THREADS", "1")
        .current_dir(place.path())
        .output()
        .unwrap()
}

/// Neither a panic, whose code is 101, nor a signal.
fn assert_orderly(output: &Output, about: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{about}: {output:?}");
    assert!(!said.contains("panicked"), "{about}: {said}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The state of an unfinished fit, once one is kept.
fn state(place: &Place) -> Option<PathBuf> {
    let folder = fs::read_dir(place.path().join("users")).ok()?;
    let mut kept = folder.flatten().map(|entry| entry.path().join("latest.json"));
    kept.find(|path| path.exists())
}

/// It is killed after the first settings of its grid, and goes on from there.
#[test]
fn a_forged_number_in_an_unfinished_fit_is_an_error_or_goes_on() {
    let place = Place::new();
    let mut running = Command::new(env!("CARGO_BIN_EXE_foretaste"))
        .args(FIT)
        .current_dir(place.path())
        .spawn()
        .unwrap();
    while state(&place).is_none() && running.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(2));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let path = state(&place).expect("a fit is kept before it ends");
    let whole = place.path().join("whole");
    copy(&place.path().join("users"), &whole);
    let latest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let run: Value = serde_json::from_str(latest["run"].as_str().unwrap()).unwrap();
    let places = places(&run, "");
    assert!(places.len() >= 3, "{run}");
    let mut refused = 0;
    for at in &places {
        for forgery in forgeries() {
            let mut forged = run.clone();
            *forged.pointer_mut(at).unwrap() = forgery.clone();
            let text = forged.to_string();
            let digest = foretaste_train::run::digest(text.as_bytes());
            let latest = json!({ "format": 1, "digest": digest, "run": text });
            fs::remove_dir_all(place.path().join("users")).unwrap();
            copy(&whole, &place.path().join("users"));
            fs::write(&path, latest.to_string()).unwrap();
            let output = in_little_memory(&place, &FIT);
            assert_orderly(&output, &format!("{at} = {forgery}"));
            refused += usize::from(!output.status.success());
        }
    }
    assert!(refused > 0);
}

/// Settings of `foretaste run`, and of a layout, each number of which becomes others.
#[test]
fn a_forged_number_in_a_settings_file_is_an_error_or_a_setting() {
    let place = Place::new();
    let log = "visit;step;shown;chosen;reward\na;0;1 2;1;1\na;1;2 3;;0\nb;0;3 1;3;1\n";
    fs::write(place.path().join("log.csv"), log).unwrap();
    let layout = "delimiter = \";\"\nmax-session-steps = 9\nsession-gap = \"30m\"\n[columns]\n\
        session = \"visit\"\n[limits]\nrow-bytes = 1000\nfield-bytes = 1000\nslate-items = 100\n\
        session-steps = 100\nids = 100\nunpacked = 100\n";
    let numbers =
        ["0", "1", "18446744073709551615", "9223372036854775807", "-1", "1e300", "0.5", "nan"];
    let mut refused = 0;
    let mut forge = |name: &str, text: &str, arguments: &[&str]| {
        let lines: Vec<&str> = text.lines().collect();
        let is_number = |line: &&str| {
            line.split_once(" = ").is_some_and(|(_, value)| value.parse::<u64>().is_ok())
        };
        let with_numbers: Vec<usize> =
            (0..lines.len()).filter(|&at| is_number(&lines[at])).collect();
        assert!(with_numbers.len() >= 3, "{text}");
        for at in with_numbers {
            for number in numbers {
                let mut forged: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
                let key = lines[at].split_once(" = ").unwrap().0;
                forged[at] = format!("{key} = {number}");
                fs::write(place.path().join(name), forged.join("\n") + "\n").unwrap();
                let output = in_little_memory(&place, arguments);
                assert_orderly(&output, &format!("{name}: {key} = {number}"));
                refused += usize::from(!output.status.success());
            }
        }
    };
    let import = ["import", "log.csv", "--layout", "layout.toml", "--to", "log", "--force"];
    forge("layout.toml", layout, &import);
    assert!(refused > 10, "{refused}");
}
