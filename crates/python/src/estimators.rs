//! The estimators of `foretaste-eval` on arrays.

use foretaste_eval::counterfactual::{
    self as ope, ActionLog, Diagnostics, Examination, MarginalSlates, PolicyValue, PositionSlates,
    Predictions, SequentialSlates,
};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::compute;

/// The numbers of an array.
type Numbers<'py> = PyReadonlyArray1<'py, f64>;

/// Estimate, standard error, both ends of the interval, effective sample size, and what speaks
/// against it: None where there is none.
type Estimated = (f64, Option<f64>, Option<(f64, f64)>, Option<f64>, Vec<String>);

/// An estimate from single actions: rewards, propensities and probabilities of the evaluated
/// policy, and what a model predicts of the logged action and of the policy; `[rows]` each.
#[pyfunction]
#[pyo3(signature = (estimator, reward, logging, evaluation, logged, expected, cap))]
#[expect(clippy::too_many_arguments, reason = "the columns, by name")]
pub fn of_actions(
    py: Python<'_>,
    estimator: &str,
    reward: Option<Numbers<'_>>,
    logging: Option<Numbers<'_>>,
    evaluation: Option<Numbers<'_>>,
    logged: Option<Numbers<'_>>,
    expected: Option<Numbers<'_>>,
    cap: f64,
) -> PyResult<Estimated> {
    let [reward, logging, evaluation, logged, expected] =
        slices([&reward, &logging, &evaluation, &logged, &expected])?;
    compute(py, || {
        if estimator == "dm" {
            return Ok(estimated(ope::dm(&Predictions::new(logged, expected)?)?, None));
        }
        let log = ActionLog::new(reward, logging, evaluation)?;
        let model = || Predictions::new(logged, expected);
        let value = match estimator {
            "ips" => ope::ips(&log),
            "snips" => ope::snips(&log),
            "clipped_ips" => ope::clipped_ips(&log, cap),
            "dr" => ope::dr(&log, &model()?),
            "clipped_dr" => ope::clipped_dr(&log, &model()?, cap),
            _ => ope::sndr(&log, &model()?),
        };
        Ok(estimated(value?, Some(log.diagnostics()?)))
    })
}

/// An estimate from slates: their lengths, and columns of all places one after the other, with
/// conditional probabilities, or marginal ones for IIPS.
#[pyfunction]
#[pyo3(signature = (estimator, lengths, reward, logging, evaluation, logged, expected))]
#[expect(clippy::too_many_arguments, reason = "the columns, by name")]
pub fn of_slates(
    py: Python<'_>,
    estimator: &str,
    lengths: Vec<usize>,
    reward: Numbers<'_>,
    logging: Numbers<'_>,
    evaluation: Numbers<'_>,
    logged: Option<Numbers<'_>>,
    expected: Option<Numbers<'_>>,
) -> PyResult<Estimated> {
    let [logged, expected] = slices([&logged, &expected])?;
    let (reward, logging, evaluation) =
        (reward.as_slice()?, logging.as_slice()?, evaluation.as_slice()?);
    compute(py, || {
        if let "iips" | "sniips" = estimator {
            let log = MarginalSlates::new(&lengths, reward, logging, evaluation)?;
            let value = if estimator == "iips" { ope::iips(&log) } else { ope::sniips(&log) };
            return Ok(estimated(value?, Some(log.diagnostics()?)));
        }
        let log = SequentialSlates::new(&lengths, reward, logging, evaluation)?;
        let value = match estimator {
            "rips" => ope::rips(&log),
            "snrips" => ope::snrips(&log),
            _ => ope::cascade_dr(&log, &Predictions::new(logged, expected)?),
        };
        Ok(estimated(value?, Some(log.diagnostics_by_place()?)))
    })
}

/// An estimate by the position-based model: clicks `[slates · k]`, and the probability of each
/// shown item at every place, `[slates · k · k]`; examination `[k]`, or estimated from the log.
#[pyfunction]
#[pyo3(signature = (estimator, k, reward, logging, evaluation, examination))]
pub fn of_positions(
    py: Python<'_>,
    estimator: &str,
    k: usize,
    reward: Numbers<'_>,
    logging: Numbers<'_>,
    evaluation: Numbers<'_>,
    examination: Option<Numbers<'_>>,
) -> PyResult<Estimated> {
    let (reward, logging, evaluation) =
        (reward.as_slice()?, logging.as_slice()?, evaluation.as_slice()?);
    let given = examination.as_ref().map(|given| given.as_slice()).transpose()?;
    compute(py, || {
        let log = PositionSlates::new(k, reward, logging, evaluation)?;
        let examination = given.map_or(Examination::FromLog, Examination::Given);
        let value = match estimator {
            "pbm" => ope::pbm(&log, examination),
            _ => ope::snpbm(&log, examination),
        };
        Ok(estimated(value?, Some(log.diagnostics(examination)?)))
    })
}

fn estimated(value: PolicyValue, diagnostics: Option<Diagnostics>) -> Estimated {
    let PolicyValue { estimate, standard_error, .. } = value;
    let mut warnings = Vec::new();
    let interval = match estimate.interval {
        Ok(interval) => Some((interval.low, interval.high)),
        Err(reason) => {
            warnings.push(format!("no interval: {reason}"));
            None
        }
    };
    let effective = diagnostics.map(|diagnostics| diagnostics.effective_sample_size);
    let against = diagnostics.iter().flat_map(Diagnostics::warnings);
    warnings.extend(against.map(|warning| warning.to_string()));
    (estimate.mean, standard_error.ok(), interval, effective, warnings)
}

/// The numbers of each column; none of one that is not given.
fn slices<'a, const N: usize>(columns: [&'a Option<Numbers<'_>>; N]) -> PyResult<[&'a [f64]; N]> {
    let mut slices = [&[][..]; N];
    for (slice, column) in slices.iter_mut().zip(columns) {
        if let Some(column) = column {
            *slice = column
                .as_slice()
                .map_err(|_| PyValueError::new_err("expected contiguous columns"))?;
        }
    }
    Ok(slices)
}
