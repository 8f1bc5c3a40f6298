//! What is measured, as every peer understands it: `benches/peers/torch_nn.py` describes the cases
//! and the lines.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Width of the LSTM's inputs.
pub const INPUTS: usize = 50;
/// Layers of the LSTM.
pub const LAYERS: usize = 2;
/// Items of the softmax and of the embedding.
pub const ITEMS: usize = 40_000;
/// Width of what the softmax is computed from.
pub const SOFTMAX_HIDDEN: usize = 512;
/// Width of a row of the embedding.
pub const EMBEDDING_WIDTH: usize = 50;
/// Rows of the embedding that a step reads.
pub const IDS: usize = 640;

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "case", rename_all = "lowercase")]
pub enum Case {
    /// Forward, mean of squared outputs, backward and Adam of the LSTM on `[batch, time, INPUTS]`.
    Train { hidden: usize, batch: usize, time: usize },
    /// One step with carried state; with `gather` the state's rows are first picked by index.
    Act { hidden: usize, batch: usize, gather: bool },
    /// Cross-entropy of a linear layer over all items with the gradients of its inputs, weight and
    /// bias.
    Softmax { rows: usize },
    /// Forward, mean of squares, backward and Adam of a table; `sparse` leaves rows alone that the
    /// step does not read.
    Embedding { sparse: bool },
    /// The product of `[m, k]` and `[k, n]`.
    Gemm { m: usize, n: usize, k: usize },
}

/// A line to a peer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What to measure.
    #[serde(flatten)]
    pub case: Case,
    /// With how many threads.
    pub threads: usize,
    /// For how long, about, in seconds.
    pub seconds: f64,
}

impl Case {
    /// Floating-point operations of the case's products; nothing where it has no products.
    pub fn operations(self) -> Option<f64> {
        let product = |m: usize, n: usize, k: usize| 2.0 * m as f64 * n as f64 * k as f64;
        let forward =
            |rows, hidden| product(rows, 4 * hidden, INPUTS + hidden + (LAYERS - 1) * 2 * hidden);
        match self {
            Self::Train { hidden, batch, time } => {
                // Each product has two gradients; that of the inputs of the first layer is not
                // asked for.
                Some(
                    3.0 * forward(time * batch, hidden) - product(time * batch, 4 * hidden, INPUTS),
                )
            }
            Self::Act { hidden, batch, .. } => Some(forward(batch, hidden)),
            Self::Softmax { rows } => Some(3.0 * product(rows, ITEMS, SOFTMAX_HIDDEN)),
            Self::Embedding { .. } => None,
            Self::Gemm { m, n, k } => Some(product(m, n, k)),
        }
    }

    /// Hidden width, batch and time steps, as far as the case has them.
    pub fn sizes(self) -> [Option<usize>; 3] {
        match self {
            Self::Train { hidden, batch, time } => [Some(hidden), Some(batch), Some(time)],
            Self::Act { hidden, batch, .. } => [Some(hidden), Some(batch), Some(1)],
            Self::Softmax { rows } => [Some(SOFTMAX_HIDDEN), Some(rows), None],
            Self::Embedding { .. } => [Some(EMBEDDING_WIDTH), Some(IDS), None],
            Self::Gemm { .. } => [None; 3],
        }
    }

    /// Whether this is a plain product.
    pub fn is_gemm(self) -> bool {
        matches!(self, Self::Gemm { .. })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Train { .. } => f.write_str("train"),
            Self::Act { gather: false, .. } => f.write_str("act"),
            Self::Act { gather: true, .. } => f.write_str("act, rows picked"),
            Self::Softmax { .. } => write!(f, "softmax of {ITEMS}"),
            Self::Embedding { sparse: false } => write!(f, "embedding of {ITEMS}"),
            Self::Embedding { sparse: true } => write!(f, "embedding of {ITEMS}, sparse"),
            Self::Gemm { m, n, k } => write!(f, "GEMM {m} x {n} x {k}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The example in the peer's script.
    #[test]
    fn a_request_is_one_flat_object() {
        let request = Request {
            case: Case::Train { hidden: 64, batch: 32, time: 10 },
            threads: 1,
            seconds: 0.5,
        };
        let expected = json!({"case": "train", "hidden": 64, "batch": 32, "time": 10, "threads": 1, "seconds": 0.5});
        assert_eq!(serde_json::to_value(request).unwrap(), expected);
    }

    /// Against the shapes of all products, one by one: of 2 layers at hidden 3 and 5 rows of 7
    /// steps.
    #[test]
    fn operations_of_a_training_step_are_those_of_its_products() {
        let rows = 5 * 7;
        let mut total = 0;
        for (layer, inputs) in [(0, INPUTS), (1, 3)] {
            for k in [inputs, 3] {
                total += 2 * rows * 12 * k; // forward
                total += 2 * k * 12 * rows; // gradient of the weight
            }
            total += 2 * rows * 3 * 12; // gradient of the hidden state
            total += if layer == 0 { 0 } else { 2 * rows * inputs * 12 }; // gradient of the inputs
        }
        let found = Case::Train { hidden: 3, batch: 5, time: 7 }.operations();
        assert_eq!(found, Some(f64::from(u32::try_from(total).unwrap())));
    }
}
