//! What the experiments that fit learned users share.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::{Context, bail};
use foretaste_baselines as baselines;
use foretaste_eval::Metric;
use foretaste_eval::choice::Evaluation;
use foretaste_lab::{Interrupted, Scale, Watch};
use foretaste_nn::AdamConfig;
use foretaste_report::Figures;
use foretaste_train::{Fitted, Progress};
use foretaste_user_model::{CurvePoint, TrainConfig};

use crate::sources::Source;

/// The version of the experiments with learned users: 2 since these act on the host, and 3 since
/// they are fitted with our own exponential; each time the last bits are others.
pub const LEARNED_USERS: u32 = 3;

/// The published training at the papers' scale. The quick one stops after 20 validations without a
/// new best; where slates are simulated, of which a user sees a hundred, it takes 2 users a batch,
/// larger steps and rarer validations.
pub fn training(source: &Source, scale: Scale) -> TrainConfig {
    let published = TrainConfig::default();
    match scale {
        Scale::Paper => published,
        Scale::Quick | Scale::Decide if source.simulated_slates => TrainConfig {
            optimiser: AdamConfig { learning_rate: 1e-3, ..published.optimiser },
            batch: 2,
            iterations: 500,
            validate_every: 20,
            patience: Some(5),
        },
        Scale::Quick | Scale::Decide => TrainConfig { patience: Some(20), ..published },
        Scale::Smoke => TrainConfig { iterations: 40, ..published },
    }
}

/// Tells a cell's watcher of the iterations and validations of a fit, which is `part` of the cell,
/// and hears whether to stop; `loss` names what the loss is in.
pub fn callback(
    watch: &Watch,
    total: u64,
    part: &str,
    loss: &str,
) -> impl FnMut(Progress<CurvePoint>) -> ControlFlow<()> {
    move |Progress { iteration, point }| {
        watch.progress(iteration, total);
        if let Some(point) = point {
            let norm = figures([("gradient_norm", point.gradient_norm)]);
            watch.record(part, iteration, row(&point, loss).into_iter().chain(norm));
        }
        watch.control_flow()
    }
}

/// Tells a cell's watcher of the points of a grid, each a part of the cell, and hears whether to
/// stop.
pub fn grid_callback(watch: &Watch) -> impl FnMut(baselines::Progress) -> ControlFlow<()> {
    move |baselines::Progress { point, points, iteration, seen }| {
        watch.progress(point as u64, points as u64);
        if let Some(seen) = seen {
            watch.record(&format!("grid-{point}"), iteration, baseline_row(&seen));
        }
        watch.control_flow()
    }
}

/// Figures by name, those that there are.
pub fn figures<const N: usize>(
    figures: [(&str, Option<f64>); N],
) -> impl Iterator<Item = (String, f64)> {
    figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

/// A result whose interruption is that of the cell.
pub fn interruptible<T, E: Into<Stopped>>(result: Result<T, E>) -> anyhow::Result<T> {
    match result.map_err(Into::into) {
        Ok(found) => Ok(found),
        Err(Stopped::Interrupted) => bail!(Interrupted),
        Err(Stopped::Failed(reason)) => Err(reason),
    }
}

/// Why a fit ended early.
pub enum Stopped {
    Interrupted,
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Stopped {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<foretaste_train::Error>() {
            Ok(error) => error.into(),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<foretaste_train::Error> for Stopped {
    fn from(error: foretaste_train::Error) -> Self {
        match error {
            foretaste_train::Error::Interrupted => Self::Interrupted,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<foretaste_user_model::Error> for Stopped {
    fn from(error: foretaste_user_model::Error) -> Self {
        match error {
            foretaste_user_model::Error::Training(reason) => reason.into(),
            other => Self::Failed(other.into()),
        }
    }
}

impl From<foretaste_baselines::Error> for Stopped {
    fn from(error: foretaste_baselines::Error) -> Self {
        match error {
            foretaste_baselines::Error::Training(reason) => reason.into(),
            other => Self::Failed(other.into()),
        }
    }
}

/// The figures of a test that every regularizer has.
pub fn metrics(test: &Evaluation) -> anyhow::Result<Figures> {
    let unclicked = "no test slate has a click";
    let figures = [
        (Metric::PrecisionAt1, test.precision_at_1.context(unclicked)?),
        (Metric::PrecisionAt2, test.precision_at_2.context(unclicked)?),
    ];
    let likelihood =
        test.nll_given_choice.filter(|nll| nll.is_finite()).map(|nll| (Metric::NllGivenClick, nll));
    Ok(figures.into_iter().chain(likelihood).collect())
}

/// The learning curve of a fit; `loss` names what it is in.
pub fn curve(fitted: &Fitted<CurvePoint>, loss: &str) -> Vec<BTreeMap<String, f64>> {
    fitted.curve.iter().map(|point| row(point, loss)).collect()
}

fn row(point: &CurvePoint, loss: &str) -> BTreeMap<String, f64> {
    let figures = [
        ("iteration".to_owned(), Some(point.iteration as f64)),
        (format!("train_{loss}"), point.train_nll),
        (format!("validation_{loss}"), Some(point.validation_nll)),
    ];
    figures.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A row of a click model's learning curve.
pub fn baseline_row(point: &baselines::CurvePoint) -> BTreeMap<String, f64> {
    figures([
        ("iteration", Some(point.iteration as f64)),
        ("train_loss", point.training_loss),
        ("validation_loss", Some(point.validation_loss)),
    ])
    .collect()
}
