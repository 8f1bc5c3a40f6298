//! The items that a click model finds most likely to be clicked, after the clicks before: wide &
//! deep, boosted trees.

use std::path::Path;

use foretaste_baselines::{
    ClickModel, Data, Error as Failed, ModelKind, Settings as Model, TreesConfig, fit_point,
    is_better,
};
use foretaste_cascade_dqn::Greedy;
use foretaste_data::{Catalogue, RecentClicks};
use foretaste_eval::choice::{Evaluation, evaluate};
use foretaste_nn::checkpoint::{self, Description, MANIFEST};
use foretaste_random::Seed;
use foretaste_train::run::{self, Resumed};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Kind;
use crate::training::{HeldOut, Job, Progress, Trained, Training, TrainingLog, Watch, held_out};
use crate::{Content, DynPolicy, Erased, Error, Result};

pub(super) const WIDE_DEEP: Kind = Kind {
    name: "wide-deep",
    model: "wide-deep/1",
    networks: &[],
    build: |content, catalogue, _| {
        build(content, catalogue, |model| matches!(model, Model::Network(_)))
    },
    training: Some(Training {
        about: "the items that a wide & deep network predicts to be clicked most likely",
        takes: &[],
        learns: true,
        settings: |_, _| settings(ModelKind::WideDeepLogisticFeatures.coarse_grid()),
        train: |log, job, watch| train("wide-deep", log, job, watch),
    }),
};

pub(super) const TREES: Kind = Kind {
    name: "trees",
    model: "trees/1",
    networks: &[],
    build: |content, catalogue, _| {
        build(content, catalogue, |model| matches!(model, Model::Trees(_)))
    },
    training: Some(Training {
        about: "the items that boosted trees predict to be clicked most likely",
        takes: &[],
        learns: true,
        settings: |_, _| settings(ModelKind::Trees.coarse_grid().into_iter().map(alone).collect()),
        train: |log, job, watch| train("trees", log, job, watch),
    }),
};

/// How many of the last clicks a model gets.
const HISTORY: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    model: Model,
    /// How many of the last clicks the model gets.
    history: usize,
}

impl Content {
    /// The items of the largest scores by a wide & deep network or boosted trees of these settings,
    /// which get the last `history` clicks.
    ///
    /// # Errors
    /// [`Error::Setting`] for a click model of another kind.
    pub fn click_model(settings: &Model, model: &dyn ClickModel, history: usize) -> Result<Self> {
        let kind = match settings {
            Model::Network(_) => &WIDE_DEEP,
            Model::Trees(_) => &TREES,
            _ => return Err(Error::setting("click model", "expected a network or trees")),
        };
        let settings = Settings { model: settings.clone(), history };
        Self::new(kind.name, settings, model.weights()?.unwrap_or_default())
    }
}

fn build(
    content: &Content,
    catalogue: &Catalogue,
    is_of_kind: fn(&Model) -> bool,
) -> Result<Box<dyn DynPolicy>> {
    let Settings { model, history } = content.settings()?;
    if !is_of_kind(&model) {
        return Err(Error::setting("click model", format!("it is none of {}", content.kind)));
    }
    RecentClicks::check_window(history)?;
    let model = model.restore(catalogue, &content.weights)?;
    let greedy = Erased::certain(Greedy::new(model, catalogue.len(), history));
    Ok(Box::new(greedy.by_scores(|greedy, clicks| Ok(greedy.scores(clicks)?))))
}

/// Of a whole catalogue no item is compared with its slate.
fn alone(settings: Model) -> Model {
    match settings {
        Model::Trees(config) => Model::Trees(TreesConfig { alone: true, ..config }),
        other => other,
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Learning {
    /// The validation sessions choose among these.
    grid: Vec<Model>,
    /// Of so many sessions one is kept to validate by.
    one_validates_of: usize,
    history: usize,
}

fn settings(grid: Vec<Model>) -> Result<Value> {
    let learning = Learning { grid, one_validates_of: HeldOut::ONE_OF, history: HISTORY };
    serde_json::to_value(learning).map_err(|reason| Error::setting("settings", reason))
}

/// What is kept of an unfinished training, next to the [`BEST`] model so far.
#[derive(Serialize, Deserialize)]
struct Unfinished {
    /// How many points of the grid were fitted, and which of them is the best.
    fitted: usize,
    chosen: Option<usize>,
}

/// The folder of the best model so far, and what it is saved as.
const BEST: &str = "best";
const CLICK_MODEL: &str = "click-model/1";

/// The best model of those that were fitted.
struct Best {
    model: Box<dyn ClickModel>,
    point: usize,
    validation: Evaluation,
    updates: u64,
}

impl Best {
    fn save(&self, place: &Path, grid: &[Model], catalogue: &Catalogue, seed: Seed) -> Result<()> {
        let description = Description {
            manifest: MANIFEST,
            model: CLICK_MODEL,
            config: &grid[self.point],
            vocabulary: &catalogue.names().digest(),
            iteration: self.updates,
            seed: run::fingerprint(seed),
            files: &[],
        };
        let weights = self.model.weights()?.unwrap_or_default();
        Ok(checkpoint::save(place, description, &weights, None)?)
    }

    fn load(place: &Path, point: usize, catalogue: &Catalogue, data: &Data<'_>) -> Result<Self> {
        let saved = checkpoint::load::<Model>(place, MANIFEST, CLICK_MODEL)?;
        saved.check_vocabulary(&catalogue.names().digest())?;
        let model = saved.manifest.config.restore(catalogue, saved.weights())?;
        let validation = evaluate(&*model, data.log, data.validation)?;
        Ok(Self { model, point, validation, updates: saved.manifest.iteration })
    }
}

/// The fits of the grid, the best of which is kept. They stop early by the validation sessions. A
/// training that is interrupted goes on with the fit that it was in, from its beginning.
fn train(
    stage: &'static str,
    log: &TrainingLog<'_>,
    job: &Job<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained> {
    let Learning { grid, one_validates_of, history } = job.settings()?;
    let (catalogue, seed) = (&log.dataset.catalogue, Seed::new(job.seed));
    let split = held_out(log.sessions, one_validates_of, seed)?;
    let data = Data::new(&log.dataset.log, catalogue.len(), &split);

    let (mut fitted, mut best) = (0, None);
    if let Some(place) = job.unfinished {
        let Resumed { state, folder } = run::resume::<Unfinished>(place, seed)?;
        let load = |point| Best::load(&folder.join(BEST), point, catalogue, &data);
        (fitted, best) = (state.fitted, state.chosen.map(load).transpose()?);
    }
    loop {
        let save = |place: &Path| {
            run::save(place, seed, |place| {
                if let Some(best) = &best {
                    best.save(&place.join(BEST), &grid, catalogue, seed)?;
                }
                let chosen = best.as_ref().map(|best| best.point);
                Ok::<_, Error>(Unfinished { fitted, chosen })
            })
        };
        let (done, total) = (fitted as u64, grid.len() as u64);
        let mut progress = || watch.progress(Progress { done, total, stage, save: &save });
        if fitted == grid.len() {
            if progress().is_break() {
                return Err(Error::Interrupted);
            }
            break;
        }
        let fit = fit_point(&grid, fitted, &data, seed.derive(stage), |_| progress());
        let (model, candidate) = match fit {
            Err(Failed::Training(foretaste_train::Error::Interrupted)) => {
                return Err(Error::Interrupted);
            }
            fit => fit?,
        };
        let validation = candidate.validation;
        if best.as_ref().is_none_or(|best| is_better(&validation, &best.validation)) {
            let updates = candidate.curve.last().map_or(0, |point| point.iteration);
            best = Some(Best { model, point: fitted, validation, updates });
        }
        fitted += 1;
    }
    let best = best.ok_or_else(|| Error::setting("grid", "empty, expected at least one point"))?;
    let content = Content::click_model(&grid[best.point], &*best.model, history)?;
    Ok(Trained::from_log(content.after(best.updates), log.sessions.len()))
}
