//! Own kernels for NVIDIA GPUs. NVRTC compiles them when they are first used.
//!
//! They compile to PTX, which needs no GPU to test. They have not been run on a GPU yet: the test
//! that does so needs one.

#[allow(
    unsafe_code,
    reason = "launching a kernel is unsafe; the lengths that it relies on are checked before"
)]
mod lstm;

use std::sync::OnceLock;

use candle_core::Result;
use candle_core::cuda::WrapErr;
use candle_core::cuda::cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};

pub(crate) use lstm::{cell_backward, cell_forward};

/// The kernels' PTX, for the oldest GPU that the installed NVRTC knows; the driver translates it
/// for the one of this machine.
fn ptx() -> Result<&'static str> {
    static PTX: OnceLock<std::result::Result<String, CompileError>> = OnceLock::new();
    let compile = || {
        let options = CompileOptions { name: Some("lstm.cu".into()), ..CompileOptions::default() };
        Ok(compile_ptx_with_opts(include_str!("cuda/lstm.cu"), options)?.to_src())
    };
    PTX.get_or_init(compile).as_deref().map_err(Clone::clone).w()
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use candle_nn::ops::sigmoid;
    use foretaste_random::Seed;

    use super::*;
    use crate::{Init, Params};

    const ROWS: usize = 5;
    // More units than a block has threads.
    const HIDDEN: usize = 300;

    #[test]
    fn nvrtc_compiles_the_kernels() {
        let ptx = ptx().unwrap();
        for kernel in ["lstm_cell_forward", "lstm_cell_backward"] {
            for dtype in ["f32", "f64"] {
                assert!(ptx.contains(&format!(".entry {kernel}_{dtype}(")), "no {kernel}_{dtype}");
            }
        }
    }

    #[test]
    fn the_cell_on_a_gpu_agrees_with_candles_operations() {
        let Ok(gpu) = Device::new_cuda(0) else {
            eprintln!("no GPU: the kernels were compiled, not run");
            return;
        };
        for mask in [None, Some([1, 0, 1, 1, 0])] {
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
                let found = on_gpu(&gpu, dtype, mask);
                for (index, (found, expected)) in found.iter().zip(on_cpu(mask)).enumerate() {
                    assert_eq!(found.dims(), expected.dims());
                    for (found, expected) in values(found).into_iter().zip(values(&expected)) {
                        assert!(
                            (found - expected).abs() < tolerance,
                            "{index}: {found} against {expected}"
                        );
                    }
                }
            }
        }
    }

    /// c, h, and the gradients in the sums, c_prev and h_prev of Σ c dc + h dh, by the kernels.
    fn on_gpu(gpu: &Device, dtype: DType, mask: Option<[u8; ROWS]>) -> [Tensor; 5] {
        let [sums, c_prev, h_prev, dc, dh] =
            drawn().map(|tensor| tensor.detach().to_dtype(dtype).unwrap().to_device(gpu).unwrap());
        let mask = mask.map(|mask| Tensor::new(&mask, gpu).unwrap());
        let [gates, c, h] = cell_forward(&sums, &c_prev, &h_prev, mask.as_ref()).unwrap();
        let [sums, c_prev, h_prev] =
            cell_backward(&gates, &c, &c_prev, mask.as_ref(), &dc, &dh).unwrap();
        [c, h, sums, c_prev, h_prev]
    }

    /// The same by candle's operations on the processor.
    fn on_cpu(mask: Option<[u8; ROWS]>) -> [Tensor; 5] {
        let [sums, c_prev, h_prev, dc, dh] = drawn();
        let gate = |index| sums.narrow(1, index * HIDDEN, HIDDEN).unwrap();
        let [i, f, o] = [0, 1, 2].map(|index| sigmoid(&gate(index).contiguous().unwrap()).unwrap());
        let c = ((f * &c_prev).unwrap() + (i * gate(3).tanh().unwrap()).unwrap()).unwrap();
        let h = (o * c.tanh().unwrap()).unwrap();
        let mask = Tensor::new(&mask.unwrap_or([1; ROWS]), &Device::Cpu).unwrap();
        let mask = mask.unsqueeze(1).unwrap().broadcast_as((ROWS, HIDDEN)).unwrap();
        let (c, h) = (mask.where_cond(&c, &c_prev).unwrap(), mask.where_cond(&h, &h_prev).unwrap());
        let gradients = ((&c * dc).unwrap() + (&h * dh).unwrap())
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let gradient = |tensor| gradients.get(tensor).unwrap().clone();
        [c, h, gradient(&sums), gradient(&c_prev), gradient(&h_prev)]
    }

    fn drawn() -> [Tensor; 5] {
        let mut params = Params::new(Seed::new(8), DType::F64, &Device::Cpu);
        [
            ("sums", 4 * HIDDEN),
            ("c_prev", HIDDEN),
            ("h_prev", HIDDEN),
            ("dc", HIDDEN),
            ("dh", HIDDEN),
        ]
        .map(|(name, width)| {
            params.scope("cell").param(name, (ROWS, width), Init::Uniform { bound: 2.0 }).unwrap()
        })
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }
}
