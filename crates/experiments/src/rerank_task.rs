//! One training of IRecGAN's reranking: on which log, how, and who watches.

use foretaste_eval::Metric;
use foretaste_irecgan::{IRecGanConfig, ImportanceSampling};
use foretaste_lab::Watch;
use serde::{Deserialize, Serialize};

use crate::rerank_logs::SplitLogs;

/// How everything is trained on one log.
#[derive(Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Networks, rates, and the most epochs of each stage.
    pub networks: IRecGanConfig,
    /// How PGIS weighs clicks.
    pub sampling: ImportanceSampling,
    /// The share of validation clicks by which epochs are chosen: `precision@10`, or `precision@1`
    /// where no list is longer.
    pub metric: Metric,
    /// Epochs without a new best after which a stage stops.
    pub patience: u64,
}

/// One training under a seed, and who watches it.
pub struct Task<'a> {
    /// Name of what it learns from.
    pub log: &'a str,
    /// Its sessions.
    pub logs: &'a SplitLogs,
    /// How.
    pub plan: &'a Plan,
    /// The seed.
    pub seed: u64,
    /// Who watches.
    pub watch: &'a Watch,
}

/// What was learned from and a seed: what trainings are kept by.
pub type Key = (String, u64);

impl Task<'_> {
    /// What its training is kept by.
    pub fn key(&self) -> Key {
        (self.log.to_owned(), self.seed)
    }
}
