//! Where a set of results comes from: `run.json`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Scale, Shard};

/// The record of the last run into a results directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// What all results of the directory have in common.
    pub config: RunConfig,
    /// The experiments of the last run.
    pub experiments: Vec<String>,
    /// Number of seeds of the last run.
    pub seeds: u64,
    /// The part of the cells that the last run was to do; none for all.
    #[serde(default)]
    pub shard: Option<Shard>,
    /// How the last run ended.
    pub status: Status,
    /// Its cells.
    pub cells: Cells,
    /// Its start, in seconds since 1970.
    pub started_unix_s: u64,
    /// Its wall time.
    pub wall_s: f64,
    /// The command line.
    pub command: Vec<String>,
    /// The revision that the program was built from.
    pub git_revision: String,
    /// Where it ran.
    pub machine: Machine,
    /// What it ran with.
    pub versions: Versions,
}

/// What all results of a directory have in common; seeds and experiments can be added, this cannot
/// change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The size of the run.
    pub scale: Scale,
    /// The folder of the data sets, absolute; none for the bundled logs.
    pub data_dir: Option<PathBuf>,
    /// Where networks run.
    pub device: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not yet, or it was killed.
    Running,
    /// Every cell is finished.
    Complete,
    /// Some cell failed.
    Failed,
    /// It was asked to stop.
    Interrupted,
    /// Its part is done, cells of other parts are missing.
    Partial,
}

/// Numbers of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cells {
    /// In the grid.
    pub total: usize,
    /// Run to their end.
    pub run: usize,
    /// Found finished.
    pub resumed: usize,
    /// Failed.
    pub failed: usize,
}

/// A machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture.
    pub system: String,
    /// Model of the processor, or `unknown`.
    pub cpu: String,
    /// Cores that the process may use.
    pub cores: usize,
    /// Main memory in bytes, where known.
    pub memory_bytes: Option<u64>,
}

/// Versions that results depend on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versions {
    /// This workspace, which had another name at first.
    #[serde(alias = "understudy")]
    pub foretaste: String,
    /// candle-core, as locked.
    pub candle: String,
    /// The compiler on the path, or `unknown`.
    pub rustc: String,
}

impl RunConfig {
    /// What `self` has otherwise than `other`, one phrase each.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let folder = |config: &Self| {
            config.data_dir.as_ref().map_or("bundled logs".into(), |dir| dir.display().to_string())
        };
        let fields = [
            ("scale", self.scale.to_string(), other.scale.to_string()),
            ("data", folder(self), folder(other)),
            ("device", self.device.clone(), other.device.clone()),
        ];
        fields
            .into_iter()
            .filter(|(_, mine, theirs)| mine != theirs)
            .map(|(name, mine, theirs)| format!("{name} `{mine}` instead of `{theirs}`"))
            .collect()
    }
}

impl RunRecord {
    /// The record of a run that starts now.
    pub fn start(
        config: RunConfig,
        experiments: Vec<String>,
        seeds: u64,
        shard: Option<Shard>,
        revision: &str,
    ) -> Self {
        Self {
            config,
            experiments,
            seeds,
            shard,
            status: Status::Running,
            cells: Cells::default(),
            started_unix_s: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            wall_s: 0.0,
            command: std::env::args().collect(),
            git_revision: revision.to_owned(),
            machine: machine(),
            versions: versions(),
        }
    }
}

fn machine() -> Machine {
    let known = |file: &str, key: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let memory_kib = known("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    Machine {
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpu: known("/proc/cpuinfo", "model name")
            .or_else(|| answer("sysctl", &["-n", "machdep.cpu.brand_string"]))
            .unwrap_or_else(|| "unknown".into()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory_kib.map(|kib| kib * 1024).or_else(|| {
            answer("sysctl", &["-n", "hw.memsize"]).and_then(|bytes| bytes.parse().ok())
        }),
    }
}

fn versions() -> Versions {
    Versions {
        foretaste: env!("CARGO_PKG_VERSION").into(),
        candle: env!("FORETASTE_CANDLE").into(),
        rustc: answer("rustc", &["--version"]).unwrap_or_else(|| "unknown".into()),
    }
}

fn answer(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let quick = RunConfig { scale: Scale::Quick, data_dir: None, device: "cpu".into() };
        let paper = RunConfig {
            scale: Scale::Paper,
            data_dir: Some("/logs".into()),
            device: "cuda".into(),
        };
        assert!(quick.differences(&quick).is_empty());
        assert_eq!(
            paper.differences(&quick),
            [
                "scale `paper` instead of `quick`",
                "data `/logs` instead of `bundled logs`",
                "device `cuda` instead of `cpu`"
            ]
        );
    }

    #[test]
    fn versions_of_the_projects_first_name_are_read() {
        let text = r#"{ "understudy": "0.1.0", "candle": "0.11.1", "rustc": "unknown" }"#;
        assert_eq!(serde_json::from_str::<Versions>(text).unwrap().foretaste, "0.1.0");
    }

    #[test]
    fn the_version_of_candle_is_known_in_the_workspace() {
        assert!(versions().candle.starts_with("0."), "{}", versions().candle);
    }
}
