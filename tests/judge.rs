//! A recommender from a log of one's own, judged by its propensities: `foretaste train` and
//! `foretaste judge`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
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
    assert!(said.contains("100 of 200 slates have a reward although nothing was chosen"), "{said}");
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
    // be distinguished.
    let money: Vec<String> = rows.iter().map(|row| row.replace(",1,0.16", ",-3.5,0.16")).collect();
    let money = write("money.csv", &money.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(succeeds(evaluate(&money, &policy, &[])).contains("40 slates in 20 sessions"));
    let renamed: Vec<String> = rows[2..].iter().map(|row| format!("x{row}")).collect();
    let renamed = write("renamed.csv", &renamed.iter().map(String::as_str).collect::<Vec<_>>());
    let judged = evaluate(&renamed, &policy, &[]);
    assert!(
        String::from_utf8_lossy(&judged.stderr)
            .contains("180 sessions have the same slates and choices"),
        "{judged:?}"
    );
}

#[test]
fn a_large_log_is_judged_by_sessions_that_the_seed_draws() {
    let temp = TempDir::new().unwrap();
    let log = temp.path().join("log.csv").to_str().unwrap().to_owned();
    fs::write(&log, single_rows(false).0).unwrap();
    let judged = |more: &[&str]| {
        let output = evaluate(&log, "uniform", more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let reward = json(foretaste(
            &[&["judge", &log, "--policy", "uniform", "--json"], more].concat(),
        ))["logger"]["reward_per_slate"]
            .as_f64()
            .unwrap();
        (succeeds(output), said, reward)
    };
    let (all, said, _) = judged(&[]);
    assert!(
        all.contains("30 slates in 30 sessions") && !said.contains("drawn at random"),
        "{said}"
    );
    let (some, said, earned) = judged(&["--most-sessions", "7", "--seed", "1"]);
    assert!(some.contains("7 slates in 7 sessions"), "{some}");
    assert!(said.contains("judged by 7 of these 30 sessions"), "{said}");
    assert_eq!(judged(&["--most-sessions", "7", "--seed", "1"]).0, some);
    let others = |seed: &str| judged(&["--most-sessions", "7", "--seed", seed]).2;
    assert!(["2", "3", "4", "5"].iter().any(|seed| others(seed) != earned));
    // A file of anyone's slates may cover sessions that are not drawn.
    let slates = temp.path().join("slates.csv").to_str().unwrap().to_owned();
    let rows: Vec<String> = (0..30).map(|session| format!("v{session},0,tea")).collect();
    fs::write(&slates, format!("session,step,slate\n{}\n", rows.join("\n"))).unwrap();
    let said = succeeds(evaluate(&log, &slates, &["--most-sessions", "7", "--seed", "1"]));
    assert!(said.contains("7 slates in 7 sessions"), "{said}");
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

/// The log's policy chooses tea, mug and jam in 5, 3 and 2 of 10 rows; some of them earn 1. A third
/// of all is jam in the judged policy: weights 0.4, 2/3 and 3.
fn single_rows(all_earn: bool) -> (String, &'static str) {
    let mut log = String::from("session,step,shown,chosen,reward,propensity\n");
    for session in 0..30 {
        let (item, propensity) = [("tea", 0.5), ("mug", 0.3), ("jam", 0.2)]
            [[0, 0, 1, 0, 2, 1, 0, 2, 1, 0][session % 10]];
        let earns = all_earn || session % 7 < 3;
        let (chosen, reward) = if earns { (item, 1) } else { ("", 0) };
        log += &format!("v{session},0,{item},{chosen},{reward},{propensity}\n");
    }
    (log, "place,before,item,prob\n0,,tea,0.2\n0,,mug,0.2\n0,,jam,0.6\n")
}

/// The answer as JSON.
fn json(output: Output) -> Value {
    serde_json::from_str(&succeeds(output)).unwrap()
}

fn number(of: &Value) -> f64 {
    of.as_f64().unwrap_or_else(|| panic!("{of}"))
}

/// The estimate of this name of the policy at this place.
fn estimate<'a>(judged: &'a Value, policy: usize, name: &str) -> &'a Value {
    let estimators = judged["policies"][policy]["estimators"].as_array().unwrap();
    estimators.iter().find(|of| of["estimator"] == name).unwrap_or_else(|| panic!("{name}"))
}

/// In the shape of a public report (st-tech/zr-obp #187): the interval of SNIPS is that of a ratio,
/// by hand from the sums below; where all rows earn 1 it is 1 and has no error at all.
#[test]
fn snips_has_the_standard_error_of_a_ratio() {
    let temp = TempDir::new().unwrap();
    let place = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    for all_earn in [false, true] {
        let (log, policy) = single_rows(all_earn);
        fs::write(place("log.csv"), &log).unwrap();
        fs::write(place("policy.csv"), policy).unwrap();
        let judged = json(evaluate(&place("log.csv"), &place("policy.csv"), &["--json"]));
        let rows: Vec<(f64, f64)> = log
            .lines()
            .skip(1)
            .map(|row| {
                let fields: Vec<&str> = row.split(',').collect();
                let weight = match fields[2] {
                    "tea" => 0.2 / 0.5,
                    "mug" => 0.2 / 0.3,
                    _ => 0.6 / 0.2,
                };
                (weight, fields[4].parse::<f64>().unwrap())
            })
            .collect();
        let n = rows.len() as f64;
        let mean = rows.iter().map(|(w, _)| w).sum::<f64>() / n;
        let ips = rows.iter().map(|(w, r)| w * r).sum::<f64>() / n;
        let ratio = ips / mean;
        let squares: f64 = rows.iter().map(|(w, r)| (w * (r - ratio) / mean).powi(2)).sum();
        let error = (squares / n / (n - 1.0)).sqrt();
        let near = |found: &Value, expected: f64| {
            assert!((number(found) - expected).abs() < 1e-6, "{found}, {expected}");
        };
        near(&estimate(&judged, 0, "IPS")["reward_per_slate"], ips);
        near(&estimate(&judged, 0, "SNIPS")["reward_per_slate"], ratio);
        near(&estimate(&judged, 0, "SNIPS")["standard_error"], error);
        near(&judged["policies"][0]["overlap"]["mean_weight"], mean);
        assert_eq!(all_earn, error == 0.0 && ratio == 1.0);
    }
}

/// In the shape of a public report (VowpalWabbit #3795): users read from the top and stop at a
/// click (1/2 for a, 1/4 for b, 3/4 for c). The log is a whole population: 256 slates, each and
/// each click as often as it comes. So what is unbiased hits the truth, at every place.
#[test]
fn ratios_are_multiplied_from_the_top() {
    let (items, clicks) = (["a", "b", "c"], [(1, 2), (1, 4), (3, 4)]);
    // The log: a, b and c first with 1/2, 1/4, 1/4, then the others alike.
    let logging = [0.5, 0.25, 0.25];
    let table = "place,before,item,prob\n0,,a,0.1\n0,,b,0.2\n0,,c,0.7\n1,a,b,0.25\n1,a,c,0.75\n\
                 1,b,a,0.4\n1,b,c,0.6\n1,c,a,0.9\n1,c,b,0.1\n";
    let policy = |first: usize, second: usize| -> [f64; 2] {
        let after = [[0.0, 0.25, 0.75], [0.4, 0.0, 0.6], [0.9, 0.1, 0.0]];
        [[0.1, 0.2, 0.7][first], after[first][second]]
    };
    let mut log = String::from("session,step,shown,chosen,reward,propensity\n");
    let (mut truth, mut number_of) = ([0.0, 0.0], 0);
    for first in 0..3 {
        for second in (0..3).filter(|&second| second != first) {
            let [p, q] =
                [first, second].map(|item| f64::from(clicks[item].0) / f64::from(clicks[item].1));
            let [one, two] = policy(first, second);
            truth[0] += one * two * p;
            truth[1] += one * two * (1.0 - p) * q;
            let slates = (256.0 * logging[first] * 0.5) as u32;
            for (chosen, share) in
                [(items[first], p), (items[second], (1.0 - p) * q), ("", (1.0 - p) * (1.0 - q))]
            {
                for _ in 0..(f64::from(slates) * share).round() as u32 {
                    let reward = u8::from(!chosen.is_empty());
                    let shown = format!("{} {}", items[first], items[second]);
                    log += &format!(
                        "h{number_of},0,{shown},{chosen},{reward},{} 0.5\n",
                        logging[first]
                    );
                    number_of += 1;
                }
            }
        }
    }
    assert_eq!(number_of, 256);
    let temp = TempDir::new().unwrap();
    let place = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    fs::write(place("log.csv"), log).unwrap();
    fs::write(place("policy.csv"), table).unwrap();
    let judged = json(evaluate(&place("log.csv"), &place("policy.csv"), &["--json"]));
    let total: f64 = truth.iter().sum();
    for name in ["IPS, whole slates", "RIPS, read from the top"] {
        let found = estimate(&judged, 0, name);
        assert!((number(&found["reward_per_slate"]) - total).abs() < 1e-6, "{found}");
        for (found, expected) in found["by_place"].as_array().unwrap().iter().zip(truth) {
            assert!((number(found) - expected).abs() < 1e-6, "{name}: {found}, {expected}");
        }
    }
    for name in ["SNIPS, whole slates", "DR, whole slates", "cascade-DR, read from the top"] {
        let found = number(&estimate(&judged, 0, name)["reward_per_slate"]);
        assert!((found - total).abs() < 1e-6, "{name}: {found}, {total}");
    }
    assert!((total - 1339.0 / 1600.0).abs() < 1e-12, "{total}");
}

/// In the shape of a public report (VowpalWabbit #1696): a policy that never does what the log
/// shows is worth what the model of the rewards says, and that is said; one that does so in half of
/// its slates is flagged by its mean weight and by what the log never shows.
#[test]
fn what_the_log_never_shows_is_marked_and_nothing_is_divided_by_it() {
    let temp = TempDir::new().unwrap();
    let place = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let mut log = String::from("session,step,shown,chosen,reward,propensity\n");
    for session in 0..12 {
        let (item, propensity) = if session % 4 == 1 { ("x", 0.25) } else { ("y", 0.75) };
        let (chosen, reward) = if session % 3 == 0 { (item, 1) } else { ("", 0) };
        log += &format!("n{session},0,{item},{chosen},{reward},{propensity}\n");
    }
    fs::write(place("log.csv"), log).unwrap();
    fs::write(place("model.csv"), "item,expected_reward\nx,0.3\ny,0.5\nz,0.4\n").unwrap();
    fs::write(place("never.csv"), "place,before,item,prob\n0,,z,1\n").unwrap();
    fs::write(place("half.csv"), "place,before,item,prob\n0,,y,0.5\n0,,z,0.5\n").unwrap();
    let both = ["--policy", &place("half.csv"), "--reward-model", &place("model.csv"), "--json"];
    let judged = json(evaluate(&place("log.csv"), &place("never.csv"), &both));
    let value =
        |policy: usize, name: &str| number(&estimate(&judged, policy, name)["reward_per_slate"]);
    assert_eq!(value(0, "IPS"), 0.0);
    for name in ["DM", "DR", "DR clipped at 10"] {
        assert!((value(0, name) - 0.4).abs() < 1e-9);
    }
    for name in ["IPS", "DR"] {
        assert!(estimate(&judged, 0, name)["mark"].as_str().unwrap().contains("all weights are 0"));
    }
    let left_out = judged["policies"][0]["left_out"].as_array().unwrap();
    for name in ["SNIPS", "SNDR"] {
        let why = left_out.iter().find(|of| of["estimator"] == name).unwrap();
        assert!(why["reason"].as_str().unwrap().starts_with("undefined (0/0)"));
    }
    // Nine rows of y weigh 2/3, of which three earn 1.
    for (name, expected) in [
        ("IPS", 3.0 * 2.0 / 3.0 / 12.0),
        ("SNIPS", 1.0 / 3.0),
        ("DM", 0.45),
        ("DR", 0.45 + 2.0 / 3.0 * (3.0 * 0.5 - 6.0 * 0.5) / 12.0),
        ("SNDR", 0.45 + (3.0 * 0.5 - 6.0 * 0.5) / 9.0),
    ] {
        assert!((value(1, name) - expected).abs() < 1e-6, "{name}: {}", value(1, name));
    }
    for (policy, share) in [(0, 1.0), (1, 0.5)] {
        let of = &judged["policies"][policy];
        assert_eq!(of["verdict"], "do not decide by this log");
        assert_eq!(of["overlap"]["share_of_places_never_shown"], share);
        assert!((number(&of["overlap"]["mean_weight"]) - (1.0 - share)).abs() < 1e-6);
    }
    // Without the model nothing is known of z.
    let refused = fails(evaluate(&place("log.csv"), &place("half.csv"), &[]));
    assert!(refused.contains("half.csv:3: item: expected an item that the log"), "{refused}");
    let never = place("never.csv");
    let counted = ["--unknown-items", "drop-steps", "--policy", &never, "--json"];
    let judged = json(evaluate(&place("log.csv"), &place("half.csv"), &counted));
    for (policy, share) in [(0, 0.5), (1, 1.0)] {
        let of = &judged["policies"][policy];
        assert_eq!(of["overlap"]["share_of_places_never_shown"], share);
        assert!(of["notes"][0].as_str().unwrap().contains("does not have 1 of its items"), "{of}");
        // q̂ knows nothing of z.
        assert!(of["left_out"].as_array().unwrap().iter().any(|of| of["estimator"] == "DM"));
    }
}

/// A uniform log of 3,000 sessions in which item `hat` earns 0.5 a slate and all others 0.1: who
/// shows it always, mostly, and never, compared with the logger, by any number of threads.
#[test]
fn policies_are_compared_with_the_logger_and_with_each_other() {
    let temp = TempDir::new().unwrap();
    let place = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let mut log = String::from("session,step,shown,chosen,reward,propensity\n");
    for session in 0..3_000 {
        let item = ITEMS[session % 6];
        let of = (session / 6) % 10;
        let earns = if item == "hat" { of < 5 } else { of < 1 };
        let (chosen, reward) = if earns { (item, 1) } else { ("", 0) };
        log += &format!("s{session},0,{item},{chosen},{reward},0.16666667\n");
    }
    fs::write(place("log.csv"), log).unwrap();
    fs::write(place("hat.csv"), "place,before,item,prob\n0,,hat,1\n").unwrap();
    fs::write(place("tie.csv"), "place,before,item,prob\n0,,tie,1\n").unwrap();
    let arguments = |threads: &str| {
        let log = place("log.csv");
        let [hat, tie] = ["hat.csv", "tie.csv"].map(place);
        [
            "judge",
            "--log",
            &log,
            "--policy",
            &format!("best={hat}"),
            "--policy",
            "logger",
            "--policy",
        ]
        .into_iter()
        .chain([tie.as_str(), "--policy", "uniform", "--policy", "popularity,act=top"])
        .chain(["--policy", "mixed=popularity,act=top,epsilon=0.5", "--percent", "20"])
        .chain(["--threads", threads, "--json"])
        .map(str::to_owned)
        .collect::<Vec<_>>()
    };
    let run = |threads: &str| {
        let arguments = arguments(threads);
        succeeds(foretaste(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let said = run("1");
    assert_eq!(said, run("3"));
    let judged: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(judged["sessions"], 2_400);
    let policies = judged["policies"].as_array().unwrap();
    let found: Vec<(&str, &str)> = policies
        .iter()
        .map(|of| (of["policy"].as_str().unwrap(), of["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("best", "better"),
            ("tie", "worse"),
            ("uniform", "cannot be distinguished"),
            ("popularity,act=top", "better"),
            ("mixed", "better"),
        ]
    );
    let value = |at: usize| number(&policies[at]["decided"]["reward_per_slate"]);
    let logger = number(&judged["logger"]["reward_per_slate"]);
    let near = |found: f64, expected: f64| {
        assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
    };
    near(value(0), 0.5);
    near(value(1), 0.1);
    near(value(2), logger);
    near(value(4), 0.5 * 0.5 + 0.5 * logger);
    let pairs = judged["differences"].as_array().unwrap();
    assert_eq!(pairs.len(), 10);
    let best_and_tie = &pairs[0];
    assert_eq!((&best_and_tie["policy"], &best_and_tie["other"]), (&"tie".into(), &"best".into()));
    near(number(&best_and_tie["difference"]), -0.4);
    assert!(number(&best_and_tie["interval"][1]) < -0.3);
    assert_eq!(judged["logger"]["drift"]["parts"].as_array().unwrap().len(), 5);
}

/// The log of [`rewards_without_choice`] without its propensities: uniform is nearly the logger.
#[test]
fn propensities_are_estimated_only_where_that_is_asked_for_and_said() {
    let temp = TempDir::new().unwrap();
    let place = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let with = rewards_without_choice(ITEMS);
    let without: String =
        with.lines().map(|row| format!("{}\n", row.rsplit_once(',').unwrap().0)).collect();
    fs::write(place("with.csv"), with).unwrap();
    fs::write(place("without.csv"), without).unwrap();
    let refused = fails(evaluate(&place("without.csv"), "uniform", &[]));
    assert!(refused.contains("the log has no propensities"), "{refused}");
    assert!(refused.contains("--estimate-propensities estimates them"), "{refused}");
    let estimate = ["--estimate-propensities"];
    let refused = fails(evaluate(&place("with.csv"), "uniform", &estimate));
    assert!(refused.contains("leave --estimate-propensities out"), "{refused}");
    let said = succeeds(evaluate(&place("without.csv"), "uniform", &estimate));
    assert!(said.starts_with("THE PROPENSITIES ARE ESTIMATED"), "{said}");
    let judged =
        json(evaluate(&place("without.csv"), "uniform", &[&estimate[..], &["--json"]].concat()));
    let calibration = judged["estimated_propensities"]["calibration"].as_array().unwrap();
    let predicted: f64 = calibration.iter().map(|of| number(&of["predicted"])).sum();
    assert!((predicted - 1.0).abs() < 1e-9 && calibration.len() > 1, "{calibration:?}");
}

#[test]
fn a_policy_that_is_none_or_called_as_another_is_refused() {
    let temp = TempDir::new().unwrap();
    let log = temp.path().join("log.csv").to_str().unwrap().to_owned();
    fs::write(&log, rewards_without_choice(ITEMS)).unwrap();
    for (policy, more, message) in [
        ("nowhere", &[][..], "there is no file or folder nowhere; expected a recommender's"),
        (&log, &[], "expected those of a policy: session,step,policy"),
        (&format!("{log},act=top"), &[], "are for recommenders, not for files"),
        ("uniform", &["--policy", "uniform"], "two policies are called \"uniform\""),
        ("popularity", &[], "--percent 50 leaves it the first half"),
        ("uniform,epsilon=2", &[], "epsilon: 2, expected a share in [0, 1]"),
    ] {
        let refused = fails(evaluate(&log, policy, more));
        assert!(refused.contains(message), "{policy}: {refused}");
    }
    assert_eq!(evaluate(&log, "uniform,act=best", &[]).status.code(), Some(2));
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
        assert!(method != "random" || said.contains("no problem was found"), "{said}");
    }
    let misused = train("popularity", &["--epochs", "2"]);
    assert_eq!(misused.status.code(), Some(2));
    let refused = String::from_utf8(misused.stderr).unwrap();
    assert!(refused.contains("--epochs has no effect with --method popularity"), "{refused}");
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
        fails(train(temp.path().to_str().unwrap(), &["--force"])).contains("contains other things")
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
        ("a", "manifest.json", "contains other things"),
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
    assert!(train(Path::new(&log), Path::new(&policy)).contains("contains other things"));
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
        "SNRIPS, read from the top",
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

/// Users who click a hat wherever one is shown, and nothing else; a click pays 2.
fn hats() -> String {
    let mut log = String::from("session,step,shown,chosen,reward,propensity\n");
    for session in 0..400 {
        for step in 0..2 {
            let first = (session + step) % 6;
            let second = (first + 1 + (session / 6 + step) % 5) % 6;
            let hat = if first == 0 || second == 0 { "hat,2" } else { ",0" };
            let [first, second] = [first, second].map(|item| ITEMS[item]);
            log += &format!("s{session},{step},{first} {second},{hat},0.16666667 0.2\n");
        }
    }
    log
}

/// Who shows a hat on every slate earns about 2 a slate from users who learned of them, and what
/// the log says of it is next to it. Of random slates every third has a hat; so have the logged
/// ones.
#[test]
fn the_word_of_learned_users_stands_beside_the_log() {
    let temp = TempDir::new().unwrap();
    let path = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let (log, users, slates) = (path("log.csv"), path("users"), path("slates.csv"));
    fs::write(&log, hats()).unwrap();
    succeeds(foretaste(&["fit", &log, "--to", &users, "--device", "cpu"]));
    let rows =
        (0..400).flat_map(|session| [0, 1].map(|step| format!("s{session},{step},hat shoe")));
    let rows: Vec<String> = rows.collect();
    fs::write(&slates, format!("session,step,slate\n{}\n", rows.join("\n"))).unwrap();
    let judge = |more: &[&str]| {
        let policies =
            ["--policy", "uniform", "--policy", "popularity,act=top", "--policy", &slates];
        foretaste(&[&["judge", "--log", &log][..], &policies, more].concat())
    };
    // Half of the sessions taught them, a quarter chose their settings.
    let output = judge(&["--users", &users, "--users-sessions", "2000", "--percent", "0"]);
    assert!(fails(output).contains("the users"), "learned from judged sessions");
    let output = judge(&["--users", &users, "--users-sessions", "2000", "--json"]);
    let said: Value = serde_json::from_str(&succeeds(output)).unwrap();
    assert_eq!(said["sessions"], 100);
    let word = |at: usize| &said["policies"][at]["users"];
    let number = |at: usize, key: &str| word(at)[key].as_f64().unwrap();
    assert!(word(2)["reason"].as_str().unwrap().contains("cannot be simulated"), "{said}");
    assert_eq!((&word(0)["slate"], &word(0)["sessions"]), (&2.into(), &2_000.into()));
    let [uniform, always] = [0, 1].map(|at| number(at, "reward_per_slate"));
    assert!((uniform - 2.0 / 3.0).abs() < 0.15, "{uniform}");
    assert!(always > 1.7 && always < 2.05, "{always}");
    let earned = said["logger"]["reward_per_slate"].as_f64().unwrap();
    for at in [0, 1] {
        let difference = number(at, "less_the_logger");
        assert!((difference - (number(at, "reward_per_slate") - earned)).abs() < 1e-9);
        let [low, high] = [0, 1].map(|end| word(at)["interval_of_difference"][end].as_f64());
        assert!(low < Some(difference) && Some(difference) < high);
        let slates = number(at, "slates_per_session");
        let session = number(at, "reward_per_session");
        assert!((session - slates * number(at, "reward_per_slate")).abs() < 1e-6, "{said}");
        assert!(slates > 1.0 && slates <= 2.0, "{slates}");
    }
    let text = succeeds(judge(&["--users", &users, "--users-sessions", "2000"]));
    assert!(text.contains("which is not evidence"), "{text}");
    assert!(text.contains("slates: a file has answers only for the slates of its log"), "{text}");

    // A policy that was trained in these very users is named.
    let greedy = path("greedy");
    let train = ["train", &log, "--to", &greedy, "--method", "greedy", "--users", &users];
    succeeds(foretaste(&train));
    let text = succeeds(judge(&["--users", &users, "--policy", &greedy]));
    let too_good: Vec<&str> = text.lines().filter(|line| line.contains("too good")).collect();
    assert!(too_good.len() == 1 && too_good[0].ends_with("too good: greedy"), "{too_good:?}");

    // Without users nothing is said of them, and users of other items are refused.
    let plain: Value =
        serde_json::from_str(&succeeds(judge(&["--json", "--percent", "50"]))).unwrap();
    assert_eq!(plain["policies"][0]["users"], Value::Null);
    let other = path("other");
    fs::write(path("gloves.csv"), hats().replace("shoe", "glove")).unwrap();
    succeeds(foretaste(&["fit", &path("gloves.csv"), "--to", &other, "--epochs", "1"]));
    assert!(fails(judge(&["--users", &other])).contains("items that the users never saw"));
    let misused = judge(&["--users-sessions", "10"]);
    assert_eq!(misused.status.code(), Some(2));
}
