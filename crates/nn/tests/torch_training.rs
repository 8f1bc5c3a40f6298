//! Some steps of training an LSTM, against PyTorch: `torch/lstm_vectors.py` writes what it computes
//! and describes the file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use foretaste_nn::{Adam, AdamConfig, Lstm, Params, backward};
use foretaste_random::Seed;

const CLIP: f64 = 4.0;

#[test]
fn adam_trains_an_lstm_as_pytorch_does_in_double_precision() {
    check(DType::F64, 1e-10);
}

#[test]
fn adam_trains_an_lstm_as_pytorch_does_in_single_precision() {
    check(DType::F32, 1e-5);
}

fn check(dtype: DType, tolerance: f64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch/training.safetensors");
    let file = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let given = |name: &str| file[name].to_dtype(dtype).unwrap();
    let (x, factors) = (given("x"), given("factors"));
    let (inputs, hidden) = (x.dim(2).unwrap(), factors.dim(2).unwrap());
    let mut params = Params::new(Seed::new(0), dtype, &Device::Cpu);
    let lstm = Lstm::new(inputs, hidden, 2, params.scope("lstm")).unwrap();
    params.restore(&parameters(&file, "start.", dtype)).unwrap();

    let mut moments = Adam::new(&params, AdamConfig::default()).unwrap().moments().unwrap();
    let norms = values(&file[&format!("{}.norms", dtype.as_str())]);
    assert!(norms.iter().any(|&norm| norm > CLIP) && norms.iter().any(|&norm| norm < CLIP));
    for (step, &norm) in norms.iter().enumerate() {
        // PyTorch divides by a norm that is larger by 1e-6.
        let clip = if norm > CLIP { CLIP * norm / (norm + 1e-6) } else { CLIP };
        let config = AdamConfig { learning_rate: 0.05, clip: Some(clip), ..AdamConfig::default() };
        let mut adam = Adam::new(&params, config).unwrap();
        adam.restore(&moments, step as u64).unwrap();
        let state = lstm.zero_state(x.dim(0).unwrap()).unwrap();
        let (outputs, _) = lstm.forward(&x, &state, None).unwrap();
        let loss = (outputs.sqr().unwrap() * &factors).unwrap().sum_all().unwrap();
        let found = adam.step(&backward(&loss).unwrap()).unwrap();
        assert_close("norm", found, norm, tolerance);
        moments = adam.moments().unwrap();
    }
    let end = parameters(&file, &format!("{}.end.", dtype.as_str()), dtype);
    assert_eq!(params.iter().count(), end.len());
    for (name, var) in params.iter() {
        for (found, expected) in values(var.as_tensor()).into_iter().zip(values(&end[name])) {
            assert_close(name, found, expected, tolerance);
        }
    }
}

/// Those whose names begin so, without that.
fn parameters(
    file: &HashMap<String, Tensor>,
    begin: &str,
    dtype: DType,
) -> BTreeMap<String, Tensor> {
    let named = file.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(begin)?, tensor)));
    named.map(|(name, tensor)| (name.to_owned(), tensor.to_dtype(dtype).unwrap())).collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / (1.0 + expected.abs());
    assert!(error <= tolerance, "{what}: {found}, PyTorch {expected}");
}
