//! Verdicts follow the rules of the ledger, with intervals and powers that were computed by hand or
//! with other programs.

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
fn a_data_set_that_lacks_what_a_claim_needs_decides_nothing() {
    let read = |needs: &str, datasets: &str| {
        let row = format!("p,1,e,x,reward,larger,ours,r1,beats the best,{datasets},,{needs}");
        let text = format!("{HEADER},needs\n{row}\n");
        Claim::read(text.as_bytes(), "ledger.csv").map(|mut claims| claims.remove(0))
    };
    let decide =
        |datasets| read("delta >= 0.7", datasets).unwrap().decide(&design(), &better()).unwrap();
    // Without a need the differences of b leave it open.
    let found = decide("a | b");
    assert_eq!((found.verdict, found.differences.len()), (Verdict::Reproduced, 1));
    assert_eq!(found.left_out, ["b: delta is 0.60, at least 0.7 is needed"]);
    let found = decide("b | c");
    assert_eq!((found.verdict, found.differences.len()), (Verdict::NotDecidable, 0));
    assert_eq!(decide("b | d").verdict, Verdict::NotRun);
    let refused = read("delta > 0.7", "a").unwrap_err().to_string();
    assert!(refused.contains("expected `METRIC >= NUMBER`"), "{refused}");
    assert!(read("nothing >= 1", "a").is_err());
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

/// A claim on reward with a margin and an effect that matters.
fn sized(rule: &str, datasets: &str, rivals: &str, margin: &str, effect: &str) -> Claim {
    let row = format!("p,1,e,x,reward,larger,ours,{rivals},{rule},{datasets},,{margin},{effect}");
    Claim::read(format!("{HEADER},margin,effect\n{row}\n").as_bytes(), "ledger.csv")
        .unwrap()
        .remove(0)
}

/// The design whose seeds are independent.
fn independent() -> Design {
    let mut design = design();
    design.datasets.iter_mut().for_each(|data| data.test_per_train = 0.0);
    design
}

/// Pairs of which ours is better by 0.01 ± 0.01 on `a`, 0.00 ± 0.01 on `b`, 0.1 ± 2.5 on `c`, and
/// -0.50 ± 0.01 on `d` (95% intervals, about); the rival's mean is 2.
fn alike() -> Results {
    let mut results = Results::default();
    for (dataset, gaps) in [
        ("a", [0.011, 0.013, 0.006]),
        ("b", [-0.004, 0.004, 0.001]),
        ("c", [1.1, -0.9, 0.1]),
        ("d", [-0.504, -0.497, -0.499]),
    ] {
        let rival = [1.0, 2.0, 3.0];
        let ours: Vec<f64> = rival.iter().zip(gaps).map(|(rival, gap)| rival + gap).collect();
        insert(&mut results, dataset, "ours", &ours);
        insert(&mut results, dataset, "r1", &rival);
    }
    results
}

fn verdict(rule: &str, datasets: &str, margin: &str) -> Verdict {
    let claim = sized(rule, datasets, "r1", margin, "");
    claim.decide(&independent(), &alike()).unwrap().verdict
}

#[test]
fn equivalence_needs_every_comparison_to_lie_within_the_margin() {
    for (datasets, margin, expected) in [
        ("a", "0.1", Verdict::Equivalent),
        ("a | b", "0.1", Verdict::Equivalent),
        ("a | b", "5%", Verdict::Equivalent),
        ("a", "0.01", Verdict::Inconclusive),
        ("a | c", "0.1", Verdict::Inconclusive),
        ("a", "0.001", Verdict::NotEquivalent),
        ("b | d", "0.1", Verdict::NotEquivalent),
        ("c | d", "0.1", Verdict::NotEquivalent),
        ("d", "30%", Verdict::Equivalent),
        ("", "0.1", Verdict::NotEquivalent),
    ] {
        assert_eq!(verdict("equals", datasets, margin), expected, "{datasets}, {margin}");
    }
}

#[test]
fn what_is_not_worse_lies_above_the_margin_in_every_comparison() {
    for (datasets, margin, expected) in [
        ("a | b", "0.1", Verdict::Reproduced),
        ("a", "0.0001", Verdict::Reproduced),
        ("a | c", "0.1", Verdict::Inconclusive),
        ("b", "0.001", Verdict::Inconclusive),
        ("a | d", "0.1", Verdict::NotReproduced),
    ] {
        assert_eq!(
            verdict("is not worse than", datasets, margin),
            expected,
            "{datasets}, {margin}"
        );
    }
}

/// A margin turns only what would be inconclusive.
#[test]
fn of_methods_that_are_not_told_apart_a_margin_tells_whether_they_are_alike() {
    for rule in ["beats the best", "beats each", "which is better"] {
        assert_eq!(verdict(rule, "b", ""), Verdict::Inconclusive);
        assert_eq!(verdict(rule, "b", "0.1"), Verdict::Equivalent);
        assert_eq!(verdict(rule, "b", "0.001"), Verdict::Inconclusive);
        assert_eq!(verdict(rule, "c", "0.1"), Verdict::Inconclusive);
        assert_eq!(verdict(rule, "b | c", "0.1"), Verdict::Inconclusive);
        for datasets in ["a", "d", "a | d"] {
            let without = verdict(rule, datasets, "");
            let with = verdict(rule, datasets, "0.02");
            assert_eq!(with, without, "{datasets}");
        }
    }
    assert_eq!(verdict("beats the best", "a", "0.1"), Verdict::Reproduced);
    assert_eq!(verdict("beats the best", "d", "1"), Verdict::NotReproduced);
}

#[test]
fn equivalence_is_of_every_rival_and_of_one_seed_undecided() {
    let mut results = alike();
    insert(&mut results, "a", "r2", &[1.7, 2.6, 3.8]);
    let claim = sized("equals", "a", "r1 | r2", "0.1", "");
    let found = claim.decide(&independent(), &results).unwrap();
    assert_eq!((found.verdict, found.differences.len()), (Verdict::NotEquivalent, 2));
    let mut one = Results::default();
    insert(&mut one, "a", "ours", &[1.0]);
    insert(&mut one, "a", "r1", &[1.0]);
    let found = sized("equals", "a", "r1", "0.1", "").decide(&independent(), &one).unwrap();
    let difference = &found.differences[0];
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(difference.equivalence.is_none() && difference.power.is_none());
    assert!(found.deciding().is_none());
}

/// With the columns empty, or without them, in whatever order.
#[test]
fn a_claim_without_margin_and_effect_is_decided_as_before() {
    let row = "p,1,e,x,reward,larger,ours,r1,beats the best,a | b,";
    let read = |text: String| Claim::read(text.as_bytes(), "ledger.csv").unwrap().remove(0);
    let old = read(format!("{HEADER}\n{row}\n"));
    assert_eq!(read(format!("{HEADER},margin,effect\n{row},,\n")), old);
    assert_eq!(read(format!("effect,{HEADER}\n,{row}\n")), old);
    let found = old.decide(&design(), &better()).unwrap();
    assert!(found.differences.iter().all(|one| one.margin.is_none() && one.effect.is_none()));
}

#[test]
fn a_margin_that_is_no_size_is_named() {
    let read = |better: &str, rule: &str, margin: &str, effect: &str| {
        let row = format!("p,1,e,x,reward,{better},a,b,{rule},,,{margin},{effect}");
        Claim::read(format!("{HEADER},margin,effect\n{row}\n").as_bytes(), "ledger.csv")
            .unwrap_err()
            .to_string()
    };
    for wrong in ["small", "0", "-1", "0%", "inf", "NaN", "%", "1%%"] {
        let found = read("larger", "beats each", wrong, "");
        assert!(
            found.contains(&format!("line 2: `margin` of \"x\" is `{wrong}`, expected a positive")),
            "{found}"
        );
        assert!(read("larger", "beats each", "", wrong).contains("`effect` of \"x\" is"));
    }
    let spread = read("steadier", "beats each", "1%", "");
    assert!(spread.contains("`margin` of \"x\" is `1%`, but a spread has no share"), "{spread}");
    for rule in ["equals", "is not worse than"] {
        let found = read("larger", rule, "", "1%");
        assert!(
            found.contains(&format!("`margin` of \"x\" is empty: the rule `{rule}` needs one")),
            "{found}"
        );
    }
}

/// By hand: the gaps on `c` have the standard deviation 1; three pairs detect 3.26 of those
/// (scipy's noncentral t-distribution has the power 0.8 there), a twentieth of which takes 300
/// pairs or so.
#[test]
fn an_open_claim_has_a_smallest_effect_and_the_seeds_that_its_effect_needs() {
    let claim = sized("beats the best", "c", "r1", "", "25%");
    let found = claim.decide(&independent(), &alike()).unwrap();
    let (difference, power) = found.deciding().unwrap();
    assert_eq!(difference.effect, Some(0.5));
    assert!((power.smallest_effect - 3.26).abs() < 0.01, "{power:?}");
    assert!((power.relative.unwrap() - power.smallest_effect / 2.0).abs() < 1e-12);
    assert_eq!(power.needed.unwrap().1, Seeds::Number(34));
    assert_eq!(power.to_string(), "3.3 (163%); an effect of 0.50 needs 34 seeds");
    let shared = claim.decide(&design(), &alike()).unwrap();
    assert_eq!(shared.deciding().unwrap().1.needed.unwrap().1, Seeds::Beyond);
}

/// What is decided is not in want of seeds, and what has the least to go is not the weakest.
#[test]
fn the_weakest_comparison_that_is_open_decides() {
    let decides = |rule: &str, datasets: &str, margin: &str, effect: &str| {
        let claim = sized(rule, datasets, "r1", margin, effect);
        let found = claim.decide(&independent(), &alike()).unwrap();
        found.deciding().map(|(difference, _)| difference.ours.dataset.clone())
    };
    assert_eq!(decides("beats the best", "a | b", "", "").as_deref(), Some("b"));
    assert_eq!(decides("beats the best", "a | b | c", "", "").as_deref(), Some("c"));
    assert_eq!(decides("beats the best", "c | b", "", "0.1").as_deref(), Some("c"));
    assert_eq!(decides("equals", "a | b", "0.01", "").as_deref(), Some("a"));
    assert_eq!(decides("is not worse than", "b | c", "0.1", "").as_deref(), Some("c"));
    assert_eq!(decides("beats the best", "a", "", ""), None);
    assert_eq!(decides("beats the best", "c | d", "", ""), None);
    assert_eq!(decides("equals", "a | b", "0.1", ""), None);
}

#[test]
fn without_an_effect_a_claim_of_no_difference_goes_by_its_margin() {
    let needed = |rule: &str, effect: &str| {
        let claim = sized(rule, "c", "r1", "0.5", effect);
        let found = claim.decide(&independent(), &alike()).unwrap();
        found.differences[0].power.unwrap().to_string()
    };
    assert_eq!(needed("equals", ""), "3.3 (163%); equivalence within 0.50 needs 36 seeds");
    assert_eq!(needed("is not worse than", ""), "3.3 (163%); not worse by 0.50 needs 27 seeds");
    assert_eq!(needed("equals", "0.5"), "3.3 (163%); an effect of 0.50 needs 34 seeds");
    assert_eq!(needed("beats the best", ""), "3.3 (163%)");
}
