//! The times of cells.

use std::collections::BTreeMap;

use anyhow::Context;
use foretaste_report::Arm;

use crate::store::Finished;

/// The times of cells, in seconds, by experiment and arm.
pub type Times = BTreeMap<String, BTreeMap<Arm, Vec<f64>>>;

/// The times of these cells.
pub fn times<'a>(finished: impl IntoIterator<Item = &'a Finished>) -> Times {
    let mut times = Times::new();
    for Finished { cell, seconds, .. } in finished {
        times
            .entry(cell.experiment.clone())
            .or_default()
            .entry(cell.arm())
            .or_default()
            .push(*seconds);
    }
    times
}

/// The times of a run as `experiment,dataset,method,setting,cells,seconds`; seconds are the mean of
/// a cell's wall time.
pub fn times_csv(times: &Times) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["experiment", "dataset", "method", "setting", "cells", "seconds"])?;
    for (experiment, arms) in times {
        for (Arm { dataset, method, setting }, all) in arms {
            let (cells, seconds) = (all.len().to_string(), format!("{:.3}", mean(all)));
            writer.write_record([experiment, dataset, method, setting, &cells, &seconds])?;
        }
    }
    writer.into_inner().context("cannot finish times.csv")
}

/// The mean of at least one number.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
