//! What the command line asks of every experiment.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use foretaste_nn::DeviceKind;
use serde::{Deserialize, Serialize};

/// What every experiment gets to know of the command line; its cells follow from this alone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How large the run is.
    pub scale: Scale,
    /// Number of seeds, numbered from 0; at least 1.
    pub seeds: u64,
    /// Folder of the real data sets, which exists; without it an experiment uses the bundled logs
    /// and says so.
    pub data_dir: Option<PathBuf>,
    /// Where networks run: a device that opens, not `auto`.
    pub device: DeviceKind,
}

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Everything runs once, as small as it gets: a check that nothing is broken, its figures mean
    /// little.
    Smoke,
    /// Small networks and few iterations: minutes on two cores, still meaningful. What an
    /// experiment shortens stands in docs/experiments.md.
    Quick,
    /// The published settings.
    Paper,
}

impl Scale {
    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Paper => "paper",
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
