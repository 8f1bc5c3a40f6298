//! How much of the log speaks for a policy.

use foretaste_eval::counterfactual::{Diagnostics, Warning};
use serde_json::{Value, json};

use super::columns::{Known, Unseen};
use super::estimates::{Assume, Estimates};
use super::logged::Logged;

/// Of a policy's places, more than this share that the log never shows is too much, where the mean
/// weight lacks half of it or more: a self-normalized estimator judges the rest alone. A mean
/// weight of 1 says that the log could have shown them, and did not by chance.
pub const LARGEST_UNSEEN: f64 = 0.05;

/// Propensities below these are counted.
const BOUNDS: [f64; 3] = [0.1, 0.01, 0.001];

/// Weights at these quantiles are shown.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 1.0];

/// What the weights of whole slates and the log's propensities say.
pub struct Overlap {
    /// What is assumed where it is decided, and what the weights say then.
    pub diagnostics: Known<Diagnostics>,
    /// What of the policy the log never shows.
    pub unseen: Known<Unseen>,
    /// Share of the log's places whose propensity is below each of the bounds.
    below: [f64; 3],
    weights: Known<Weights>,
}

struct Weights {
    /// Share of the slates that weigh nothing.
    zero: f64,
    quantiles: [f64; 4],
    trimmed: Trimmed,
}

/// What is left without the slates that weigh more than the cap.
struct Trimmed {
    cap: f64,
    slates: usize,
    /// Of all weights.
    share: f64,
    effective: f64,
    /// Their SNIPS.
    value: Option<f64>,
}

impl Overlap {
    /// Of a policy whose columns and estimates are known.
    pub fn new(
        logged: &Logged<'_>,
        estimates: &Estimates,
        unseen: &Known<Unseen>,
        assume: Assume,
        cap: f64,
    ) -> Self {
        let below = BOUNDS.map(|bound| {
            let below = logged.logging.iter().filter(|&&propensity| propensity < bound).count();
            below as f64 / logged.logging.len() as f64
        });
        let weights = estimates.weights.clone().map(|weights| Weights::new(logged, &weights, cap));
        Self {
            diagnostics: estimates.diagnostics(assume).clone(),
            unseen: unseen.clone(),
            below,
            weights,
        }
    }

    /// As lines.
    pub fn lines(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        let mut lines = Vec::new();
        match &self.weights {
            Err(why) => lines.push(format!("weights: none; {why}")),
            Ok(Weights { zero, quantiles: [half, most, nearly, largest], trimmed }) => {
                lines.push(format!(
                    "weights of slates: {} are 0; half are at most {half:.3}, 90% at most \
                     {most:.3}, 99% at most {nearly:.3}, the largest is {largest:.3}",
                    percent(*zero)
                ));
                let Trimmed { cap, slates, share, effective, value } = trimmed;
                let value = value.map_or("undefined".to_owned(), |value| format!("{value:.4}"));
                lines.push(format!(
                    "without weights above {cap}: {slates} slates with {} of the weight, worth \
                     {effective:.0}, whose SNIPS is {value}",
                    percent(*share)
                ));
            }
        }
        let below: Vec<String> = BOUNDS
            .iter()
            .zip(self.below)
            .map(|(bound, share)| format!("{} below {bound}", percent(share)))
            .collect();
        lines.push(format!("propensities of the log's places: {}", below.join(", ")));
        lines.push(match &self.unseen {
            Err(why) => {
                format!("the part of the policy that the log never shows is not known: {why}")
            }
            Ok(Unseen { places, slates }) => {
                let slates = slates.map_or(String::new(), |slates| {
                    format!(", and {} of its slates as a whole", percent(slates))
                });
                format!("the log never shows {} of the policy's places{slates}", percent(*places))
            }
        });
        lines
    }

    /// What does not speak against deciding, and is to be known: small propensities, of which a log
    /// of many items is full. Where they make heavy weights, these warn.
    pub fn notes(&self) -> Vec<String> {
        self.of_weights(|warning| matches!(warning, Warning::SmallPropensities { .. }))
    }

    /// The warnings of the weights that are such.
    fn of_weights(&self, is: impl Fn(&Warning) -> bool) -> Vec<String> {
        let warnings = self.diagnostics.as_ref().map_or(Vec::new(), Diagnostics::warnings);
        warnings.iter().filter(|warning| is(warning)).map(ToString::to_string).collect()
    }

    /// What speaks against deciding.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings =
            self.of_weights(|warning| !matches!(warning, Warning::SmallPropensities { .. }));
        let mean = self.diagnostics.as_ref().map_or(0.0, |of| of.mean_weight.mean);
        if let Ok(unseen) = &self.unseen
            && unseen.places > LARGEST_UNSEEN
            && mean <= 1.0 - unseen.places / 2.0
        {
            warnings.push(format!(
                "the log never shows {:.1}% of the policy's places, more than {:.0}%: the weights \
                 are evidence on the others only",
                100.0 * unseen.places,
                100.0 * LARGEST_UNSEEN
            ));
        }
        warnings
    }

    /// As an object.
    pub fn json(&self) -> Value {
        let unseen = self.unseen.as_ref().ok();
        let weights = self.weights.as_ref().ok().map(|weights| {
            let Weights { zero, quantiles, trimmed } = weights;
            let quantile = |(at, value): (&f64, &f64)| json!({ "share": at, "at_most": value });
            json!({
                "zero": zero,
                "quantiles": QUANTILES.iter().zip(quantiles).map(quantile).collect::<Vec<_>>(),
                "trimmed": {
                    "cap": trimmed.cap,
                    "slates": trimmed.slates,
                    "share_of_weight": trimmed.share,
                    "effective_sample_size": trimmed.effective,
                    "snips": trimmed.value,
                },
            })
        });
        let below = |(bound, share): (&f64, &f64)| json!({ "bound": bound, "share": share });
        let diagnostics = self.diagnostics.as_ref().ok();
        json!({
            "effective_sample_size": diagnostics.map(|of| of.effective_sample_size),
            "rows": diagnostics.map(|of| of.rows),
            "largest_weight": diagnostics.map(|of| of.largest_weight),
            "tail_share": diagnostics.map(|of| of.tail_share),
            "smallest_propensity": diagnostics.map(|of| of.smallest_propensity),
            "mean_weight": diagnostics.map(|of| of.mean_weight.mean),
            "weights": weights,
            "propensities_below": BOUNDS.iter().zip(&self.below).map(below).collect::<Vec<_>>(),
            "share_of_places_never_shown": unseen.map(|unseen| unseen.places),
            "share_of_slates_never_shown": unseen.and_then(|unseen| unseen.slates),
            "not_known": [self.diagnostics.as_ref().err(), self.unseen.as_ref().err()],
        })
    }
}

impl Weights {
    fn new(logged: &Logged<'_>, weights: &[f64], cap: f64) -> Self {
        let mut sorted = weights.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((share * sorted.len() as f64).ceil() as usize).max(1) - 1];
        let zero = weights.iter().filter(|&&weight| weight == 0.0).count();
        let left: Vec<(f64, f64)> = weights
            .iter()
            .copied()
            .zip(logged.earned.iter().copied())
            .filter(|(weight, _)| *weight <= cap)
            .collect();
        let sum = |of: &dyn Fn(&(f64, f64)) -> f64| left.iter().map(of).sum::<f64>();
        let (total, squares) = (sum(&|row| row.0), sum(&|row| row.0 * row.0));
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        Self {
            zero: zero as f64 / weights.len() as f64,
            quantiles: QUANTILES.map(at),
            trimmed: Trimmed {
                cap,
                slates: left.len(),
                share: share(total, weights.iter().sum()),
                effective: share(total * total, squares),
                value: (total > 0.0).then(|| sum(&|row| row.0 * row.1) / total),
            },
        }
    }
}
