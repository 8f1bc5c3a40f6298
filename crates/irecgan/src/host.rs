//! How tensors are read as slices in this crate: the agent and its policy go through rows of logits
//! over all items, for which a copy would be large.

use candle_core::{Device, Storage, Tensor};

use crate::Result;

/// Reads a tensor in row-major order, without a copy if it is on the CPU.
pub(crate) fn on_host(tensor: &Tensor, read: impl FnOnce(&[f32]) -> Result<()>) -> Result<()> {
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(values) => {
            read(&values.as_slice::<f32>()?[layout.start_offset()..][..layout.shape().elem_count()])
        }
        _ => unreachable!("the tensor was moved to the CPU"),
    }
}
