//! A recommender from a log of one's own, judged by its propensities: `cargo xtask train` and `evaluate`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output().unwrap()
}

fn bundled(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("datasets").join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_trained_recommender_is_judged_on_the_rest_of_its_log() {
    let temp = TempDir::new().unwrap();
    let (log, policy) = (bundled("simulated-mdp.csv"), temp.path().join("policy"));
    let policy = policy.to_str().unwrap();
    let quick = ["--epochs", "1", "--adversarial", "1", "--hidden", "8"];
    let trained = xtask(&[&["train", &log, "--to", policy], &quick[..]].concat());
    assert!(trained.status.success(), "{trained:?}");
    let evaluate = |log: &str| xtask(&["evaluate", "--log", log, "--policy", policy]);
    let judged = evaluate(&log);
    let said = String::from_utf8(judged.stdout).unwrap();
    assert!(judged.status.success());
    for part in
        ["384 slates in 125 sessions", "SNIPS, read from the top", "of 384 weights' worth", "smallest propensity"]
    {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }

    let refused = |log: &str| {
        let output = evaluate(log);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&bundled("simulated-choice.tsv")).contains("no propensities"));
    assert!(refused("no-such-file").contains("there is no file no-such-file"));
    let manifest = Path::new(policy).join("manifest.json");
    fs::write(&manifest, "{").unwrap();
    assert!(refused(&log).contains("manifest.json"));
}
