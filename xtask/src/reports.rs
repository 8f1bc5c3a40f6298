//! From finished cells to a report.

use std::collections::BTreeMap;

use understudy_report::{Arm, Claim, Curves, Design, Key, Report, Results, RunFacts};

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
    let designs: Vec<Design> = experiments.iter().map(|experiment| design(experiment.as_ref())).collect();
    let claims = Claim::read(CLAIMS.as_bytes(), "xtask/claims.csv")?;
    let (mut results, mut curves) = (Results::default(), Curves::default());
    for Finished { cell, outcome, .. } in &tally.finished {
        let key = Key { experiment: cell.experiment.clone(), arm: arm(cell), seed: cell.seed };
        curves.insert(key.clone(), outcome.curve.clone());
        results.insert(key, outcome.metrics.clone());
    }
    let times = times(&tally.finished);
    let mean = |seconds: &Vec<f64>| seconds.iter().sum::<f64>() / seconds.len() as f64;
    let of_arms = |arms: &BTreeMap<Arm, Vec<f64>>| arms.iter().map(|(arm, all)| (arm.clone(), mean(all))).collect();
    let means = times.iter().map(|(experiment, arms)| (experiment.clone(), of_arms(arms))).collect();
    let report = Report::new(&designs, &results, &curves, &means, &claims, facts(tally, record, remarks))?;
    Ok(Output { results, curves, times, report })
}

/// The times of these cells.
pub fn times<'a>(finished: impl IntoIterator<Item = &'a Finished>) -> Times {
    let mut times = Times::new();
    for Finished { cell, seconds, .. } in finished {
        times.entry(cell.experiment.clone()).or_default().entry(arm(cell)).or_default().push(*seconds);
    }
    times
}

/// Where a cell stands in a report.
pub fn arm(cell: &Cell) -> Arm {
    Arm { dataset: cell.dataset.clone(), method: cell.method.clone(), setting: cell.setting.clone() }
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
        columns: experiment.columns().iter().map(|&name| name.to_owned()).collect(),
        views: experiment.views(),
        curve: experiment.curve_label().into(),
        notes: experiment.notes(),
    }
}

fn facts(tally: &Tally, record: &RunRecord, remarks: Vec<String>) -> RunFacts {
    let config = &record.config;
    let data = config.data_dir.as_ref().map_or("bundled logs, simulated".into(), |dir| dir.display().to_string());
    let memory = record.machine.memory_bytes.map_or(String::new(), |bytes| format!(", {} GiB", bytes >> 30));
    let facts = [
        ("scale", config.scale.to_string()),
        ("seeds", record.seeds.to_string()),
        ("data", data),
        ("device", config.device.clone()),
        ("revision", record.git_revision.clone()),
        ("machine", format!("{}, {} cores{memory}", record.machine.cpu, record.machine.cores)),
        (
            "cells",
            format!("{}, {} of them from before, in {:.0} s", tally.finished.len(), tally.resumed, record.wall_s),
        ),
    ];
    let missing =
        (!tally.complete()).then(|| format!("Incomplete: {} of {} cells.", tally.finished.len(), tally.total));
    RunFacts {
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        warnings: missing.into_iter().collect(),
        remarks,
        failed: tally.failed.iter().map(|failed| format!("{}: {}", failed.cell, failed.error)).collect(),
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

    #[test]
    fn every_claim_names_an_experiment_and_no_two_are_alike() {
        let mut seen = BTreeSet::new();
        for claim in claims() {
            assert!(experiments::NAMES.contains(&claim.experiment.as_str()), "{}", claim.sentence);
            assert!(seen.insert((claim.section.clone(), claim.sentence.clone())), "{}", claim.sentence);
        }
    }

    /// A method or metric that is misspelt in the ledger would be "not run" for ever: with every cell of the grid made up, every claim on
    /// data that are here is decided.
    #[test]
    fn every_claim_on_bundled_data_is_decided_once_all_cells_have_run() {
        let settings =
            Settings { scale: Scale::Quick, seeds: 2, data_dir: None, device: understudy_nn::DeviceKind::Cpu };
        let metrics = claims().iter().flat_map(|claim| claim.metrics().to_vec()).collect::<BTreeSet<_>>();
        let mut undecided = Vec::new();
        for experiment in experiments::named(&[], &settings).unwrap() {
            let mut results = Results::default();
            for cell in experiment.cells() {
                let key = Key { experiment: cell.experiment.clone(), arm: arm(cell), seed: cell.seed };
                results.insert(key, metrics.iter().map(|metric| (metric.clone(), 1.0)).collect());
            }
            let design = design(experiment.as_ref());
            for claim in claims().iter().filter(|claim| claim.experiment == experiment.name()) {
                let finding = claim.decide(&design, &results).unwrap();
                undecided
                    .extend((finding.verdict == understudy_report::Verdict::NotRun).then(|| claim.sentence.clone()));
            }
        }
        assert!(undecided.iter().all(|sentence| sentence.contains("(precision@10, ")), "{undecided:?}");
        assert_eq!(undecided.len(), 10);
    }
}
