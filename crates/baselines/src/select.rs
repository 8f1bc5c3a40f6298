//! The choice of hyper-parameters, which is the same for every kind of model: each point of a grid
//! is fitted once, and the validation sessions decide. Test sessions play no part.

use std::ops::ControlFlow;

use foretaste_eval::choice::{Evaluation, evaluate};
use foretaste_random::Seed;
use foretaste_settings::Setting;

use crate::{ClickModel, CurvePoint, Data, ModelKind, Result, Settings};

/// How far a selection is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The point of the grid that is being fitted, from 0.
    pub point: usize,
    /// Points of the grid.
    pub points: usize,
    /// Updates done, for networks.
    pub iteration: u64,
    /// The point of the network's learning curve, where one was made now.
    pub seen: Option<CurvePoint>,
}

/// What a selection found.
pub struct Selection {
    /// The model of the chosen settings, fitted to the training sessions.
    pub model: Box<dyn ClickModel>,
    /// Which candidate was chosen.
    pub chosen: usize,
    /// Every point of the grid, in order.
    pub candidates: Vec<Candidate>,
}

/// One point of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The hyper-parameters.
    pub settings: Settings,
    /// The figures of the validation sessions.
    pub validation: Evaluation,
    /// How the fit went, see [`ClickModel::curve`].
    pub curve: Vec<CurvePoint>,
}

/// Fits every point of the kind's [grid](ModelKind::grid) and keeps the one that is best on the
/// validation sessions: by the likelihood where the model has one, by precision@1 elsewhere, the
/// earlier of two that are equal.
///
/// Point i draws from the i-th seed under `seed`. `callback` is called for every point, for a
/// network before any update and after every one, and may stop the selection.
///
/// # Errors
/// As [`Settings::fit`] and [`evaluate`]; [`Error::Setting`](crate::Error::Setting) if nothing was
/// clicked in the validation sessions.
pub fn select(
    kind: ModelKind,
    data: &Data<'_>,
    seed: Seed,
    callback: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Selection> {
    select_among(&kind.grid(), data, seed, callback)
}

/// As [`select`], among the given settings of one kind of model.
///
/// # Errors
/// As [`select`]; [`Error::Setting`](crate::Error::Setting) if there are no settings.
pub fn select_among(
    grid: &[Settings],
    data: &Data<'_>,
    seed: Seed,
    mut callback: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Selection> {
    let mut best: Option<(Box<dyn ClickModel>, usize)> = None;
    let mut candidates: Vec<Candidate> = Vec::with_capacity(grid.len());
    for point in 0..grid.len() {
        let (model, candidate) = fit_point(grid, point, data, seed, &mut callback)?;
        if best.as_ref().is_none_or(|&(_, chosen)| {
            is_better(&candidate.validation, &candidates[chosen].validation)
        }) {
            best = Some((model, point));
        }
        candidates.push(candidate);
    }
    let (model, chosen) =
        best.ok_or_else(|| Setting::new("grid", "empty, expected at least one point"))?;
    Ok(Selection { model, chosen, candidates })
}

/// The part of [`select_among`] that fits one point of the grid, for a selection that is kept after
/// each of them.
///
/// # Errors
/// As [`select`].
pub fn fit_point(
    grid: &[Settings],
    point: usize,
    data: &Data<'_>,
    seed: Seed,
    mut callback: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Box<dyn ClickModel>, Candidate)> {
    let settings = &grid[point];
    let mut of_point =
        |iteration, seen| callback(Progress { point, points: grid.len(), iteration, seen });
    if of_point(0, None).is_break() {
        return Err(foretaste_train::Error::Interrupted.into());
    }
    let model = settings.fit(data, seed.index(point as u64), |progress| {
        of_point(progress.iteration, progress.point)
    })?;
    let validation = evaluate(&*model, data.log, data.validation)?;
    if validation.choices == 0 {
        return Err(Setting::new("validation sessions", "nothing was clicked in them").into());
    }
    let curve = model.curve().to_vec();
    Ok((model, Candidate { settings: settings.clone(), validation, curve }))
}

/// Whether figures of validation choose a model over another of the same kind: by the likelihood
/// where there is one, by precision@1 elsewhere.
pub fn is_better(figures: &Evaluation, of_other: &Evaluation) -> bool {
    match (figures.nll_given_choice, of_other.nll_given_choice) {
        (Some(nll), Some(of_other)) => nll < of_other,
        _ => figures.precision_at_1 > of_other.precision_at_1,
    }
}
