//! The experiments that `reproduce` knows.

mod learned;
mod regularisers;
mod sources;
mod user_model;

use anyhow::{Context, bail};

use crate::experiment::Experiment;
use crate::settings::Settings;

/// The names of all experiments, in the order in which they run.
pub const NAMES: &[&str] = &["user-model", "regularisers"];

/// The experiments of the given names, or all of them where none is given; each name counts once.
pub fn named(names: &[String], settings: &Settings) -> anyhow::Result<Vec<Box<dyn Experiment>>> {
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no experiment `{unknown}`; the experiments are: {}", NAMES.join(", "));
    }
    NAMES
        .iter()
        .filter(|&&name| names.is_empty() || names.iter().any(|wanted| wanted == name))
        .map(|&name| build(name, settings).with_context(|| format!("experiment {name}")))
        .collect()
}

fn build(name: &str, settings: &Settings) -> anyhow::Result<Box<dyn Experiment>> {
    match name {
        "user-model" => Ok(Box::new(user_model::UserModel::new(settings)?)),
        "regularisers" => Ok(Box::new(regularisers::Regularisers::new(settings)?)),
        other => bail!("experiment `{other}` is listed but not built"),
    }
}
