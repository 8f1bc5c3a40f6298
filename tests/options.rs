//! What every command of the program takes: `--json`, `--threads`, `--quiet`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const LOG: &str = "bundled:simulated-mdp.csv";

/// Runs a command in a folder, and returns its standard output and its standard error.
fn run(folder: &Path, arguments: &[&str]) -> (String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    let output = program.args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// A small training of this seed into `to`.
fn train<'a>(to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let small = ["--epochs", "2", "--adversarial", "1", "--hidden", "8", "--device", "cpu"];
    [&["train", LOG, "--to", to], &small[..], more].concat()
}

#[test]
fn every_command_prints_one_object_that_says_what_its_text_says() {
    let temp = TempDir::new().unwrap();
    let json = |arguments: &[&str]| -> Value {
        let (stdout, _) = run(temp.path(), &[arguments, &["--json"]].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    };
    let described = json(&["describe", LOG]);
    let imported = json(&["import", LOG, "--to", "a.log"]);
    for (key, value) in [("sessions", 250), ("steps", 767), ("items", 50)] {
        assert_eq!((&described[key], &imported[key]), (&value.into(), &value.into()), "{key}");
    }
    assert_eq!((&imported["reading"]["rows"], &imported["to"]), (&767.into(), &"a.log".into()));
    assert_eq!(json(&["describe", "a.log"])["steps"], 767);
    let exported = json(&["export", "a.log", "--to", "a.jsonl", "--format", "jsonl"]);
    assert_eq!((&exported["steps"], &exported["to"]), (&767.into(), &"a.jsonl".into()));
    assert_eq!(json(&["list"])["logs"].as_array().unwrap().len(), 5);
    assert!(json(&["list", "trivago"])["text"].as_str().unwrap().starts_with("# trivago"));
    let trained = json(&train("policy", &[]));
    assert_eq!((&trained["sessions"], &trained["to"]), (&125.into(), &"policy".into()));

    let judge = ["judge", "--log", LOG, "--policy", "policy"];
    let (judged, text) = (json(&judge), run(temp.path(), &judge).0);
    let policy = &judged["policies"][0];
    assert_eq!((&judged["slates"], &policy["supported"]), (&384.into(), &true.into()));
    let verdict = policy["verdict"].as_str().unwrap();
    assert!(text.contains(&format!("verdict: policy: {verdict}")), "{text}");
    let earned = judged["logging_policy_earned"].as_f64().unwrap();
    assert!(text.contains(&format!("earned {earned:.4} a slate")), "{text}");
    for estimator in policy["estimators"].as_array().unwrap() {
        let of = |key: &str| estimator[key].as_str().unwrap();
        assert!(text.contains(of("estimator")) && text.contains(of("text")), "{estimator}\n{text}");
        let mean = estimator["reward_per_slate"].as_f64().unwrap();
        if let [low, high] = &estimator["interval"].as_array().map_or(&[][..], Vec::as_slice) {
            assert!(low.as_f64().unwrap() < mean && mean < high.as_f64().unwrap(), "{estimator}");
        }
    }
}

#[test]
fn a_recommender_is_the_same_on_any_number_of_threads() {
    let temp = TempDir::new().unwrap();
    for threads in ["1", "2"] {
        run(temp.path(), &train(threads, &["--threads", threads]));
    }
    let files = |folder: &str| {
        let entries = fs::read_dir(temp.path().join(folder)).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_owned(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    assert_eq!(files("1"), files("2"));
}
