//! The record of the rule of `foretaste trust`: that of the rule as it is, as docs/trust.md has it.

use std::collections::BTreeMap;

use foretaste_user_model::trust::{Evidence, Verdict};

const RECORD: &str = include_str!("../../../docs/trust-record.csv");
const PAGE: &str = include_str!("../../../docs/trust.md");

/// A world: the figures by the names of their columns.
fn worlds() -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(RECORD.as_bytes()).deserialize().map(Result::unwrap).collect()
}

fn figure(world: &BTreeMap<String, String>, name: &str) -> Option<f64> {
    let text = &world[name];
    (!text.is_empty()).then(|| text.parse().unwrap())
}

fn evidence(world: &BTreeMap<String, String>) -> Evidence {
    Evidence {
        nll_gain: figure(world, "nll_gain"),
        uniform_gain: figure(world, "uniform_gain"),
        click_rate_error: figure(world, "click_rate_error"),
        reward_error: figure(world, "reward_error"),
        length_error: figure(world, "length_error"),
        told_apart: figure(world, "auc"),
        halves_agree: figure(world, "halves_agree"),
        order: figure(world, "order"),
        regret: figure(world, "regret"),
        greed: figure(world, "greed"),
        unseen: figure(world, "unseen"),
        form_gain: figure(world, "form_gain"),
        form_order: figure(world, "form_order"),
        form_regret: figure(world, "form_regret"),
        form_greed: figure(world, "form_greed"),
        other_log: None,
    }
}

fn level(world: &BTreeMap<String, String>, name: &str) -> usize {
    Verdict::ALL.iter().position(|verdict| verdict.name() == world[name]).unwrap()
}

/// Levels that a verdict costs: 4 for one wrongly permitted, 1 for one withheld.
fn loss(verdict: usize, rightful: usize) -> usize {
    4 * verdict.saturating_sub(rightful) + rightful.saturating_sub(verdict)
}

#[test]
fn every_recorded_verdict_is_that_of_the_rule() {
    let worlds = worlds();
    assert_eq!(worlds.len(), 100);
    for world in worlds {
        assert_eq!(evidence(&world).verdict().name(), world["verdict"], "{world:?}");
    }
}

#[test]
fn the_page_has_the_figures_of_the_record() {
    let worlds = worlds();
    let mut counts = [[0; 4]; 4];
    for world in &worlds {
        counts[level(world, "verdict")][level(world, "rightful")] += 1;
    }
    for (verdict, row) in Verdict::ALL.iter().zip(counts) {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        let line = format!("| {verdict} | {} |", cells.join(" | "));
        assert!(PAGE.contains(&line), "docs/trust.md lacks {line}");
    }
    let wrong =
        worlds.iter().filter(|world| level(world, "verdict") > level(world, "rightful")).count();
    assert_eq!(Evidence::RECORD, (wrong, worlds.len()));
    let line = format!("Wrong permissions: {wrong} of {}", worlds.len());
    assert!(PAGE.contains(&line), "docs/trust.md lacks {line}");
    let mean = |verdict: &dyn Fn(&BTreeMap<String, String>) -> usize| {
        let losses = worlds.iter().map(|world| loss(verdict(world), level(world, "rightful")));
        format!("{:.2}", losses.sum::<usize>() as f64 / worlds.len() as f64)
    };
    let constant: Vec<String> = (0..4).map(|verdict| mean(&move |_| verdict)).collect();
    let own = mean(&|world| level(world, "verdict"));
    let line = format!("| {own} | {} |", constant.join(" | "));
    assert!(PAGE.contains(&line), "docs/trust.md lacks {line}");
}
