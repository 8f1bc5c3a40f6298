//! The fit loop as a state that can be saved between any two iterations: validation, patience and
//! the best parameters so far.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use foretaste_nn::checkpoint::{self, Description, MANIFEST};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Candidates, Error, Fit, FitConfig, Fitted, Progress, Result, check_finite};

const KIND: &str = "fit/1";
/// Everything but the parameters, as JSON.
const STATE: &str = "state.json";

/// A fit on its way, an iteration at a time; [`fit`](crate::fit) is the loop over it.
///
/// Every call takes the same learner. Between two iterations a fit can be [saved](Self::save)
/// with its learner; [loaded](Self::load) again with it, it ends with the bits of a fit that was
/// not stopped.
#[derive(Debug)]
pub struct Fitting<P> {
    config: FitConfig,
    iteration: u64,
    curve: Vec<P>,
    /// Validations since the last that was a new best of any set of parameters.
    since_best: u64,
    /// The best validation of each set of parameters; none before a candidate.
    best: Vec<Option<Best>>,
}

#[derive(Debug)]
struct Best {
    loss: f64,
    /// Its place in the curve.
    at: usize,
    params: BTreeMap<String, Tensor>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State<C> {
    config: FitConfig,
    iteration: u64,
    curve: C,
    since_best: u64,
    /// Loss and place in the curve of each set's best validation.
    best: Vec<Option<(f64, usize)>>,
}

impl<P: Clone> Fitting<P> {
    /// Validates `learner` before any iteration.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a validation loss or a parameter is not finite; [`Error::Setting`] if
    /// a setting is outside its range; what the learner returns.
    pub fn start<F: Fit<Point = P>>(
        learner: &mut F,
        config: FitConfig,
    ) -> std::result::Result<Self, F::Error> {
        config.check()?;
        let first = learner.validate(0)?;
        let best = learner.params().iter().map(|_| None).collect();
        let mut fitting = Self { config, iteration: 0, curve: Vec::new(), since_best: 0, best };
        fitting.consider(learner, first)?;
        Ok(fitting)
    }

    /// The next iteration, with its validation where one is due; `None` if the iterations or the
    /// patience have ended.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a validation loss or a parameter is not finite; what the learner
    /// returns. The fit cannot go on after that.
    pub fn advance<F: Fit<Point = P>>(
        &mut self,
        learner: &mut F,
    ) -> std::result::Result<Option<Progress<P>>, F::Error> {
        if self.is_over() {
            return Ok(None);
        }
        self.iteration += 1;
        let iteration = self.iteration;
        learner.train(iteration)?;
        let FitConfig { iterations, validate_every, .. } = self.config;
        if !iteration.is_multiple_of(validate_every) && iteration != iterations {
            return Ok(Some(Progress { iteration, point: None }));
        }
        let point = learner.validate(iteration)?;
        let improved = self.consider(learner, point.clone())?;
        self.since_best = if improved { 0 } else { self.since_best.saturating_add(1) };
        Ok(Some(Progress { iteration, point: Some(point) }))
    }

    /// Puts every set of parameters back to its best validation so far.
    ///
    /// # Errors
    /// [`Error::Network`] if the parameters are not those that were trained.
    pub fn finish<F: Fit<Point = P>>(self, learner: &F) -> Result<Fitted<P>> {
        for (best, params) in self.best.iter().zip(learner.params()) {
            if let Some(best) = best {
                params.restore(&best.params)?;
            }
        }
        let first = self.best.into_iter().next().flatten();
        let best = self.curve[first.map_or(0, |best| best.at)].clone();
        Ok(Fitted { curve: self.curve, best })
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// Every validation so far, the first before any iteration.
    pub fn curve(&self) -> &[P] {
        &self.curve
    }

    /// Whether the iterations or the patience have ended.
    pub fn is_over(&self) -> bool {
        let FitConfig { iterations, patience, .. } = self.config;
        self.iteration >= iterations || patience.is_some_and(|patience| self.since_best >= patience)
    }

    /// Adds a validation to the curve and keeps the parameters of each set that is better than
    /// before; whether any is.
    fn consider<F: Fit<Point = P>>(&mut self, learner: &F, point: P) -> Result<bool> {
        let (losses, at) = (learner.losses(&point), self.curve.len());
        self.curve.push(point);
        if let Some(loss) = losses.iter().find(|loss| !loss.is_finite()) {
            let problem = format!("the validation loss is {loss}");
            return Err(Error::Diverged { iteration: self.iteration, problem });
        }
        learner.params().into_iter().try_for_each(|p| check_finite(p, self.iteration))?;
        if self.iteration == 0 && self.config.candidates == Candidates::Trained {
            return Ok(false);
        }
        let mut improved = false;
        for ((best, params), loss) in self.best.iter_mut().zip(learner.params()).zip(losses) {
            if best.as_ref().is_none_or(|best| loss < best.loss) {
                *best = Some(Best { loss, at, params: params.snapshot()? });
                improved = true;
            }
        }
        Ok(improved)
    }
}

impl<P: Serialize + DeserializeOwned> Fitting<P> {
    /// Writes the fit into `folder`, which is created if need be; the learner is the caller's to
    /// save. The numbers of a point are to be finite.
    ///
    /// # Errors
    /// [`Error::Network`] or [`Error::Checkpoint`] if it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let best = self.best.iter().map(|best| best.as_ref().map(|best| (best.loss, best.at)));
        let state = State {
            config: self.config,
            iteration: self.iteration,
            curve: &self.curve[..],
            since_best: self.since_best,
            best: best.collect(),
        };
        let state =
            serde_json::to_vec(&state).map_err(|reason| Error::checkpoint(folder, reason))?;
        let params = self.best.iter().enumerate().flat_map(|(set, best)| {
            let params = best.iter().flat_map(|best| &best.params);
            params.map(move |(name, tensor)| (name_in(set, name), tensor.clone()))
        });
        let description = Description {
            manifest: MANIFEST,
            model: KIND,
            config: &(),
            vocabulary: "",
            iteration: self.iteration,
            seed: 0,
            files: &[(STATE, state)],
        };
        Ok(checkpoint::save(folder, description, &params.collect(), None)?)
    }

    /// Reads what [`save`](Self::save) wrote, for the fit to go on with `learner`, which was saved
    /// at the same time.
    ///
    /// # Errors
    /// [`Error::Network`] or [`Error::Checkpoint`] if there is no fit, it is damaged, or it is of
    /// other parameters.
    pub fn load<F: Fit<Point = P>>(folder: &Path, learner: &F) -> Result<Self> {
        let fail = |problem: String| Error::checkpoint(folder, problem);
        let saved = checkpoint::load::<()>(folder, MANIFEST, KIND)?;
        let state = saved.file(STATE).ok_or_else(|| fail(format!("it contains no {STATE}")))?;
        let state: State<Vec<P>> =
            serde_json::from_slice(state).map_err(|reason| fail(reason.to_string()))?;
        let State { config, iteration, curve, since_best, best } = state;
        config.check()?;
        let sets = learner.params();
        let in_curve = |&(_, at): &(f64, usize)| at < curve.len();
        if curve.is_empty() || best.len() != sets.len() || !best.iter().flatten().all(in_curve) {
            return Err(fail(format!(
                "it has {} validations, of which the best are {best:?}, expected those of {} sets",
                curve.len(),
                sets.len()
            )));
        }
        for (set, params) in sets.iter().enumerate().filter(|(set, _)| best[*set].is_some()) {
            params.check(&saved.weights().shapes().below(&name_in(set, "")))?;
        }
        let tensors = saved.weights().tensors()?;
        let best = best.into_iter().enumerate().map(|(set, best)| {
            best.map(|(loss, at)| Best { loss, at, params: of_set(tensors, set) })
        });
        let best = best.collect();
        Ok(Self { config, iteration, curve, since_best, best })
    }
}

/// The name of a set's parameter among those of all.
fn name_in(set: usize, name: &str) -> String {
    format!("{set}.{name}")
}

/// The parameters of a set, by their own names.
fn of_set(all: &BTreeMap<String, Tensor>, set: usize) -> BTreeMap<String, Tensor> {
    let prefix = name_in(set, "");
    let own = all.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?, tensor)));
    own.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect()
}
