//! The contract between the one fit loop and what it trains, and the loop's settings. The loop
//! itself is in `fitting`, one iteration at a time.

use std::ops::ControlFlow;

use foretaste_nn::Params;
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::{Error, Fitting, Result};

/// What the fit loop trains.
pub trait Fit {
    /// One validation: a point of the learning curve.
    type Point: Clone;
    /// Why training or validation fails.
    type Error: From<Error>;

    /// Trains for one iteration, counted from 1: a batch, or an epoch.
    fn train(&mut self, iteration: u64) -> std::result::Result<(), Self::Error>;

    /// Validates the parameters as they are after `iteration` iterations.
    fn validate(&mut self, iteration: u64) -> std::result::Result<Self::Point, Self::Error>;

    /// The parameters that the loop keeps: at least one set. Each set is put back to its own best
    /// validation.
    fn params(&self) -> Vec<&Params>;

    /// What decides which validation is the best of each set of [`params`](Self::params), in the
    /// same order: the lowest value, the earlier of two that are equal. Sets with the same loss
    /// have the same best validation.
    fn losses(&self, point: &Self::Point) -> Vec<f64>;
}

/// How long a fit runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitConfig {
    /// Iterations at most.
    pub iterations: u64,
    /// Iterations between two validations, at least 1. The last iteration is followed by one too.
    pub validate_every: u64,
    /// Stop after this many validations in a row, at least 1, without a new best of any set of
    /// parameters; `None` runs all iterations.
    pub patience: Option<u64>,
    /// Which parameters may turn out the best.
    pub candidates: Candidates,
}

/// Which parameters may turn out the best of a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Candidates {
    /// Those of every validation, the one before any iteration among them.
    All,
    /// Those of a validation after an iteration: who was not trained is no candidate.
    Trained,
}

/// What a fit reports to its callback: before any iteration, and after each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<P> {
    /// Iterations done.
    pub iteration: u64,
    /// The validation, if one was made now.
    pub point: Option<P>,
}

/// What a fit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted<P> {
    /// Every validation in order, the first before any iteration.
    pub curve: Vec<P>,
    /// The validation whose parameters the first set of [`Fit::params`] now holds.
    pub best: P,
}

/// Trains `learner` until the iterations or the patience end; its parameters are then those of
/// their best validation. A fit that is to be saved on its way is a [`Fitting`].
///
/// The callback may stop the fit. After an error the parameters are those of the last update.
///
/// # Errors
/// As [`Fitting`]; [`Error::Interrupted`] if the callback stopped the fit.
pub fn fit<F: Fit>(
    learner: &mut F,
    config: FitConfig,
    mut callback: impl FnMut(Progress<F::Point>) -> ControlFlow<()>,
) -> std::result::Result<Fitted<F::Point>, F::Error> {
    let mut report = |progress| match callback(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    };
    let mut fitting = Fitting::start(learner, config)?;
    report(Progress { iteration: 0, point: fitting.curve().first().cloned() })?;
    while let Some(progress) = fitting.advance(learner)? {
        report(progress)?;
    }
    Ok(fitting.finish(learner)?)
}

impl FitConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if self.validate_every == 0 || self.patience == Some(0) {
            let expected = "validate_every and patience of at least 1";
            return Err(Setting::of("fit", self, expected).into());
        }
        Ok(())
    }
}
