//! Users of every kind as one Python class.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use candle_core::Device;
use foretaste_data::ItemId;
use foretaste_recommender::{Users as LearnedUsers, UsersEnvironment};
use foretaste_sim::bounds::{ChoiceOracle, MdpOracle};
use foretaste_sim::{
    ChoiceState, ChoiceUsers, ChoiceUsersConfig, Environment, Mdp, MdpConfig, MdpState, Outside,
    Shop, ShopConfig, ShopState, Transitions,
};
use numpy::{IntoPyArray, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{compute, raised};
use crate::vector::{Regret, Revealing, Settings, Stepping, Vector};

/// Users that answer slates: simulated ones, whose truth is known, or those learned from a log.
#[pyclass(frozen, module = "foretaste._core")]
pub struct Users {
    kind: Kind,
    /// Whether each is a network, that wants smaller batches.
    learned: bool,
    /// The raw ids of learned users' items.
    raw: Option<Vec<String>>,
    /// How many items a slate usually has, and how long the longest session is.
    usual: (Option<usize>, Option<u32>),
    /// The method that made them, and its arguments: what a pickle holds.
    made: (&'static str, Py<PyDict>),
}

/// A method of [`Users`], and its arguments.
type Made<'py> = (&'static str, Bound<'py, PyDict>);

enum Kind {
    Mdp(Arc<Mdp>),
    Choice(Arc<ChoiceUsers>),
    Shop(Arc<Shop>),
    Learned(Arc<UsersEnvironment>),
}

#[pymethods]
impl Users {
    /// The synthetic MDP of IRecGAN §7.1. ``rewards`` ``[states, items]`` in [0, 1] and
    /// ``transitions`` ``[states, items, states]`` may be given; else they are drawn from
    /// ``users_seed``, transitions by a Dirichlet of ``concentration`` where that is given.
    #[staticmethod]
    #[pyo3(signature = (*, states=10, items=50, concentration=None, users_seed=0, rewards=None, transitions=None))]
    fn mdp(
        py: Python<'_>,
        states: usize,
        items: usize,
        concentration: Option<f64>,
        users_seed: u64,
        rewards: Option<PyReadonlyArray2<'_, f64>>,
        transitions: Option<PyReadonlyArray3<'_, f64>>,
    ) -> PyResult<Self> {
        let made = PyDict::new(py);
        let mdp = match (rewards, transitions) {
            (Some(rewards), Some(transitions)) => {
                made.set_item("rewards", rewards.to_owned_array().into_pyarray(py))?;
                made.set_item("transitions", transitions.to_owned_array().into_pyarray(py))?;
                let (rewards, transitions) = (rewards.as_array(), transitions.as_array());
                let (states, items) = rewards.dim();
                if transitions.dim() != (states, items, states) {
                    return Err(PyValueError::new_err(format!(
                        "transitions of shape {:?}; expected ({states}, {items}, {states}) for \
                         rewards of shape ({states}, {items})",
                        transitions.shape()
                    )));
                }
                let (rewards, transitions) =
                    (rewards.iter().copied().collect(), transitions.iter().copied().collect());
                compute(py, || Ok(Mdp::from_parts(states, items, rewards, transitions)?))?
            }
            (None, None) => {
                made.set_item("states", states)?;
                made.set_item("items", items)?;
                made.set_item("concentration", concentration)?;
                made.set_item("users_seed", users_seed)?;
                let transitions =
                    concentration.map_or(Transitions::SoftmaxUniform, Transitions::Dirichlet);
                let config = MdpConfig { states, items, transitions, seed: users_seed };
                compute(py, || Ok(Mdp::new(&config)?))?
            }
            _ => {
                return Err(PyValueError::new_err(
                    "rewards and transitions go together: give both, or neither",
                ));
            }
        };
        Ok(Self::simulated(Kind::Mdp(Arc::new(mdp)), "mdp", made))
    }

    /// Users of the kind that GAN-CDQN assumes, with a reward that is known. Users who choose
    /// nothing leave with probability ``leaving``; with ``leaving=None`` they choose an item of
    /// every slate, and stay.
    #[staticmethod]
    #[pyo3(signature = (*, types=1, items=50, dims=8, position_weights=vec![1.0, 0.7, 0.4], base=0.0, preference=1.0, attraction=2.0, boredom=1.5, eta=1.0, leaving=Some(0.2), users_seed=0))]
    #[expect(clippy::too_many_arguments, reason = "the settings, by name")]
    fn choice_users(
        py: Python<'_>,
        types: usize,
        items: usize,
        dims: usize,
        position_weights: Vec<f64>,
        base: f64,
        preference: f64,
        attraction: f64,
        boredom: f64,
        eta: f64,
        leaving: Option<f64>,
        users_seed: u64,
    ) -> PyResult<Self> {
        let made = PyDict::new(py);
        made.set_item("types", types)?;
        made.set_item("items", items)?;
        made.set_item("dims", dims)?;
        made.set_item("position_weights", &position_weights)?;
        made.set_item("base", base)?;
        made.set_item("preference", preference)?;
        made.set_item("attraction", attraction)?;
        made.set_item("boredom", boredom)?;
        made.set_item("eta", eta)?;
        made.set_item("leaving", leaving)?;
        made.set_item("users_seed", users_seed)?;
        let config = ChoiceUsersConfig {
            types,
            items,
            dims,
            position_weights,
            base,
            preference,
            attraction,
            boredom,
            eta,
            outside: leaving.map_or(Outside::Absent, |leaving| Outside::Skip { leaving }),
            seed: users_seed,
            ..ChoiceUsersConfig::default()
        };
        let users = compute(py, || Ok(ChoiceUsers::new(&config)?))?;
        Ok(Self::simulated(Kind::Choice(Arc::new(users)), "choice_users", made))
    }

    /// Visitors of a shop, who read slates from the top; each has a hidden taste.
    #[staticmethod]
    #[pyo3(signature = (*, items=2_000, tastes=5, appeal=0.0046, spread=0.8, affinity=6.0, patience=0.8, leaving=0.25, users_seed=0))]
    #[expect(clippy::too_many_arguments, reason = "the settings, by name")]
    fn shop(
        py: Python<'_>,
        items: usize,
        tastes: usize,
        appeal: f64,
        spread: f64,
        affinity: f64,
        patience: f64,
        leaving: f64,
        users_seed: u64,
    ) -> PyResult<Self> {
        let made = PyDict::new(py);
        made.set_item("items", items)?;
        made.set_item("tastes", tastes)?;
        made.set_item("appeal", appeal)?;
        made.set_item("spread", spread)?;
        made.set_item("affinity", affinity)?;
        made.set_item("patience", patience)?;
        made.set_item("leaving", leaving)?;
        made.set_item("users_seed", users_seed)?;
        let config = ShopConfig {
            items,
            tastes,
            appeal,
            spread,
            affinity,
            patience,
            leaving,
            seed: users_seed,
        };
        let shop = compute(py, || Ok(Shop::new(&config)?))?;
        Ok(Self::simulated(Kind::Shop(Arc::new(shop)), "shop", made))
    }

    /// The learned users in a folder that ``foretaste fit`` wrote.
    #[staticmethod]
    fn load(py: Python<'_>, users: PathBuf) -> PyResult<Self> {
        let made = PyDict::new(py);
        made.set_item("users", &users)?;
        let (environment, raw, usual) = compute(py, || {
            let learned = LearnedUsers::load(&users, &Device::Cpu)
                .with_context(|| format!("cannot load the users {}", users.display()))?;
            let of_log = |what| learned.origin()?.settings.get(what)?.as_u64();
            let usual = (of_log("slate"), of_log("longest_session"));
            let raw: Vec<String> = learned.catalogue().names().iter().map(str::to_owned).collect();
            Ok((learned.into_environment()?, raw, usual))
        })?;
        let usual = (
            usual.0.and_then(|k| usize::try_from(k).ok()),
            usual.1.and_then(|steps| u32::try_from(steps).ok()),
        );
        Ok(Self {
            kind: Kind::Learned(Arc::new(environment)),
            learned: true,
            raw: Some(raw),
            usual,
            made: ("load", made.unbind()),
        })
    }

    /// Number of items that can be shown.
    #[getter]
    pub fn items(&self) -> usize {
        match &self.kind {
            Kind::Mdp(users) => users.items(),
            Kind::Choice(users) => users.items(),
            Kind::Shop(users) => Environment::items(&**users),
            Kind::Learned(users) => users.items(),
        }
    }

    /// Number of hidden states, or None where a state is no number.
    #[getter]
    fn states(&self) -> Option<usize> {
        match &self.kind {
            Kind::Mdp(users) => Revealing::states(&**users),
            Kind::Choice(users) => Revealing::states(&**users),
            Kind::Shop(users) => Revealing::states(&**users),
            Kind::Learned(users) => Revealing::states(&**users),
        }
    }

    /// The expected reward of a session under the best slates of ``k`` items, for one who sees the
    /// state: the ceiling of any policy. For the MDP in sessions that are not cut, for choice users
    /// in sessions of at most ``max_steps`` slates; None of other users.
    #[pyo3(signature = (k, max_steps = None))]
    fn optimum(&self, py: Python<'_>, k: usize, max_steps: Option<usize>) -> PyResult<Option<f64>> {
        match (&self.kind, max_steps) {
            (Kind::Mdp(mdp), None) => compute(py, || Ok(Some(MdpOracle::new(mdp, k)?.value()))),
            (Kind::Mdp(_), Some(_)) => {
                let problem = "max_steps: the optimum of the MDP is that of sessions that are not \
                               cut; leave it out";
                Err(PyValueError::new_err(problem))
            }
            (Kind::Choice(users), Some(steps)) => {
                compute(py, || Ok(Some(ChoiceOracle::new(&**users, k, steps)?.value())))
            }
            (Kind::Choice(_), None) => {
                let problem = "max_steps: the optimum of choice users depends on it; give the \
                               number of slates after which a session is cut";
                Err(PyValueError::new_err(problem))
            }
            _ => Ok(None),
        }
    }

    /// The raw ids of learned users' items, in the order of their numbers; None of simulated users.
    #[getter]
    fn raw_items(&self) -> Option<Vec<String>> {
        self.raw.clone()
    }

    /// How many items most slates had that the users learned from, and how many slates the longest
    /// session had; each None where it is not known.
    #[getter]
    fn usual(&self) -> (Option<usize>, Option<u32>) {
        self.usual
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Made<'py>)> {
        let remake = py.import("foretaste")?.getattr("_remake_users")?;
        Ok((remake, (self.made.0, self.made.1.bind(py).copy()?)))
    }
}

impl Users {
    fn simulated(kind: Kind, method: &'static str, made: Bound<'_, PyDict>) -> Self {
        let made = (method, made.unbind());
        Self { kind, learned: false, raw: None, usual: (None, None), made }
    }

    /// Environments of these users.
    pub fn environments(&self, settings: Settings) -> PyResult<Box<dyn Stepping>> {
        fn boxed<E: Revealing + Send + 'static>(
            users: &Arc<E>,
            settings: Settings,
        ) -> PyResult<Box<dyn Stepping>>
        where
            E::State: Send,
        {
            let vector = Vector::new(Arc::clone(users), settings);
            Ok(Box::new(vector.map_err(|error| raised(&error.into()))?))
        }
        match &self.kind {
            Kind::Mdp(users) => boxed(users, settings),
            Kind::Choice(users) => boxed(users, settings),
            Kind::Shop(users) => boxed(users, settings),
            Kind::Learned(users) => boxed(users, settings),
        }
    }

    /// Whether so many environments are stepped by one thread, whatever there are.
    pub fn fit_one_thread(&self, n: usize, one_by_one: bool) -> bool {
        !self.learned && n <= if one_by_one { 1 } else { self.chunk() }
    }

    /// Sessions that are best stepped as one batch.
    pub fn chunk(&self) -> usize {
        if self.learned { 256 } else { 1_024 }
    }
}

impl Revealing for Mdp {
    fn states(&self) -> Option<usize> {
        Some(Mdp::states(self))
    }

    fn reveal(&self, state: &MdpState, row: usize) -> i64 {
        state.0[row].into()
    }

    fn regret(
        self: &Arc<Self>,
        k: usize,
        _max_steps: u32,
    ) -> foretaste_sim::Result<Option<Regret<MdpState>>> {
        let (mdp, oracle) = (Arc::clone(self), MdpOracle::new(self, k)?);
        Ok(Some(Box::new(move |state: &MdpState, row, _steps, slate: &[ItemId]| {
            Ok(oracle.regret(&mdp, state.0[row] as usize, slate))
        })))
    }
}

/// The state is the taste.
impl Revealing for Shop {
    fn states(&self) -> Option<usize> {
        Some(self.config().tastes)
    }

    fn reveal(&self, state: &ShopState, row: usize) -> i64 {
        state.0[row].into()
    }
}

impl Revealing for ChoiceUsers {
    fn regret(
        self: &Arc<Self>,
        k: usize,
        max_steps: u32,
    ) -> foretaste_sim::Result<Option<Regret<ChoiceState>>> {
        let oracle = ChoiceOracle::new(&**self, k, max_steps as usize)?;
        Ok(Some(Box::new(move |state: &ChoiceState, row, steps, slate: &[ItemId]| {
            oracle.regret(state.user_type(row), state.recent(row), steps as usize, slate)
        })))
    }
}

impl Revealing for UsersEnvironment {}
