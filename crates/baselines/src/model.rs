//! What a click model is to the rest of the workspace: scores of shown items, and what these scores
//! mean. It is a model of choices too, so baselines are judged by the same code as learned users.

use std::collections::BTreeMap;

use candle_core::Tensor;
use foretaste_data::Log;
use foretaste_eval::choice::{ChoiceModel, Prediction, log_softmax};
use foretaste_eval::metrics;

use crate::{CurvePoint, Impressions, Result};

/// A model of which of the shown items a user clicks, given the clicks before in the session.
///
/// It speaks of slates on which an item was clicked; of whether one is, or whether the user
/// leaves, it says nothing. As `dyn ClickModel` it is a [`ChoiceModel`], and judged as every other
/// by [`evaluate`](foretaste_eval::choice::evaluate).
pub trait ClickModel: Send + Sync {
    /// A score for every shown item, higher for what is more likely clicked, in the order shown.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a slate shows an item that the model does not
    /// know.
    fn scores(&self, impressions: &Impressions<'_>) -> Result<Vec<Vec<f32>>>;

    /// What the scores mean beyond their order.
    fn likelihood(&self) -> Likelihood;

    /// What was fitted, to be saved with the settings ([`Settings::restore`](crate::Settings)):
    /// parameters, and tables under names that start with [`TABLE`](foretaste_nn::TABLE). `None` if
    /// models of its kind are not saved; networks and trees are.
    ///
    /// # Errors
    /// An error of the network if there is no memory for them.
    fn weights(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        Ok(None)
    }

    /// How the fit went; empty for models that are counted, not trained.
    fn curve(&self) -> &[CurvePoint] {
        &[]
    }
}

/// Whether the scores of a model are log-probabilities of the click, up to a constant in each
/// slate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likelihood {
    /// The softmax of the scores over the slate is the choice that the model was fitted as.
    Fitted,
    /// The softmax of the scores over the slate follows from what the model was fitted as by a
    /// normalization that its documentation states. It was not fitted to be sharp as such.
    Derived,
    /// The scores rank the items and mean nothing more.
    Absent,
}

/// The scores, and by [`Likelihood`] what they say of a choice; of choosing none, nothing.
impl ChoiceModel for dyn ClickModel + '_ {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let scores = self
            .scores(&Impressions::new(log, sessions))
            .map_err(|reason| foretaste_eval::Error::Model(Box::new(reason)))?;
        let has_likelihood = self.likelihood() != Likelihood::Absent;
        let predict = |scores: Vec<f32>| Prediction {
            log_given_choice: has_likelihood.then(|| log_softmax(&scores)),
            log_choice: None,
            scores,
        };
        Ok(scores.into_iter().map(predict).collect())
    }
}

impl ChoiceModel for Box<dyn ClickModel> {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        (**self).predict(log, sessions)
    }
}

/// Mean negative log-likelihood of the clicked item given that one was clicked, in nats per choice
/// with a click, of a model that has a likelihood.
pub(crate) fn nll(model: &dyn ClickModel, impressions: &Impressions<'_>) -> Result<f64> {
    let scores = model.scores(impressions)?;
    let clicked = scores.iter().zip(impressions.slates());
    let log_probability = clicked.filter_map(|(scores, (_, place))| {
        let place = place?;
        Some(log_softmax(scores)[place])
    });
    Ok(metrics::mean_nll(&log_probability.collect::<Vec<_>>())?)
}
