//! Logs of interactions in memory.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use foretaste_data::{Dataset, cache};
use foretaste_files::Target;
use foretaste_import::{Batches, Input, Report};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::commands::interruptible;
use crate::errors::compute;

/// A log: sessions of slates, with what was chosen and what it earned.
#[pyclass(frozen, module = "foretaste._core")]
pub struct Log {
    dataset: Arc<Dataset>,
    /// What was read, unless it was a cached log.
    report: Option<Report>,
}

/// What Arrow calls a stream of batches in a capsule.
const STREAM: &std::ffi::CStr = c"arrow_array_stream";

#[pymethods]
impl Log {
    /// The log that the options of ``foretaste describe`` name.
    #[staticmethod]
    fn _read(py: Python<'_>, options: Vec<OsString>) -> PyResult<Self> {
        let (dataset, report) = interruptible(py, || foretaste::read_log(options))?;
        Ok(Self { dataset: Arc::new(dataset), report })
    }

    /// The log in anything that has ``__arrow_c_stream__``, under this name.
    #[staticmethod]
    fn _from_arrow(
        py: Python<'_>,
        table: &Bound<'_, PyAny>,
        name: String,
        options: Vec<OsString>,
    ) -> PyResult<Self> {
        if !table.hasattr("__arrow_c_stream__")? {
            return Err(PyTypeError::new_err(format!(
                "{} has no __arrow_c_stream__; expected a table of pandas, polars, pyarrow, DuckDB \
                 or the like",
                table.get_type().name()?
            )));
        }
        let reader = reader(&table.call_method0("__arrow_c_stream__")?)?;
        let input = compute(py, || Ok(Input::of_batches(&name, reader)?))?;
        let (dataset, report) = interruptible(py, || foretaste::read_input(&input, options))?;
        Ok(Self { dataset: Arc::new(dataset), report })
    }

    /// What ``foretaste describe --json`` says, as JSON.
    fn _describe(&self, py: Python<'_>) -> PyResult<String> {
        let described = || foretaste::describe(&self.dataset, self.report.as_ref());
        Ok(compute(py, described)?.to_string())
    }

    /// Writes the cached log.
    fn _save(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        compute(py, || {
            let target = Target::new(&path, Vec::new(), force)?;
            Ok(cache::save(&self.dataset, target.path())?)
        })
    }

    /// Writes a policy as a file that ``foretaste judge`` takes: the probability of the item at
    /// each place of each slate given those before it, ``[places]``, one slate after the other.
    fn _save_policy(
        &self,
        py: Python<'_>,
        path: PathBuf,
        probabilities: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<()> {
        let probabilities = probabilities.as_slice()?;
        compute(py, || {
            let places = self.dataset.log.impressions();
            if probabilities.len() != places {
                bail!(
                    "{} probabilities; expected {places}, one for each place of each slate",
                    probabilities.len()
                );
            }
            let mut rest = probabilities;
            let mut rows = String::from("session,step,policy\n");
            for session in self.dataset.log.iter() {
                let name = self.dataset.session_name(session.index());
                let name = name.replace('"', "\"\"");
                for (t, step) in session.steps().enumerate() {
                    let (of_slate, after) = rest.split_at(step.slate.len());
                    rest = after;
                    let places: Vec<String> = of_slate.iter().map(f64::to_string).collect();
                    rows += &format!("\"{name}\",{t},{}\n", places.join(" "));
                }
            }
            Ok(foretaste_files::write(&path, rows.as_bytes())?)
        })
    }

    /// The log as a stream of Arrow's batches: a row per step, by the schema of
    /// docs/data-formats.md. A split and features are no part of it.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A producer may answer with its own schema.
        drop(requested_schema);
        let batches = compute(py, || Ok(Batches::new(Arc::clone(&self.dataset))?))?;
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, STREAM)
    }

    /// Number of sessions.
    fn __len__(&self) -> usize {
        self.dataset.log.sessions()
    }

    /// Number of slates.
    #[getter]
    fn steps(&self) -> usize {
        self.dataset.log.steps()
    }

    /// Number of items on all slates.
    #[getter]
    fn impressions(&self) -> usize {
        self.dataset.log.impressions()
    }

    /// The raw ids of the items.
    #[getter]
    fn items(&self) -> Vec<String> {
        self.dataset.catalogue.names().iter().map(str::to_owned).collect()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> String {
        self.dataset.name.clone()
    }

    fn __repr__(&self) -> String {
        let Dataset { name, log, catalogue, .. } = &*self.dataset;
        let (sessions, steps) = (log.sessions(), log.steps());
        format!("<Log {name:?}: {sessions} sessions, {steps} slates, {} items>", catalogue.len())
    }
}

/// The batches of a capsule, which is empty from then on.
fn reader(capsule: &Bound<'_, PyAny>) -> PyResult<RecordBatchStreamReader> {
    let capsule = capsule.cast::<PyCapsule>()?;
    let stream = capsule.pointer_checked(Some(STREAM))?;
    #[allow(unsafe_code, reason = "Arrow's interface for C hands over a pointer")]
    // SAFETY: a capsule of this name holds a valid stream, which Python keeps while we look; it is
    // moved out, and what is left is marked as released, as the interface says.
    let reader = unsafe { RecordBatchStreamReader::from_raw(stream.as_ptr().cast()) };
    reader.map_err(|error| PyValueError::new_err(error.to_string()))
}
