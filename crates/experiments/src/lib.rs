//! The experiments of the two papers, A to D of GAN-CDQN (ICML 2019) and those of IRecGAN (NeurIPS
//! 2019), and experiments of our own, such as the contribution of each part of IRecGAN.
//!
//! [`named`] gives experiments by name for some [`Settings`]: the scale, the seeds, the folder of
//! public data and the device. Each is an [`Experiment`], whose cells [`foretaste_lab`] runs,
//! stores and reports.
//!
//! ```
//! use foretaste_experiments::{Settings, named};
//! use foretaste_lab::Scale;
//! use foretaste_nn::DeviceKind;
//!
//! let (scale, device) = (Scale::Smoke, DeviceKind::Cpu);
//! let settings = Settings { scale, seeds: Some(2), data_dir: None, device };
//! let experiments = named(&["online-eval".to_owned()], &settings)?;
//! assert!(experiments[0].cells().iter().all(|cell| cell.seed < 2));
//! # Ok::<(), anyhow::Error>(())
//! ```

mod adaptation;
mod assortment;
mod bias;
mod cdqn;
mod epochs;
mod irecgan_parts;
mod judged;
mod learned;
mod online_eval;
mod online_learning;
mod planning;
mod policies;
mod regularisers;
mod rerank;
mod rerank_learners;
mod rerank_lists;
mod rerank_logs;
mod rerank_task;
mod rerank_training;
mod settings;
mod simulated;
mod sources;
mod studies;
mod study_training;
mod trust;
mod user_model;
mod worlds;

use std::sync::Arc;

use anyhow::{Context, bail};
use foretaste_lab::{Experiment, Program};

pub use self::settings::Settings;
use self::studies::Studies;
use self::worlds::Worlds;

/// The names of all experiments, in the order in which they run.
pub const NAMES: &[&str] = &[
    "user-model",
    "regularisers",
    "cdqn",
    "planning",
    "trust",
    "adaptation",
    "online-eval",
    "irecgan-parts",
    "online-learning",
    "rerank",
    "bias",
];

/// What the experiments bring to a run; `revision` is that of the program.
pub fn program(revision: &'static str) -> Program {
    let (claims, times) = (include_str!("../claims.csv"), include_str!("../times.csv"));
    Program { experiments: NAMES, claims, times, looks: include_str!("../looks.csv"), revision }
}

/// The experiments of the given names, or all of them where none is given; each name counts once.
pub fn named(names: &[String], settings: &Settings) -> anyhow::Result<Vec<Box<dyn Experiment>>> {
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no experiment `{unknown}`; the experiments are: {}", NAMES.join(", "));
    }
    let mut common = Common::default();
    NAMES
        .iter()
        .filter(|&&name| names.is_empty() || names.iter().any(|wanted| wanted == name))
        .map(|&name| common.build(name, settings).with_context(|| format!("experiment {name}")))
        .collect()
}

/// What experiments share, made for the first that needs it: the users who are fitted for
/// recommenders, and runs of Algorithm 1.
#[derive(Default)]
struct Common {
    worlds: Option<Arc<Worlds>>,
    studies: Option<Arc<Studies>>,
}

impl Common {
    fn build(&mut self, name: &str, settings: &Settings) -> anyhow::Result<Box<dyn Experiment>> {
        match name {
            "user-model" => Ok(Box::new(user_model::UserModel::new(settings)?)),
            "regularisers" => Ok(Box::new(regularisers::Regularisers::new(settings)?)),
            "cdqn" => Ok(Box::new(cdqn::Cdqn::new(settings, self.worlds(settings)?)?)),
            "planning" => Ok(Box::new(planning::Planning::new(settings)?)),
            "trust" => Ok(Box::new(trust::Trust::new(settings)?)),
            "adaptation" => {
                Ok(Box::new(adaptation::Adaptation::new(settings, self.worlds(settings)?)?))
            }
            "online-eval" => {
                Ok(Box::new(online_eval::OnlineEval::new(settings, self.studies(settings)?)?))
            }
            "irecgan-parts" => {
                Ok(Box::new(irecgan_parts::Parts::new(settings, self.studies(settings)?)?))
            }
            "online-learning" => Ok(Box::new(online_learning::OnlineExperiment::new(settings)?)),
            "rerank" => Ok(Box::new(rerank::Rerank::new(settings)?)),
            "bias" => Ok(Box::new(bias::BiasExperiment::new(settings, self.studies(settings)?)?)),
            other => bail!("experiment `{other}` is listed but not built"),
        }
    }

    fn worlds(&mut self, settings: &Settings) -> anyhow::Result<Arc<Worlds>> {
        once(&mut self.worlds, || Worlds::read(settings))
    }

    fn studies(&mut self, settings: &Settings) -> anyhow::Result<Arc<Studies>> {
        once(&mut self.studies, || Studies::new(settings))
    }
}

fn once<T>(
    made: &mut Option<Arc<T>>,
    make: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<Arc<T>> {
    match made {
        Some(made) => Ok(Arc::clone(made)),
        None => Ok(Arc::clone(made.insert(Arc::new(make()?)))),
    }
}
