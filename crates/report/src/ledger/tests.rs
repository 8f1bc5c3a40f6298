//! The ledger says the same in every form, and says neither that a small effect is zero nor that an
//! open claim is decided.

use foretaste_eval::Metric;

use super::*;
use crate::{Claim, DataSet, Design, Key, Results};

fn findings() -> Vec<Finding> {
    let text = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings\n\
                A,§1,e,\"one, better\",reward,larger,m1,m2,beats the best,,\nA,§2,other,never run,reward,larger,m1,m2,beats the best,,\n";
    let claims = Claim::read(text.as_bytes(), "ledger.csv").unwrap();
    let arm = |dataset: &str, method: &str| Arm {
        dataset: dataset.into(),
        method: method.into(),
        setting: String::new(),
    };
    let mut results = Results::default();
    let metrics = vec![Metric::Reward];
    let mut design =
        Design { experiment: "e".into(), metrics: metrics.clone(), ..Design::default() };
    for (dataset, gap) in [("a", 2.0), ("b", 1.0)] {
        design.datasets.push(DataSet {
            name: dataset.into(),
            test_per_train: 0.0,
            caveat: "toy".into(),
        });
        for (method, base) in [("m1", 1.0 + gap), ("m2", 1.0)] {
            design.arms.push(arm(dataset, method));
            let spread = if (dataset, method) == ("b", "m1") { 0.03 } else { 0.01 };
            for seed in 0..3 {
                let key = Key { experiment: "e".into(), arm: arm(dataset, method), seed };
                results.insert(key, [(Metric::Reward, base * (1.0 + spread * seed as f64))].into());
            }
        }
    }
    let elsewhere = Design { experiment: "other".into(), metrics, ..Design::default() };
    vec![
        claims[0].decide(&design, &results).unwrap(),
        claims[1].decide(&elsewhere, &results).unwrap(),
    ]
}

#[test]
fn a_claim_that_was_not_run_is_in_every_form_and_decides_nothing() {
    let ledger = Ledger::new(findings());
    assert_eq!(ledger.counts(), [(Verdict::Reproduced, 1), (Verdict::NotRun, 1)]);
    assert!(ledger.plain().contains("claims not run: 1") && !ledger.plain().contains("never run"));
    assert!(ledger.markdown().contains("| never run | A, §2 | not run |  |"));
    assert!(ledger.html().into_string().contains("never run"));
}

#[test]
fn the_effect_shown_is_the_one_that_speaks_least_for_the_claim() {
    let plain = Ledger::new(findings()).plain();
    assert!(plain.contains("b 1.05 ± 0.12, least of 2"), "{plain}");
    assert!(plain.contains("A, §1; toy"), "{plain}");
}

/// A finding of one comparison with these values of ours, and of the rival.
fn finding(ours: &[f64], rival: &[f64]) -> Finding {
    let text = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings\n\
                A,§1,e,s,reward,larger,m1,m2,beats the best,,\n";
    let arm =
        |method: &str| Arm { dataset: "a".into(), method: method.into(), setting: String::new() };
    let datasets = vec![DataSet { name: "a".into(), test_per_train: 0.0, caveat: String::new() }];
    let arms = vec![arm("m1"), arm("m2")];
    let metrics = vec![Metric::Reward];
    let design = Design { experiment: "e".into(), datasets, arms, metrics, ..Design::default() };
    let mut results = Results::default();
    for (method, values) in [("m1", ours), ("m2", rival)] {
        for (seed, &value) in (0..).zip(values) {
            let key = Key { experiment: "e".into(), arm: arm(method), seed };
            results.insert(key, [(Metric::Reward, value)].into());
        }
    }
    Claim::read(text.as_bytes(), "ledger.csv").unwrap()[0].decide(&design, &results).unwrap()
}

#[test]
fn small_effects_and_small_p_are_not_shown_as_zero() {
    let found = finding(&[1000.2, 1000.1, 1000.2], &[1000.0, 999.9, 1000.001]);
    let text = Ledger::new(vec![found]).markdown();
    assert!(text.contains("a 0.1997 ± 0.0014 (+0.02%), p < 0.001"), "{text}");
}

#[test]
fn differences_without_spread_have_neither_interval_nor_p() {
    let text = Ledger::new(vec![finding(&[0.75, 0.5], &[0.5, 0.25])]).markdown();
    assert!(text.contains("| a 0.2500 ± n/a (no spread) (+66.7%) |"), "{text}");
    let text = Ledger::new(vec![finding(&[0.75], &[0.5])]).markdown();
    assert!(text.contains("| a 0.2500 ± n/a (n = 1) (+50.0%) |"), "{text}");
}

#[test]
fn the_csv_has_a_row_for_every_comparison() {
    let text = String::from_utf8(claims_csv(&findings()).unwrap()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines[1]
            .starts_with("A,§1,e,\"one, better\",reproduced,toy,a,reward,larger,m1,,m2,,3,2.02,"),
        "{}",
        lines[1]
    );
    assert!(lines[3].starts_with("A,§2,other,never run,not run,,,"), "{}", lines[3]);
}

/// Findings on a claim with a margin and an effect that matters, of one data set after another.
fn sized(rule: &str, margin: &str, effect: &str, gaps: &[[f64; 3]]) -> Finding {
    let text = format!(
        "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings,margin,effect\n\
         A,§1,e,s,reward,larger,m1,m2,{rule},,,{margin},{effect}\n"
    );
    let mut results = Results::default();
    for (dataset, gaps) in ["a", "b"].into_iter().zip(gaps) {
        for (seed, gap) in (0..).zip(gaps) {
            let rival = 1.0 + seed as f64;
            for (method, value) in [("m1", rival + gap), ("m2", rival)] {
                let arm =
                    Arm { dataset: dataset.into(), method: method.into(), setting: String::new() };
                let key = Key { experiment: "e".into(), arm, seed };
                results.insert(key, [(Metric::Reward, value)].into());
            }
        }
    }
    let claim = Claim::read(text.as_bytes(), "ledger.csv").unwrap().remove(0);
    claim.decide(&Design::found("e", &results, |_| 0.0), &results).unwrap()
}

const WIDE: [f64; 3] = [1.1, -0.9, 0.1];
const NARROW: [f64; 3] = [-0.004, 0.004, 0.001];

#[test]
fn an_open_claim_says_in_every_form_what_its_weakest_comparison_detects() {
    let ledger = Ledger::new(vec![sized("beats the best", "", "0.5", &[NARROW, WIDE])]);
    let detects = "3.3 (163%); an effect of 0.50 needs 34 seeds";
    let (plain, markdown) = (ledger.plain(), ledger.markdown());
    assert!(plain.contains("b 3.3 (163%); an effect"), "{plain}");
    assert!(markdown.contains(&format!("| b {detects} |\n")), "{markdown}");
    let page = ledger.html().into_string();
    assert!(page.contains(&format!("<td>{detects}</td>")), "{page}");
    assert!(page.contains("<td>0.013 (0.66%); an effect of 0.50 needs 2 seeds</td>"), "{page}");
}

#[test]
fn what_is_decided_says_nothing_of_what_it_might_have_detected() {
    let ledger = Ledger::new(findings());
    assert!(ledger.markdown().contains(" p < 0.001 |  |\n"), "{}", ledger.markdown());
    assert!(!ledger.html().into_string().contains("seeds</td>"));
}

#[test]
fn an_equivalence_is_shown_with_its_margin() {
    for (margin, shown) in
        [("0.02", "equivalent within δ = 0.02"), ("1%", "equivalent within δ = 1%")]
    {
        let ledger = Ledger::new(vec![sized("beats the best", margin, "", &[NARROW, NARROW])]);
        assert_eq!(ledger.counts(), [(Verdict::Equivalent, 1)]);
        assert!(ledger.markdown().contains(&format!("| {shown} |")), "{}", ledger.markdown());
        assert!(ledger.html().into_string().contains(&format!("≈ {shown}")));
    }
}

#[test]
fn the_csv_has_the_margin_its_interval_and_the_power() {
    let finding = sized("equals", "0.02", "", &[NARROW]);
    let text = String::from_utf8(claims_csv(&[finding]).unwrap()).unwrap();
    let (header, row) = text.split_once('\n').unwrap();
    let at = |name: &str| {
        let place = header.split(',').position(|column| column == name).unwrap();
        row.trim_end().split(',').nth(place).unwrap().to_owned()
    };
    assert_eq!([at("verdict"), at("margin"), at("effect")], ["equivalent within δ", "0.02", ""]);
    let number = |name: &str| at(name).parse::<f64>().unwrap();
    // 0.000333 ± t(2) at 95%, 2.919986, times the standard error 0.002333.
    assert!((number("low_90") + 0.006_480).abs() < 1e-6, "{row}");
    assert!((number("high_90") - 0.007_147).abs() < 1e-6, "{row}");
    // 3.264044 standard deviations, see the tests of the power.
    assert!((number("smallest_effect") - 3.264_044 * 0.004_041_5).abs() < 1e-6, "{row}");
    assert_eq!(at("seeds_needed"), "3");
}

#[test]
fn a_pilot_tells_the_seeds_that_every_claim_needs() {
    let some = vec![
        sized("beats the best", "", "0.5", &[NARROW, WIDE]),
        sized("equals", "0.5", "", &[WIDE]),
        sized("beats the best", "", "", &[WIDE]),
        finding(&[0.75], &[0.5]),
        findings().remove(1),
    ];
    let text = Ledger::new(some).seeds_needed();
    let words: Vec<_> = text.split_whitespace().collect();
    let text = words.join(" ");
    for part in [
        "b: m1 over m2 3 3.3 (163%) 34 for 0.50",
        "a: m1 over m2 3 3.3 (163%) 36 for ±0.50",
        "a: m1 over m2 3 3.3 (163%) no effect given",
        "a: m1 over m2 1 n/a (n = 1)",
        "never run other 0 no runs",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
