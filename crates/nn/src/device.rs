//! The choice of the device at run time. A device that was named and is missing is an error; only
//! `auto` looks for another one.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::{Error, Result};

/// Where networks run, chosen at run time; CUDA and Metal need the feature of that name at build
/// time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// The first of CUDA, Metal, CPU that this build and machine have.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
    /// The first Apple GPU.
    Metal,
}

impl DeviceKind {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Device`] with what to do, if the device was named and is not available.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Auto => {
                Ok(Device::new_cuda(0).or_else(|_| Device::new_metal(0)).unwrap_or(Device::Cpu))
            }
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => Device::new_cuda(0)
                .map_err(|reason| unavailable("cuda", "an NVIDIA GPU and driver", &reason)),
            Self::Metal => {
                Device::new_metal(0).map_err(|reason| unavailable("metal", "an Apple GPU", &reason))
            }
        }
    }
}

fn unavailable(name: &str, needs: &str, reason: &candle_core::Error) -> Error {
    Error::Device(format!(
        "device {name} is not available: it needs {needs} and a build with `--features {name}`; \
         use `--device cpu` or `--device auto` ({reason})"
    ))
}

impl DeviceKind {
    /// What [`DeviceKind::open`] would open: `Auto` becomes the device that this build and machine
    /// have.
    ///
    /// # Errors
    /// As [`DeviceKind::open`].
    pub fn resolve(self) -> Result<Self> {
        Ok(match self.open()? {
            Device::Cpu => Self::Cpu,
            Device::Cuda(_) => Self::Cuda,
            Device::Metal(_) => Self::Metal,
        })
    }
}

impl FromStr for DeviceKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            "metal" => Ok(Self::Metal),
            _ => Err(Error::Device(format!("device `{name}`: expected auto, cpu, cuda or metal"))),
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_says_what_to_do() {
        if cfg!(not(feature = "cuda")) {
            let message = DeviceKind::Cuda.open().unwrap_err().to_string();
            assert!(
                message.contains("--features cuda") && message.contains("--device cpu"),
                "{message}"
            );
        }
        assert!(
            "gpu"
                .parse::<DeviceKind>()
                .unwrap_err()
                .to_string()
                .contains("auto, cpu, cuda or metal")
        );
    }

    #[test]
    fn auto_becomes_a_device_that_opens() {
        let kind = DeviceKind::Auto.resolve().unwrap();
        assert_ne!(kind, DeviceKind::Auto);
        assert_eq!(kind.resolve().unwrap(), kind);
    }

    #[test]
    fn names_round_trip() {
        for kind in [DeviceKind::Auto, DeviceKind::Cpu, DeviceKind::Cuda, DeviceKind::Metal] {
            assert_eq!(kind.to_string().parse::<DeviceKind>().unwrap(), kind);
        }
    }
}
