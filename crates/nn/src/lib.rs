//! Network parts on candle: seeded parameters, encoders, heads, losses, an optimizer, checkpoints.
//!
//! What candle leaves open is closed here: parameters are drawn from seeded streams and kept in
//! name order ([`Params`]), choice sets are normalized by log-sum-exp with an explicit mask
//! ([`masked_log_softmax`]), the optimizer ([`Adam`]) clips the global norm and can be saved, and a
//! [`checkpoint`] is loaded strictly: names, shapes, types and digests must agree.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use foretaste_nn::{Activation, Adam, AdamConfig, Mlp, Params, backward};
//! use foretaste_random::Seed;
//!
//! let mut params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let mlp = Mlp::new(&[2, 8, 1], Activation::Elu, params.scope("head"))?;
//! let mut adam = Adam::new(&params, AdamConfig { learning_rate: 0.05, ..AdamConfig::default() })?;
//!
//! let x = Tensor::new(&[[0f32, 0.], [0., 1.], [1., 0.], [1., 1.]], &Device::Cpu)?;
//! let xor = Tensor::new(&[[0f32], [1.], [1.], [0.]], &Device::Cpu)?;
//! for _ in 0..300 {
//!     let loss = mlp.forward(&x)?.sub(&xor)?.sqr()?.mean_all()?;
//!     adam.step(&backward(&loss)?)?;
//! }
//! let error = mlp.forward(&x)?.sub(&xor)?.abs()?.max_all()?.to_scalar::<f32>()?;
//! assert!(error < 0.1, "{error}");
//! # Ok::<(), foretaste_nn::Error>(())
//! ```

mod adam;
pub mod checkpoint;
mod choice;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod embedding;
mod error;
mod gradient_check;
mod kernel;
mod lock;
mod lstm;
mod matmul;
mod mlp;
mod params;
mod softmax;
mod sparse;
mod tape;

use self::lock::lock;
pub use adam::{Adam, AdamConfig};
pub use choice::{gumbel_top_k, masked_log_softmax};
pub use device::DeviceKind;
pub use embedding::{Embedding, lookup};
pub use error::{Error, Result};
pub use gradient_check::check_gradients;
pub use lstm::{FrozenLstm, Lstm, LstmState};
pub use matmul::matmul;
pub use mlp::{Activation, FrozenMlp, Mlp, Workspace, add_rows};
pub use params::{Init, Params, Scope, TABLE};
pub use softmax::{
    BlockSum, FrozenSoftmax, Logits, LogitsRow, softmax_cross_entropy, softmax_logits,
};
pub use sparse::Sparse;
pub use tape::{Gradients, backward};

/// The value of a tensor of one entry, on any device.
pub fn scalar(tensor: &candle_core::Tensor) -> Result<f64> {
    // Widened on the host: not every GPU knows double precision.
    let value = tensor.to_device(&candle_core::Device::Cpu)?.flatten_all()?.squeeze(0)?;
    Ok(value.to_dtype(candle_core::DType::F64)?.to_scalar()?)
}
