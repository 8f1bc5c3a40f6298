//! The result of an operation, before it is on the tape.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaStorage, MetalStorage, Shape, Storage, Tensor};

/// A result that is not on the tape yet.
pub(crate) enum Computed {
    Host(CpuStorage, Shape),
    /// On any device, in any layout, with nothing that leads to it.
    Device(Tensor),
}

impl Computed {
    /// The result as a tensor that no operation leads to.
    pub(crate) fn into_tensor(self) -> candle_core::Result<Tensor> {
        match self {
            Self::Host(storage, shape) => {
                Ok(Tensor::from_storage(Storage::Cpu(storage), shape, BackpropOp::none(), false))
            }
            Self::Device(tensor) => tensor.force_contiguous(),
        }
    }

    /// The numbers in row-major order, on the CPU.
    pub(super) fn into_cpu(self) -> candle_core::Result<(CpuStorage, Shape)> {
        match self {
            Self::Host(storage, shape) => Ok((storage, shape)),
            result => result.copy(|storage| match storage {
                Storage::Cpu(storage) => Some(storage),
                _ => None,
            }),
        }
    }

    /// The numbers in row-major order, on an NVIDIA GPU.
    pub(super) fn into_cuda(self) -> candle_core::Result<(CudaStorage, Shape)> {
        self.copy(|storage| match storage {
            Storage::Cuda(storage) => Some(storage),
            _ => None,
        })
    }

    /// The numbers in row-major order, on an Apple GPU.
    pub(super) fn into_metal(self) -> candle_core::Result<(MetalStorage, Shape)> {
        self.copy(|storage| match storage {
            Storage::Metal(storage) => Some(storage),
            _ => None,
        })
    }

    /// A copy on the device whose kind of storage `pick` picks.
    fn copy<S>(
        &self,
        pick: impl for<'a> Fn(&'a Storage) -> Option<&'a S>,
    ) -> candle_core::Result<(S, Shape)>
    where
        S: BackendStorage,
        S::Device: BackendDevice<Storage = S>,
    {
        if let Self::Device(tensor) = self
            && let (storage, layout) = tensor.storage_and_layout()
            && let Some(storage) = pick(&storage)
        {
            let mut copy = storage.device().zeros_impl(layout.shape(), storage.dtype())?;
            storage.copy_strided_src(&mut copy, 0, layout)?;
            return Ok((copy, layout.shape().clone()));
        }
        candle_core::bail!("the result is not on the device of the arguments")
    }
}
