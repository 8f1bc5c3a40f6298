//! What benchmarks measured, with every repetition, and the file of it: `bench all` writes it,
//! `bench compare` and the documents read it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What one benchmark measured, under a name that no other has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The hot path, its sizes and the number of threads.
    pub name: String,
    /// The unit of the values.
    pub unit: String,
    /// Which values are better.
    pub better: Better,
    /// One for each repetition, in order.
    pub values: Vec<f64>,
}

/// Which of two values is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// The smaller one, of times.
    Less,
    /// The larger one, of rates.
    More,
}

/// What benchmarks measured so far.
#[derive(Debug, Default)]
pub struct Record {
    /// In the order of measuring.
    pub cases: Vec<Case>,
}

/// One run of `bench all`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Where it ran.
    pub machine: Machine,
    /// The revision of the program.
    pub revision: String,
    /// The day in UTC on which it ended.
    pub date: String,
    /// What was measured.
    pub cases: Vec<Case>,
}

/// What is known of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Threads that the system runs at the same time.
    pub cores: usize,
    /// The name that the processor gives itself.
    pub cpu: String,
}

/// More than the file of a run holds.
const LIMIT: u64 = 64 << 20;

impl Record {
    /// Adds times in seconds, and returns their median.
    pub fn seconds(&mut self, name: impl Into<String>, seconds: &[f64]) -> f64 {
        self.add(name, "s", Better::Less, seconds.to_vec())
    }

    /// Adds the rates at which `amount` was done in each of these times, and returns their median.
    pub fn rates(
        &mut self,
        name: impl Into<String>,
        unit: &str,
        amount: f64,
        seconds: &[f64],
    ) -> f64 {
        let rates = seconds.iter().map(|seconds| amount / seconds).collect();
        self.add(name, unit, Better::More, rates)
    }

    fn add(
        &mut self,
        name: impl Into<String>,
        unit: &str,
        better: Better,
        values: Vec<f64>,
    ) -> f64 {
        let case = Case { name: name.into(), unit: unit.into(), better, values };
        let median = case.median();
        self.cases.push(case);
        median
    }
}

impl Case {
    /// The median of the repetitions.
    pub fn median(&self) -> f64 {
        median(self.values.clone())
    }
}

impl Run {
    /// The run that a file holds, or those that the files of a folder hold, in the order of their
    /// names.
    ///
    /// # Errors
    /// Where there is no file, or one holds something else.
    pub fn all(path: &Path) -> anyhow::Result<Vec<Self>> {
        if !path.is_dir() {
            return Ok(vec![Self::read(path)?]);
        }
        let about = || format!("cannot read {}", path.display());
        let entries = fs::read_dir(path).with_context(about)?;
        let mut files: Vec<PathBuf> = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()
            .with_context(about)?;
        files.retain(|file| file.extension().is_some_and(|kind| kind == "json"));
        files.sort();
        if files.is_empty() {
            bail!(
                "{} has no file NAME.json; `cargo xtask bench all --json FILE` writes one",
                path.display()
            );
        }
        files.iter().map(|file| Self::read(file)).collect()
    }

    /// The run that a file holds.
    ///
    /// # Errors
    /// Where the file cannot be read or holds something else.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let run: Self = serde_json::from_slice(&foretaste_files::read(path, LIMIT)?)
            .with_context(|| format!("{shown} is not a file of `cargo xtask bench all --json`"))?;
        match run.cases.iter().find(|case| case.values.is_empty()) {
            Some(case) => bail!("{shown}: `{}` has no values, expected at least one", case.name),
            None => Ok(run),
        }
    }

    /// The case of this name.
    pub fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }
}

impl Machine {
    /// The machine that runs this program.
    pub fn here() -> Self {
        let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = about.lines().filter_map(|line| line.split_once(':'));
        let mut named = named.filter(|(name, _)| name.trim() == "model name");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: named.next().map_or("unknown", |(_, cpu)| cpu.trim()).to_owned(),
        }
    }
}

/// The middle value; of an even number of values, the larger of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repetition_is_kept_and_the_median_returned() {
        let mut record = Record::default();
        assert_eq!(record.seconds("a", &[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(record.rates("b", "steps/s", 6.0, &[3.0, 1.0, 2.0]), 3.0);
        assert_eq!(record.cases[0].values, [3.0, 1.0, 2.0]);
        assert_eq!(record.cases[1].values, [2.0, 6.0, 3.0]);
        assert_eq!(record.cases[1].better, Better::More);
    }

    #[test]
    fn a_run_is_read_as_it_was_written_and_other_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::default();
        record.seconds("a", &[1.0]);
        let (machine, cases) = (Machine::here(), record.cases);
        let run = Run { machine, revision: "1".into(), date: "2026-11-30".into(), cases };
        let path = folder.path().join("1.json");
        fs::write(&path, serde_json::to_vec(&run).unwrap()).unwrap();
        assert_eq!(Run::read(&path).unwrap(), run);
        assert_eq!(Run::all(folder.path()).unwrap(), [run]);

        fs::write(&path, "{}").unwrap();
        assert!(Run::read(&path).unwrap_err().to_string().contains("1.json is not a file of"));
        fs::remove_file(path).unwrap();
        assert!(Run::all(folder.path()).unwrap_err().to_string().contains("no file NAME.json"));
    }
}
