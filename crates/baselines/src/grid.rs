//! The hyper-parameters that a selection chooses among.

use foretaste_data::Catalogue;
use foretaste_nn::checkpoint::Weights;
use foretaste_random::Seed;
use foretaste_settings::Setting;

use crate::training::Callback;
use crate::{ClickModel, Data, Result, Training};

/// Settings of a click model.
pub(crate) trait Configured {
    /// Fits the model to the training sessions; draws from `seed`.
    fn fit(
        &self,
        data: &Data<'_>,
        seed: Seed,
        callback: Callback<'_>,
    ) -> Result<Box<dyn ClickModel>>;

    /// The model that [`ClickModel::weights`] are of, for these items.
    fn restore(&self, _: &Catalogue, _: &Weights) -> Result<Box<dyn ClickModel>> {
        Err(Setting::new("click model", "its kind is not saved").into())
    }
}

/// The settings of a kind of click model among which one is chosen.
pub(crate) struct Grid<C> {
    /// At most 8.
    pub points: fn() -> Vec<C>,
    /// Whether one of them is kept for quick runs, at most 4.
    pub is_coarse: fn(&C) -> bool,
}

/// All pairs, the second running fastest.
pub(crate) fn cross<A: Clone, B: Clone>(first: &[A], second: &[B]) -> Vec<(A, B)> {
    first.iter().flat_map(|a| second.iter().map(|b| (a.clone(), b.clone()))).collect()
}

/// A training at this rate.
pub(crate) fn training(learning_rate: f64) -> Training {
    Training { learning_rate, ..Training::default() }
}
