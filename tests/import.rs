//! Logs of one's own through the program: guess, import, describe, export.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

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
    assert!(page.contains("<title>place 2: 1.0000</title>") && !page.contains("http"), "{page}");
    assert!(refused(at, &["describe", "log.csv", "--html", "log.html"]).contains("--force"));
    assert!(refused(at, &["describe", "log.csv", "--html", "log.csv"]).contains("input itself"));
    let text = String::from_utf8(run(at, &["describe", "log.csv"]).stdout).unwrap();
    assert!(text.contains("WRONG: propensities fall along every one of 40 slates"), "{text}");
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
    assert!(text.contains("columns and rules of its own"), "{text}");
}
