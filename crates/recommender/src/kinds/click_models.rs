//! The items that a click model finds most likely to be clicked, after the clicks before: wide &
//! deep, boosted trees.

use std::ops::ControlFlow;
use std::path::Path;

use foretaste_baselines::{
    ClickModel, Data, Error as Failed, ModelKind, Settings as Model, TreesConfig, select_among,
};
use foretaste_cascade_dqn::Greedy;
use foretaste_data::{Catalogue, RecentClicks};
use foretaste_random::Seed;
use foretaste_train::run;
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
        about: "the items that a wide & deep network predicts to be clicked most likely; any \
                rewards",
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
        about: "the items that boosted trees predict to be clicked most likely; any rewards",
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

#[derive(Serialize)]
struct Nothing {}

/// The fits of the grid, the best of which is kept. They stop early by the validation sessions. One
/// that is interrupted begins again, and is an epoch.
fn train(
    stage: &'static str,
    log: &TrainingLog<'_>,
    job: &Job<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained> {
    let Learning { grid, one_validates_of, history } = job.settings()?;
    let seed = Seed::new(job.seed);
    let split = held_out(log.sessions, one_validates_of, seed)?;
    let data = Data::new(&log.dataset.log, log.dataset.catalogue.len(), &split);
    let save = |place: &Path| run::save(place, seed, |_| Ok::<_, Error>(Nothing {}));
    let mut progress = |done: u64| watch.progress(Progress { done, total: 1, stage, save: &save });
    let selected = select_among(&grid, &data, seed.derive(stage), |_| progress(0));
    let selected = match selected {
        Err(Failed::Training(foretaste_train::Error::Interrupted)) => {
            return Err(Error::Interrupted);
        }
        selected => selected?,
    };
    if let ControlFlow::Break(()) = progress(1) {
        return Err(Error::Interrupted);
    }
    let content = Content::click_model(&grid[selected.chosen], &*selected.model, history)?;
    let updates = selected.model.curve().last().map_or(0, |point| point.iteration);
    Ok(Trained::from_log(content.after(updates), log.sessions.len()))
}
