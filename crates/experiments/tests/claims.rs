//! The ledger of the papers' claims, and the table of the methods' looks, name what the experiments
//! have.

use std::collections::{BTreeMap, BTreeSet};

use foretaste_experiments::{Settings, named, program};
use foretaste_lab::{Experiment, Scale, design};
use foretaste_nn::DeviceKind;
use foretaste_report::{Claim, Design, Key, Looks, Results, Verdict};

fn ledger() -> &'static str {
    program("unknown").claims
}

fn claims() -> Vec<Claim> {
    Claim::read(ledger().as_bytes(), "claims.csv").unwrap()
}

fn experiments() -> Vec<Box<dyn Experiment>> {
    let settings =
        Settings { scale: Scale::Decide, seeds: Some(2), data_dir: None, device: DeviceKind::Cpu };
    named(&[], &settings).unwrap()
}

/// What is wrong with a ledger's text.
fn wrong(ledger: &str, designs: &[Design]) -> Option<String> {
    let claims = match Claim::read(ledger.as_bytes(), "claims.csv") {
        Ok(claims) => claims,
        Err(error) => return Some(error.to_string()),
    };
    claims.iter().find_map(|claim| {
        let Some(design) = designs.iter().find(|design| design.experiment == claim.experiment)
        else {
            return Some(format!("there is no experiment {}", claim.experiment));
        };
        claim.check(design).err().map(|error| error.to_string())
    })
}

#[test]
fn no_two_claims_are_alike() {
    let mut seen = BTreeSet::new();
    for claim in claims() {
        assert!(seen.insert((claim.section.clone(), claim.sentence.clone())), "{}", claim.sentence);
    }
}

/// Every report has the same looks for a method, whichever experiments it is of.
#[test]
fn every_method_has_its_look() {
    let of = |scale| {
        let settings = Settings { scale, seeds: Some(2), data_dir: None, device: DeviceKind::Cpu };
        let experiments = named(&[], &settings).unwrap();
        experiments.iter().map(|experiment| design(experiment.as_ref())).collect::<Vec<_>>()
    };
    let given = Looks::read(program("unknown").looks, "looks.csv").unwrap();
    let scales = [Scale::Quick, Scale::Paper, Scale::Decide];
    let all = scales.into_iter().fold(given.clone(), |looks, scale| looks.with(&of(scale)));
    let expected = String::from_utf8(all.csv().unwrap()).unwrap();
    assert_eq!(all, given, "crates/experiments/looks.csv should be:\n{expected}");
}

/// A name that is misspelt in the ledger would be "not run" for ever.
#[test]
fn every_claim_names_what_its_experiment_has() {
    let designs: Vec<_> =
        experiments().iter().map(|experiment| design(experiment.as_ref())).collect();
    assert_eq!(wrong(ledger(), &designs), None);
}

/// One letter more in any name of any row.
#[test]
fn a_name_that_is_misspelt_in_the_ledger_is_found() {
    let designs: Vec<_> =
        experiments().iter().map(|experiment| design(experiment.as_ref())).collect();
    let mut table = csv::Reader::from_reader(ledger().as_bytes());
    let header = table.headers().unwrap().clone();
    let mut changed = BTreeMap::new();
    for row in table.records() {
        let row = row.unwrap();
        for column in ["experiment", "metrics", "ours", "rivals", "datasets", "settings"] {
            let at = header.iter().position(|name| name == column).unwrap();
            let parts: Vec<_> = row[at].split(" | ").filter(|part| !part.is_empty()).collect();
            for misspelt in 0..parts.len() {
                let slip = |(at, part): (usize, &&str)| {
                    format!("{part}{}", if at == misspelt { "x" } else { "" })
                };
                let cell = parts.iter().enumerate().map(slip).collect::<Vec<_>>().join(" | ");
                let mut writer = csv::Writer::from_writer(Vec::new());
                writer.write_record(&header).unwrap();
                let cells = row
                    .iter()
                    .enumerate()
                    .map(|(place, old)| if place == at { cell.as_str() } else { old });
                writer.write_record(cells).unwrap();
                let ledger = String::from_utf8(writer.into_inner().unwrap()).unwrap();
                assert!(wrong(&ledger, &designs).is_some(), "{ledger}");
                *changed.entry(column).or_insert(0) += 1;
            }
        }
    }
    assert!(changed.len() == 6 && changed.values().all(|&count| count > 5), "{changed:?}");
}

/// With every cell of the grid made up, every claim on data that are here is decided.
#[test]
fn every_claim_on_bundled_data_is_decided_once_all_cells_have_run() {
    let mut undecided = Vec::new();
    for experiment in experiments() {
        let design = design(experiment.as_ref());
        let mut results = Results::default();
        for cell in experiment.cells() {
            let key = Key { experiment: cell.experiment.clone(), arm: cell.arm(), seed: cell.seed };
            results.insert(key, design.metrics.iter().map(|&metric| (metric, 1.0)).collect());
        }
        for claim in claims().iter().filter(|claim| claim.experiment == experiment.name()) {
            let finding = claim.decide(&design, &results).unwrap();
            undecided.extend((finding.verdict == Verdict::NotRun).then(|| claim.sentence.clone()));
        }
    }
    assert!(undecided.iter().all(|sentence| sentence.contains("(precision@10, ")), "{undecided:?}");
    assert_eq!(undecided.len(), 16);
}
