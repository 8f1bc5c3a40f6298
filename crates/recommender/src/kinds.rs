//! The kinds of recommenders: one file each, and one line in the table.

mod assortment;
mod cdqn;
mod click_models;
mod greedy;
mod irecgan;
mod lin_ucb;
mod lstm;
mod popularity;
mod random;
mod top_items;

use candle_core::Device;
use foretaste_data::Catalogue;
use foretaste_sim::Policy;

use crate::training::Training;
use crate::{Content, DynPolicy, Result};

/// A kind of recommender.
pub(crate) struct Kind {
    /// What it is called in programs.
    pub name: &'static str,
    /// Its name and version in `recommender.json`.
    pub model: &'static str,
    /// Its names in `manifest.json`, where networks are saved for themselves.
    pub networks: &'static [&'static str],
    /// The policy of some content.
    pub build: fn(&Content, &Catalogue, &Device) -> Result<Box<dyn DynPolicy>>,
    /// How it is trained on a log, if it is.
    pub training: Option<Training>,
}

pub(crate) const KINDS: [&Kind; 14] = [
    &irecgan::DRAWN,
    &irecgan::TOP,
    &irecgan::POLICY_GRADIENT,
    &lstm::KIND,
    &cdqn::CASCADE,
    &cdqn::SINGLE,
    &greedy::KIND,
    &assortment::KIND,
    &click_models::WIDE_DEEP,
    &click_models::TREES,
    &lin_ucb::KIND,
    &popularity::KIND,
    &top_items::KIND,
    &random::KIND,
];

/// The same scores for everyone, of policies that remember nothing.
fn for_everyone<P>(
    scores: Vec<f64>,
) -> impl Fn(&P, &P::Memory) -> foretaste_sim::Result<Vec<Vec<f64>>> + Send + Sync + 'static
where
    P: Policy<Memory = ()>,
{
    move |_, ()| Ok(vec![scores.clone()])
}
