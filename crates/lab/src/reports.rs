//! From finished cells to a report.

use std::collections::BTreeMap;

use foretaste_report::{Arm, Claim, Curves, Design, Key, Looks, Report, Results, RunFacts};

use crate::provenance::RunRecord;
use crate::store::Finished;
use crate::tally::Tally;
use crate::times::{Times, mean, times};
use crate::{Experiment, Program};

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

/// The report of the finished cells of these experiments.
///
/// # Errors
/// Where a figure or plot cannot be made.
pub fn output(
    experiments: &[Box<dyn Experiment>],
    tally: &Tally,
    record: &RunRecord,
    program: &Program,
    remarks: Vec<String>,
) -> anyhow::Result<Output> {
    let designs: Vec<Design> =
        experiments.iter().map(|experiment| design(experiment.as_ref())).collect();
    let claims = Claim::read(program.claims.as_bytes(), "claims.csv")?;
    let looks = Looks::read(program.looks, "looks.csv")?;
    let (mut results, mut curves) = (Results::default(), Curves::default());
    for Finished { cell, outcome, .. } in &tally.finished {
        let key = Key { experiment: cell.experiment.clone(), arm: cell.arm(), seed: cell.seed };
        curves.insert(key.clone(), outcome.curve.clone());
        results.insert(key, outcome.metrics.clone());
    }
    let times = times(&tally.finished);
    let of_arms = |arms: &BTreeMap<Arm, Vec<f64>>| {
        arms.iter().map(|(arm, all)| (arm.clone(), mean(all))).collect()
    };
    let means =
        times.iter().map(|(experiment, arms)| (experiment.clone(), of_arms(arms))).collect();
    let facts = facts(tally, record, remarks);
    let report = Report::new(&designs, &results, &curves, &means, &claims, looks, facts)?;
    Ok(Output { results, curves, times, report })
}

/// What a report knows of an experiment.
pub fn design(experiment: &dyn Experiment) -> Design {
    let mut arms: Vec<Arm> = Vec::new();
    for cell in experiment.cells() {
        let arm = cell.arm();
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
                "{}, {} of them from earlier runs, in {:.0} s",
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
