//! A recommender from a log of one's own, judged by its propensities: `foretaste train` and
//! `foretaste judge`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn foretaste(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foretaste")).args(arguments).output().unwrap()
}

/// The standard output of a command that must succeed.
fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that must fail.
fn fails(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A log of 200 sessions of two uniform slates of two of six items. Every slate earns 1, though
/// nothing is chosen on every other; with `names`, of the items.
fn rewards_without_choice(names: [&str; 6]) -> String {
    let mut log = String::from("session,step,shown,chosen,reward,propensity\n");
    for session in 0..200 {
        for step in 0..2 {
            let [first, second] =
                [(session + step) % 6, (session + 2 * step + 1 + session % 4) % 6];
            let second = if second == first { (second + 1) % 6 } else { second };
            let chosen = if (session + step) % 2 == 0 { names[second] } else { "" };
            log += &format!(
                "s{session},{step},{} {},{chosen},1,0.16666667 0.2\n",
                names[first], names[second]
            );
        }
    }
    log
}

const ITEMS: [&str; 6] = ["hat", "shoe", "tie", "sock", "coat", "belt"];
const QUICK: [&str; 6] = ["--epochs", "1", "--adversarial", "1", "--hidden", "8"];

/// A folder with a log and a recommender that learned from so many percent of it.
fn trained(log: &str, percent: &str) -> (TempDir, String, String) {
    let temp = TempDir::new().unwrap();
    let [path, policy] =
        ["log.csv", "policy"].map(|name| temp.path().join(name).to_str().unwrap().to_owned());
    fs::write(&path, log).unwrap();
    succeeds(foretaste(
        &[&["train", &path, "--to", &policy, "--percent", percent], &QUICK[..]].concat(),
    ));
    (temp, path, policy)
}

fn evaluate(log: &str, policy: &str, more: &[&str]) -> Output {
    foretaste(&[&["judge", "--log", log, "--policy", policy], more].concat())
}

#[test]
fn the_logging_policy_earned_what_the_log_says_with_or_without_a_choice() {
    let (_temp, log, policy) = trained(&rewards_without_choice(ITEMS), "50");
    // All clicks are on the second place, which `describe` finds wrong.
    let described = String::from_utf8(foretaste(&["describe", &log]).stdout).unwrap();
    assert!(described.contains("mean reward per step  1.0000"), "{described}");
    let said = succeeds(evaluate(&log, &policy, &[]));
    assert!(
        said.contains(
            "200 slates in 100 sessions, on which the logging policy earned 1.0000 a slate"
        ),
        "{said}"
    );
    for estimator in ["IPS", "SNIPS", "IPS clipped at 10", "DM", "DR", "DR clipped at 10", "SNDR"] {
        assert!(said.contains(&format!(" {estimator}, whole slates ")), "{said}");
    }
    assert!(said.contains("100 of 200 slates earned a reward though nothing was chosen"), "{said}");
    assert!(!said.lines().any(|line| line.starts_with(" IPS, read from the top")), "{said}");
}

#[test]
fn nobody_is_judged_by_sessions_that_it_learned_from() {
    let text = rewards_without_choice(ITEMS);
    let (temp, log, policy) = trained(&text, "90");
    assert!(succeeds(evaluate(&log, &policy, &[])).contains("40 slates in 20 sessions"));
    let refused = fails(evaluate(&log, &policy, &["--percent", "50"]));
    assert!(
        refused.contains("learned from 80 of the 100 sessions after the first 50%"),
        "{refused}"
    );
    assert!(
        succeeds(evaluate(&log, &policy, &["--percent", "95"]))
            .contains("20 slates in 10 sessions")
    );

    // Session by session, the last first: every item has another index.
    let write = |name: &str, rows: &[&str]| {
        let path = temp.path().join(name).to_str().unwrap().to_owned();
        fs::write(&path, format!("{}\n{}\n", text.lines().next().unwrap(), rows.join("\n")))
            .unwrap();
        path
    };
    let rows: Vec<&str> = text.lines().skip(1).collect();
    let backwards: Vec<&str> = rows.chunks(2).rev().flatten().copied().collect();
    assert!(
        succeeds(evaluate(&write("backwards.csv", &backwards), &policy, &[]))
            .contains("40 slates in 20 sessions")
    );
    assert!(
        succeeds(evaluate(&write("part.csv", &rows[340..]), &policy, &[]))
            .contains("40 slates in 20 sessions")
    );
    let refused = fails(evaluate(&write("learned.csv", &rows[..200]), &policy, &[]));
    assert!(refused.contains("learned from all 100 sessions"), "{refused}");

    // The same sessions, judged by money; and the same under other ids, which are too much alike to
    // be told.
    let money: Vec<String> = rows.iter().map(|row| row.replace(",1,0.16", ",-3.5,0.16")).collect();
    let money = write("money.csv", &money.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(succeeds(evaluate(&money, &policy, &[])).contains("40 slates in 20 sessions"));
    let renamed: Vec<String> = rows[2..].iter().map(|row| format!("x{row}")).collect();
    let renamed = write("renamed.csv", &renamed.iter().map(String::as_str).collect::<Vec<_>>());
    let judged = evaluate(&renamed, &policy, &[]);
    assert!(
        String::from_utf8_lossy(&judged.stderr).contains("180 sessions show and choose the same"),
        "{judged:?}"
    );
}

#[test]
fn items_that_a_recommender_does_not_know_are_counted_and_refused_or_left_out() {
    let (temp, _, policy) = trained(&rewards_without_choice(ITEMS), "90");
    let next = temp.path().join("next.csv").to_str().unwrap().to_owned();
    let text = rewards_without_choice(["hat", "shoe", "tie", "sock", "coat", "glove"]);
    fs::write(&next, text.replace("\ns", "\nnext")).unwrap();
    let refused = fails(evaluate(&next, &policy, &[]));
    assert!(
        refused.contains("does not know 1 of 6 items (16.7%)")
            && refused.contains("--unknown-items"),
        "{refused}"
    );
    let refused = fails(evaluate(&next, &policy, &["--unknown-items", "as-unknown"]));
    assert!(refused.contains("no entry for unknown items"), "{refused}");
    let judged = evaluate(&next, &policy, &["--unknown-items", "drop-steps"]);
    assert!(
        String::from_utf8_lossy(&judged.stderr).contains("does not know 1 of 6 items"),
        "{judged:?}"
    );
    assert!(succeeds(judged).contains("earned 1.0000 a slate"));
}

/// By its propensities the log shows uniform slates: random weighs each of them 1. One that draws
/// nothing is in few of them, and the diagnostics say so.
#[test]
fn recommenders_of_every_method_are_judged_alike() {
    let temp = TempDir::new().unwrap();
    let [log, policy] =
        ["log.csv", "policy"].map(|name| temp.path().join(name).to_str().unwrap().to_owned());
    fs::write(&log, rewards_without_choice(ITEMS)).unwrap();
    let train = |method: &str, more: &[&str]| {
        let arguments = ["train", &log, "--to", &policy, "--force", "--method", method];
        foretaste(&[&arguments[..], more].concat())
    };
    for (method, more) in
        [("random", &[][..]), ("popularity", &[]), ("lstm", &["--epochs", "2", "--hidden", "8"])]
    {
        succeeds(train(method, more));
        let said = succeeds(evaluate(&log, &policy, &[]));
        // Random learned from none of them.
        let sessions = if method == "random" { 200 } else { 100 };
        let slates = 2 * sessions;
        let judged = format!("{slates} slates in {sessions} sessions");
        assert!(said.contains(&judged), "{method}: {said}");
        let all_count = said.contains(&format!("{slates} of {slates} weights' worth"));
        assert_eq!(all_count, method == "random", "{said}");
        assert!(method != "lstm" || said.contains("DO NOT decide"), "{said}");
        assert!(method != "random" || said.contains("nothing speaks against"), "{said}");
    }
    let misused = train("popularity", &["--epochs", "2"]);
    assert_eq!(misused.status.code(), Some(2));
    let refused = String::from_utf8(misused.stderr).unwrap();
    assert!(refused.contains("--epochs makes no difference to --method popularity"), "{refused}");
    assert!(!train("bandit", &[]).status.success());
}

#[test]
fn nothing_of_others_is_replaced() {
    let (temp, log, policy) = trained(&rewards_without_choice(ITEMS), "50");
    let train = |to: &str, more: &[&str]| {
        foretaste(&[&["train", &log, "--to", to], &QUICK[..], more].concat())
    };
    assert!(fails(train(&policy, &[])).contains("--force"));
    succeeds(train(&policy, &["--force"]));
    assert!(
        fails(train(temp.path().to_str().unwrap(), &["--force"])).contains("holds other things")
    );
    assert!(fails(train(&log, &["--force"])).contains("is a file"));
    let export = |to: &str, more: &[&str]| {
        foretaste(&[&["export", &log, "--format", "csv", "--to", to], more].concat())
    };
    assert!(fails(export(&log, &["--force"])).contains("the input itself"));
    assert!(fails(export("/dev/null", &["--force"])).contains("no regular file"));
}

#[test]
fn training_never_replaces_its_log_nor_what_is_no_recommenders() {
    let (temp, log, policy) = trained(&rewards_without_choice(ITEMS), "50");
    let text = fs::read_to_string(&log).unwrap();
    let train = |log: &Path, to: &Path| {
        let [log, to] = [log, to].map(|path| path.to_str().unwrap());
        fails(foretaste(&[&["train", log, "--to", to, "--force"], &QUICK[..]].concat()))
    };
    let digested = format!("tensors-{}.safetensors", "0123456789abcdef".repeat(2));
    for (folder, name, reason) in [
        ("a", "manifest.json", "holds other things"),
        ("b", digested.as_str(), "which is read as input"),
    ] {
        let folder = temp.path().join(folder);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), &text).unwrap();
        let refused = train(&folder.join(name), &folder);
        assert!(refused.contains(name) && refused.contains(reason), "{refused}");
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), text);
    }
    let manifest = Path::new(&policy).join("recommender.json");
    fs::write(&manifest, "mine").unwrap();
    assert!(train(Path::new(&log), Path::new(&policy)).contains("holds other things"));
    assert_eq!(fs::read_to_string(&manifest).unwrap(), "mine");
}

#[test]
fn a_trained_recommender_is_judged_on_the_rest_of_its_log() {
    let temp = TempDir::new().unwrap();
    let (log, policy) = (String::from("bundled:simulated-mdp.csv"), temp.path().join("policy"));
    let policy = policy.to_str().unwrap();
    succeeds(foretaste(&[&["train", &log, "--to", policy], &QUICK[..]].concat()));
    let evaluate = |log: &str| foretaste(&["judge", "--log", log, "--policy", policy]);
    let said = succeeds(evaluate(&log));
    for part in [
        "384 slates in 125 sessions",
        "SNIPS, read from the top",
        "of 384 weights' worth",
        "smallest propensity",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }

    let refused = |log: &str| {
        let output = evaluate(log);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("bundled:simulated-choice.tsv").contains("no propensities"));
    assert!(refused("no-such-file").contains("there is no file no-such-file"));
    let manifest = Path::new(policy).join("recommender.json");
    fs::write(&manifest, "{").unwrap();
    assert!(refused(&log).contains("recommender.json"));
}
