//! Whether a claim names only what its experiment has: a misspelled name would be "not run"
//! forever.

use super::{Claim, Contender};
use crate::{Design, Error, Result};

impl Claim {
    /// Checks the claim's metrics, methods, settings and data sets against the whole grid of its
    /// experiment.
    ///
    /// # Errors
    /// Where the experiment does not have one of them.
    pub fn check(&self, design: &Design) -> Result<()> {
        self.check_metrics(design)?;
        let methods = names(design.arms.iter().map(|arm| arm.method.as_str()));
        let settings = names(design.arms.iter().map(|arm| arm.setting.as_str()));
        let at_hand = design.datasets.iter().map(|data| data.name.as_str());
        let datasets = names(at_hand.chain(design.public_datasets.iter().map(String::as_str)));
        for Contender { method, setting } in self.ours.iter().chain(&self.rivals) {
            if !methods.contains(&method.as_str()) {
                return Err(self.without("method", method, design, &methods));
            }
            let own = names(
                design
                    .arms
                    .iter()
                    .filter(|arm| arm.method == *method)
                    .map(|arm| arm.setting.as_str()),
            );
            if let Some(setting) =
                setting.as_ref().filter(|setting| !own.contains(&setting.as_str()))
            {
                return Err(self.without(&format!("setting of {method}"), setting, design, &own));
            }
        }
        if let Some(pattern) = self.settings.fitting_none(&settings) {
            return Err(self.without("setting", pattern, design, &settings));
        }
        match self.datasets.fitting_none(&datasets) {
            Some(pattern) => Err(self.without("data set", pattern, design, &datasets)),
            None => Ok(()),
        }
    }

    /// Checks that the experiment reports the claim's metrics.
    pub(super) fn check_metrics(&self, design: &Design) -> Result<()> {
        let reported: Vec<_> = design.metrics.iter().map(|metric| metric.name()).collect();
        let needed = self.needs.iter().map(|needs| &needs.metric);
        match self.metrics.iter().chain(needed).find(|metric| !design.metrics.contains(metric)) {
            Some(metric) => Err(self.without("metric", metric.name(), design, &reported)),
            None => Ok(()),
        }
    }

    fn without(&self, kind: &str, found: &str, design: &Design, known: &[&str]) -> Error {
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        let problem = format!(
            "{} has no {kind} `{found}`, expected one of {}",
            design.experiment,
            known.join(", ")
        );
        Error::Claim { line: self.line, sentence: self.sentence.clone(), problem }
    }
}

/// Each name once, in order.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
