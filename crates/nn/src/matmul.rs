//! The matrix product of the kernels for other crates, without a tape: for callers that need the
//! same bits on any number of threads, which candle's product does not promise.

use candle_core::{DType, Tensor};
use foretaste_settings::Setting;

use crate::Result;
use crate::kernel::{Left, Panels, Real, multiply, with_slice};

/// The product of `a [m, k]` and `b [k, n]` on the CPU by the kernel that the LSTM and the softmax
/// run on, without gradients.
///
/// An entry depends on neither the number of threads nor the other rows of `a`.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if sizes or types do not fit.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match (a.dims(), b.dims(), a.dtype(), b.dtype()) {
        (&[m, k], &[inner, n], DType::F32, DType::F32) if k == inner => {
            product::<f32>(a, b, [m, n, k])
        }
        (&[m, k], &[inner, n], DType::F64, DType::F64) if k == inner => {
            product::<f64>(a, b, [m, n, k])
        }
        found => {
            let problem = format!("{found:?}, expected [m, k] and [k, n], both F32 or both F64");
            Err(Setting::new("matmul", problem).into())
        }
    }
}

fn product<T: Real>(a: &Tensor, b: &Tensor, [m, n, k]: [usize; 3]) -> Result<Tensor> {
    let panels = |tensor: &Tensor, rows: usize, columns: usize| {
        with_slice(tensor, |values: &[T]| {
            Panels::from_rows(rows, columns, |i| &values[i * columns..][..columns])
        })
    };
    let mut out = Panels::zeros(m, n);
    multiply(Left::Rows(&panels(a, m, k)?, 0), &panels(b, k, n)?, 0, k, &mut out);
    let mut values = vec![T::zero(); m * n];
    values.chunks_mut(n.max(1)).enumerate().for_each(|(i, row)| out.read_row(i, row));
    Ok(Tensor::from_vec(values, (m, n), a.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn agrees_with_candle() {
        let ramp = |rows: usize, columns: usize| {
            let values: Vec<f32> = (0..rows * columns).map(|i| (i % 17) as f32 - 8.0).collect();
            Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
        };
        // Small whole numbers: both are exact.
        let (a, b) = (ramp(33, 70), ramp(70, 45));
        let expected = a.matmul(&b).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(matmul(&a, &b).unwrap().to_vec2::<f32>().unwrap(), expected);
        assert!(matmul(&a, &a).unwrap_err().to_string().contains("expected [m, k] and [k, n]"));
    }
}
