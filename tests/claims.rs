//! The ledger on results of anyone's: `foretaste claims`.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const HEADER: &str = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,\
                      datasets,settings,margin,effect\n";

/// Two methods with six seeds, in a metric that no paper of ours has.
fn results() -> String {
    let mut table = String::from("experiment,dataset,method,setting,seed,metric,value\n");
    for (seed, noise) in (0..).zip([0.01, -0.01, 0.004, 0.0, -0.004, 0.002]) {
        for (method, mean) in [("A", 0.30), ("B", 0.25), ("C", 0.2501)] {
            let noise = match method {
                "A" => noise,
                "B" => -noise / 2.0,
                _ => -noise / 3.0,
            };
            table += &format!("hits,shop,{method},,{seed},HR@20,{}\n", mean + noise);
        }
    }
    table
}

fn claims(rows: &str, more: &[&str]) -> Output {
    let temp = TempDir::new().unwrap();
    let (claims, table) = (temp.path().join("claims.csv"), temp.path().join("results.csv"));
    fs::write(&claims, format!("{HEADER}{rows}")).unwrap();
    fs::write(&table, results()).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    program.arg("claims").arg(claims).arg("--results").arg(table).args(more).output().unwrap()
}

#[test]
fn claims_of_anyone_are_decided_by_their_own_metrics() {
    let rows = "Theirs,§4,hits,A finds more,HR@20,larger,A,B,beats the best,,,,\n\
                Theirs,§4,hits,B finds more,HR@20,larger,B,A,beats the best,,,,\n\
                Theirs,§5,hits,B is C,HR@20,larger,B,C,equals,,,0.01,\n";
    let output = claims(rows, &["--json"]);
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdicts: Vec<&str> = found["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| claim["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["reproduced", "not reproduced", "equivalent within δ"]);
    // Differences by seed: 0.05 + 1.5 of the noise, whose mean is 1/3000.
    let difference = found["claims"][0]["comparisons"][0]["difference"].as_f64().unwrap();
    assert!((difference - 0.0505).abs() < 1e-12, "{difference}");
}

#[test]
fn what_the_results_do_not_have_is_named_with_what_they_have() {
    for (row, problem) in [
        ("T,§4,hits,s,HR@20,larger,A,D,beats the best,,,,\n", "no method `D`"),
        (
            "T,§4,clicks,s,HR@20,larger,A,B,beats the best,,,,\n",
            "no run of the experiment `clicks`",
        ),
        ("T,§4,hits,s,HR@30,larger,A,B,beats the best,,,,\n", "no metric `HR@30`"),
        ("T,§4,hits,s,HR@20,larger,A,B,beats the best,other,,,\n", "no data set `other`"),
        ("T,§4,hits,s,HR@20,larger,A,B,equals,,,,\n", "needs one"),
    ] {
        let output = claims(row, &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && error.contains(problem), "{error}");
    }
}
