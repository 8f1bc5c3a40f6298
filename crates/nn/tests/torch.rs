//! Against PyTorch: `torch/lstm_vectors.py` writes what it computes and describes the files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use foretaste_nn::{Lstm, LstmState, Params, backward};
use foretaste_random::Seed;

const INPUTS: usize = 5;
const HIDDEN: usize = 7;
const LAYERS: usize = 2;

#[test]
fn the_lstm_computes_what_pytorch_computes_in_double_precision() {
    Reference::new(DType::F64, 1e-10).check();
}

#[test]
fn the_lstm_computes_what_pytorch_computes_in_single_precision() {
    Reference::new(DType::F32, 1e-5).check();
}

/// PyTorch's numbers in one type.
struct Reference {
    tensors: HashMap<String, Tensor>,
    dtype: DType,
    tolerance: f64,
}

impl Reference {
    fn new(dtype: DType, tolerance: f64) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch/lstm.safetensors");
        Self {
            tensors: candle_core::safetensors::load(path, &Device::Cpu).unwrap(),
            dtype,
            tolerance,
        }
    }

    fn check(&self) {
        let mask = &self.tensors["mask"];
        for start in ["zero", "given"] {
            self.check_case("full", start, None);
            self.check_case("full", start, Some(&mask.ones_like().unwrap()));
            self.check_case("padded", start, Some(mask));
        }
    }

    /// Compares outputs, final states, loss and all gradients of sequences that begin with the zero
    /// or the given state.
    fn check_case(&self, case: &str, start: &str, mask: Option<&Tensor>) {
        let (params, lstm) = self.model();
        let var = |name: &str| Var::from_tensor(&self.given(name)).unwrap();
        let (x, h, c) = (var("x"), var("start.h"), var("start.c"));
        let layer = |states: &Tensor, layer| states.get(layer).unwrap();
        let state = match start {
            "given" => LstmState::new((0..LAYERS).map(|l| (layer(&h, l), layer(&c, l))).collect()),
            _ => lstm.zero_state(x.dim(0).unwrap()).unwrap(),
        };
        let (outputs, state) = lstm.forward(&x, &state, mask).unwrap();

        // Behind its end PyTorch pads a row with zeros.
        let outputs = match mask {
            Some(mask) => {
                let inside = mask.to_dtype(self.dtype).unwrap().unsqueeze(2).unwrap();
                outputs.broadcast_mul(&inside).unwrap()
            }
            None => outputs,
        };
        let dot = |a: &Tensor, b: &Tensor| a.mul(b).unwrap().sum_all().unwrap();
        let (factors_h, factors_c) = (self.given("loss.h"), self.given("loss.c"));
        let mut loss = dot(&outputs, &self.given("loss.outputs"));
        for (l, (h, c)) in state.layers().iter().enumerate() {
            if start == "given" {
                loss = ((loss + dot(h, &layer(&factors_h, l))).unwrap()
                    + dot(c, &layer(&factors_c, l)))
                .unwrap();
            } else if l == LAYERS - 1 {
                loss = (loss + dot(h, &layer(&factors_h, l))).unwrap();
            }
        }
        let gradients = backward(&loss).unwrap();
        let gradient = |tensor: &Tensor| gradients.get(tensor).unwrap().unwrap();

        let expected = |name: &str| {
            self.tensors[&format!("{}.{case}.{start}.{name}", self.dtype.as_str())].clone()
        };
        self.assert_close("outputs", &outputs, &expected("outputs"));
        for (l, (h, c)) in state.layers().iter().enumerate() {
            self.assert_close("h", h, &layer(&expected("h"), l));
            self.assert_close("c", c, &layer(&expected("c"), l));
        }
        self.assert_close("loss", &loss, &expected("loss"));
        self.assert_close("gradient.x", &gradient(&x), &expected("gradient.x"));
        if start == "given" {
            self.assert_close("gradient.h", &gradient(&h), &expected("gradient.h"));
            self.assert_close("gradient.c", &gradient(&c), &expected("gradient.c"));
        }
        for (name, var) in params.iter() {
            let name = format!("gradient.{name}");
            self.assert_close(&name, &gradient(var), &expected(&name));
        }
    }

    fn model(&self) -> (Params, Lstm) {
        let mut params = Params::new(Seed::new(0), self.dtype, &Device::Cpu);
        let lstm = Lstm::new(INPUTS, HIDDEN, LAYERS, params.scope("lstm")).unwrap();
        let names = self.tensors.keys().filter(|name| name.starts_with("lstm."));
        let values: BTreeMap<_, _> = names.map(|name| (name.clone(), self.given(name))).collect();
        params.restore(&values).unwrap();
        (params, lstm)
    }

    fn given(&self, name: &str) -> Tensor {
        self.tensors[name].to_dtype(self.dtype).unwrap()
    }

    fn assert_close(&self, what: &str, found: &Tensor, expected: &Tensor) {
        assert_eq!((found.dims(), found.dtype()), (expected.dims(), expected.dtype()), "{what}");
        let double = |tensor: &Tensor| tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
        let values = |tensor: &Tensor| double(tensor).to_vec1::<f64>().unwrap();
        for (found, expected) in values(found).into_iter().zip(values(expected)) {
            let error = (found - expected).abs() / (1.0 + expected.abs());
            assert!(error <= self.tolerance, "{what}: {found}, PyTorch {expected}");
        }
    }
}
