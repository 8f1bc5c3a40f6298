//! The core of the environments in `foretaste.gym`.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use foretaste_random::Seed;
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArrayDyn};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::compute;
use crate::slates::Actions;
use crate::users::Users;
use crate::vector::{Autoreset, Moment, Observed, Origin, Settings, Stepping};

/// Environments of the same users that are stepped together. `foretaste.gym` puts Gymnasium's
/// interface around it.
#[pyclass(frozen, module = "foretaste._core")]
pub struct Environments {
    n: usize,
    /// Numbers in an action.
    width: usize,
    form: Form,
    autoreset: Autoreset,
    pool: Option<ThreadPool>,
    stepping: Mutex<Option<Box<dyn Stepping>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Slate,
    Scores,
    Item,
}

/// Observations ``[n, width]``, rewards, terminated, truncated, clicked item or -1, repaired
/// places, session numbers, whether a step of a session was made: ``[n]`` each; the last
/// observations ``[ended, width]`` and the numbers ``[ended]`` of sessions that gave way on the same
/// step; the regret of the slates ``[n]``, empty if it is not computed.
type Stepped<'py> = (
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<bool>>,
    Bound<'py, PyArray1<bool>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<bool>>,
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<f64>>,
);

#[pymethods]
impl Environments {
    #[new]
    #[pyo3(signature = (
        users, n, *, k, action, history, max_steps, exclude, regret, autoreset, threads=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "the settings, by name")]
    fn new(
        users: &Users,
        n: usize,
        k: usize,
        action: &str,
        history: Option<usize>,
        max_steps: u32,
        exclude: Vec<u32>,
        regret: bool,
        autoreset: &str,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        let form = match action {
            "slate" => Form::Slate,
            "scores" => Form::Scores,
            "item" => Form::Item,
            other => {
                return Err(PyValueError::new_err(format!(
                    "action {other:?}; expected \"slate\", \"scores\" or \"item\""
                )));
            }
        };
        let autoreset = match autoreset {
            "next_step" => Autoreset::NextStep,
            "same_step" => Autoreset::SameStep,
            _ => Autoreset::Disabled,
        };
        if n == 0 || u32::try_from(n).is_err() {
            return Err(PyValueError::new_err(format!(
                "num_envs: {n}; expected at least 1 and less than 2^32"
            )));
        }
        let one_by_one = form == Form::Item;
        let pool = match threads {
            Some(0) => return Err(PyValueError::new_err("threads: 0; expected at least 1")),
            // What one thread does, the caller's does without waiting for another.
            Some(threads) if !users.fit_one_thread(n, one_by_one) => {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build();
                Some(pool.map_err(|error| PyRuntimeError::new_err(error.to_string()))?)
            }
            _ => None,
        };
        let settings = Settings {
            k,
            one_by_one,
            observed: history.map_or(Observed::State, Observed::Clicks),
            max_steps,
            excluded: exclude,
            regret,
            autoreset,
            chunk: users.chunk(),
        };
        let width = match form {
            Form::Slate => k,
            Form::Scores => users.items(),
            Form::Item => 1,
        };
        let stepping = Mutex::new(Some(users.environments(settings)?));
        Ok(Self { n, width, form, autoreset, pool, stepping })
    }

    /// Begins a session in every environment: the one of this number of its seed.
    fn reset<'py>(
        &self,
        py: Python<'py>,
        seeds: Vec<u64>,
        sessions: Vec<u64>,
    ) -> PyResult<Stepped<'py>> {
        let origins = self.origins(&seeds, &sessions)?;
        let mut guard = self.lock()?;
        let stepping = opened(&mut guard)?;
        let moment = compute(py, || self.run(|| Ok(stepping.reset(origins)?)))?;
        stepped(py, moment)
    }

    /// Begins a session in those environments that the mask names, new ones where there are seeds.
    fn reset_some<'py>(
        &self,
        py: Python<'py>,
        mask: PyReadonlyArray1<'py, bool>,
        seeds: Option<Vec<u64>>,
        sessions: Vec<u64>,
    ) -> PyResult<Stepped<'py>> {
        let mask = mask.as_slice()?;
        let origins = match seeds {
            None => vec![None; self.n],
            Some(seeds) => {
                let origins = self.origins(&seeds, &sessions)?;
                origins.into_iter().zip(mask).map(|(origin, &new)| new.then_some(origin)).collect()
            }
        };
        if mask.len() != self.n {
            return Err(PyValueError::new_err(format!(
                "a mask of {} environments; expected {}",
                mask.len(),
                self.n
            )));
        }
        let mut guard = self.lock()?;
        let stepping = opened(&mut guard)?;
        begun(&**stepping)?;
        let moment = compute(py, || self.run(|| Ok(stepping.reset_some(mask, origins)?)))?;
        stepped(py, moment)
    }

    /// Shows every environment what its action says: `[n, k]` items, `[n, items]` scores, or `[n]`
    /// items.
    fn step<'py>(&self, py: Python<'py>, actions: &Bound<'py, PyAny>) -> PyResult<Stepped<'py>> {
        let mut guard = self.lock()?;
        let stepping = opened(&mut guard)?;
        let over = begun(&**stepping)?;
        if self.autoreset == Autoreset::Disabled {
            let ended: Vec<usize> = (0..self.n).filter(|&at| over[at]).collect();
            if let Some(first) = ended.first() {
                if self.n == 1 {
                    return Err(gymnasium(py, "ResetNeeded", "the session is over; call reset"));
                }
                let words = format!(
                    "the sessions of {} environments are over, that of environment {first} first; \
                     reset them, with options={{\"reset_mask\": ..}} to leave the others as they are",
                    ended.len()
                );
                return Err(gymnasium(py, "ResetNeeded", &words));
            }
        }
        let moment = if self.form == Form::Scores {
            let actions: PyReadonlyArrayDyn<'_, f32> = actions.extract()?;
            let actions = self.whole(actions.as_slice())?;
            compute(py, || self.run(|| Ok(stepping.step(Actions::Scores(actions))?)))?
        } else {
            let actions: PyReadonlyArrayDyn<'_, i64> = actions.extract()?;
            let actions = self.whole(actions.as_slice())?;
            let actions = match self.form {
                Form::Item => Actions::Items(actions),
                _ => Actions::Slates(actions),
            };
            compute(py, || self.run(|| Ok(stepping.step(actions)?)))?
        };
        stepped(py, moment)
    }

    /// Which items may be chosen, `[n, k · items]`, or `[n, items]` one by one.
    fn masks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<bool>>> {
        let mut guard = self.lock()?;
        let stepping = opened(&mut guard)?;
        begun(&**stepping)?;
        matrix(py, stepping.masks(), self.n)
    }

    /// Whether there are sessions: not before the first reset, nor after a step that failed.
    #[getter]
    fn begun(&self) -> PyResult<bool> {
        let mut guard = self.lock()?;
        Ok(!opened(&mut guard)?.over().is_empty())
    }

    /// Ends all sessions for good.
    fn close(&self) -> PyResult<()> {
        *self.lock()? = None;
        Ok(())
    }
}

impl Environments {
    fn lock(&self) -> PyResult<MutexGuard<'_, Option<Box<dyn Stepping>>>> {
        match self.stepping.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(PoisonError::into_inner(poisoned)),
            Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(
                "another thread is using this environment; give each thread an environment of its \
                 own",
            )),
        }
    }

    /// Works on the environments' own threads, if they have some.
    fn run<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    fn origins(&self, seeds: &[u64], sessions: &[u64]) -> PyResult<Vec<Origin>> {
        if [seeds.len(), sessions.len()] != [self.n; 2] {
            return Err(PyValueError::new_err(format!(
                "{} seeds and {} sessions; expected {} of each",
                seeds.len(),
                sessions.len(),
                self.n
            )));
        }
        // What a rollout derives for the users of its sessions.
        let derive = |seed: u64| Seed::new(seed).derive("environment");
        let mut last = (seeds[0], derive(seeds[0]));
        let mut origin = |(&seed, &session): (&u64, &u64)| {
            if last.0 != seed {
                last = (seed, derive(seed));
            }
            Origin::new(last.1, session)
        };
        Ok(seeds.iter().zip(sessions).map(&mut origin).collect())
    }

    fn whole<'a, T, F>(&self, actions: Result<&'a [T], F>) -> PyResult<&'a [T]> {
        match actions {
            Ok(actions) if actions.len() == self.n * self.width => Ok(actions),
            _ => Err(PyTypeError::new_err(format!(
                "actions: expected a contiguous array of {} x {} numbers",
                self.n, self.width
            ))),
        }
    }
}

fn opened(stepping: &mut Option<Box<dyn Stepping>>) -> PyResult<&mut Box<dyn Stepping>> {
    stepping.as_mut().ok_or_else(|| {
        let words = "the environment is closed";
        Python::attach(|py| gymnasium(py, "ClosedEnvironmentError", words))
    })
}

/// Which sessions are over, if there are sessions.
fn begun(stepping: &dyn Stepping) -> PyResult<Vec<bool>> {
    let over = stepping.over();
    if over.is_empty() {
        let words = "there is no session yet, or the last step failed; call reset";
        return Err(Python::attach(|py| gymnasium(py, "ResetNeeded", words)));
    }
    Ok(over)
}

/// An exception of Gymnasium, where that is installed.
fn gymnasium(py: Python<'_>, name: &str, words: &str) -> PyErr {
    let kind = py.import("gymnasium.error").and_then(|error| error.getattr(name));
    match kind.and_then(|kind| kind.call1((words,))) {
        Ok(error) => PyErr::from_value(error),
        Err(_) => PyRuntimeError::new_err(words.to_owned()),
    }
}

fn stepped(py: Python<'_>, moment: Moment) -> PyResult<Stepped<'_>> {
    let n = moment.rewards.len();
    let ended = moment.last_sessions.len();
    Ok((
        matrix(py, moment.observations, n)?,
        moment.rewards.into_pyarray(py),
        moment.terminated.into_pyarray(py),
        moment.truncated.into_pyarray(py),
        moment.clicked.into_pyarray(py),
        moment.repaired.into_pyarray(py),
        moment.sessions.into_pyarray(py),
        moment.real.into_pyarray(py),
        matrix(py, moment.last, ended)?,
        moment.last_sessions.into_pyarray(py),
        moment.regrets.into_pyarray(py),
    ))
}

/// Numbers as a matrix of so many rows.
fn matrix<T: numpy::Element>(
    py: Python<'_>,
    numbers: Vec<T>,
    rows: usize,
) -> PyResult<Bound<'_, PyArray2<T>>> {
    let width = numbers.len().checked_div(rows).unwrap_or(0);
    let matrix = Array2::from_shape_vec((rows, width), numbers);
    Ok(matrix.map_err(|error| PyRuntimeError::new_err(error.to_string()))?.into_pyarray(py))
}
