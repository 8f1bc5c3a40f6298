//! Tensors as slices for the kernels, which work on memory and not on candle's operations.

use candle_core::{Result, Storage, Tensor, WithDType};

/// The numbers of a tensor on the CPU, in row-major order.
pub(crate) fn with_slice<T: WithDType, R>(
    tensor: &Tensor,
    read: impl FnOnce(&[T]) -> R,
) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => {
            let values = T::cpu_storage_as_slice(storage)?;
            Ok(read(&values[layout.start_offset()..][..layout.shape().elem_count()]))
        }
        _ => candle_core::bail!("expected a tensor on the CPU"),
    }
}
