//! What the experiments that fit learned users share.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::{Context, bail};
use understudy_nn::AdamConfig;
use understudy_user_model::{Evaluation, Fit, TrainConfig};

use super::sources::Source;
use crate::experiment::{Interrupted, Watch};
use crate::settings::Scale;

/// The published training at the papers' scale. The quick one stops after 20 validations without a new best; where slates are
/// simulated, of which a user sees a hundred, it takes 2 users a batch, larger steps and rarer validations.
pub fn training(source: &Source, scale: Scale) -> TrainConfig {
    let published = TrainConfig::default();
    match scale {
        Scale::Paper => published,
        Scale::Quick if source.simulated_slates => TrainConfig {
            optimiser: AdamConfig { learning_rate: 1e-3, ..published.optimiser },
            batch: 2,
            iterations: 500,
            validate_every: 20,
            patience: Some(5),
        },
        Scale::Quick => TrainConfig { patience: Some(20), ..published },
        Scale::Smoke => TrainConfig { iterations: 40, ..published },
    }
}

/// Tells a cell's watcher of the iterations, and hears whether to stop.
pub fn told(watch: &Watch, total: u64) -> impl FnMut(u64) -> ControlFlow<()> {
    move |iteration| {
        watch.progress(iteration, total);
        watch.control_flow()
    }
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

impl From<understudy_user_model::Error> for Stopped {
    fn from(error: understudy_user_model::Error) -> Self {
        match error {
            understudy_user_model::Error::Interrupted => Self::Interrupted,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<understudy_baselines::Error> for Stopped {
    fn from(error: understudy_baselines::Error) -> Self {
        match error {
            understudy_baselines::Error::Interrupted => Self::Interrupted,
            other => Self::Failed(other.into()),
        }
    }
}

/// The figures of a test that every regulariser has.
pub fn metrics(test: &Evaluation) -> anyhow::Result<BTreeMap<String, f64>> {
    let unclicked = "no test display has a click";
    let figures = [
        ("precision@1", test.precision_at_1.context(unclicked)?),
        ("precision@2", test.precision_at_2.context(unclicked)?),
    ];
    let likelihood = test.nll_given_click.filter(|nll| nll.is_finite()).map(|nll| ("nll_given_click", nll));
    Ok(figures.into_iter().chain(likelihood).map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The learning curve of a fit; `loss` names what it is in.
pub fn curve(fitted: &Fit, loss: &str) -> Vec<BTreeMap<String, f64>> {
    let points = fitted.curve.iter().map(|point| {
        let figures = [
            ("iteration".to_owned(), Some(point.iteration as f64)),
            (format!("train_{loss}"), point.train_nll),
            (format!("validation_{loss}"), Some(point.validation_nll)),
        ];
        figures.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    });
    points.collect()
}
