//! The tensors of a checkpoint in one safetensors file: parameters, and the optimizer's moments.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::failed;
use crate::{Adam, Result};

pub(super) const PARAMETER: &str = "parameter.";
pub(super) const MOMENTS: &str = "moments.";

/// What the file holds, by parameter, on the CPU.
#[derive(Debug)]
pub(super) struct Tensors {
    pub(super) parameters: BTreeMap<String, Tensor>,
    /// Empty if the optimizer was not saved.
    pub(super) moments: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// The parameters of a model and, for training to go on, its optimizer.
    pub(super) fn of(
        parameters: &BTreeMap<String, Tensor>,
        optimiser: Option<&Adam>,
    ) -> Result<Self> {
        let on_cpu = |tensors: &BTreeMap<String, Tensor>| {
            let moved = |(name, tensor): (&String, &Tensor)| {
                Ok((name.clone(), tensor.to_device(&Device::Cpu)?))
            };
            tensors.iter().map(moved).collect::<Result<BTreeMap<_, _>>>()
        };
        let moments = optimiser.map(Adam::moments).transpose()?.unwrap_or_default();
        Ok(Self { parameters: on_cpu(parameters)?, moments: on_cpu(&moments)? })
    }

    /// The content of the file.
    pub(super) fn to_bytes(&self) -> std::result::Result<Vec<u8>, safetensors::SafeTensorError> {
        let all = [(PARAMETER, &self.parameters), (MOMENTS, &self.moments)];
        let all = all.into_iter().flat_map(|(prefix, tensors)| {
            tensors.iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
        });
        safetensors::serialize(all.collect::<BTreeMap<_, _>>(), None)
    }

    /// From the content of the file at `path`, which is for messages.
    pub(super) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let (mut parameters, mut moments) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in candle_core::safetensors::load_buffer(bytes, &Device::Cpu)? {
            if let Some(name) = name.strip_prefix(PARAMETER) {
                parameters.insert(name.to_owned(), tensor);
            } else if let Some(name) = name.strip_prefix(MOMENTS) {
                moments.insert(name.to_owned(), tensor);
            } else {
                let problem = format!("tensor {name}: expected {PARAMETER}* or {MOMENTS}*");
                return Err(failed(path, problem));
            }
        }
        Ok(Self { parameters, moments })
    }
}
