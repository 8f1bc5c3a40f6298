//! From a log to one page: `foretaste run`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[path = "common/html.rs"]
mod html;

const QUICK: &str = r#"
seed = 3
percent = 50
device = "cpu"
[import]
options = []
[fit]
model = "pw"
percent = 70
options = ["--epochs", "1", "--no-features"]
[train]
methods = ["popularity", "lstm"]
[train.options]
lstm = ["--epochs", "2", "--hidden", "4"]
[judge]
policies = ["uniform"]
propensities = "auto"
options = []
"#;

struct Place {
    temp: TempDir,
}

impl Place {
    /// A folder for a run, with settings that take little time.
    fn new(settings: &str) -> Self {
        let place = Self { temp: TempDir::new().unwrap() };
        fs::create_dir(place.folder()).unwrap();
        fs::write(place.folder().join("foretaste.toml"), settings).unwrap();
        place
    }

    fn folder(&self) -> PathBuf {
        self.temp.path().join("shop")
    }

    fn run(&self, log: &str) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
        program.args(["run", log, "--json", "--to"]).arg(self.folder()).output().unwrap()
    }

    fn page(&self) -> String {
        fs::read_to_string(self.folder().join("report.html")).unwrap()
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The stages that were carried out, as the standard error names them.
fn stages(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let stage = |line: &str| line.split_once(": foretaste ").map(|(name, _)| name.to_owned());
    text.lines().filter_map(stage).collect()
}

#[test]
fn a_log_becomes_a_page_that_answers_five_questions() {
    let place = Place::new(QUICK);
    let found = json(&place.run("bundled:simulated-mdp.csv"));
    let names: Vec<&str> = found["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|policy| policy["policy"].as_str().unwrap())
        .collect();
    assert!(
        ["popularity", "popularity-top", "lstm", "uniform"].iter().all(|name| names.contains(name)),
        "{names:?}"
    );
    let page = place.page();
    for answer in found["answers"].as_array().unwrap() {
        assert!(page.contains(answer["question"].as_str().unwrap()));
        assert!(!answer["answer"].as_array().unwrap().is_empty(), "{answer}");
    }
    let (short, _) = page.split_once("What does the log contain?").unwrap();
    for text in [
        "What was asked",
        "4 policies were compared: ",
        "The policy that made the log earned ",
        "What came out",
        "How sure it is",
        "The users that were learned from the log: ",
    ] {
        assert!(short.contains(text), "{text}\n{short}");
    }
    assert_eq!(html::errors(&page), Vec::<String>::new());
    // What the page says of a policy is what `judge` says by hand.
    let logged = found["judge"]["answer"]["policies"].as_array().unwrap();
    let uniform = logged.iter().find(|policy| policy["policy"] == "uniform").unwrap();
    let row = found["policies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["policy"] == "uniform")
        .unwrap();
    assert_eq!(row["by_log"]["reward_per_slate"], uniform["decided"]["reward_per_slate"]);
}

#[test]
fn the_same_seed_gives_the_same_page_and_only_what_changed_is_done_again() {
    let (first, second) = (Place::new(QUICK), Place::new(QUICK));
    let found = first.run("bundled:simulated-mdp.csv");
    json(&found);
    assert!(stages(&found).contains(&"fit".to_owned()), "{found:?}");
    json(&second.run("bundled:simulated-mdp.csv"));
    let without_paths = |place: &Place| place.page().replace(place.folder().to_str().unwrap(), "");
    assert_eq!(without_paths(&first), without_paths(&second));

    let page = first.page();
    let left = [".unfinished-a1", "stages/.unfinished-a2"].map(|name| first.folder().join(name));
    left.iter().for_each(|path| fs::write(path, "half").unwrap());
    let again = first.run("bundled:simulated-mdp.csv");
    assert!(!left.iter().any(|path| path.exists()), "what a killed run left half-written goes");
    assert_eq!(stages(&again), ["import"]);
    assert_eq!(first.page(), page);

    let changed = QUICK.replace("\"--hidden\", \"4\"", "\"--hidden\", \"5\"");
    fs::write(first.folder().join("foretaste.toml"), changed).unwrap();
    let again = first.run("bundled:simulated-mdp.csv");
    assert_eq!(stages(&again), ["import", "train-lstm", "judge"]);
}

#[test]
fn what_fails_is_said_on_the_page_and_the_rest_is_done() {
    let place = Place::new(&QUICK.replace("\"uniform\"", "\"uniform\", \"ours=missing.csv\""));
    let output = place.run("bundled:simulated-mdp.csv");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["judge"]["failed"].as_str().unwrap().contains("missing.csv"), "{found}");
    assert!(found["train"].as_array().unwrap().iter().all(|stage| stage["failed"].is_null()));
    let page = place.page();
    assert!(page.contains("These steps failed, for the reasons above: judge"), "{page}");
}

#[test]
fn what_was_damaged_since_is_made_again() {
    let place = Place::new(QUICK);
    json(&place.run("bundled:simulated-mdp.csv"));
    let page = place.page();
    for (folder, step) in [("users", "fit"), ("recommenders/lstm", "train-lstm")] {
        let files = fs::read_dir(place.folder().join(folder)).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let tensors = files.into_iter().find(|path| path.to_string_lossy().contains("tensors"));
        fs::write(tensors.unwrap(), "cut").unwrap();
        let again = place.run("bundled:simulated-mdp.csv");
        json(&again);
        assert_eq!(stages(&again), ["import", step], "{again:?}");
    }
    assert_eq!(place.page(), page);
}

#[test]
fn a_log_without_propensities_is_judged_by_a_guess_that_is_said() {
    let place = Place::new(QUICK);
    let log = place.temp.path().join("shop.csv");
    let mut text = String::from("session,step,shown,chosen,reward\n");
    for session in 0..300_u32 {
        let slate: Vec<u32> = (0..3).map(|at| (session * 7 + at * 3 + session / 10) % 10).collect();
        let shown = slate.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        let chosen = if session % 3 == 0 { slate[0].to_string() } else { String::new() };
        text += &format!("s{session},0,{shown},{chosen},{}\n", u8::from(session % 3 == 0));
    }
    fs::write(&log, text).unwrap();
    let found = json(&place.run(log.to_str().unwrap()));
    assert!(found["judge"]["command"].as_str().unwrap().contains("--estimate-propensities"));
    assert!(place.page().contains("They are estimated here"));
}

#[test]
fn a_folder_of_something_else_a_missing_log_and_senseless_settings_are_refused() {
    let refused = |output: Output, problem: &str| {
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && error.contains(problem), "{error}");
    };
    let place = Place::new(QUICK);
    fs::remove_file(place.folder().join("foretaste.toml")).unwrap();
    let thesis = place.folder().join("thesis.txt");
    fs::write(&thesis, "mine").unwrap();
    refused(place.run("bundled:simulated-mdp.csv"), "is not the folder of a run");
    assert_eq!(fs::read_dir(place.folder()).unwrap().count(), 1);

    let place = Place::new(QUICK);
    refused(place.run("no-such-log.csv"), "no-such-log.csv");
    assert!(!Path::new(&place.folder().join("report.html")).exists());
    let other = place.temp.path().join("other.csv");
    fs::write(&other, "visit,items\n1,a b\n").unwrap();
    refused(place.run(other.to_str().unwrap()), "under [import] in ");
    let place = Place::new(&QUICK.replace("percent = 50", "percent = 0"));
    refused(place.run("bundled:simulated-mdp.csv"), "expected 1 to 99");
    let place = Place::new(&QUICK.replace("\"lstm\"]", "\"lsmt\"]").replace("lstm =", "lsmt ="));
    refused(place.run("bundled:simulated-mdp.csv"), "[train] lsmt: invalid value 'lsmt'");
}

#[test]
#[cfg(unix)]
fn a_run_that_is_stopped_goes_on_with_the_same_command_to_the_same_page() {
    let long = QUICK.replace("\"--epochs\", \"2\"", "\"--epochs\", \"150\"");
    let (stopped, whole) = (Place::new(&long), Place::new(&long));
    let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    program.args(["run", "bundled:simulated-mdp.csv", "--to"]).arg(stopped.folder());
    let mut running = program.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    // The steps before have seen to it that Ctrl-C is caught.
    lines.find(|line| line.as_ref().unwrap().starts_with("train-lstm")).unwrap().unwrap();
    Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert_eq!(running.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.last().unwrap().contains("run the same command again"), "{rest:?}");
    assert!(!stopped.folder().join("report.html").exists());

    let again = stopped.run("bundled:simulated-mdp.csv");
    json(&again);
    assert_eq!(stages(&again), ["import", "train-lstm", "judge"]);
    json(&whole.run("bundled:simulated-mdp.csv"));
    let without_paths = |place: &Place| place.page().replace(place.folder().to_str().unwrap(), "");
    assert_eq!(without_paths(&stopped), without_paths(&whole));
}

/// What a fit of other settings kept is no use to this one, and keeps nothing from being done.
#[test]
fn a_fit_that_was_left_unfinished_under_other_settings_is_begun_afresh() {
    let place = Place::new(QUICK);
    let unfinished = place.folder().join("users/unfinished-0123456789abcdef0123456789abcdef");
    fs::create_dir_all(&unfinished).unwrap();
    fs::write(unfinished.join("latest.json"), "{}").unwrap();
    let output = place.run("bundled:simulated-mdp.csv");
    json(&output);
    assert!(stages(&output).contains(&"fit".to_owned()) && !unfinished.exists(), "{output:?}");
    assert!(place.folder().join("users/users.json").exists(), "{output:?}");
}
