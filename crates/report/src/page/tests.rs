//! The report is valid HTML whatever names are in it, is accessible, and says the most important
//! things first. A browser's parser is the judge.

use std::collections::{BTreeMap, BTreeSet};

use foretaste_eval::Metric;
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

use super::*;
use crate::{Arm, By, Claim, Curves, DataSet, Design, Key, Kind, Looks, Results, RunFacts, View};

/// What a name may hold that HTML would take for itself.
const HOSTILE: &str = "<b>&\"'</table>";

/// A report of everything that a page can show, over so many seeds.
fn report(seeds: u64) -> Report {
    let arm = |method: &str| Arm {
        dataset: HOSTILE.into(),
        method: method.into(),
        setting: "s & t".into(),
    };
    let view = |kind, name| View {
        kind,
        name,
        title: "What <m> earns",
        axis: "reward",
        over: "method",
        metrics: vec![(Metric::Reward, "reward")],
        groups: Some(By::Method),
        ..View::default()
    };
    let design = Design {
        experiment: "toy".into(),
        question: "Does it run & print?".into(),
        datasets: vec![DataSet {
            name: HOSTILE.into(),
            test_per_train: 0.0,
            caveat: "small".into(),
        }],
        arms: vec![arm("ours"), arm("theirs")],
        metrics: vec![Metric::Reward],
        columns: vec![Metric::Reward],
        views: vec![view(Kind::Bars, "bars"), view(Kind::Dots, "dots"), view(Kind::Table, "table")],
        curve: "loss".into(),
        notes: vec![HOSTILE.into()],
        ..Design::default()
    };
    let (mut results, mut curves) = (Results::default(), Curves::default());
    for (at, arm) in design.arms.iter().enumerate() {
        for seed in 0..seeds {
            let key = Key { experiment: "toy".into(), arm: arm.clone(), seed };
            let value = 1.0 - at as f64 + 0.01 * (seed * seed) as f64;
            results.insert(key.clone(), [(Metric::Reward, value)].into());
            let point = |iteration: f64| {
                [("iteration", iteration), ("validation_nll", value - iteration)]
                    .map(|(name, value)| (name.to_owned(), value))
                    .into()
            };
            curves.insert(key, [0.0, 1.0].map(point).into());
        }
    }
    let ledger = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings\n\
        A,§7,toy,ours earns <more>,reward,larger,ours,theirs,beats the best,,\n\
        A,§7,toy,theirs earns more,reward,larger,theirs,ours,beats the best,,\n\
        A,§8,other,it is better,reward,larger,ours,theirs,beats the best,,\n";
    let claims = Claim::read(ledger.as_bytes(), "claims.csv").unwrap();
    let facts = RunFacts {
        facts: vec![("data".into(), HOSTILE.into())],
        warnings: vec!["some cells are missing".into()],
        remarks: vec![HOSTILE.into()],
        failed: vec![HOSTILE.into()],
    };
    Report::new(&[design], &results, &curves, &BTreeMap::new(), &claims, Looks::default(), facts)
        .unwrap()
}

/// An element: its name and its attributes.
type Element = (String, BTreeMap<String, String>);

/// The elements of a page, and what a browser would complain about.
fn parsed(page: &str) -> (Vec<Element>, Vec<String>) {
    fn collect(node: &Handle, into: &mut Vec<Element>) {
        if let NodeData::Element { name, attrs, .. } = &node.data {
            let attributes = attrs.borrow();
            let pairs = attributes.iter().map(|a| (a.name.local.to_string(), a.value.to_string()));
            into.push((name.local.to_string(), pairs.collect()));
        }
        node.children.borrow().iter().for_each(|child| collect(child, into));
    }
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page);
    let mut elements = Vec::new();
    collect(&dom.document, &mut elements);
    let errors = dom.errors.borrow().iter().map(|error| error.to_string()).collect();
    (elements, errors)
}

#[test]
fn a_browser_has_nothing_to_complain_about() {
    for seeds in [1, 4] {
        let (elements, errors) = parsed(&report(seeds).html());
        assert_eq!(errors, Vec::<String>::new());
        let count = |name: &str| elements.iter().filter(|(element, _)| element == name).count();
        assert_eq!((count("b"), count("figure"), count("figcaption")), (0, 3, 3));
        let ids: Vec<_> =
            elements.iter().filter_map(|(_, attributes)| attributes.get("id")).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
    let (_, errors) = parsed("<!DOCTYPE html><p>a</div><table><p></table>");
    assert!(!errors.is_empty(), "the test would see an error");
}

#[test]
fn plots_have_alternative_text_and_what_scrolls_has_a_name_and_the_keyboard() {
    let (elements, _) = parsed(&report(4).html());
    for (name, attributes) in elements {
        let of = |key: &str| attributes.get(key).map(String::as_str);
        match name.as_str() {
            "svg" => {
                assert_eq!(of("role"), Some("img"));
                assert!(
                    of("aria-label").is_some_and(|text| text.contains("Mean over 4 seeds")
                        || text.contains("Learning curves"))
                );
            }
            "div" if of("class") == Some("wide") => {
                assert_eq!((of("tabindex"), of("role")), (Some("0"), Some("group")));
                assert!(of("aria-label").is_some_and(|text| !text.is_empty()));
            }
            "th" => assert_eq!(of("scope"), Some("col")),
            _ => {}
        }
    }
}

#[test]
fn the_first_screen_says_what_was_asked_what_came_out_and_how_sure_it_is() {
    let page = report(4).html();
    let (head, _) = page.split_once("</header>").unwrap();
    for text in [
        "Does it run &amp; print?",
        "Claims: 1 reproduced, 1 not reproduced.",
        "These results speak to 2 claims: 1 reproduced, 1 not reproduced. 1 claim needs runs",
        "Each figure is a mean over 4 seeds with a 95% interval",
        "What limits some claims: small.",
    ] {
        assert!(head.contains(text), "{text}\n{head}");
    }
    assert!(!head.contains("inconclusive, which"));
    assert!(report(1).html().contains("2 claims are inconclusive, which does not mean"));
}

#[test]
fn a_table_says_what_to_look_at() {
    let page = report(4).html();
    assert!(page.contains("More is better. The best mean is that of ours. Rows whose"), "{page}");
    assert!(page.contains("Sum of the rewards of a session, mean over sessions. Unit: reward per"));
}
