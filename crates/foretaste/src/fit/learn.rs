//! The fits of a grid, the best of which is kept.

use std::ops::ControlFlow;

use anyhow::{Context, bail};
use candle_core::Device;
use foretaste_console::Interrupted;
use foretaste_console::terminal::eprint_line;
use foretaste_data::{Dataset, Split};
use foretaste_random::Seed;
use foretaste_recommender::Model;
use foretaste_train::{Candidates, FitConfig};
use foretaste_user_model::behaviour::{
    BehaviourEpochs, BehaviourModel, BehaviourTrainer, clicked_sessions,
};
use foretaste_user_model::{Error, UserModel};

use super::settings::Settings;
use super::watch::Watch;

/// What came of the fits of a grid.
pub struct Best {
    /// The model of the lowest validation loss, the earlier of two that are equal.
    pub model: Model,
    /// Its point of the grid.
    pub chosen: usize,
    /// The validation loss of each point, in nats a slate; none of one that diverged.
    pub validation: Vec<Option<f64>>,
}

/// Fits every point of the grid; point i draws from the i-th seed under `seed`.
///
/// # Errors
/// [`Interrupted`] if the watch stopped it; where every fit diverged, or the log does not allow it.
pub fn best_of(
    grid: &[Settings],
    dataset: &Dataset,
    split: &Split,
    seed: Seed,
    device: &Device,
    watch: &mut Watch,
) -> anyhow::Result<Best> {
    let mut best: Option<(Model, usize, f64)> = None;
    let mut validation = Vec::with_capacity(grid.len());
    for (point, settings) in grid.iter().enumerate() {
        let mut left = settings.iterations();
        // The first call comes before any iteration.
        let mut begun = false;
        let callback = || match std::mem::replace(&mut begun, true) {
            false => ControlFlow::Continue(()),
            true => {
                left -= 1;
                watch.advance("steps of training")
            }
        };
        let seed = seed.derive("users").index(point as u64);
        let fitted = fit(settings, dataset, split, seed, device, callback);
        watch.leave_out(left);
        let fitted = unless_diverged(fitted)?;
        validation.push(fitted.as_ref().map(|(_, loss)| *loss));
        match fitted {
            Some((model, loss)) if best.as_ref().is_none_or(|(.., least)| loss < *least) => {
                best = Some((model, point, loss));
            }
            Some(_) => {}
            None => eprint_line(format_args!("warning: the training at {settings} diverged")),
        }
    }
    let (model, chosen, _) = best.context("the training diverged at all settings")?;
    Ok(Best { model, chosen, validation })
}

/// The model of these settings, and its validation loss in nats a slate.
pub fn fit(
    settings: &Settings,
    dataset: &Dataset,
    split: &Split,
    seed: Seed,
    device: &Device,
    mut callback: impl FnMut() -> ControlFlow<()>,
) -> Result<(Model, f64), Error> {
    let (log, catalogue) = (&dataset.log, &dataset.catalogue);
    let training_seed = seed.derive("training");
    match settings {
        Settings::Gan { model, training } => {
            let mut model = UserModel::new((**model).clone(), catalogue, seed, device)?;
            let callback = |_| callback();
            let fitted = foretaste_user_model::fit(
                &mut model,
                log,
                split,
                training,
                training_seed,
                callback,
            )?;
            Ok((Model::Gan(Box::new(model)), fitted.best.validation_nll))
        }
        Settings::Behaviour { model, training, epochs, patience } => {
            let clicked = |sessions: &[usize]| {
                clicked_sessions(log, sessions, catalogue.len(), seed.derive("leaving"))
            };
            let (train, validation) = (clicked(&split.train)?, clicked(&split.validation)?);
            let model = BehaviourModel::new(model.clone(), seed, device)?;
            let mut trainer = BehaviourTrainer::new(model, training.clone())?;
            let config = FitConfig {
                iterations: *epochs,
                validate_every: 1,
                patience: Some(*patience),
                candidates: Candidates::All,
            };
            let mut epochs = BehaviourEpochs::new(&mut trainer, &train, &validation, training_seed);
            let fitted = foretaste_train::fit(&mut epochs, config, |_| callback())?;
            Ok((Model::Behaviour(trainer.into_model()), fitted.best.validation_nll))
        }
    }
}

/// What was fitted, or nothing where the training diverged.
pub fn unless_diverged<T>(fitted: Result<T, Error>) -> anyhow::Result<Option<T>> {
    match fitted {
        Ok(fitted) => Ok(Some(fitted)),
        Err(Error::Training(foretaste_train::Error::Diverged { .. })) => Ok(None),
        Err(Error::Training(foretaste_train::Error::Interrupted)) => bail!(Interrupted),
        Err(other) => Err(other.into()),
    }
}
