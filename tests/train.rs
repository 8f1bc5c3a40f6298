//! Recommenders of every method from a log of one's own, and in learned users: `foretaste train`.

#[path = "common/place.rs"]
mod place;

use std::fs;

use candle_core::Device;
use foretaste_data::{Dataset, cache};
use foretaste_recommender::{Recommender, Users};
use serde_json::Value;

use self::place::Place;

const CHOICE: &str = "bundled:simulated-choice.tsv";
const MDP: &str = "bundled:simulated-mdp.csv";

impl Place {
    /// Both outputs of a command that must succeed.
    fn said(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    fn imported(&self, log: &str) -> Dataset {
        self.said(&["import", log, "--to", "imported.log", "--force"]);
        cache::load(&self.path().join("imported.log")).unwrap()
    }

    fn recommender(&self, name: &str) -> Recommender {
        Recommender::load(&self.path().join(name), &Device::Cpu).unwrap()
    }
}

/// Every method with options that keep it small.
const METHODS: [(&str, &[&str]); 12] = [
    ("irecgan", &["--epochs", "1", "--adversarial", "1", "--hidden", "8"]),
    ("pg", &["--epochs", "1", "--hidden", "8"]),
    ("lstm", &["--epochs", "1", "--hidden", "8"]),
    ("cdqn", &["--epochs", "1", "--iterations", "3", "--hidden", "8"]),
    ("gdqn", &["--epochs", "1", "--iterations", "3", "--hidden", "8"]),
    ("greedy", &["--epochs", "1"]),
    ("assortment", &["--epochs", "1"]),
    ("wide-deep", &[]),
    ("trees", &[]),
    ("linucb", &["--epochs", "1", "--iterations", "3"]),
    ("popularity", &[]),
    ("random", &[]),
];

#[test]
fn every_method_learns_from_both_bundled_logs_recommends_and_is_judged() {
    let place = Place::new();
    for (method, small) in METHODS {
        for (log, sessions, all) in [(MDP, 125, 250), (CHOICE, 450, 900)] {
            let train = ["train", log, "--to", method, "--method", method, "--force"];
            let trained = place.json(&[&train[..], small, &["--device", "cpu"]].concat());
            let learned = if method == "random" { 0 } else { sessions };
            assert_eq!(
                (&trained["sessions"], &trained["of_sessions"]),
                (&learned.into(), &all.into()),
                "{method}"
            );
            let item =
                place.recommender(method).catalogue().raw(foretaste_data::ItemId(3)).to_owned();
            let place_of = format!("./{method}");
            let asked = ["recommend", &place_of, "--history", &item, "-k", "5"];
            let shown = place.json(&asked);
            assert_eq!(shown["items"].as_array().unwrap().len(), 5, "{method}: {shown}");
            if log == MDP {
                let judged = place.json(&["judge", "--log", MDP, "--policy", &place_of]);
                // Random learned from none of them.
                let slates = if method == "random" { 767 } else { 384 };
                assert_eq!(judged["slates"], slates, "{method}");
                assert_eq!(judged["policies"][0]["users"], Value::Null);
            }
        }
    }
}

#[test]
fn who_learns_in_given_users_learned_from_their_sessions() {
    let place = Place::new();
    place.said(&["fit", MDP, "--to", "users", "--epochs", "2", "--device", "cpu"]);
    let train = |method: &str, more: &[&str]| {
        let train = ["train", MDP, "--to", method, "--method", method, "--users", "users"];
        place.said(&[&train[..], &["--device", "cpu", "--percent", "20"], more].concat()).0
    };
    let dataset = place.imported(MDP);
    let users = Users::load(&place.path().join("users"), &Device::Cpu).unwrap();
    let seen = users.origin().unwrap().overlap(&dataset).seen;
    for (method, small) in [
        ("cdqn", &["--iterations", "3", "--hidden", "8"][..]),
        ("gdqn", &["--iterations", "3", "--hidden", "8", "-k", "4"]),
        ("linucb", &["--iterations", "3"]),
        ("greedy", &[]),
        ("assortment", &[]),
    ] {
        let said = train(method, small);
        assert!(said.contains("learned in users who learned from 187 sessions"), "{said}");
        let recommender = place.recommender(method);
        assert_eq!(recommender.origin().unwrap().overlap(&dataset).seen, seen, "{method}");
    }
    // The usual slate of the log has ten items.
    let of = |method: &str| place.recommender(method).settings()["k"].clone();
    assert_eq!([of("cdqn"), of("gdqn"), of("linucb")], [10, 4, 10]);

    // It is the users who are learned in: others make another recommender.
    let digest = |name: &str| {
        let text = fs::read_to_string(place.path().join(name).join("recommender.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["tensors"].clone()
    };
    let before = digest("greedy");
    train("greedy", &["--force"]);
    assert_eq!(digest("greedy"), before);
    let fit = ["fit", MDP, "--to", "users", "--epochs", "2", "--device", "cpu", "--force"];
    place.said(&[&fit[..], &["--seed", "7"]].concat());
    train("greedy", &["--force"]);
    assert_ne!(digest("greedy"), before);
}

#[test]
fn users_that_make_no_sense_are_refused_and_nothing_is_written() {
    let place = Place::new();
    place.said(&["fit", MDP, "--to", "users", "--epochs", "1", "--device", "cpu"]);
    place.said(&["train", MDP, "--to", "policy", "--method", "popularity"]);
    let train = |method: &'static str, log: &'static str, users: &'static str| {
        ["train", log, "--to", "new", "--method", method, "--users", users]
    };
    let refused = place.fails(1, &train("cdqn", CHOICE, "users"));
    assert!(refused.contains("items that the users never saw"), "{refused}");
    let refused = place.fails(1, &train("cdqn", MDP, "policy"));
    assert!(refused.contains("contains a recommender, expected learned users"), "{refused}");
    let refused = place.fails(2, &train("trees", MDP, "users"));
    assert!(refused.contains("--users has no effect with --method trees"), "{refused}");
    let refused = place.fails(2, &["train", MDP, "--to", "new", "--method", "greedy", "-k", "3"]);
    assert!(refused.contains(" -k has no effect with --method greedy"), "{refused}");
    // A log that lacks an item which the users know.
    let log: Vec<String> = (0..8).map(|at| format!("s{at},0,{} {},{at},1", at, at + 1)).collect();
    let log = format!("session,step,shown,chosen,reward\n{}\n", log.join("\n"));
    fs::write(place.path().join("few.csv"), log).unwrap();
    let refused = place.fails(1, &train("cdqn", "few.csv", "users"));
    assert!(refused.contains("items that the log few does not have"), "{refused}");
    assert!(!place.path().join("new").exists());
}

/// Of 5,000 sessions of one slate of three of forty items, of which the second is clicked.
fn clicks() -> String {
    let mut log = String::from("session,step,shown,chosen,reward\n");
    for session in 0..5_000 {
        let [a, b, c] = [session % 40, (session * 7 + 1) % 40, (session * 3 + 2) % 40];
        if a != b && b != c && a != c {
            log += &format!("s{session},0,i{a} i{b} i{c},i{b},1\n");
        } else {
            log += &format!("s{session},0,i{a} i{} i{},,0\n", (a + 1) % 40, (a + 2) % 40);
        }
    }
    log
}

#[test]
fn what_was_used_of_a_log_is_said_and_little_is_a_warning() {
    let place = Place::new();
    fs::write(place.path().join("log.csv"), clicks()).unwrap();
    let train = |method: &str, more: &[&str]| {
        let train = ["train", "log.csv", "--to", method, "--method", method, "--force"];
        place.said(&[&train[..], more].concat())
    };
    let (said, warned) = train("popularity", &["--percent", "1"]);
    assert!(said.starts_with("learned from 50 of 5,000 sessions; written to"), "{said}");
    assert!(warned.contains("learned from 50 of 5,000 sessions, less than a tenth"), "{warned}");
    assert!(warned.contains("fewer than 100"), "{warned}");
    let (said, warned) = train("popularity", &["--percent", "40"]);
    assert!(said.starts_with("learned from 2,000 of 5,000 sessions"), "{said}");
    assert!(!warned.contains("a tenth") && !warned.contains("fewer than"), "{warned}");
    let (said, warned) = train("random", &[]);
    assert!(said.starts_with("learned from 0 of 5,000"), "{said}");
    assert!(!warned.contains("warning"), "{warned}");
}

/// The agents are paid what the log says, U learns what a click pays, the others learn from clicks,
/// and learned users pay what the log does.
#[test]
fn any_rewards_are_taken() {
    let place = Place::new();
    let pays = |row: (usize, &str)| row.1.replace(",1", [",2.5", ",-0.5"][row.0 % 2]);
    let log: Vec<String> = clicks().lines().take(400).enumerate().map(pays).collect();
    fs::write(place.path().join("paid.csv"), log.join("\n")).unwrap();
    for (method, small) in METHODS {
        let train = ["train", "paid.csv", "--to", method, "--method", method, "--device", "cpu"];
        drop(place.said(&[&train[..], small].concat()));
    }
}

#[test]
fn a_context_that_no_model_reads_is_said_to_be_unused() {
    let place = Place::new();
    let (mut with, mut without) = (String::new(), String::new());
    for (row, line) in clicks().lines().take(400).enumerate() {
        let device = if row == 0 { "context_device" } else { ["phone", "desktop"][row % 2] };
        with += &format!("{line},{device}\n");
        without += &format!("{line}\n");
    }
    fs::write(place.path().join("with.csv"), with).unwrap();
    fs::write(place.path().join("without.csv"), without).unwrap();
    let expected = "the context of the steps (device) is not used";
    let small = ["--to", "out", "--force", "--epochs", "1", "--device", "cpu"];
    for command in [&["train", "--method", "pg", "--hidden", "8"][..], &["fit", "--no-features"]] {
        for (log, said) in [("with.csv", true), ("without.csv", false)] {
            let (_, warned) = place.said(&[command, &[log], &small].concat());
            assert_eq!(warned.contains(expected), said, "{command:?} {log}: {warned}");
        }
        fs::remove_dir_all(place.path().join("out")).unwrap();
    }
    let json = place.json(&[&["train", "with.csv", "--method", "pg"][..], &small].concat());
    let warnings = json["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning.as_str().unwrap().starts_with(expected)));
}

/// After one epoch an agent draws its slates as it did before any, when all items are alike to it;
/// a clear favorite is another thing.
#[test]
fn an_agent_whose_slates_are_nearly_uniform_is_said_to_be_so() {
    let place = Place::new();
    let quick = ["--epochs", "1", "--hidden", "8", "--device", "cpu"];
    let train = ["train", MDP, "--to", "pg", "--method", "pg"];
    let (_, warned) = place.said(&[&train[..], &quick].concat());
    assert!(warned.contains("nearly uniform") && warned.contains("act=top"), "{warned}");
    let trained = place.json(&[&train[..], &quick, &["--force"]].concat());
    let of = |key: &str| trained["first_place"][key].as_f64().unwrap();
    assert_eq!((of("of_uniform"), of("histories")), (50f64.ln(), 125.0));
    assert!(of("entropy") > 0.98 * 50f64.ln() && of("entropy") <= 50f64.ln() + 1e-9);
    let warnings = trained["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|of| of.as_str().unwrap().contains("uniform")), "{trained}");

    // Nine clicks in ten are on one item.
    let mut log = String::from("session,step,shown,chosen,reward\n");
    for session in 0..400 {
        let [first, chosen] =
            [session % 19 + 1, if session % 10 == 0 { session % 19 + 1 } else { 0 }];
        log += &format!("s{session},0,i{first} i0,i{chosen},1\n");
    }
    fs::write(place.path().join("clear.csv"), log).unwrap();
    let clear = place.json(&["train", "clear.csv", "--to", "clear", "--method", "popularity"]);
    assert_eq!(clear["warnings"], serde_json::json!([]), "{clear}");
    assert!(clear["first_place"]["entropy"].as_f64().unwrap() < 0.7 * 20f64.ln(), "{clear}");
    let random = place.json(&["train", "clear.csv", "--to", "random", "--method", "random"]);
    assert_eq!(random["first_place"], Value::Null);
}
