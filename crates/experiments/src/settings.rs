//! What an experiment may know about the command line. Cells are pure functions of their
//! configuration, so nothing else of the command line can reach them.

use std::path::PathBuf;

use foretaste_lab::{RunConfig, Scale};
use foretaste_nn::DeviceKind;

/// What every experiment gets to know of the command line; its cells follow from this alone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How large the run is.
    pub scale: Scale,
    /// Number of seeds, numbered from 0, if it was asked for; at least 1.
    pub seeds: Option<u64>,
    /// Folder of the real data sets, which exists; without it an experiment uses the bundled logs
    /// and says so.
    pub data_dir: Option<PathBuf>,
    /// Where networks run: a device that opens, not `auto`.
    pub device: DeviceKind,
}

impl Settings {
    /// The most seeds that any experiment takes where claims are to be decided.
    pub const MOST_SEEDS: u64 = 20;

    /// Seeds of an experiment; at the scale that decides claims `decided`, which its power needs.
    pub fn seeds(&self, decided: u64) -> u64 {
        const FEW: u64 = 5;
        self.seeds.unwrap_or(if self.scale == Scale::Decide { decided } else { FEW })
    }

    /// What seed 0 of a cell is to the users that it simulates. Claims are decided on other users
    /// than those of the runs from which their margins and numbers of seeds were chosen.
    pub fn first_seed(&self) -> u64 {
        match self.scale {
            Scale::Smoke | Scale::Quick => 0,
            Scale::Decide => 1_000,
            Scale::Paper => 2_000,
        }
    }

    /// What all results of a directory have in common.
    pub fn config(&self) -> RunConfig {
        RunConfig {
            scale: self.scale,
            data_dir: self.data_dir.clone(),
            device: self.device.to_string(),
        }
    }
}
