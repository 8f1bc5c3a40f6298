use std::path::PathBuf;

use foretaste_lab::{RunConfig, Scale};
use foretaste_nn::DeviceKind;

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

impl Settings {
    /// What all results of a directory have in common.
    pub fn config(&self) -> RunConfig {
        RunConfig {
            scale: self.scale,
            data_dir: self.data_dir.clone(),
            device: self.device.to_string(),
        }
    }
}
