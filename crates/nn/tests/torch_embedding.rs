//! Embeddings, sparse steps and the softmax against PyTorch: `torch/lstm_vectors.py` writes what it
//! computes and describes the files.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use foretaste_nn::{
    Adam, AdamConfig, Embedding, Gradients, Init, Params, backward, softmax_cross_entropy,
    softmax_logits,
};
use foretaste_random::Seed;

/// The loss looks rows up, so that steps touch those alone.
#[test]
fn steps_on_rows_are_those_of_pytorchs_sparse_adam() {
    let file = load("embedding.safetensors");
    let mut params = Params::new(Seed::new(0), DType::F64, &Device::Cpu);
    let embedding = Embedding::new(9, 4, Init::Constant(0.0), params.scope("items")).unwrap();
    params.get("items.table").unwrap().set(&file["start"]).unwrap();
    let mut moments = Adam::new(&params, AdamConfig::default()).unwrap().moments().unwrap();
    for step in 0..3 {
        // PyTorch's ε is added to √v before the correction, ours after it.
        let correction = 1.0 - 0.999f64.powi(step + 1);
        let config = AdamConfig {
            learning_rate: 0.05,
            epsilon: 1e-8 / correction.sqrt(),
            ..AdamConfig::default()
        };
        let mut adam = Adam::new(&params, config).unwrap();
        adam.restore(&moments, step as u64).unwrap();
        let at = |name: &str| file[name].get(step as usize).unwrap();
        let rows = embedding.lookup(&ids(&at("ids"))).unwrap();
        adam.step(&gradients(&rows, &at("factors"))).unwrap();
        assert_close("table", embedding.table(), &at("sparse_adam"));
        moments = adam.moments().unwrap();
    }
}

/// The gradient is that of the whole table.
#[test]
fn dense_steps_are_those_of_pytorchs_adam() {
    let file = load("embedding.safetensors");
    let mut params = Params::new(Seed::new(0), DType::F64, &Device::Cpu);
    let embedding = Embedding::new(9, 4, Init::Constant(0.0), params.scope("items")).unwrap();
    let table = embedding.table();
    params.get("items.table").unwrap().set(&file["start"]).unwrap();
    let mut adam =
        Adam::new(&params, AdamConfig { learning_rate: 0.05, ..AdamConfig::default() }).unwrap();
    for step in 0..3 {
        let at = |name: &str| file[name].get(step).unwrap();
        let rows = embedding.lookup(&ids(&at("ids"))).unwrap();
        let looked_up = gradients(&rows, &at("factors")).get(table).unwrap().unwrap();
        assert_close("gradient", &looked_up, &at("gradients"));
        let rows = table.index_select(&at("ids").flatten_all().unwrap(), 0).unwrap();
        adam.step(&gradients(&rows, &at("factors"))).unwrap();
        assert_close("table", table, &at("adam"));
    }
}

#[test]
fn the_softmax_computes_what_pytorch_computes() {
    let file = load("softmax.safetensors");
    let mut params = Params::new(Seed::new(0), DType::F64, &Device::Cpu);
    let [h, weight, bias] = ["h", "weight", "bias"].map(|name| {
        let tensor =
            params.scope("softmax").param(name, file[name].shape(), Init::Constant(0.0)).unwrap();
        params.get(&format!("softmax.{name}")).unwrap().set(&file[name]).unwrap();
        tensor
    });
    assert_close("logits", &softmax_logits(&h, &weight, &bias).unwrap(), &file["logits"]);
    let losses = softmax_cross_entropy(&h, &weight, &bias, &ids(&file["targets"])).unwrap();
    let loss = losses.mean_all().unwrap();
    assert_close("loss", &loss, &file["loss"]);
    let gradients = backward(&loss).unwrap();
    for (name, tensor) in [("h", &h), ("weight", &weight), ("bias", &bias)] {
        let name = format!("gradient.{name}");
        assert_close(&name, &gradients.get(tensor).unwrap().unwrap(), &file[&name]);
    }
}

/// Of the sum of factors times the squares of the rows.
fn gradients(rows: &Tensor, factors: &Tensor) -> Gradients {
    let factors = factors.reshape(rows.shape()).unwrap();
    backward(&(rows.sqr().unwrap() * factors).unwrap().sum_all().unwrap()).unwrap()
}

fn load(file: &str) -> HashMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch").join(file);
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn ids(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_dtype(DType::U32).unwrap().to_vec1().unwrap()
}

fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for (found, expected) in values(found).into_iter().zip(values(expected)) {
        assert!(
            (found - expected).abs() <= 1e-12 * (1.0 + expected.abs()),
            "{what}: {found}, PyTorch {expected}"
        );
    }
}
