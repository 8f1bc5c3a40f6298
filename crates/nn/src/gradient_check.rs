//! Finite differences as the judge of all derivatives: the tests of every layer, loss and model in
//! the workspace call this one function.

use candle_core::{Tensor, Var};

use crate::{Params, Result};

/// For tests of layers and models in double precision: panics unless the gradient of `loss` at
/// every entry of every parameter agrees with (L(x+h) - L(x-h)) / 2h, h = 1e-5, to 1e-6 of the
/// larger of 1 and the value, and unless every parameter has a gradient.
pub fn check_gradients(params: &Params, loss: impl Fn() -> Result<Tensor>) {
    let gradients = loss().unwrap().backward().unwrap();
    let value = || loss().unwrap().to_scalar::<f64>().unwrap();
    for (name, var) in params.iter() {
        let gradient = gradients.get(var).unwrap_or_else(|| panic!("{name} has no gradient"));
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let start = var.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for entry in 0..start.len() {
            let at = |shift: f64| {
                let mut shifted = start.clone();
                shifted[entry] += shift;
                set(var, shifted);
                value()
            };
            let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
            let error = (gradient[entry] - expected).abs();
            assert!(
                error < 1e-6 * expected.abs().max(1.0),
                "{name}[{entry}]: {} against {expected}",
                gradient[entry]
            );
        }
        set(var, start);
    }
}

fn set(var: &Var, values: Vec<f64>) {
    var.set(&Tensor::from_vec(values, var.shape(), var.device()).unwrap()).unwrap();
}
