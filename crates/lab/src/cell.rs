//! A cell: a pure function of its configuration, and what it found.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context;
use foretaste_report::{Arm, Figures, Point};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One run of one method on one data set under one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the data set.
    pub dataset: String,
    /// Name of the method.
    pub method: String,
    /// What is varied in addition to data and method; empty where nothing is.
    pub setting: String,
    /// Number of the seed; the same number gives different methods the same draws, so that
    /// differences are paired.
    pub seed: u64,
    /// Everything else that the result depends on, a digest of the data file among it.
    pub config: Value,
}

/// What a cell found. All values are finite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The cell's figures; in the store, by name.
    pub metrics: Figures,
    /// The learning curve: one row per point, e.g. `iteration`, `train_nll`, `valid_nll`.
    pub curve: Vec<Point>,
}

/// Part of every digest: raised when the meaning of a stored outcome changes.
const FORMAT: u32 = 1;

impl Cell {
    /// Where the cell is in a report.
    pub fn arm(&self) -> Arm {
        Arm {
            dataset: self.dataset.clone(),
            method: self.method.clone(),
            setting: self.setting.clone(),
        }
    }

    /// The configuration, as the experiment that laid it out knows it.
    ///
    /// # Errors
    /// Where it is another.
    pub fn config<C: DeserializeOwned>(&self) -> anyhow::Result<C> {
        C::deserialize(&self.config).with_context(|| format!("the configuration of {self}"))
    }

    /// The cell's address: hexadecimal, the same for equal cells on every machine.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // The project's first name: under another, no stored cell would be found again.
        hasher.update(format!("understudy cell {FORMAT}\n").as_bytes());
        for part in [&self.experiment, &self.dataset, &self.method, &self.setting] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(canonical(&self.config).as_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.experiment, self.dataset, self.method)?;
        if !self.setting.is_empty() {
            write!(f, " {}", self.setting)?;
        }
        write!(f, " seed {}", self.seed)
    }
}

impl Outcome {
    /// The first figure that is not finite, by name.
    pub fn not_finite(&self) -> Option<(&str, f64)> {
        let metrics = self.metrics.iter().map(|(metric, &value)| (metric.name(), value));
        let points = self.curve.iter().flatten().map(|(name, &value)| (name.as_str(), value));
        metrics.chain(points).find(|(_, value)| !value.is_finite())
    }
}

/// JSON with sorted keys and no spaces. serde_json's own map keeps the order of insertion as soon
/// as any crate of the build asks it to, so its output is not canonical.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let fields: Vec<_> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use foretaste_eval::Metric;
    use serde_json::json;

    use super::*;

    fn cell() -> Cell {
        Cell {
            experiment: "e".into(),
            dataset: "d".into(),
            method: "m".into(),
            setting: "s".into(),
            seed: 1,
            config: json!({"a": 1, "b": {"x": [1, 2.5], "y": null}}),
        }
    }

    #[test]
    fn the_digest_sees_every_field() {
        let base = cell().digest();
        let changes: [fn(&mut Cell); 7] = [
            |c| c.experiment.push('x'),
            |c| c.dataset.push('x'),
            |c| c.method.push('x'),
            |c| c.setting.push('x'),
            |c| c.seed += 1,
            |c| c.config["a"] = json!(2),
            |c| c.config["b"]["x"] = json!([2.5, 1]),
        ];
        for change in changes {
            let mut other = cell();
            change(&mut other);
            assert_ne!(other.digest(), base, "{other:?}");
        }
    }

    #[test]
    fn the_digest_does_not_see_the_order_of_keys() {
        let mut other = cell();
        other.config = serde_json::from_str(r#"{"b":{"y":null,"x":[1,2.5]},"a":1}"#).unwrap();
        assert_eq!(other.digest(), cell().digest());
    }

    #[test]
    fn text_cannot_move_between_fields() {
        let (mut a, mut b) = (cell(), cell());
        (a.method, a.setting) = ("xy".into(), "z".into());
        (b.method, b.setting) = ("x".into(), "yz".into());
        assert_ne!(a.digest(), b.digest());
    }

    #[test]
    fn a_nan_in_metrics_or_curve_is_found() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.not_finite(), None);
        outcome.curve.push([("loss".to_owned(), f64::INFINITY)].into());
        assert_eq!(outcome.not_finite(), Some(("loss", f64::INFINITY)));
        outcome.metrics.insert(Metric::Nll, f64::NAN);
        assert_eq!(outcome.not_finite().unwrap().0, "nll");
    }
}
