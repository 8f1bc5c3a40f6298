//! The table of verdicts for documents: the effects that it shows, and what it leaves out because
//! all comparisons share it.

use foretaste_eval::Metric;

use super::*;
use crate::{Arm, Claim, Design, Finding, Key, Results, claims_csv};

/// By how much m1 and m2 are above m3 in two settings, by seed.
const WIDE: [f64; 3] = [1.1, -0.9, 0.1];
const NARROW: [f64; 3] = [-0.004, 0.004, 0.001];
const ABOVE: [f64; 3] = [0.5, 0.51, 0.49];

/// What becomes of claims, rows of a ledger without paper, section and experiment, whose
/// comparisons have these differences.
fn findings(rows: &[&str], differences: &[(&str, &str, [f64; 3])]) -> Vec<Finding> {
    let mut text = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,\
                    settings,margin,effect\n"
        .to_owned();
    text.extend(rows.iter().map(|row| format!("A,§1,e,{row}\n")));
    let mut results = Results::default();
    let mut insert = |method: &str, setting: &str, seed: u64, value: f64| {
        let arm = Arm { dataset: "a".into(), method: method.into(), setting: setting.into() };
        let key = Key { experiment: "e".into(), arm, seed };
        results.insert(key, [(Metric::Reward, value)].into());
    };
    for (method, setting, differences) in differences {
        for (seed, difference) in (0..).zip(differences) {
            insert("m3", setting, seed, 1.0 + seed as f64);
            insert(method, setting, seed, 1.0 + seed as f64 + difference);
        }
    }
    let design = Design::found("e", &results, |_| 0.0);
    let claims = Claim::read(text.as_bytes(), "ledger.csv").unwrap();
    claims.iter().map(|claim| claim.decide(&design, &results).unwrap()).collect()
}

fn table(findings: &[Finding]) -> Table {
    let text = claims_csv(findings).unwrap();
    Decided::read(text.as_slice(), "claims.csv").unwrap().table("e").unwrap().table
}

#[test]
fn a_claim_says_its_verdict_its_effects_and_what_an_open_one_detects() {
    let rows = [
        "first,reward,larger,m1,m3,beats the best,,,,0.5",
        "second,reward,larger,m1,m3,beats the best,,s,,",
        "third,reward,larger,m2,m3,beats the best,,,,",
    ];
    let found = findings(&rows, &[("m1", "s", ABOVE), ("m1", "t", WIDE)]);
    let table = table(&found);
    assert_eq!(
        table.header,
        ["claim", "verdict", "by how much ours is better, 95% interval", "detects at 80% power"]
    );
    // The smallest effect is that of the ledger, see its tests.
    assert_eq!(
        table.rows,
        [
            [
                "first",
                "inconclusive",
                "s 0.500 ± 0.025; t 0.1 ± 2.5",
                "t 3.3; an effect of 0.50 needs 34 seeds"
            ],
            ["second", "reproduced", "s 0.500 ± 0.025", ""],
            ["third", "not run", "", ""],
        ]
    );
}

#[test]
fn nothing_is_said_of_what_all_comparisons_share_or_where_nothing_is_open() {
    let row = "one,reward,larger,m1,m3,beats the best,,,,";
    let table = table(&findings(&[row], &[("m1", "s", ABOVE)]));
    assert_eq!(table.header.len(), 3);
    assert_eq!(table.rows, [["one", "reproduced", "0.500 ± 0.025"]]);
}

#[test]
fn rivals_that_differ_are_named() {
    let rows = ["one,reward,larger,m1,m3,beats each,,,,", "two,reward,larger,m2,m1,beats each,,,,"];
    let table = table(&findings(&rows, &[("m1", "s", ABOVE), ("m2", "s", WIDE)]));
    let effects: Vec<_> = table.rows.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(effects, ["to m3 0.500 ± 0.025", "to m1 -0.4 ± 2.5"]);
}

#[test]
fn an_equivalence_is_shown_with_its_margin() {
    let equal = "one,reward,larger,m1,m3,equals,,,0.02,";
    let open = "two,reward,larger,m2,m3,equals,,,0.5,";
    let table = table(&findings(&[equal, open], &[("m1", "s", NARROW), ("m2", "s", WIDE)]));
    assert_eq!(table.rows[0][1], "equivalent within δ = 0.020");
    assert_eq!(table.rows[1][3], "3.3; the margin of 0.50 needs 36 seeds");
}

#[test]
fn an_experiment_without_claims_and_wrong_rows_are_refused() {
    let rows = ["one,reward,larger,m1,m3,beats the best,,,,"];
    let text = claims_csv(&findings(&rows, &[("m1", "s", ABOVE)])).unwrap();
    let text = String::from_utf8(text).unwrap();
    let read = |text: &str| Decided::read(text.as_bytes(), "claims.csv");
    let unknown = read(&text).unwrap().table("f").unwrap_err().to_string();
    assert_eq!(unknown, "there is no experiment with claims `f`, expected one of `e`");
    let (head, tail) = text.split_once(",m3,s,3,").unwrap();
    let (_, tail) = tail.split_once(',').unwrap();
    for (text, message) in [
        (
            text.replacen(",reproduced,", ",proven,", 1),
            "line 2: `proven` is not a verdict of a claim",
        ),
        (format!("{head},m3,s,,{tail}"), "found record with 25 fields"),
        (format!("{head},m3,s,,0.5,{tail}"), "line 2: a difference needs seeds"),
        (format!("{head},m3,s,3,NaN,{tail}"), "line 2: a number is not finite"),
        (text.replacen("verdict,", "end,", 1), "missing field `verdict`"),
    ] {
        let problem = read(&text).unwrap_err().to_string();
        assert!(problem.starts_with("claims.csv") && problem.contains(message), "{problem}");
    }
}
