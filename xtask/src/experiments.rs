//! The experiments that `reproduce` knows.

mod adaptation;
mod assortment;
mod cdqn;
mod counted;
mod learned;
mod policies;
mod regularisers;
mod shared;
mod sources;
mod user_model;
mod worlds;

use std::sync::Arc;

use anyhow::{Context, bail};

use self::worlds::Worlds;
use crate::experiment::Experiment;
use crate::settings::Settings;

/// The names of all experiments, in the order in which they run.
pub const NAMES: &[&str] = &["user-model", "regularisers", "cdqn", "adaptation"];

/// The experiments of the given names, or all of them where none is given; each name counts once.
pub fn named(names: &[String], settings: &Settings) -> anyhow::Result<Vec<Box<dyn Experiment>>> {
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no experiment `{unknown}`; the experiments are: {}", NAMES.join(", "));
    }
    let mut worlds = None;
    NAMES
        .iter()
        .filter(|&&name| names.is_empty() || names.iter().any(|wanted| wanted == name))
        .map(|&name| build(name, settings, &mut worlds).with_context(|| format!("experiment {name}")))
        .collect()
}

/// The experiments on recommenders share their `worlds`, and so the users who are fitted for one of them.
fn build(name: &str, settings: &Settings, worlds: &mut Option<Arc<Worlds>>) -> anyhow::Result<Box<dyn Experiment>> {
    let mut worlds = || match worlds {
        Some(worlds) => Ok(Arc::clone(worlds)),
        None => anyhow::Ok(Arc::clone(worlds.insert(Arc::new(Worlds::read(settings)?)))),
    };
    match name {
        "user-model" => Ok(Box::new(user_model::UserModel::new(settings)?)),
        "regularisers" => Ok(Box::new(regularisers::Regularisers::new(settings)?)),
        "cdqn" => Ok(Box::new(cdqn::Cdqn::new(settings, worlds()?)?)),
        "adaptation" => Ok(Box::new(adaptation::Adaptation::new(settings, worlds()?)?)),
        other => bail!("experiment `{other}` is listed but not built"),
    }
}
