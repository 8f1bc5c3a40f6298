use foretaste_eval::metrics;

use crate::{CurvePoint, Displays, Result};

/// A model of which of the shown items a user clicks, given the clicks before in the session.
///
/// It speaks of displays on which an item was clicked; of whether one is, or whether the user
/// leaves, it says nothing.
pub trait ClickModel: Send + Sync {
    /// A score for every shown item, higher for what is more likely clicked, in the order shown.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a display shows an item that the model does not
    /// know.
    fn scores(&self, displays: &Displays<'_>) -> Result<Vec<Vec<f32>>>;

    /// What the scores mean beyond their order.
    fn likelihood(&self) -> Likelihood;

    /// How the fit went; empty for models that are counted, not trained.
    fn curve(&self) -> &[CurvePoint] {
        &[]
    }

    /// For every shown item the logarithm of the probability that it is the clicked one, given that
    /// one of the display is: the log-softmax of the scores. `None` if the model has no
    /// [`Likelihood`].
    ///
    /// # Errors
    /// As [`ClickModel::scores`].
    fn log_probabilities(&self, displays: &Displays<'_>) -> Result<Option<Vec<Vec<f32>>>> {
        if self.likelihood() == Likelihood::Absent {
            return Ok(None);
        }
        let normalise = |scores: &Vec<f32>| {
            let partition = log_sum_exp(scores);
            scores.iter().map(|&score| (f64::from(score) - partition) as f32).collect()
        };
        Ok(Some(self.scores(displays)?.iter().map(normalise).collect()))
    }
}

/// Whether the scores of a model are log-probabilities of the click, up to a constant in each
/// display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likelihood {
    /// The softmax of the scores over the display is the choice that the model was fitted as.
    Fitted,
    /// The softmax of the scores over the display follows from what the model was fitted as by a
    /// normalisation that its documentation states. It was not fitted to be sharp as such.
    Derived,
    /// The scores rank the items and mean nothing more.
    Absent,
}

/// Held-out figures of a click model (GAN-CDQN, experiment A).
///
/// Only displays with a click count, as in the figures of the same names of the user model's
/// evaluation: where every display has one, as in the paper's data, they speak of the same
/// displays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Displays with a click.
    pub displays: usize,
    /// Mean negative log-likelihood of the clicked item given that one was clicked, in nats per
    /// display; `None` for a model without [`Likelihood`].
    pub nll_given_click: Option<f64>,
    /// Share of the displays whose clicked item has the highest score.
    pub precision_at_1: f64,
    /// Share of the displays whose clicked item has one of the two highest scores.
    pub precision_at_2: f64,
}

/// Evaluates a model. Equal scores share their places by expectation, see
/// [`precision_at`](foretaste_eval::metrics::precision_at).
///
/// # Errors
/// As [`ClickModel::scores`]; [`Error::Metric`](crate::Error::Metric) if nothing was clicked or a
/// score is not a number.
pub fn evaluate(model: &dyn ClickModel, displays: &Displays<'_>) -> Result<Evaluation> {
    let scores = model.scores(displays)?;
    let nll = (model.likelihood() != Likelihood::Absent).then(|| nll_of(&scores, displays));
    Ok(Evaluation {
        displays: clicked(&scores, displays).count(),
        nll_given_click: nll.transpose()?,
        precision_at_1: metrics::precision_at(1, clicked(&scores, displays))?,
        precision_at_2: metrics::precision_at(2, clicked(&scores, displays))?,
    })
}

/// [`Evaluation::nll_given_click`] of a model that has a likelihood.
pub(crate) fn nll(model: &dyn ClickModel, displays: &Displays<'_>) -> Result<f64> {
    nll_of(&model.scores(displays)?, displays)
}

impl Evaluation {
    /// Whether these figures of validation choose a model over those of `other`, a model of the
    /// same kind: by the likelihood where there is one, by precision@1 elsewhere.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        match (self.nll_given_click, other.nll_given_click) {
            (Some(nll), Some(of_other)) => nll < of_other,
            _ => self.precision_at_1 > other.precision_at_1,
        }
    }
}

/// The scores of each display with a click, and its clicked place.
fn clicked<'s>(
    scores: &'s [Vec<f32>],
    displays: &Displays<'_>,
) -> impl Iterator<Item = (&'s [f32], usize)> {
    scores
        .iter()
        .zip(displays.slates())
        .filter_map(|(scores, (_, clicked))| Some((&scores[..], clicked?)))
}

fn nll_of(scores: &[Vec<f32>], displays: &Displays<'_>) -> Result<f64> {
    let log_probability = clicked(scores, displays)
        .map(|(scores, place)| f64::from(scores[place]) - log_sum_exp(scores));
    Ok(metrics::mean_nll(&log_probability.collect::<Vec<_>>())?)
}

/// log Σ exp of the scores of one display.
fn log_sum_exp(scores: &[f32]) -> f64 {
    let largest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    largest + scores.iter().map(|&score| (f64::from(score) - largest).exp()).sum::<f64>().ln()
}
