//! The LSTM's own kernels on a GPU, and the checks of shapes and memory that make their launches
//! sound.

use candle_core::backend::BackendDevice;
use candle_core::cuda::cudarc::driver::{CudaView, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::cuda::{CudaDType, WrapErr, kernel_name};
use candle_core::op::BackpropOp;
use candle_core::{
    CudaDevice, CudaStorage, DType, Layout, Result, Storage, StorageRef, Tensor, WithDType, bail,
};

use super::ptx;

/// One time step of an LSTM layer on a GPU, after its matrix products, outside candle's tape: its
/// gates, c and h.
///
/// `sums [rows, 4 hidden]` are x Wᵢ + h_prev Wₕ + b with the gates in the order i, f, o, g;
/// `c_prev` and `h_prev` are `[rows, hidden]`. Where `mask [rows]` (u8) is 0 a row skips the step;
/// no mask skips none.
///
/// # Errors
/// If a tensor has another shape or type than this, has gaps, or is not on the GPU of `sums`, which
/// hold `f32` or `f64`; or if NVRTC or the driver refuses the kernel.
pub(crate) fn cell_forward(
    sums: &Tensor,
    c_prev: &Tensor,
    h_prev: &Tensor,
    mask: Option<&Tensor>,
) -> Result<[Tensor; 3]> {
    run("lstm_cell_forward", sums, [("c_prev", c_prev), ("h_prev", h_prev)], mask)
}

/// The gradients in the sums, c_prev and h_prev of a step by [`cell_forward`], which gave `gates`
/// and `c`, from the gradients `dc` and `dh` `[rows, hidden]` of its c and h, by all ways that lead
/// from them.
///
/// # Errors
/// As [`cell_forward`].
pub(crate) fn cell_backward(
    gates: &Tensor,
    c: &Tensor,
    c_prev: &Tensor,
    mask: Option<&Tensor>,
    dc: &Tensor,
    dh: &Tensor,
) -> Result<[Tensor; 3]> {
    run("lstm_cell_backward", gates, [("c_prev", c_prev), ("c", c), ("dc", dc), ("dh", dh)], mask)
}

/// Runs a kernel in the precision of `gates`.
fn run<const N: usize>(
    kernel: &str,
    gates: &Tensor,
    states: [(&str, &Tensor); N],
    mask: Option<&Tensor>,
) -> Result<[Tensor; 3]> {
    match gates.dtype() {
        DType::F32 => launch::<f32, N>(kernel, gates, states, mask),
        DType::F64 => launch::<f64, N>(kernel, gates, states, mask),
        dtype => bail!("LSTM cell: {dtype:?}, expected F32 or F64"),
    }
}

/// Launches a kernel of `lstm.cu`, which reads a mask, gates (or the sums that they are made of)
/// and `N` states, and writes gates and two states.
fn launch<T: WithDType + DeviceRepr + CudaDType, const N: usize>(
    kernel: &str,
    gates: &Tensor,
    states: [(&str, &Tensor); N],
    mask: Option<&Tensor>,
) -> Result<[Tensor; 3]> {
    let (rows, width) = gates.dims2()?;
    let hidden = width / 4;
    if rows * hidden == 0 {
        bail!("LSTM cell: gates {:?}, expected at least one row and unit", gates.dims());
    }
    let device = gates.device().as_cuda_device()?;
    let read = |name, tensor, dims: &[usize]| Read::new(name, tensor, dims, device);
    let mask = mask.map(|mask| read("mask", mask, &[rows])).transpose()?;
    let gates = read("gates", gates, &[rows, 4 * hidden])?;
    let states: Vec<_> = states
        .iter()
        .map(|(name, state)| read(name, state, &[rows, hidden]))
        .collect::<Result<_>>()?;

    let kernel =
        device.get_or_load_custom_func(&kernel_name::<T>(kernel), "foretaste_lstm", ptx()?)?;
    let mask = mask.as_ref().map(Read::view::<u8>).transpose()?;
    let gates = gates.view::<T>()?;
    let states: Vec<_> = states.iter().map(Read::view::<T>).collect::<Result<_>>()?;
    let mut launch = kernel.builder();
    launch.arg(&rows).arg(&hidden);
    match &mask {
        Some(mask) => launch.arg(mask),
        None => launch.arg(&NULL),
    };
    launch.arg(&gates);
    for state in &states {
        launch.arg(state);
    }
    // A kernel goes on with the rows and units that are more than this.
    let (blocks, threads) = (rows.min(65_536), hidden.min(256).next_multiple_of(32));
    let config = LaunchConfig {
        grid_dim: (blocks as u32, 1, 1),
        block_dim: (threads as u32, 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the callers name a kernel and as many states as it has. All memory has the size, and
    // the arguments the types, that it expects; it keeps to `rows` and `hidden`, writes to the new
    // memory alone, and all of it.
    let results = unsafe {
        let mut results = [
            device.alloc::<T>(rows * 4 * hidden)?,
            device.alloc(rows * hidden)?,
            device.alloc(rows * hidden)?,
        ];
        for result in &mut results {
            launch.arg(result);
        }
        launch.launch(config).w()?;
        results
    };
    Ok(results.map(|result| {
        let shape = (rows, result.len() / rows);
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(result, device.clone()));
        Tensor::from_storage(storage, shape, BackpropOp::none(), false)
    }))
}

/// A pointer to nothing, as a kernel's argument.
const NULL: u64 = 0;

/// A tensor on the GPU while it is read.
struct Read<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Read<'a> {
    fn new(name: &str, tensor: &'a Tensor, dims: &[usize], device: &CudaDevice) -> Result<Self> {
        if tensor.dims() != dims || !tensor.is_contiguous() {
            bail!("LSTM cell: {name} {:?}, expected {dims:?} without gaps", tensor.layout());
        }
        if !tensor.device().as_cuda_device()?.same_device(device) {
            bail!("LSTM cell: {name} is on another GPU than the gates");
        }
        let (storage, layout) = tensor.storage_and_layout();
        Ok(Self { storage, layout })
    }

    fn view<T: CudaDType>(&self) -> Result<CudaView<'_, T>> {
        let Storage::Cuda(storage) = &*self.storage else {
            bail!("LSTM cell: a tensor is not on a GPU")
        };
        let start = self.layout.start_offset();
        Ok(storage.as_cuda_slice::<T>()?.slice(start..start + self.layout.shape().elem_count()))
    }
}
