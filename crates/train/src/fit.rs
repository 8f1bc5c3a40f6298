use std::collections::BTreeMap;
use std::ops::ControlFlow;

use candle_core::Tensor;
use foretaste_nn::Params;
use foretaste_settings::Setting;

use crate::{Error, Result};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
/// their best validation.
///
/// The callback may stop the fit. After an error the parameters are those of the last update.
///
/// # Errors
/// [`Error::Diverged`] if a validation loss is not finite; [`Error::Interrupted`] if the callback
/// stopped the fit; [`Error::Setting`] if a setting is outside its range; what the learner returns.
pub fn fit<F: Fit>(
    learner: &mut F,
    config: FitConfig,
    mut callback: impl FnMut(Progress<F::Point>) -> ControlFlow<()>,
) -> std::result::Result<Fitted<F::Point>, F::Error> {
    config.check()?;
    let mut report = |iteration, point| match callback(Progress { iteration, point }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    };
    let first = learner.validate(0)?;
    let mut best = Best::new(learner, config.candidates);
    best.consider(learner, &first, 0)?;
    report(0, Some(first.clone()))?;
    let mut curve = vec![first];
    let mut since_best = 0;
    for iteration in 1..=config.iterations {
        learner.train(iteration)?;
        if !iteration.is_multiple_of(config.validate_every) && iteration != config.iterations {
            report(iteration, None)?;
            continue;
        }
        let point = learner.validate(iteration)?;
        let improved = best.consider(learner, &point, iteration)?;
        since_best = if improved { 0 } else { since_best + 1 };
        report(iteration, Some(point.clone()))?;
        curve.push(point);
        if Some(since_best) == config.patience {
            break;
        }
    }
    let best = best.restore(learner)?.unwrap_or_else(|| curve[0].clone());
    Ok(Fitted { curve, best })
}

impl FitConfig {
    fn check(&self) -> Result<()> {
        if self.validate_every == 0 || self.patience == Some(0) {
            let problem = format!("{self:?}: expected validate_every and patience of at least 1");
            return Err(Setting::new("fit", problem).into());
        }
        Ok(())
    }
}

/// The best validation of each set of parameters so far; none before a candidate.
struct Best<P> {
    candidates: Candidates,
    kept: Vec<Option<Kept<P>>>,
}

struct Kept<P> {
    loss: f64,
    point: P,
    params: BTreeMap<String, Tensor>,
}

impl<P: Clone> Best<P> {
    fn new<F: Fit<Point = P>>(learner: &F, candidates: Candidates) -> Self {
        Self { candidates, kept: learner.params().iter().map(|_| None).collect() }
    }

    /// Keeps what is better than before; whether anything is.
    fn consider<F: Fit<Point = P>>(
        &mut self,
        learner: &F,
        point: &P,
        iteration: u64,
    ) -> Result<bool> {
        let losses = learner.losses(point);
        if let Some(loss) = losses.iter().find(|loss| !loss.is_finite()) {
            let problem = format!("the validation loss is {loss}");
            return Err(Error::Diverged { iteration, problem });
        }
        if iteration == 0 && self.candidates == Candidates::Trained {
            return Ok(false);
        }
        let mut improved = false;
        for ((kept, params), loss) in self.kept.iter_mut().zip(learner.params()).zip(losses) {
            if kept.as_ref().is_none_or(|kept| loss < kept.loss) {
                *kept = Some(Kept { loss, point: point.clone(), params: params.snapshot()? });
                improved = true;
            }
        }
        Ok(improved)
    }

    /// Puts every set of parameters back; the best validation of the first.
    fn restore<F: Fit<Point = P>>(self, learner: &F) -> Result<Option<P>> {
        let mut points = Vec::with_capacity(self.kept.len());
        for (kept, params) in self.kept.into_iter().zip(learner.params()) {
            if let Some(kept) = &kept {
                params.restore(&kept.params)?;
            }
            points.push(kept.map(|kept| kept.point));
        }
        Ok(points.into_iter().next().flatten())
    }
}
