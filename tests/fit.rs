//! Learned users of a log of one's own, and logs that policies make with them: `foretaste fit` and
//! `foretaste simulate`.

#[path = "common/place.rs"]
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use candle_core::Device;
use foretaste_data::{Catalogue, Choice, Dataset, Log, cache};
use foretaste_random::Seed;
use foretaste_recommender::Users;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout};
use serde_json::Value;

use self::place::Place;

const CHOICE: &str = "bundled:simulated-choice.tsv";
const MDP: &str = "bundled:simulated-mdp.csv";
const ITEMS: [&str; 6] = ["hat", "shoe", "tie", "sock", "coat", "belt"];

impl Place {
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn cached(&self, name: &str) -> Dataset {
        cache::load(&self.path().join(name)).unwrap()
    }

    /// The files of a folder with their contents.
    fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.path().join(folder)).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
            .map(|(path, bytes)| (path.rsplit('/').next().unwrap().to_owned(), bytes))
            .collect();
        files.sort();
        files
    }
}

/// Sessions of two slates of three of some items. Of each the first of the alphabet is clicked,
/// which pays 2.5, but for every fourth slate, which is passed over.
fn shop(items: &[&str], sessions: usize) -> String {
    let mut log = String::from("session,step,shown,chosen,reward\n");
    for session in 0..sessions {
        for step in 0..2 {
            let number = 2 * session + step;
            let at = |place: usize| items[(number + place * (1 + number / 7 % 2)) % items.len()];
            let slate = [at(0), at(1), at(2)];
            let (chosen, reward) = match number % 4 {
                2 => ("", 0.0),
                _ => (*slate.iter().min().unwrap(), 2.5),
            };
            log += &format!("s{session},{step},{},{chosen},{reward}\n", slate.join(" "));
        }
    }
    log
}

fn click_rate(log: &Log) -> f64 {
    let clicks = log.iter().flat_map(|session| session.steps());
    clicks.filter(|step| step.choice.item().is_some()).count() as f64 / log.steps() as f64
}

/// The differences of the likelihood are eight standard errors and more.
#[test]
fn fitted_users_beat_uniform_choice_and_are_held_against_simpler_models() {
    let place = Place::new();
    let fit = ["fit", CHOICE, "--to", "users", "--device", "cpu", "--threads", "1"];
    let found = place.json(&fit);
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap();
    let users = &found["users"];
    let names: Vec<_> = found["simpler_models"].as_array().unwrap().iter().collect();
    let uniform = names[0];
    assert_eq!(uniform["name"], "uniform");
    assert!(number(users, "nll_given_click") < number(uniform, "nll_given_click") - 0.3);
    assert!(
        number(uniform, "nll_less_the_users") > 0.3 && uniform["interval"][0].as_f64() > Some(0.0)
    );
    assert!(number(users, "precision_at_1") > 0.6 && number(uniform, "precision_at_1") < 0.4);
    assert_eq!(
        names.iter().map(|of| of["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["uniform", "position", "popularity", "boosted trees"]
    );
    assert_eq!(
        found["sessions"],
        serde_json::json!({ "train": 450, "validation": 225, "test": 225 })
    );
    assert_eq!(found["grid"].as_array().unwrap().len(), 4);
    assert_eq!(found["predict_better"], serde_json::json!([]));

    // Every model is judged by the same items, of which one in each slate is clicked.
    for model in names.iter().copied().chain([users]) {
        let groups = model["calibration"].as_array().unwrap();
        let shown: f64 = groups.iter().map(|group| number(group, "shown")).sum();
        let clicks: f64 =
            groups.iter().map(|of| number(of, "shown") * number(of, "observed")).sum();
        assert!(groups.len() == 10 && (clicks - number(model, "clicks")).abs() < 1e-6, "{model}");
        assert!(shown > 3.0 * clicks && number(model, "calibration_error") < 0.1, "{model}");
    }

    // The sessions that it learned from are known again, those of the test are not among them.
    let users = Users::load(&place.path().join("users"), &Device::Cpu).unwrap();
    place.text(&["import", CHOICE, "--to", "log"]);
    let overlap = users.origin().unwrap().overlap(&place.cached("log"));
    assert_eq!(overlap.seen.iter().filter(|&&seen| seen).count(), 675);

    // One pass over the log teaches less than counting does.
    let brief = ["--model", "irecgan", "--epochs", "1", "--force"];
    let said = place.text(&[&fit[..], &brief].concat());
    assert!(
        said.contains("a simpler model predicts clicks better than these users: popularity"),
        "{said}"
    );
}

#[test]
fn the_same_seed_gives_the_same_users_and_logs_on_any_number_of_threads() {
    let place = Place::new();
    for (to, seed, threads) in [("a", "1", "1"), ("b", "1", "2"), ("c", "2", "1")] {
        let fit = ["fit", MDP, "--to", to, "--epochs", "2", "--device", "cpu"];
        place.text(&[&fit[..], &["--seed", seed, "--threads", threads]].concat());
        let log = format!("{to}.log");
        let simulate = ["simulate", "a", "--policy", "uniform", "--sessions", "600", "--to", &log];
        place.text(&[&simulate[..], &["--seed", seed, "--threads", threads]].concat());
    }
    let users = ["a", "b", "c"].map(|folder| place.files(folder));
    assert!(users[0] == users[1] && users[0] != users[2]);
    let logs = ["a.log", "b.log", "c.log"].map(|log| place.cached(log).log);
    assert!(logs[0] == logs[1] && logs[0] != logs[2]);
}

/// Users of 1,500 sessions that the simulated users of IRecGAN's paper had with random slates, in
/// which they leave where they click nothing. The log's click rate is 1 - 1 / (mean length): the
/// standard error of 750 sessions, from which is learned, is about 0.009, and that of the 4,000
/// simulated ones 0.004. So a difference of 0.035 is 3.5 standard errors, which chance exceeds in
/// one of 2,000 seeds; the seed is fixed.
#[test]
fn random_slates_are_clicked_as_often_by_the_users_as_in_their_log() {
    let place = Place::new();
    let mdp = Mdp::new(&MdpConfig::default()).unwrap();
    let random = Blind(UniformRandom { items: mdp.items() });
    let log = Rollout::new(Seed::new(5), 0..1_500, 10).run(&mdp, &random).unwrap();
    let catalogue = Catalogue::numbered(mdp.items());
    let logged = Dataset { name: "mdp".into(), log, catalogue, ..Dataset::default() };
    cache::save(&logged, &place.path().join("mdp.log")).unwrap();
    let fit = ["fit", "mdp.log", "--to", "users", "--no-features", "--epochs", "10"];
    let fitted = place.json(&[&fit[..], &["--device", "cpu", "--threads", "1"]].concat());
    assert_eq!(fitted["grid"].as_array().unwrap().len(), 2);
    assert!(fitted["chosen"].as_str().unwrap().contains("without context features"), "{fitted}");
    let simulate = ["simulate", "users", "--policy", "uniform", "--sessions", "4000"];
    let said = place.json(&[&simulate[..], &["--to", "new.log"]].concat());
    let simulated = place.cached("new.log");
    assert_eq!((&said["steps"], &said["to"]), (&simulated.log.steps().into(), &"new.log".into()));
    let [there, here] = [&logged.log, &simulated.log].map(click_rate);
    assert!((there - here).abs() < 0.035, "logged {there}, simulated {here}");
    // The few that would be longer than the longest of the log are cut.
    let lengths = |log: &Log| log.iter().map(|session| session.len()).max().unwrap();
    assert!(lengths(&simulated.log) <= lengths(&logged.log));
    let left = simulated.log.iter().filter(|session| session.left()).count();
    assert!(left > 3_900, "{left} of 4000 left");
    assert_eq!(simulated.catalogue.names(), logged.catalogue.names());

    // It is a log like any other.
    let described = place.text(&["describe", "new.log"]);
    assert!(described.contains("propensities are given for each place"), "{described}");
    let judged = place.text(&["judge", "--log", "new.log", "--policy", "uniform"]);
    assert!(judged.contains("verdict: uniform"), "{judged}");
}

#[test]
fn policies_play_by_raw_ids_and_users_pay_in_the_unit_of_their_log() {
    let place = Place::new();
    place.write("log.csv", &shop(&ITEMS, 120));
    place.text(&["fit", "log.csv", "--to", "users", "--epochs", "20", "--device", "cpu"]);
    // The same items in another order, of which one is not known to this recommender.
    let few: Vec<&str> = ITEMS[1..].iter().rev().copied().collect();
    place.write("few.csv", &shop(&few, 40));
    place.text(&["train", "few.csv", "--to", "policy", "--method", "popularity"]);
    let simulate = |policy: &str, to: &str, more: &[&str]| {
        let output = place.run(
            &[&["simulate", "users", "--policy", policy, "--sessions", "300", "--to", to], more]
                .concat(),
        );
        assert!(output.status.success(), "{output:?}");
        (place.cached(to), String::from_utf8(output.stderr).unwrap())
    };
    let (top, said) = simulate("policy,act=top", "top.log", &["-k", "2"]);
    assert!(
        said.contains("does not know 1 of the users' 6 items") && said.contains("hat"),
        "{said}"
    );
    let steps = || top.log.iter().flat_map(|session| session.steps());
    // The alphabet decides what is clicked most.
    let shown: BTreeSet<&str> =
        steps().flat_map(|step| step.slate.to_vec()).map(|item| top.catalogue.raw(item)).collect();
    assert_eq!(shown, BTreeSet::from(["belt", "coat"]));
    assert!(steps().all(|step| step.propensity == Some(&[1.0, 1.0])));
    for step in steps() {
        let pays = if let Choice::Item(_) = step.choice { 2.5 } else { 0.0 };
        assert_eq!(step.reward, pays);
    }
    assert!(top.log.iter().all(|session| session.len() <= 2));

    // ε-greedy: each of the two orders has its chance, and that is logged.
    let acting = "popularity,act=top,epsilon=0.5";
    let (mixed, _) = simulate(acting, "mixed.log", &["--log", "log.csv"]);
    let slates = mixed.log.iter().flat_map(|session| session.steps());
    let chances: Vec<f32> =
        slates.map(|step| step.propensity.unwrap().iter().product::<f32>()).collect();
    let uniform = 0.5 / 120.0;
    let (mut others, mut own) = (0, 0);
    for chance in chances {
        let [is_other, is_own] = [uniform, 0.5 + uniform].map(|p| (chance - p).abs() < 1e-5);
        assert!(is_other != is_own, "{chance}");
        (others, own) = (others + usize::from(is_other), own + usize::from(is_own));
    }
    assert!(others > 100 && own > 100, "{others} and {own}");
}

/// The mean reward of the clicks on an item, or on the others.
fn paid(dataset: &Dataset, item: &str, by_item: bool) -> f64 {
    let steps = dataset.log.iter().flat_map(|session| session.steps());
    let of = |choice: Choice| choice.item().is_some_and(|id| dataset.catalogue.raw(id) == item);
    let rewards: Vec<f64> = steps
        .filter(|step| step.choice.item().is_some() && of(step.choice) == by_item)
        .map(|step| f64::from(step.reward))
        .collect();
    assert!(rewards.len() > 50, "{}", rewards.len());
    rewards.iter().sum::<f64>() / rewards.len() as f64
}

#[test]
fn users_of_irecgan_pay_any_rewards_in_the_unit_of_the_log() {
    let place = Place::new();
    let simulated = |log: &str, epochs: &str| {
        let fit = ["fit", log, "--to", "users", "--model", "irecgan", "--device", "cpu"];
        let said = place.run(&[&fit[..], &["--epochs", epochs, "--force"]].concat());
        assert!(said.status.success(), "{said:?}");
        let simulate = ["simulate", "users", "--policy", "uniform", "--sessions", "400"];
        place.text(&[&simulate[..], &["--to", "new.log", "--force"]].concat());
        (place.cached("new.log"), String::from_utf8(said.stderr).unwrap())
    };
    // Every click pays 2.5: a purchase of this price.
    place.write("price.csv", &shop(&ITEMS, 200));
    let (dataset, _) = simulated("price.csv", "10");
    let steps = || dataset.log.iter().flat_map(|session| session.steps());
    assert!(steps().all(|step| step.reward == 0.0 || step.reward == 2.5));
    assert!((paid(&dataset, "belt", false) - 2.5).abs() < 0.25);
    // One item is a loss, in all orders of two slates. What slates that are passed over pay is not
    // learned.
    let mut log = String::from("session,step,shown,chosen,reward\n");
    for session in 0..432 {
        for (step, start) in [session % 6, session / 6 % 6].into_iter().enumerate() {
            let slate = [0, 1, 2].map(|place| ITEMS[(start + place) % 6]);
            let (chosen, reward) = match *slate.iter().min().unwrap() {
                _ if session % 4 == 0 && step == 0 => ("", 7),
                "belt" => ("belt", -40),
                item => (item, 120),
            };
            log += &format!("s{session},{step},{},{chosen},{reward}\n", slate.join(" "));
        }
    }
    place.write("amounts.csv", &log);
    let (dataset, said) = simulated("amounts.csv", "40");
    assert!(said.contains("slates have a reward although nothing was chosen"), "{said}");
    let (belt, others) = (paid(&dataset, "belt", true), paid(&dataset, "belt", false));
    assert!((belt + 40.0).abs() < 8.0 && (others - 120.0).abs() < 8.0, "{belt} {others}");
}

#[test]
fn what_cannot_be_learned_from_is_refused_and_nothing_is_written() {
    let place = Place::new();
    let header = "session,step,shown,chosen,reward\n";
    place.write("none.csv", &format!("{header}a,0,x y,,0\nb,0,x y,,0\nc,0,y x,,0\n"));
    place.write("few.csv", &format!("{header}a,0,x y,x,1\nb,0,x y,y,1\n"));
    place.write("shop.csv", &shop(&ITEMS, 40));
    let said =
        place.run(&["fit", "shop.csv", "--to", "irecgan", "--model", "irecgan", "--epochs", "1"]);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("20 of 80 slates without a click are left out"), "{said}");
    for (log, expected) in
        [("none.csv", "no item is ever chosen"), ("few.csv", "2 sessions are too few")]
    {
        let said = place.fails(1, &["fit", log, "--to", "users"]);
        assert!(said.contains(expected), "{said}");
        assert!(!place.path().join("users").exists());
    }
    for option in ["--no-features", "--no-place"] {
        let said = place.fails(2, &["fit", MDP, "--to", "users", "--model", "irecgan", option]);
        assert!(said.contains("has no effect"), "{said}");
    }
}

#[test]
fn users_replace_users_if_that_is_asked_for_and_nothing_else() {
    let place = Place::new();
    let fit = ["fit", MDP, "--to", "users", "--epochs", "1", "--no-features", "--device", "cpu"];
    place.text(&fit);
    let before = place.files("users");
    assert!(place.fails(1, &fit).contains("--force"));
    assert_eq!(place.files("users"), before);
    place.text(&[&fit[..], &["--force", "--seed", "1"]].concat());
    assert_ne!(place.files("users"), before);
    place.text(&["train", MDP, "--to", "policy", "--method", "popularity"]);
    for [command, to] in [["fit", "policy"], ["train", "users"]] {
        let said = place.fails(1, &[command, MDP, "--to", to, "--force"]);
        assert!(said.contains("contains other things"), "{said}");
    }
}

#[test]
fn a_place_that_gives_the_click_away_is_left_out_and_that_is_said() {
    let place = Place::new();
    let mut log = String::from("session,step,shown,chosen,reward\n");
    for session in 0..160 {
        let [a, b, c] = [0, 1, 2].map(|place| ITEMS[(session + place) % 6]);
        log += &format!("s{session},0,{a} {b} {c},{c},1\n");
    }
    place.write("log.csv", &log);
    let fit = ["fit", "log.csv", "--to", "users", "--epochs", "1", "--device", "cpu", "--json"];
    let output = place.run(&fit);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the place is not given to the users"), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!found["grid"].to_string().contains("the place"), "{found}");
}

#[test]
fn what_cannot_be_played_is_refused_by_name_and_nothing_is_written() {
    let place = Place::new();
    place.write("log.csv", &shop(&ITEMS, 40));
    place.write("glove.csv", &shop(&["glove", "hat", "shoe", "tie", "sock", "scarf"], 40));
    place.text(&["fit", "log.csv", "--to", "users", "--epochs", "1", "--no-features"]);
    place.text(&["train", "glove.csv", "--to", "policy", "--method", "random"]);
    for (policy, more, expected) in [
        ("policy", &[][..], "2 items that the users never saw, so their response"),
        ("policy", &[], "glove, scarf"),
        ("popularity", &["--log", "glove.csv"], "glove, scarf"),
        ("popularity", &[], "name one with --log"),
        ("uniform", &["--log", "log.csv"], "--log is the log in which popularity counts"),
        ("logger", &[], "is not known"),
        ("log.csv", &[], "cannot be simulated"),
        ("nowhere", &[], "nowhere"),
        ("uniform", &["-k", "7"], "can show these users only 6 items"),
    ] {
        let simulate = ["simulate", "users", "--sessions", "5", "--to", "new.log", "--policy"];
        let said = place.fails(1, &[&simulate[..], &[policy], more].concat());
        assert!(said.contains(expected), "{said}");
        assert!(!place.path().join("new.log").exists());
    }
    let simulate = ["simulate", "policy", "--sessions", "5", "--policy", "uniform", "--to"];
    assert!(
        place.fails(1, &[&simulate[..], &["new.log"]].concat()).contains("expected learned users")
    );
    let simulate = ["simulate", "users", "--sessions", "5", "--policy", "uniform", "--to"];
    assert!(place.fails(1, &[&simulate[..], &["log.csv"]].concat()).contains("--force"));
}

/// Starts a fit, and stops it by Ctrl-C once `ready` holds of its process and its folder.
#[cfg(target_os = "linux")]
fn stopped(place: &Place, fit: &[&str], ready: impl Fn(u32) -> bool) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    program.args(fit).current_dir(place.path()).stderr(std::process::Stdio::piped());
    let running = program.spawn().unwrap();
    while !ready(running.id()) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(
        Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success()
    );
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    said
}

/// A process that catches SIGINT, number 2, has begun its first fit.
#[test]
#[cfg(target_os = "linux")]
fn a_fit_that_is_stopped_in_its_first_settings_writes_nothing() {
    let place = Place::new();
    let fit = ["fit", MDP, "--to", "users", "--epochs", "100000", "--device", "cpu"];
    let said = stopped(&place, &fit, |pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
    });
    assert!(said.contains("nothing is kept") && !place.path().join("users").exists(), "{said}");
}

/// The kept fits of a folder.
fn kept(users: &Path) -> bool {
    let entries = fs::read_dir(users).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.join("latest.json").exists())
}

#[test]
#[cfg(target_os = "linux")]
fn a_fit_that_is_stopped_later_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let fit =
        |to, seed| ["fit", MDP, "--to", to, "--epochs", "200", "--device", "cpu", "--seed", seed];
    let files = |of: &str| -> BTreeMap<_, _> {
        let entries = fs::read_dir(place.path().join(of)).unwrap().map(Result::unwrap);
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
    };
    place.text(&fit("whole", "1"));
    let users = place.path().join("users");
    let said = stopped(&place, &fit("users", "1"), |_| kept(&users));
    assert!(said.contains("run the same command again"), "{said}");
    assert!(place.fails(1, &fit("users", "2")).contains("another log or other settings"));
    let output = place.run(&fit("users", "1"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("continuing after"), "{said}");
    assert_eq!(files("users"), files("whole"));
}
