//! Logs of one's own through the program: guess, import, describe, export.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

#[path = "common/html.rs"]
mod html;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    program.args(arguments).current_dir(folder).output().unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = run(folder, &[arguments, &["--json", "--quiet"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (value, output.status.code())
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

const EXPORT: &str = "visit_id;ts;impressions;clicked_item;query\n\
    v1;1710034200;k1|k2|k3;k2;shoes\nv2;1710034250;k1|k2;;hats\nv1;1710034300;k1|k4|k5;;hats\n";

#[test]
fn an_export_with_columns_of_its_own_takes_three_commands() {
    let temp = TempDir::new().unwrap();
    let at = temp.path();
    std::fs::write(at.join("clicks.csv"), EXPORT).unwrap();
    assert!(refused(at, &["describe", "clicks.csv"]).contains("import --guess"));
    let (guessed, _) = json(at, &["import", "clicks.csv", "--guess"]);
    assert_eq!(guessed["to"], "clicks.toml");
    assert!(refused(at, &["import", "clicks.csv", "--guess"]).contains("--force"));
    let (imported, _) =
        json(at, &["import", "clicks.csv", "--layout", "clicks.toml", "--to", "clicks.log"]);
    let expected = [("sessions", 2), ("steps", 3), ("items", 5)];
    for (key, value) in expected {
        assert_eq!(imported[key], value, "{key}");
    }
    let query = serde_json::json!([{ "name": "query", "values": 2, "steps": 3 }]);
    assert_eq!(imported["contexts"], query);
    let (described, code) = json(at, &["describe", "clicks.log"]);
    assert_eq!((code, &described["time_unit"]), (Some(0), &"s".into()));
    assert_eq!(described["findings"][0]["code"], "no-propensities");
    assert_eq!(described["profile"]["clicks_by_place"], serde_json::json!([0, 1]));
    // An option goes before what the layout says.
    let options = ["describe", "clicks.csv", "--layout", "clicks.toml", "--list-separator", ","];
    assert!(refused(at, &options).contains("clicks.csv:2: chosen"));
}

#[test]
fn several_files_are_one_log_and_raw_ids_come_back() {
    let temp = TempDir::new().unwrap();
    let at = temp.path();
    let header = "session,shown,chosen,user\n";
    std::fs::create_dir(at.join("days")).unwrap();
    std::fs::write(at.join("days/a.csv"), format!("{header}s 1,k1 k2,k2 k1,ü\n")).unwrap();
    std::fs::write(at.join("days/b.csv"), format!("{header}s 2,k3 7,7,ann\n")).unwrap();
    for paths in [&["days"][..], &["days/*.csv"], &["days/a.csv", "days/b.csv"]] {
        let to = ["--to", "all.log", "--force"];
        let (imported, _) = json(at, &[&["import"], paths, &to].concat());
        assert_eq!((&imported["steps"], &imported["reading"]["rows"]), (&2.into(), &2.into()));
    }
    json(at, &["export", "all.log", "--to", "all.csv", "--format", "csv"]);
    let csv = std::fs::read_to_string(at.join("all.csv")).unwrap();
    let expected = "session,step,shown,chosen,reward,left,user\n\
        s 1,0,k1 k2,k2 k1,2,false,ü\ns 2,0,k3 7,7,1,false,ann\n";
    assert_eq!(csv.replace("1 1,false", "2,false"), expected);
}

#[test]
fn describe_says_what_is_wrong_by_its_exit_code() {
    let temp = TempDir::new().unwrap();
    let at = temp.path();
    let rows: String =
        (0..40).map(|row| format!("{row},0,k{} k5,k5,1,0.5 0.25\n", row % 4)).collect();
    let csv = format!("session,step,shown,chosen,reward,propensity\n{rows}");
    std::fs::write(at.join("log.csv"), csv).unwrap();
    let (described, code) = json(at, &["describe", "log.csv"]);
    assert_eq!((code, &described["findings"][0]["code"]), (Some(3), &"cumulative".into()));
    let options = ["describe", "log.csv", "--propensities", "cumulative"];
    let (described, code) = json(at, &options);
    assert_eq!((code, &described["propensity_kind"]), (Some(0), &"conditional".into()));
    run(at, &["describe", "log.csv", "--name", "a<b", "--html", "log.html"]);
    let page = std::fs::read_to_string(at.join("log.html")).unwrap();
    assert!(page.contains("<h1>a&lt;b</h1>") && page.contains("class=\"wrong\""), "{page}");
    assert!(page.contains("Click rate by place. 1: 0.000; 2: 1.000\""), "{page}");
    assert!(page.contains("One problem was found") && !page.contains("http"), "{page}");
    assert_eq!(html::errors(&page), Vec::<String>::new());
    assert!(refused(at, &["describe", "log.csv", "--html", "log.html"]).contains("--force"));
    assert!(refused(at, &["describe", "log.csv", "--html", "log.csv"]).contains("input itself"));
    let text = String::from_utf8(run(at, &["describe", "log.csv"]).stdout).unwrap();
    assert!(text.contains("WRONG: propensities decrease along every one of 40 slates"), "{text}");
    assert!(text.contains("session lengths       █"), "{text}");
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let temp = TempDir::new().unwrap();
    for (options, part) in [
        (&["--column", "session"][..], "session=session_id"),
        (&["--delimiter", "ab"], "one character"),
        (&["--session-gap", "soon"], "30m"),
        (&["--clicks", "some"], "first, each"),
        (&["--time-unit", "min"], "s, ms, us, ns"),
        (&["--off-slate", "keep"], "refuse, drop, append"),
    ] {
        let output = run(temp.path(), &[&["describe", "x.csv"], options].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.contains(part), "{text}");
    }
    let text = refused(temp.path(), &["describe", "bundled:simulated-choice.tsv", "--sort"]);
    assert!(text.contains("has a fixed layout"), "{text}");
}

/// What the uniform policy would have earned a slate by IPS, and what the log earned.
fn uniform(at: &Path, log: &str) -> (f64, f64) {
    json(at, &["train", log, "--method", "random", "--to", "random"]);
    let (judged, _) = json(at, &["judge", "--log", log, "--policy", "random"]);
    let (described, _) = json(at, &["describe", log]);
    let ips = judged["policies"][0]["estimators"][0]["reward_per_slate"].as_f64().unwrap();
    (ips, described["reward_rate"].as_f64().unwrap())
}

/// Slates of one of a pool of 5 of 50 items that changes from row to row, each as likely: where the
/// pool is given, every row weighs 1.
#[test]
fn a_pool_that_changes_from_row_to_row_restricts_the_policy_that_is_judged() {
    let temp = TempDir::new().unwrap();
    let at = temp.path();
    let row = |row: u32| {
        let item = 7 * row % 50;
        let pool: Vec<String> = (0..5).map(|k| ((item + 10 * k) % 50).to_string()).collect();
        let clicked = row.is_multiple_of(9);
        let chosen = if clicked { item.to_string() } else { String::new() };
        let reward = u8::from(clicked);
        format!("{row},{item},{chosen},{reward},0.2,{}\n", pool.join(" "))
    };
    let rows: String = (0..500).map(row).collect();
    let csv = format!("session,shown,chosen,reward,propensity,candidates\n{rows}");
    std::fs::write(at.join("pools.csv"), csv).unwrap();
    let (ips, earned) = uniform(at, "pools.csv");
    assert!((ips - earned).abs() < 1e-6, "{ips}, {earned}");
}

/// Uniform slates of one of five items, of which an unclicked one costs 1.
#[test]
fn a_penalty_for_what_is_not_clicked_can_be_trained_on_and_judged() {
    let temp = TempDir::new().unwrap();
    let at = temp.path();
    let row = |row: u32| {
        let (item, clicked) = (row % 5, row.is_multiple_of(3));
        let (chosen, reward) = if clicked { (item.to_string(), 1) } else { (String::new(), -1) };
        format!("{},{},{item},{chosen},{reward},0.2\n", row / 2, row % 2)
    };
    let rows: String = (0..600).map(row).collect();
    let csv = format!("session,step,shown,chosen,reward,propensity\n{rows}");
    std::fs::write(at.join("bounces.csv"), csv).unwrap();
    let (ips, earned) = uniform(at, "bounces.csv");
    assert!((ips - earned).abs() < 1e-6 && earned < -0.3, "{ips}, {earned}");
    for method in ["popularity", "lstm", "irecgan"] {
        let quick: &[&str] = match method {
            "popularity" => &[],
            "lstm" => &["--epochs", "1", "--hidden", "4"],
            _ => &["--epochs", "1", "--hidden", "4", "--adversarial", "1"],
        };
        let train = ["train", "bounces.csv", "--method", method, "--to", method];
        json(at, &[&train[..], quick].concat());
        let folder = format!("./{method}");
        let (judged, _) = json(at, &["judge", "--log", "bounces.csv", "--policy", &folder]);
        assert!(
            judged["policies"][0]["estimators"][0]["reward_per_slate"].is_number(),
            "{method}: {judged}"
        );
    }
}

#[test]
fn features_and_context_survive_the_program() {
    let temp = TempDir::new().unwrap();
    let at = temp.path();
    let log = "session,shown,chosen,user,device,slate_propensity\n\
        a,k1 k2,k1,ann,phone,0.25\nb,k2 k1,,bob,,0.5\n";
    std::fs::write(at.join("log.csv"), log).unwrap();
    std::fs::write(at.join("items.csv"), "item,price\nk1,2\nk2,0.5\n").unwrap();
    std::fs::write(at.join("users.csv"), "user,country,age\nann,de,41\nbob,fr,30\n").unwrap();
    let features = ["--item-features", "items.csv", "--user-features", "users.csv"];
    let import = ["import", "log.csv", "--context", "device", "--to", "log.log"];
    let (imported, _) = json(at, &[&import[..], &features].concat());
    let device = serde_json::json!([{ "name": "device", "values": 1, "steps": 1 }]);
    let expected = [
        ("item_features", 1.into()),
        ("user_features", 3.into()),
        ("contexts", device),
        ("propensity_kind", "slate".into()),
    ];
    for (key, value) in &expected {
        assert_eq!(imported[key], *value, "{key}");
    }
    let over = ["import", "log.csv", "--to", "users.csv", "--force"];
    assert!(refused(at, &[&over[..], &features].concat()).contains("the input itself"));
    let export = ["export", "log.log", "--to", "back.jsonl", "--format", "jsonl"];
    assert!(refused(at, &export).contains("--user-features-to FILE"));
    let to = ["--item-features-to", "i.csv", "--user-features-to", "u.csv"];
    json(at, &[&export[..], &to].concat());
    let features = ["--item-features", "i.csv", "--user-features", "u.csv"];
    let (described, _) = json(at, &[&["describe", "back.jsonl"], &features[..]].concat());
    for (key, value) in &expected {
        assert_eq!(described[key], *value, "{key}");
    }
    let text = String::from_utf8(run(at, &["describe", "log.log"]).stdout).unwrap();
    for row in ["user features         3", "context               device: 1 value, known of 1 of 2"]
    {
        assert!(text.contains(row), "{text}");
    }
}
