//! From finished cells to a report.

use std::collections::BTreeMap;

use foretaste_report::{Arm, Claim, Curves, Design, Key, Report, Results, RunFacts};

use crate::experiment::{Cell, Experiment};
use crate::provenance::RunRecord;
use crate::runner::Tally;
use crate::store::Finished;

/// What the papers claim.
const CLAIMS: &str = include_str!("../claims.csv");

/// The report of a run, and the tables behind it.
pub struct Output {
    /// `results.csv`.
    pub results: Results,
    /// `curves.csv`.
    pub curves: Curves,
    /// The times of cells, in seconds, by experiment and arm.
    pub times: Times,
    /// The rest.
    pub report: Report,
}

/// The times of cells, in seconds, by experiment and arm.
pub type Times = BTreeMap<String, BTreeMap<Arm, Vec<f64>>>;

/// The report of the finished cells of these experiments.
///
/// # Errors
/// Where a figure or plot cannot be made.
pub fn output(
    experiments: &[Box<dyn Experiment>],
    tally: &Tally,
    record: &RunRecord,
    remarks: Vec<String>,
) -> anyhow::Result<Output> {
    let designs: Vec<Design> =
        experiments.iter().map(|experiment| design(experiment.as_ref())).collect();
    let claims = Claim::read(CLAIMS.as_bytes(), "xtask/claims.csv")?;
    let (mut results, mut curves) = (Results::default(), Curves::default());
    for Finished { cell, outcome, .. } in &tally.finished {
        let key = Key { experiment: cell.experiment.clone(), arm: arm(cell), seed: cell.seed };
        curves.insert(key.clone(), outcome.curve.clone());
        results.insert(key, outcome.metrics.clone());
    }
    let times = times(&tally.finished);
    let mean = |seconds: &Vec<f64>| seconds.iter().sum::<f64>() / seconds.len() as f64;
    let of_arms = |arms: &BTreeMap<Arm, Vec<f64>>| {
        arms.iter().map(|(arm, all)| (arm.clone(), mean(all))).collect()
    };
    let means =
        times.iter().map(|(experiment, arms)| (experiment.clone(), of_arms(arms))).collect();
    let report =
        Report::new(&designs, &results, &curves, &means, &claims, facts(tally, record, remarks))?;
    Ok(Output { results, curves, times, report })
}

/// The times of these cells.
pub fn times<'a>(finished: impl IntoIterator<Item = &'a Finished>) -> Times {
    let mut times = Times::new();
    for Finished { cell, seconds, .. } in finished {
        times
            .entry(cell.experiment.clone())
            .or_default()
            .entry(arm(cell))
            .or_default()
            .push(*seconds);
    }
    times
}

/// Where a cell stands in a report.
pub fn arm(cell: &Cell) -> Arm {
    Arm {
        dataset: cell.dataset.clone(),
        method: cell.method.clone(),
        setting: cell.setting.clone(),
    }
}

fn design(experiment: &dyn Experiment) -> Design {
    let mut arms: Vec<Arm> = Vec::new();
    for cell in experiment.cells() {
        let arm = arm(cell);
        if !arms.contains(&arm) {
            arms.push(arm);
        }
    }
    Design {
        experiment: experiment.name().into(),
        question: experiment.question().into(),
        datasets: experiment.datasets(),
        arms,
        public_datasets: experiment.public_datasets().iter().map(|&name| name.to_owned()).collect(),
        metrics: experiment.columns().iter().copied().chain(experiment.further_metrics()).collect(),
        columns: experiment.columns().to_vec(),
        views: experiment.views(),
        curve: experiment.curve_label().into(),
        notes: experiment.notes(),
    }
}

fn facts(tally: &Tally, record: &RunRecord, remarks: Vec<String>) -> RunFacts {
    let config = &record.config;
    let data = config
        .data_dir
        .as_ref()
        .map_or("bundled logs, simulated".into(), |dir| dir.display().to_string());
    let memory =
        record.machine.memory_bytes.map_or(String::new(), |bytes| format!(", {} GiB", bytes >> 30));
    let facts = [
        ("scale", config.scale.to_string()),
        ("seeds", record.seeds.to_string()),
        ("data", data),
        ("device", config.device.clone()),
        ("revision", record.git_revision.clone()),
        ("machine", format!("{}, {} cores{memory}", record.machine.cpu, record.machine.cores)),
        (
            "cells",
            format!(
                "{}, {} of them from before, in {:.0} s",
                tally.finished.len(),
                tally.resumed,
                record.wall_s
            ),
        ),
    ];
    let missing = (!tally.complete())
        .then(|| format!("Incomplete: {} of {} cells.", tally.finished.len(), tally.total));
    RunFacts {
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        warnings: missing.into_iter().collect(),
        remarks,
        failed: tally
            .failed
            .iter()
            .map(|failed| format!("{}: {}", failed.cell, failed.error))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::experiments;
    use crate::settings::{Scale, Settings};

    fn claims() -> Vec<Claim> {
        Claim::read(CLAIMS.as_bytes(), "xtask/claims.csv").unwrap()
    }

    fn experiments() -> Vec<Box<dyn Experiment>> {
        let settings = Settings {
            scale: Scale::Quick,
            seeds: 2,
            data_dir: None,
            device: foretaste_nn::DeviceKind::Cpu,
        };
        experiments::named(&[], &settings).unwrap()
    }

    /// What is wrong with a ledger's text.
    fn wrong(ledger: &str, designs: &[Design]) -> Option<String> {
        let claims = match Claim::read(ledger.as_bytes(), "xtask/claims.csv") {
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
            assert!(
                seen.insert((claim.section.clone(), claim.sentence.clone())),
                "{}",
                claim.sentence
            );
        }
    }

    /// A name that is misspelt in the ledger would be "not run" for ever.
    #[test]
    fn every_claim_names_what_its_experiment_has() {
        let designs: Vec<_> =
            experiments().iter().map(|experiment| design(experiment.as_ref())).collect();
        assert_eq!(wrong(CLAIMS, &designs), None);
    }

    /// One letter more in any name of any row.
    #[test]
    fn a_name_that_is_misspelt_in_the_ledger_is_found() {
        let designs: Vec<_> =
            experiments().iter().map(|experiment| design(experiment.as_ref())).collect();
        let mut table = csv::Reader::from_reader(CLAIMS.as_bytes());
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
                let key =
                    Key { experiment: cell.experiment.clone(), arm: arm(cell), seed: cell.seed };
                results.insert(key, design.metrics.iter().map(|&metric| (metric, 1.0)).collect());
            }
            for claim in claims().iter().filter(|claim| claim.experiment == experiment.name()) {
                let finding = claim.decide(&design, &results).unwrap();
                undecided.extend(
                    (finding.verdict == foretaste_report::Verdict::NotRun)
                        .then(|| claim.sentence.clone()),
                );
            }
        }
        assert!(
            undecided.iter().all(|sentence| sentence.contains("(precision@10, ")),
            "{undecided:?}"
        );
        assert_eq!(undecided.len(), 10);
    }
}
