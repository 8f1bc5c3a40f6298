//! The fits of a grid, the best of which is kept.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use candle_core::Device;
use foretaste_console::Interrupted;
use foretaste_console::terminal::eprint_line;
use foretaste_data::{Dataset, Split};
use foretaste_random::Seed;
use foretaste_recommender::{Model, Users};
use foretaste_train::{Candidates, FitConfig, run};
use foretaste_user_model::behaviour::{
    BehaviourEpochs, BehaviourModel, BehaviourTrainer, clicked_sessions, in_unit,
};
use foretaste_user_model::{Error, UserModel};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::Settings;
use super::watch::Watch;
use crate::folder::Folder;

/// What came of the fits of a grid.
pub struct Best {
    /// The model of the lowest validation loss, the earlier of two that are equal.
    pub model: Model,
    /// Its point of the grid.
    pub chosen: usize,
    /// The validation loss of each point, in nats a slate; none of one that diverged.
    pub validation: Vec<Option<f64>>,
}

/// The fits of a grid, which are kept in a folder as they are done.
pub struct Fits<'a> {
    folder: &'a Folder<'a>,
    command: &'a Value,
    dataset: &'a Dataset,
    seed: Seed,
    device: &'a Device,
    /// What was found before.
    done: Done,
    best: Option<Model>,
}

/// Points of the grid that were tried.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Done {
    validation: Vec<Option<f64>>,
}

/// Where the best users so far are kept.
const BEST: &str = "best";

impl Done {
    /// The point of the lowest loss, the earlier of two that are equal.
    fn chosen(&self) -> Option<usize> {
        let found = self.validation.iter().enumerate();
        let found = found.filter_map(|(point, loss)| Some((point, (*loss)?)));
        found.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(point, _)| point)
    }
}

impl<'a> Fits<'a> {
    /// None yet of `command`; point i draws from the i-th seed under `seed`.
    pub fn new(
        folder: &'a Folder<'a>,
        command: &'a Value,
        dataset: &'a Dataset,
        seed: Seed,
        device: &'a Device,
    ) -> Self {
        Self { folder, command, dataset, seed, device, done: Done::default(), best: None }
    }

    /// Those that were kept in `place`.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn go_on(&mut self, place: &Path) -> anyhow::Result<()> {
        let kept = run::resume::<Done>(place, self.seed)?;
        if kept.state.chosen().is_some() {
            self.best = Some(Users::load(&kept.folder.join(BEST), self.device)?.into_model());
        }
        self.done = kept.state;
        Ok(())
    }

    /// Fits the points of the grid that were not tried before.
    ///
    /// # Errors
    /// [`Interrupted`] if the watch stopped it; where every fit diverged, the log does not allow
    /// it, or nothing can be kept.
    pub fn best_of(
        mut self,
        grid: &[Settings],
        split: &Split,
        watch: &mut Watch,
    ) -> anyhow::Result<Best> {
        let before = self.done.validation.len();
        if before > grid.len() {
            bail!(
                "the unfinished fit says that {before} settings were tried, but there are {}; run \
                 the command again with --fresh",
                grid.len()
            );
        }
        if before > 0 {
            eprint_line(format_args!("continuing after {before} of {} settings", grid.len()));
            watch.leave_out(grid.iter().take(before).map(Settings::iterations).sum());
        }
        for (point, settings) in grid.iter().enumerate().skip(before) {
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
            let seed = self.seed.derive("users").index(point as u64);
            let fitted = fit(settings, self.dataset, split, seed, self.device, callback);
            watch.leave_out(left);
            let fitted = unless_diverged(fitted)?;
            self.done.validation.push(fitted.as_ref().map(|(_, loss)| *loss));
            match fitted {
                None => eprint_line(format_args!("warning: the training with {settings} diverged")),
                Some((model, _)) if self.done.chosen() == Some(point) => self.best = Some(model),
                Some(_) => {}
            }
            if grid.len() > 1 {
                self.keep()?;
            }
        }
        let chosen = self.done.chosen().context(
            "the training diverged with all settings; check the rewards and features of the log \
             with `foretaste describe`",
        )?;
        let model = self
            .best
            .context("the best users were not kept; run the command again with --fresh")?;
        Ok(Best { model, chosen, validation: self.done.validation })
    }

    fn keep(&mut self) -> anyhow::Result<()> {
        let Self { folder, command, dataset, seed, done, .. } = self;
        let users = self.best.take().map(|model| Users::new(model, &dataset.catalogue));
        folder.keep(command, |place| {
            run::save(place, *seed, |place| {
                if let Some(users) = &users {
                    users.save(&place.join(BEST))?;
                }
                Ok::<_, anyhow::Error>(done.clone())
            })
        })?;
        self.best = users.map(Users::into_model);
        Ok(())
    }
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
                let leaving = seed.derive("leaving");
                let clicked = clicked_sessions(log, sessions, catalogue.len(), leaving)?;
                in_unit(clicked, model.reward_unit)
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
