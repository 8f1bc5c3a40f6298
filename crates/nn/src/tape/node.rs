//! The two kinds of node that an operation of ours puts on candle's tape.

use std::sync::{Arc, Mutex};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, DType, Layout, MetalStorage, Shape, Tensor,
};

use super::{Computed, Gradient, backward};
use crate::lock;

/// The node between an argument and the result.
///
/// Its value is a zero that is never read. As an operation on the argument alone it starts a chain;
/// as one on a chain and the argument it makes the chain longer.
pub(super) struct Link {
    /// From where the gradient of the argument is to be taken.
    pub(super) slot: Slot,
}

/// Where the backward pass of an operation leaves the gradient of one argument.
pub(super) type Slot = Arc<Mutex<Option<Gradient>>>;

/// The node of a result. In the backward pass it gives `learn` the gradient, and zeros to the
/// tensor that it hangs on.
pub(super) struct Outcome<F> {
    name: &'static str,
    /// Until candle takes it.
    result: Mutex<Option<Computed>>,
    learn: F,
}

impl Link {
    /// The gradient of the argument, for candle to go on with; nothing if the argument is a
    /// parameter and its gradient was handed over.
    fn deliver(&self, argument: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let Some(gradient) = lock(&self.slot).take() else {
            candle_core::bail!("an argument {:?} was given no gradient", argument.shape())
        };
        match argument.is_variable() {
            true => backward::hand_over(argument, gradient),
            false => gradient.dense(argument.shape()).map(Some),
        }
    }
}

impl<F> Outcome<F> {
    pub(super) fn new(name: &'static str, result: Computed, learn: F) -> Self {
        Self { name, result: Mutex::new(Some(result)), learn }
    }

    fn result(&self) -> candle_core::Result<Computed> {
        match lock(&self.result).take() {
            Some(result) => Ok(result),
            None => candle_core::bail!("{}: the result was taken already", self.name),
        }
    }
}

impl CustomOp1 for Link {
    fn name(&self) -> &'static str {
        "argument"
    }

    fn cpu_fwd(
        &self,
        argument: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        zero(argument)
    }

    fn cuda_fwd(
        &self,
        argument: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        zero(argument)
    }

    fn metal_fwd(
        &self,
        argument: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        zero(argument)
    }

    fn bwd(
        &self,
        argument: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        self.deliver(argument)
    }
}

impl CustomOp2 for Link {
    fn name(&self) -> &'static str {
        "argument"
    }

    fn cpu_fwd(
        &self,
        chain: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        zero(chain)
    }

    fn cuda_fwd(
        &self,
        chain: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        zero(chain)
    }

    fn metal_fwd(
        &self,
        chain: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        zero(chain)
    }

    fn bwd(
        &self,
        chain: &Tensor,
        argument: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(chain.zeros_like()?), self.deliver(argument)?))
    }
}

impl<F: Fn(&Tensor) -> candle_core::Result<()>> CustomOp1 for Outcome<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        self.result()?.into_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        self.result()?.into_cuda()
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        self.result()?.into_metal()
    }

    fn bwd(
        &self,
        argument: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        (self.learn)(gradient)?;
        argument.zeros_like().map(Some)
    }
}

/// The value of a link, on the device of what it hangs on.
fn zero<S>(neighbour: &S) -> candle_core::Result<(S, Shape)>
where
    S: BackendStorage,
    S::Device: BackendDevice<Storage = S>,
{
    let shape = Shape::from(1);
    Ok((neighbour.device().zeros_impl(&shape, DType::F32)?, shape))
}
