//! Clicks on slates under the position-based click model: a user clicks the item a at place l with
//! probability p_l μ(a|x), examination times attraction, independently of the other places.

use super::columns::{positive_probabilities, probabilities, rewards, same_length};
use super::value::{Linearised, PolicyValue, ratio};
use super::{Diagnostics, diagnostics};
use crate::{Error, Result};

/// Slates of k places with the clicks at them, and where else each shown item might have stood;
/// slates are independent.
#[derive(Clone, Copy, Debug)]
pub struct PositionSlates<'a> {
    k: usize,
    clicks: &'a [f64],
    logging: &'a [f64],
    evaluation: &'a [f64],
}

/// The examination probabilities p_1 .. p_k; a common factor changes nothing.
#[derive(Clone, Copy, Debug)]
pub enum Examination<'a> {
    /// Known, or estimated from another log, `[k]` in (0, 1]; the interval takes them as exact.
    Given(&'a [f64]),
    /// Estimated from the same log by [`examination`]; the interval accounts for it.
    FromLog,
}

impl<'a> PositionSlates<'a> {
    /// `clicks` (or other rewards) `[slates, k]`, and the marginal probabilities of each shown item
    /// at every place m: `logging` π_b(a_l at m | x) and `evaluation` π_e(a_l at m | x),
    /// `[slates, k, k]`.
    ///
    /// # Errors
    /// Where `k` is 0 or lengths do not fit together, there are no slates, a click is not finite,
    /// or a number is no probability; a logging probability of an item where it stood must be
    /// positive.
    pub fn new(
        k: usize,
        clicks: &'a [f64],
        logging: &'a [f64],
        evaluation: &'a [f64],
    ) -> Result<Self> {
        if k == 0 {
            return Err(Error::Empty { what: "a logged slate" });
        }
        rewards(clicks, clicks.len())?;
        same_length("clicks and whole slates", clicks.len(), clicks.len() / k * k)?;
        same_length(
            "logging probabilities and places times clicks",
            logging.len(),
            clicks.len() * k,
        )?;
        same_length("logging and evaluation probabilities", logging.len(), evaluation.len())?;
        probabilities("logging probability", logging)?;
        probabilities("evaluation probability", evaluation)?;
        let log = Self { k, clicks, logging, evaluation };
        positive_probabilities("logging propensity", &log.propensities())?;
        Ok(log)
    }

    /// What the weights say of the log's power to answer [`pbm`]; rows are places.
    ///
    /// # Errors
    /// As [`pbm`].
    pub fn diagnostics(&self, examination: Examination) -> Result<Diagnostics> {
        let Weighing { p, weights, .. } = self.weigh(examination)?;
        let total: f64 = p.iter().sum();
        let means: Vec<f64> =
            weights.chunks_exact(self.k).map(|weights| dot(weights, &p) / total).collect();
        diagnostics::of(&weights, &self.propensities(), &means)
    }

    /// π_b of each item where it stood, `[slates, k]`.
    fn propensities(&self) -> Vec<f64> {
        self.logging
            .chunks_exact(self.k)
            .enumerate()
            .map(|(place, row)| row[place % self.k])
            .collect()
    }

    fn weigh(&self, examination: Examination) -> Result<Weighing> {
        let (p, deviations) = match examination {
            Examination::Given(p) => {
                same_length("examination probabilities and places", p.len(), self.k)?;
                positive_probabilities("examination probability", p)?;
                (p.to_vec(), None)
            }
            Examination::FromLog => {
                let (p, deviations) = self.estimate_examination()?;
                (p, Some(deviations))
            }
        };
        let pairs = self.evaluation.chunks_exact(self.k).zip(self.logging.chunks_exact(self.k));
        let weights =
            pairs.map(|(evaluation, logging)| dot(&p, evaluation) / dot(&p, logging)).collect();
        Ok(Weighing { p, deviations, weights })
    }

    /// p̂, in an arbitrary unit, and the deviations from it of the terms whose mean it is,
    /// `[slates, k]`.
    fn estimate_examination(&self) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut terms = self.examination_terms();
        let p = column_means(&terms, self.k);
        if let Some(place) = p.iter().position(|&p| p <= 0.0) {
            return Err(Error::Unexamined { place });
        }
        terms
            .chunks_exact_mut(self.k)
            .for_each(|row| row.iter_mut().zip(&p).for_each(|(term, p)| *term -= p));
        Ok((p, terms))
    }

    /// The clicks at each place times min_m π_b(a at m) / π_b(a where it stood), `[slates, k]`.
    fn examination_terms(&self) -> Vec<f64> {
        let term = |(place, (click, row)): (usize, (&f64, &[f64]))| {
            click * row.iter().copied().fold(f64::INFINITY, f64::min) / row[place % self.k]
        };
        self.clicks.iter().zip(self.logging.chunks_exact(self.k)).enumerate().map(term).collect()
    }
}

/// The examination probabilities of a log's k places relative to that of the first, `[k]`.
///
/// p̂_l is the mean of c_l min_m π_b(a at m) / π_b(a at l), over the clicks c_l at place l on
/// whichever item a stood there. Its expectation is p_l E_x Σ_a μ(a|x) min_m π_b(a at m|x), whose
/// second factor all places share: where the logging policy moves items about, clicks tell places
/// apart from items. The idea is that of Agarwal et al. (WSDM 2019), who compare the clicks of
/// items that stood at two places; weights of at most 1 make it one pass.
///
/// # Errors
/// [`Error::Unexamined`] where a place got no click of an item that could stand at every place.
pub fn examination(log: &PositionSlates) -> Result<Vec<f64>> {
    let (p, _) = log.estimate_examination()?;
    Ok(p.iter().map(|place| place / p[0]).collect())
}

/// The position-based estimator: mean of Σ_l c_l w_l, where w_l = Σ_m p_m π_e(a_l at m) / Σ_m p_m
/// π_b(a_l at m) weighs an item wherever it stood. Unbiased under the click model where π_b shows,
/// somewhere, all that π_e shows: where the policies differ in the order of the same items its
/// weights stay near 1, and those of [`iips`](super::iips) do not. Source: Li et al. (KDD 2018),
/// the estimator of the position-based model, without their clipping.
///
/// # Errors
/// Where the given examination probabilities are not k numbers in (0, 1], they cannot be estimated,
/// or a term overflows.
pub fn pbm(log: &PositionSlates, examination: Examination) -> Result<PolicyValue> {
    let weighing = log.weigh(examination)?;
    let terms = log.sums(&weighing.weights, log.clicks);
    let value = terms.iter().sum::<f64>() / terms.len() as f64;
    let gradient = log.gradient(&weighing, |place| log.clicks[place]);
    weighing.value(Linearised { value, terms }, &gradient)
}

/// Self-normalized [`pbm`]: Σ_l p_l times Σ_i Σ_l c_l w_l / Σ_i Σ_l p_l w_l; the expectation of the
/// denominator's slate is Σ_l p_l.
///
/// # Errors
/// As [`pbm`], and where all weights are 0.
pub fn snpbm(log: &PositionSlates, examination: Examination) -> Result<PolicyValue> {
    let weighing = log.weigh(examination)?;
    let Weighing { p, weights, .. } = &weighing;
    let examined: Vec<f64> = p.iter().copied().cycle().take(weights.len()).collect();
    let (clicked, seen) = (log.sums(weights, log.clicks), log.sums(weights, &examined));
    let Linearised { value: rate, mut terms } =
        ratio("self-normalized position-based estimator", &clicked, &seen)?;
    let total: f64 = p.iter().sum();
    terms.iter_mut().for_each(|term| *term *= total);
    // With rate = N / D: d(Σp · N/D)/dp_m = rate + Σp (dN/dp_m - rate dD/dp_m) / D, where D also
    // holds p_m itself.
    let mean_seen = seen.iter().sum::<f64>() / seen.len() as f64;
    let mut gradient = log.gradient(&weighing, |place| log.clicks[place] - rate * examined[place]);
    for (slope, own) in gradient.iter_mut().zip(column_means(weights, log.k)) {
        *slope = rate + total * (*slope - rate * own) / mean_seen;
    }
    weighing.value(Linearised { value: total * rate, terms }, &gradient)
}

/// The weights of a log under some examination.
struct Weighing {
    /// p, `[k]`.
    p: Vec<f64>,
    /// Where p was estimated from this log: the deviations of the terms whose mean it is,
    /// `[slates, k]`.
    deviations: Option<Vec<f64>>,
    /// Σ_m p_m π_e(a at m) / Σ_m p_m π_b(a at m) of the item at each place, `[slates, k]`.
    weights: Vec<f64>,
}

impl Weighing {
    /// Carries the deviations of an estimated p into the terms, by the value's `gradient` in p.
    fn value(&self, mut linearised: Linearised, gradient: &[f64]) -> Result<PolicyValue> {
        if let Some(deviations) = &self.deviations {
            let rows = deviations.chunks_exact(gradient.len());
            linearised
                .terms
                .iter_mut()
                .zip(rows)
                .for_each(|(term, row)| *term += dot(gradient, row));
        }
        PolicyValue::linearised(&linearised)
    }
}

impl PositionSlates<'_> {
    /// Σ_l w_l f_l of each slate, `[slates]`.
    fn sums(&self, weights: &[f64], factors: &[f64]) -> Vec<f64> {
        weights
            .chunks_exact(self.k)
            .zip(factors.chunks_exact(self.k))
            .map(|(w, f)| dot(w, f))
            .collect()
    }

    /// Σ_l f_l dw_l/dp_m averaged over slates, `[k]`, where f is given by place.
    fn gradient(
        &self,
        Weighing { p, weights, .. }: &Weighing,
        factor: impl Fn(usize) -> f64,
    ) -> Vec<f64> {
        let slates = (weights.len() / self.k) as f64;
        let mut gradient = vec![0.0; self.k];
        let rows = self.evaluation.chunks_exact(self.k).zip(self.logging.chunks_exact(self.k));
        for (place, (evaluation, logging)) in rows.enumerate() {
            let scale = factor(place) / dot(p, logging) / slates;
            for (slope, (evaluation, logging)) in
                gradient.iter_mut().zip(evaluation.iter().zip(logging))
            {
                *slope += scale * (evaluation - weights[place] * logging);
            }
        }
        gradient
    }
}

/// The mean of each of the `k` columns of a row-major matrix.
fn column_means(rows: &[f64], k: usize) -> Vec<f64> {
    let mut sums = vec![0.0; k];
    rows.chunks_exact(k)
        .for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value));
    sums.iter().map(|sum| sum / (rows.len() / k) as f64).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
