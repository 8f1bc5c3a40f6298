//! `foretaste.toml`: the settings of a run, each with its meaning.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Parser;
use serde::Deserialize;

use crate::{Cli, misuse};

/// What is written where there are no settings: the defaults.
pub const TEMPLATE: &str = include_str!("foretaste.toml");

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What everything is drawn from.
    pub seed: u64,
    /// Of the sessions, from the first on, so many percent teach users and recommenders.
    pub percent: u8,
    /// Where networks run.
    pub device: String,
    /// How the log is read.
    pub import: Import,
    /// How users are learned.
    pub fit: Fit,
    /// Which recommenders are trained.
    pub train: Train,
    /// How they are judged.
    pub judge: Judge,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    pub options: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    pub model: String,
    pub percent: u8,
    pub options: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    pub methods: Vec<String>,
    pub options: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    pub policies: Vec<String>,
    pub propensities: Propensities,
    pub options: Vec<String>,
}

/// Where the probabilities of logged slates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propensities {
    /// From the log, or estimated where it has none.
    Auto,
    /// From the log.
    Logged,
    /// Estimated.
    Estimated,
}

impl Settings {
    /// Reads settings.
    ///
    /// # Errors
    /// Where the text is no such settings; each is named with what was expected.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let settings: Self = toml::from_str(text)?;
        if !(1..100).contains(&settings.percent) {
            bail!("percent = {}: expected 1 to 99, so that some sessions judge", settings.percent);
        }
        let methods = &settings.train.methods;
        let strange = methods
            .iter()
            .find(|name| name.is_empty() || name.contains(['/', '\\', '.', '=', ',']));
        if let Some(name) = strange {
            bail!(
                "[train] methods: there is no method {name:?}; `foretaste train --help` lists all"
            );
        }
        if let Some(name) =
            methods.iter().enumerate().find(|(at, name)| methods[..*at].contains(name))
        {
            bail!("[train] methods: {:?} is listed twice", name.1);
        }
        if let Some(name) = settings.train.options.keys().find(|name| !methods.contains(name)) {
            bail!(
                "[train.options] {name}: this method is not in the list `methods` of [train]; add \
                 it, or remove its options"
            );
        }
        settings.check_options()?;
        Ok(settings)
    }

    /// Whether methods and options are those of the commands, before any of them runs.
    fn check_options(&self) -> anyhow::Result<()> {
        let Self { fit, train, judge, .. } = self;
        let check = |table: &str, command: &[&str], options: &[String]| {
            let command = command.iter().map(|word| (*word).to_owned());
            let words = ["foretaste".to_owned()].into_iter().chain(command);
            Cli::try_parse_from(words.chain(options.iter().cloned()))
                .map(drop)
                .map_err(|error| anyhow::anyhow!("{table}: {}", misuse(error)))
        };
        let learning = ["--seed", "0", "--device", &self.device];
        check("[import] options", &["import", "LOG", "--to", "LOG"], &self.import.options)?;
        let of_fit = ["fit", "LOG", "--to", "USERS", "--model", &fit.model, "--percent", "80"];
        check("[fit]", &[&of_fit[..], &learning, &["--first", "50"]].concat(), &fit.options)?;
        for method in &train.methods {
            let of_train = ["train", "LOG", "--to", "POLICY", "--method", method];
            let of_train = [&of_train[..], &learning, &["--percent", "50"]].concat();
            check(&format!("[train] {method}"), &of_train, train.of(method))?;
        }
        let of_judge = ["judge", "--log", "LOG", "--policy", "uniform", "--percent", "50"];
        check("[judge] options", &[&of_judge[..], &learning].concat(), &judge.options)?;
        for policy in &judge.policies {
            check("[judge] policies", &["judge", "--log", "LOG", "--policy", policy], &[])?;
        }
        Ok(())
    }
}

impl Train {
    /// The further options of a method.
    pub fn of(&self, method: &str) -> &[String] {
        self.options.get(method).map_or(&[], Vec::as_slice)
    }
}

impl Judge {
    /// Whether propensities are estimated for a log that has some, or has none.
    pub fn estimates(&self, has_propensities: bool) -> bool {
        match self.propensities {
            Propensities::Auto => !has_propensities,
            Propensities::Logged => false,
            Propensities::Estimated => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_that_are_written_are_read() {
        let settings = Settings::parse(TEMPLATE).unwrap();
        assert_eq!((settings.seed, settings.percent), (0, 50));
        assert_eq!(settings.train.methods.len(), 3);
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        for (from, to, problem) in [
            ("percent = 50", "percent = 100", "expected 1 to 99"),
            ("seed = 0", "sede = 0", "sede"),
            ("propensities = \"auto\"", "propensities = \"guess\"", "guess"),
            ("[train.options]", "[train.options]\nlstm = []", "lstm"),
            ("\"trees\"", "\"tree\"", "[train] tree: invalid value 'tree' for '--method"),
            ("model = \"pw\"", "model = \"pv\"", "[fit]: invalid value 'pv'"),
            ("options = []", "options = [\"--colums\", \"a=b\"]", "[import] options: unexpected"),
        ] {
            assert!(TEMPLATE.contains(from), "{from}");
            let error = Settings::parse(&TEMPLATE.replacen(from, to, 1)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(problem), "{error}");
        }
    }
}
