//! Types and shapes of tensors, which are known before a tensor is read.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use candle_core::{DType, Tensor};
use safetensors::tensor::{Metadata, TensorInfo};

use super::{failed, found};
use crate::Result;

/// Bytes that hold the length of the header.
const LENGTH: u64 = 8;
/// More bytes than the header of a file holds; the bound of the crate that writes it.
const HEADER_AT_MOST: u64 = 100_000_000;

/// Types and shapes of tensors by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shapes(BTreeMap<String, (DType, Vec<usize>)>);

impl Shapes {
    /// Of tensors that are there.
    pub fn of(tensors: &BTreeMap<String, Tensor>) -> Self {
        let shape = |tensor: &Tensor| (tensor.dtype(), tensor.dims().to_vec());
        Self(tensors.iter().map(|(name, tensor)| (name.clone(), shape(tensor))).collect())
    }

    /// The type and the shape of the tensor of this name.
    pub fn get(&self, name: &str) -> Option<(DType, &[usize])> {
        self.0.get(name).map(|(dtype, dims)| (*dtype, dims.as_slice()))
    }

    /// The names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many entries all tensors have together.
    pub fn entries(&self) -> usize {
        let entries = |dims: &Vec<usize>| dims.iter().copied().fold(1, usize::saturating_mul);
        self.0.values().map(|(_, dims)| entries(dims)).fold(0, usize::saturating_add)
    }

    /// Those whose names start with `prefix`, by the rest of their names.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Self {
        let below = self.0.iter();
        let below = below.filter_map(|(name, shape)| Some((name.strip_prefix(prefix)?, shape)));
        Self(below.map(|(name, shape)| (name.to_owned(), shape.clone())).collect())
    }

    /// What the header of a safetensors file says, of which no more is read; the file has just the
    /// bytes that such tensors take, and no more than `at_most`.
    pub(super) fn read(path: &Path, at_most: u64) -> Result<Self> {
        let (mut file, length) = foretaste_files::open(path).map_err(|error| found(path, error))?;
        let io = |reason| found(path, foretaste_files::Error::io(path, reason));
        let damaged = |problem: String| failed(path, format!("the content is damaged: {problem}"));
        if length > at_most {
            return Err(failed(path, format!("{length} bytes, expected at most {at_most}")));
        }
        let mut header = [0; LENGTH as usize];
        if length < LENGTH {
            return Err(damaged(format!("{length} bytes, expected tensors")));
        }
        file.read_exact(&mut header).map_err(io)?;
        let header = u64::from_le_bytes(header);
        if header > HEADER_AT_MOST.min(length - LENGTH) {
            return Err(damaged(format!("a header of {header} bytes, but the file has {length}")));
        }
        let mut text = Vec::new();
        file.take(header).read_to_end(&mut text).map_err(io)?;
        let tensors: Metadata =
            serde_json::from_slice(&text).map_err(|reason| damaged(reason.to_string()))?;
        let expected = (tensors.data_len() as u64).saturating_add(LENGTH + header);
        if expected != length {
            let problem = format!("its tensors take {expected} bytes, but the file has {length}");
            return Err(damaged(problem));
        }
        let shape = |(name, info): (String, &TensorInfo)| {
            Ok((name, (DType::try_from(info.dtype)?, info.shape.clone())))
        };
        Ok(Self(tensors.tensors().into_iter().map(shape).collect::<Result<_>>()?))
    }
}
