use super::*;
use crate::{DataSet, Key};

const HEADER: &str =
    "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings";

fn arm(dataset: &str, method: &str) -> Arm {
    Arm { dataset: dataset.into(), method: method.into(), setting: "s".into() }
}

/// Runs of an arm for the seeds 0, 1, ..
fn insert(results: &mut Results, dataset: &str, method: &str, values: &[f64]) {
    for (seed, &value) in values.iter().enumerate() {
        let key = Key { experiment: "e".into(), arm: arm(dataset, method), seed: seed as u64 };
        results.insert(key, [(Metric::Reward, value), (Metric::Delta, value)].into());
    }
}

fn better() -> Results {
    let mut results = Results::default();
    for (dataset, method, values) in [
        ("a", "ours", [0.9, 0.8, 0.91]),
        ("a", "r1", [0.1, 0.0, 0.1]),
        ("a", "r2", [0.5, 0.41, 0.5]),
        ("b", "ours", [0.5, 0.7, 0.6]),
        ("b", "r1", [0.6, 0.5, 0.62]),
        ("c", "ours", [0.1, 0.2, 0.1]),
        ("c", "r1", [0.9, 1.0, 0.91]),
    ] {
        insert(&mut results, dataset, method, &values);
    }
    results
}

/// Every data set with every method that the claims speak of.
fn design() -> Design {
    let data =
        |name: &str| DataSet { name: name.into(), test_per_train: 0.5, caveat: "small".into() };
    let datasets: Vec<_> = ["a", "b", "c", "d"].map(data).into();
    let arms = datasets
        .iter()
        .flat_map(|data| ["ours", "r1"].map(|method| arm(&data.name, method)))
        .collect();
    Design {
        experiment: "e".into(),
        datasets,
        arms,
        metrics: vec![Metric::Reward, Metric::Delta],
        ..Design::default()
    }
}

fn claim(better: &str, rule: &str, datasets: &str, rivals: &str) -> Claim {
    let metric = if better == "smaller" { "delta" } else { "reward" };
    let row = format!("{HEADER}\np,1,e,x,{metric},{better},ours,{rivals},{rule},{datasets},\n");
    Claim::read(row.as_bytes(), "ledger.csv").unwrap().remove(0)
}

fn decide(rule: &str, results: &Results, datasets: &str, rivals: &str) -> Finding {
    claim("larger", rule, datasets, rivals).decide(&design(), results).unwrap()
}

#[test]
fn a_verdict_needs_every_comparison_to_be_clear() {
    let verdict = |rule, datasets| decide(rule, &better(), datasets, "r1").verdict;
    assert_eq!(verdict("beats the best", "a"), Verdict::Reproduced);
    assert_eq!(verdict("beats the best", "a | b"), Verdict::Inconclusive);
    assert_eq!(verdict("beats the best", "a | b | c"), Verdict::NotReproduced);
    assert_eq!(verdict("beats the best", "a | d"), Verdict::NotRun);
    assert_eq!(verdict("beats the best", ""), Verdict::NotRun);
    assert_eq!(verdict("beats the best", "elsewhere"), Verdict::NotRun);
    assert_eq!(verdict("which is better", "a | b"), Verdict::OursBetter);
    assert_eq!(verdict("which is better", "b | c"), Verdict::RivalBetter);
    assert_eq!(verdict("which is better", "a | c"), Verdict::Inconclusive);
    assert_eq!(verdict("which is better", "b"), Verdict::Inconclusive);
    assert_eq!(verdict("which is better", "!d"), Verdict::Inconclusive);
}

#[test]
fn the_best_rival_counts_or_each_and_a_missing_one_leaves_the_claim_open() {
    let found = decide("beats the best", &better(), "a", "r1 | r2");
    assert_eq!(found.differences[0].rival.method, "r2");
    assert!((found.differences[0].estimate.mean - 0.4).abs() < 1e-12);
    assert!((found.differences[0].relative.unwrap() - 0.4 / 0.47).abs() < 1e-12);
    assert_eq!(found.caveats, ["small"]);
    let each = decide("beats each", &better(), "a", "r1 | r2");
    assert_eq!(
        each.differences.iter().map(|one| one.rival.method.as_str()).collect::<Vec<_>>(),
        ["r1", "r2"]
    );
    assert_eq!(decide("beats the best", &better(), "a", "r1 | absent").verdict, Verdict::NotRun);
}

#[test]
fn a_verdict_has_the_caveats_of_the_data_that_it_rests_on_each_once() {
    let mut design = design();
    for (data, caveat) in design.datasets.iter_mut().zip(["small", "old", "small", ""]) {
        data.caveat = caveat.into();
    }
    let caveats = |datasets| {
        let claim = claim("larger", "beats the best", datasets, "r1");
        claim.decide(&design, &better()).unwrap().caveats
    };
    assert_eq!(caveats("a | c | d"), ["small"]);
    assert_eq!(caveats("a | b"), ["small", "old"]);
    assert!(caveats("d").is_empty());
}

#[test]
fn less_may_be_better_and_so_may_less_spread() {
    let mut design = design();
    design.datasets.iter_mut().for_each(|data| data.test_per_train = 0.0);
    let difference = |better: &str| {
        let found =
            claim(better, "beats the best", "a", "r1").decide(&design, &self::better()).unwrap();
        found.differences[0].estimate.mean
    };
    assert!((difference("smaller") - (0.2 - 2.61) / 3.0).abs() < 1e-12);
    // Distances from the medians 0.9 and 0.1: 0, 0.1, 0.01 and 0, 0.1, 0.
    assert!((difference("steadier") - (0.1 - 0.11) / 3.0).abs() < 1e-12);
}

#[test]
fn two_values_say_nothing_of_a_spread() {
    let mut results = Results::default();
    insert(&mut results, "a", "ours", &[1.0, 1.1]);
    insert(&mut results, "a", "r1", &[1.0, 2.0]);
    let found = claim("steadier", "beats the best", "a", "r1").decide(&design(), &results).unwrap();
    assert_eq!((found.verdict, found.differences[0].p), (Verdict::Inconclusive, None));
}

#[test]
fn a_contender_that_is_laid_out_nowhere_leaves_the_claim_open() {
    let row = format!("{HEADER}\np,1,e,x,reward,larger,ours | oops,r1,beats the best,a,\n");
    let claim = Claim::read(row.as_bytes(), "ledger.csv").unwrap().remove(0);
    assert_eq!(claim.decide(&design(), &better()).unwrap().verdict, Verdict::NotRun);
}

#[test]
fn seeds_are_paired_by_number_and_one_alone_decides_nothing() {
    let mut results = Results::default();
    for (seed, value) in [(0, 0.9), (2, 0.91)] {
        let key = Key { experiment: "e".into(), arm: arm("a", "ours"), seed };
        results.insert(key, [(Metric::Reward, value), (Metric::Delta, value)].into());
    }
    insert(&mut results, "a", "r1", &[0.1, 0.0, 0.1]);
    let found = decide("beats the best", &results, "a", "r1");
    assert_eq!(found.differences[0].estimate.n, 2);
    assert!((found.differences[0].estimate.mean - 0.805).abs() < 1e-12);
    let mut one = Results::default();
    insert(&mut one, "a", "ours", &[0.9]);
    insert(&mut one, "a", "r1", &[0.1, 0.0, 0.1]);
    let found = decide("beats the best", &one, "a", "r1");
    assert_eq!((found.verdict, found.differences[0].p), (Verdict::Inconclusive, None));
}

/// By hand: differences 0.8, 0.8, 0.81, whose standard deviation is 0.01/√3; t(2) at 97.5% is
/// 4.302653.
#[test]
fn splits_that_share_users_widen_the_interval_as_nadeau_and_bengio_say() {
    let found = decide("beats the best", &better(), "a", "r1");
    let interval = found.differences[0].estimate.interval.unwrap();
    let half = 4.302_653 * (1.0_f64 / 3.0 + 0.5).sqrt() * 0.01 / 3.0_f64.sqrt();
    assert!(((interval.high - interval.low) / 2.0 - half).abs() < 1e-6);
}

#[test]
fn a_contender_may_have_a_setting_of_its_own() {
    let mut results = Results::default();
    for (setting, value) in [("l2", 1.0), ("shannon", 0.25)] {
        for seed in 0..2 {
            let key = Key {
                experiment: "e".into(),
                arm: Arm { setting: setting.into(), ..arm("a", "gan") },
                seed,
            };
            results.insert(key, [(Metric::Reward, value + seed as f64)].into());
        }
    }
    let row =
        format!("{HEADER}\np,1,e,x,reward,larger,gan @ l2,gan @ shannon,which is better,a,\n");
    let claim = Claim::read(row.as_bytes(), "ledger.csv").unwrap().remove(0);
    let found = claim.decide(&design(), &results).unwrap();
    assert_eq!((found.verdict, found.differences[0].estimate.mean), (Verdict::OursBetter, 0.75));
}

#[test]
fn every_setting_in_which_ours_is_laid_out_is_compared() {
    let mut design = design();
    design.arms =
        vec![arm("a", "ours"), Arm { setting: "t".into(), ..arm("a", "ours") }, arm("a", "r1")];
    let found = claim("larger", "beats the best", "a", "r1").decide(&design, &better()).unwrap();
    assert_eq!((found.verdict, found.differences.len()), (Verdict::NotRun, 1));
}

#[test]
fn a_row_that_is_no_claim_is_named() {
    let read = |row: &str| {
        Claim::read(format!("{HEADER}\n{row}\n").as_bytes(), "ledger.csv").unwrap_err().to_string()
    };
    assert!(read("p,1,e,x,reward,bigger,a,b,beats each,,").contains("bigger"));
    assert!(read("p,1,e,x,reward,larger,a,b,wins,,").contains("wins"));
    let unknown = read("p,1,e,x,rewrd,larger,a,b,beats each,,");
    assert!(
        unknown.contains("line 2: there is no metric `rewrd`; the closest are `reward`, `"),
        "{unknown}"
    );
    let turned = read("p,1,e,x,delta,larger,a,b,beats each,,");
    assert!(turned.contains("line 2: `larger` is not what is better of `delta`: Δ"), "{turned}");
    assert!(
        read("p,1,e,x,reward | value,smaller,a,b,beats each,,")
            .contains("`smaller` is not what is better of `reward`")
    );
    assert!(
        read("p,1,e,x,value,larger,a,b,beats each,,").contains("not what is better of `value`")
    );
    assert!(
        read("p,1,e,x,,larger,a,b,beats each,,").contains("line 2: `metrics` of \"x\" is empty")
    );
    assert!(read("p,1,e,x,reward,larger,a, ,beats each,,").contains("`rivals`"));
    assert!(read("p,1").contains("ledger.csv"));
}

/// A ledger's row on the experiment `e`, with one column changed.
fn changed(column: &str, to: &str) -> Claim {
    let names: Vec<_> = HEADER.split(',').collect();
    let row = [
        "p",
        "1",
        "e",
        "x",
        "reward",
        "larger",
        "ours",
        "r1 @ s",
        "beats the best",
        "a | public",
        "!s",
    ];
    let cells: Vec<_> =
        names.iter().zip(row).map(|(name, cell)| if *name == column { to } else { cell }).collect();
    Claim::read(format!("{HEADER}\n{}\n", cells.join(",")).as_bytes(), "ledger.csv")
        .unwrap()
        .remove(0)
}

#[test]
fn a_claim_on_what_its_experiment_does_not_have_is_refused() {
    let design = Design { public_datasets: vec!["public".into()], ..design() };
    assert!(changed("", "").check(&design).is_ok());
    for (column, to, part) in [
        ("metrics", "coverage", "e has no metric `coverage`, expected one of `reward`, `delta`"),
        ("ours", "our", "e has no method `our`, expected one of `ours`, `r1`"),
        ("rivals", "r1 | r3", "e has no method `r3`"),
        ("rivals", "r1 @ t", "e has no setting of r1 `t`, expected one of `s`"),
        ("settings", "t*", "e has no setting `t*`, expected one of `s`"),
        ("settings", "!t", "e has no setting `t`"),
        (
            "datasets",
            "a | e",
            "e has no data set `e`, expected one of `a`, `b`, `c`, `d`, `public`",
        ),
    ] {
        let error = changed(column, to).check(&design).unwrap_err().to_string();
        assert!(
            error.starts_with("line 2 of the ledger, \"x\": ") && error.contains(part),
            "{error}"
        );
    }
}

#[test]
fn a_claim_on_a_metric_that_its_experiment_does_not_report_is_not_decided() {
    let error = changed("metrics", "coverage").decide(&design(), &better()).unwrap_err();
    assert!(matches!(error, Error::Claim { line: 2, .. }), "{error}");
}

#[test]
fn a_setting_of_another_method_is_none_of_a_contenders() {
    let mut design = Design { public_datasets: vec!["public".into()], ..design() };
    design.arms.push(Arm { setting: "t".into(), ..arm("a", "ours") });
    assert!(changed("ours", "ours @ t").check(&design).is_ok());
    let error = changed("rivals", "r1 @ t").check(&design).unwrap_err().to_string();
    assert!(error.contains("e has no setting of r1 `t`, expected one of `s`"), "{error}");
}

#[test]
fn of_rivals_that_are_alike_the_first_counts() {
    let mut results = better();
    insert(&mut results, "a", "r2", &[0.1, 0.0, 0.1]);
    for (rivals, first) in [("r1 | r2", "r1"), ("r2 | r1", "r2")] {
        let found = decide("beats the best", &results, "a", rivals);
        assert_eq!(found.differences[0].rival.method, first);
    }
}

/// A difference is a share of the rival's mean, but not of 0, nor of a spread.
#[test]
fn a_difference_is_a_share_of_what_has_one() {
    let mut results = better();
    insert(&mut results, "b", "r1", &[-0.5, 0.0, 0.5]);
    let relative = |better: &str, data: &str| {
        let found = claim(better, "beats the best", data, "r1").decide(&design(), &results);
        found.unwrap().differences[0].relative
    };
    let share = relative("larger", "a").unwrap();
    assert!((share - (2.61 - 0.2) / 0.2).abs() < 1e-9, "{share}");
    assert_eq!((relative("larger", "b"), relative("steadier", "a")), (None, None));
}

#[test]
fn an_interval_that_touches_0_decides_nothing() {
    let found = decide("beats the best", &better(), "a", "r1").differences.remove(0);
    let method = found.estimate.interval.unwrap().method;
    for (low, high, sign) in [(0.0, 1.0, 0), (1e-9, 1.0, 1), (-1.0, 0.0, 0), (-1.0, -1e-9, -1)] {
        let interval = Ok(interval::Interval { low, high, method });
        let estimate = Estimate { interval, ..found.estimate };
        assert_eq!(Difference { estimate, ..found.clone() }.sign(), sign, "[{low}, {high}]");
    }
}

#[test]
fn a_median_is_the_middle_or_lies_between_the_two() {
    assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(&[4.0, 1.0, 3.0, 2.5]), 2.75);
    assert_eq!(median(&[7.0]), 7.0);
}
