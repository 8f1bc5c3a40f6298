//! Recommenders that were trained before.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::Context;
use candle_core::Device;
use foretaste_random::Seed;
use foretaste_recommender::{Acting, Recommender as Trained, Request, Way};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::compute;

/// What ``train`` wrote, or ``foretaste train``.
#[pyclass(frozen, module = "foretaste._core")]
pub struct Recommender {
    trained: Mutex<Trained>,
    path: PathBuf,
    kind: &'static str,
    items: Vec<String>,
}

#[pymethods]
impl Recommender {
    /// Reads a recommender of any kind.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let (trained, path) = compute(py, || {
            let trained = Trained::load(&path, &Device::Cpu)
                .with_context(|| format!("cannot load the recommender {}", path.display()))?;
            Ok((trained, path))
        })?;
        let items = trained.catalogue().names().iter().map(str::to_owned).collect();
        Ok(Self { kind: trained.kind(), trained: Mutex::new(trained), path, items })
    }

    /// What is shown after each of these histories, by raw ids.
    #[pyo3(signature = (histories, k, candidates, exclude, act, temperature, epsilon, seed))]
    #[expect(clippy::too_many_arguments, reason = "what may be asked, by name")]
    fn _recommend(
        &self,
        py: Python<'_>,
        histories: Vec<Vec<String>>,
        k: usize,
        candidates: Option<Vec<String>>,
        exclude: Vec<String>,
        act: Option<&str>,
        temperature: f64,
        epsilon: f64,
        seed: u64,
    ) -> PyResult<Vec<Vec<String>>> {
        let way = match act {
            None => Way::Own,
            Some("top") => Way::Top,
            Some("softmax") => Way::Softmax { temperature },
            Some(other) => {
                return Err(PyValueError::new_err(format!(
                    "act {other:?}; expected \"top\" or \"softmax\""
                )));
            }
        };
        if k == 0 {
            return Err(PyValueError::new_err("k: 0; expected at least 1"));
        }
        compute(py, || {
            let trained =
                self.trained.lock().map_err(|_| anyhow::anyhow!("an earlier request failed"))?;
            let actor = trained.acting(Acting { way, epsilon })?;
            let request = |history| Request {
                history,
                k,
                candidates: candidates.clone(),
                exclude: exclude.clone(),
            };
            let requests: Vec<Request> = histories.into_iter().map(request).collect();
            let seed = Seed::new(seed).derive("recommendations");
            let answers = actor.answer(&requests, seed, 0)?;
            Ok(answers.into_iter().map(|answer| answer.items).collect())
        })
    }

    /// The folder that it was read from.
    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Of what kind it is.
    #[getter]
    fn kind(&self) -> &'static str {
        self.kind
    }

    /// The raw ids of the items that it knows.
    #[getter]
    fn items(&self) -> Vec<String> {
        self.items.clone()
    }
}
