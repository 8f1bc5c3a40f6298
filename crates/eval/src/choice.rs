//! Models of what users choose, and how well they predict it.

mod clicks;

use foretaste_data::{ItemId, Log};

use crate::metrics::{mean_nll, precision_at};
use crate::{Error, Result};

pub use clicks::{Clicks, users};

/// A model of what a user chooses from a slate, given the session so far.
///
/// ```
/// use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};
/// use foretaste_eval::choice::{ChoiceModel, Prediction, evaluate};
///
/// /// Knows nothing: every item is as likely as choosing none.
/// struct Uniform;
///
/// impl ChoiceModel for Uniform {
///     fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
///         let steps = sessions.iter().flat_map(|&session| log.session(session).steps());
///         let sizes = steps.map(|step| step.slate.len());
///         Ok(sizes
///             .map(|size| Prediction {
///                 scores: vec![0.0; size],
///                 log_given_choice: Some(vec![-(size as f64).ln(); size]),
///                 log_choice: Some(vec![-(size as f64 + 1.0).ln(); size + 1]),
///             })
///             .collect())
///     }
/// }
///
/// let mut log = LogBuilder::default();
/// let (slate, choice) = ([ItemId(4), ItemId(1), ItemId(7)], Choice::Item(ItemId(1)));
/// log.push(Step { slate: &slate, choice, reward: 1.0, propensity: None, timestamp: None })?;
/// log.end_session(None)?;
/// let figures = evaluate(&Uniform, &log.build(), &[0])?;
/// assert_eq!((figures.nll, figures.nll_given_choice), (Some(4f64.ln()), Some(3f64.ln())));
/// assert_eq!((figures.precision_at_1, figures.precision_at_2), (Some(1.0 / 3.0), Some(2.0 / 3.0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ChoiceModel: Sync {
    /// What the model says of every slate of these sessions of a log, in order, each time knowing
    /// the steps before it in its session and no more.
    ///
    /// # Errors
    /// [`Error::Model`] if the model does not know an item, or fails.
    fn predict(&self, log: &Log, sessions: &[usize]) -> Result<Vec<Prediction>>;
}

/// What a [`ChoiceModel`] says of one slate.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The larger, the likelier an item is chosen: one for each item, in the order shown.
    pub scores: Vec<f32>,
    /// log p(item | one of the slate is chosen), for each item in the order shown; minus infinity
    /// where that is ruled out. `None` if the scores rank the items and mean nothing more.
    pub log_given_choice: Option<Vec<f64>>,
    /// log p of choosing each item, in the order shown, and last of choosing none of them. `None`
    /// if the model only speaks of slates from which an item is chosen.
    pub log_choice: Option<Vec<f64>>,
}

/// How well a model predicted the choices of held-out sessions (GAN-CDQN, Chen et al., ICML 2019,
/// comparison of user models).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Number of slates.
    pub slates: usize,
    /// Number of slates from which an item was chosen.
    pub choices: usize,
    /// Mean negative log-likelihood of what users did, in nats per slate; infinite if any of it had
    /// probability 0. `None` for a model that does not speak of choosing none.
    pub nll: Option<f64>,
    /// Mean negative log-likelihood of the chosen item given that one was chosen, in nats per
    /// choice; infinite as `nll` is. `None` for a model without probabilities and, like all
    /// figures below, where nothing was chosen.
    pub nll_given_choice: Option<f64>,
    /// Share of the choices to which the model gave probability 0.
    pub ruled_out: Option<f64>,
    /// Share of the choices whose item has the highest score of its slate. Equal scores share their
    /// places by expectation, see [`precision_at`].
    pub precision_at_1: Option<f64>,
    /// Share of the choices whose item has one of the two highest scores.
    pub precision_at_2: Option<f64>,
}

/// Evaluates a model on every slate of these sessions.
///
/// # Errors
/// What the model returns; [`Error::Empty`] if there is no slate, for a model with `nll`;
/// [`Error::NotFinite`] if a score or a log-probability is not a number; [`Error::Lengths`] if the
/// model did not predict each slate.
pub fn evaluate<M: ChoiceModel + ?Sized>(
    model: &M,
    log: &Log,
    sessions: &[usize],
) -> Result<Evaluation> {
    let predictions = model.predict(log, sessions)?;
    let steps = sessions.iter().flat_map(|&session| log.session(session).steps());
    let chosen: Vec<Option<usize>> =
        steps.map(|step| place(step.slate, step.choice.item())).collect();
    if chosen.len() != predictions.len() {
        let (left, right) = (predictions.len(), chosen.len());
        return Err(Error::Lengths { what: "predictions of slates", left, right });
    }
    let both = || predictions.iter().zip(&chosen);
    let choices = || both().filter_map(|(prediction, place)| Some((prediction, (*place)?)));
    let what_users_did: Option<Vec<f64>> = both()
        .map(|(Prediction { log_choice, .. }, place)| {
            let log_choice = log_choice.as_ref()?;
            Some(log_choice[place.unwrap_or(log_choice.len() - 1)])
        })
        .collect();
    let of_choices: Option<Vec<f64>> = choices()
        .map(|(prediction, place)| Some(prediction.log_given_choice.as_ref()?[place]))
        .collect();
    let of_choices = of_choices.filter(|all| !all.is_empty());
    let share_ruled_out = |all: &Vec<f64>| {
        all.iter().filter(|&&log_p| log_p == f64::NEG_INFINITY).count() as f64 / all.len() as f64
    };
    let number = choices().count();
    let precision = |r| {
        let ranked = choices().map(|(prediction, place)| (&prediction.scores[..], place));
        (number > 0).then(|| precision_at(r, ranked)).transpose()
    };
    Ok(Evaluation {
        slates: chosen.len(),
        choices: number,
        nll: what_users_did.map(|all| nll(&all)).transpose()?,
        nll_given_choice: of_choices.as_deref().map(nll).transpose()?,
        ruled_out: of_choices.as_ref().map(share_ruled_out),
        precision_at_1: precision(1)?,
        precision_at_2: precision(2)?,
    })
}

/// Scores as log-probabilities of a choice among their items.
pub fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let largest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = scores.iter().map(|&score| (f64::from(score) - largest).exp()).sum();
    let partition = largest + sum.ln();
    scores.iter().map(|&score| f64::from(score) - partition).collect()
}

/// The place of the chosen item, if it is on the slate.
fn place(slate: &[ItemId], chosen: Option<ItemId>) -> Option<usize> {
    slate.iter().position(|item| Some(*item) == chosen)
}

/// [`mean_nll`], infinite if something had probability 0.
fn nll(log_probability: &[f64]) -> Result<f64> {
    match log_probability.contains(&f64::NEG_INFINITY) {
        true => Ok(f64::INFINITY),
        false => mean_nll(log_probability),
    }
}

impl<M: ChoiceModel + ?Sized> ChoiceModel for &M {
    fn predict(&self, log: &Log, sessions: &[usize]) -> Result<Vec<Prediction>> {
        (**self).predict(log, sessions)
    }
}
