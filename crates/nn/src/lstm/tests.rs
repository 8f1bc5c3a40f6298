//! The LSTM is checked against finite differences, against the same computation in candle's
//! operations, and against itself with other threads, rows and masks.

use super::*;
use crate::gradient_check::check_gradients;
use crate::{Params, backward};
use candle_core::Device;
use foretaste_random::Seed;
use proptest::prelude::*;
use rand::Rng;

fn setup(layers: usize) -> (Params, Lstm, Tensor) {
    let mut params = Params::new(Seed::new(4), DType::F64, &Device::Cpu);
    let lstm = Lstm::new(3, 2, layers, params.scope("lstm")).unwrap();
    let x = params.scope("data").param("x", (2, 4, 3), Init::Normal { sd: 1.0 }).unwrap();
    (params, lstm, x)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.dims(), b.dims());
    for (a, b) in values(a).iter().zip(values(b)) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
}

/// What other devices run, on the CPU.
fn stepwise(
    lstm: &Lstm,
    input: Input<'_>,
    state: &LstmState,
    mask: Option<&Tensor>,
) -> Result<(Tensor, LstmState)> {
    stepwise::record(&lstm.layers, input, state, mask)
}

#[test]
fn gradients_match_finite_differences() {
    let mask = Tensor::new(&[[1u8, 1, 1, 1], [1, 0, 1, 0]], &Device::Cpu).unwrap();
    for mask in [None, Some(&mask)] {
        let (params, lstm, x) = setup(2);
        for record in [Lstm::run, stepwise] {
            check_gradients(&params, || {
                let (outputs, state) =
                    record(&lstm, Input::Features(&x), &lstm.zero_state(2)?, mask)?;
                Ok((outputs.sqr()?.sum_all()? + state.layers[0].1.sum_all()?)?)
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Outputs, last states and every gradient, from random initial states through random
    /// masks.
    #[test]
    fn one_operation_per_sequence_equals_the_composed_one(
        (rows, time, inputs, hidden, layers) in (1usize..7, 1usize..6, 1usize..40, 1usize..40, 1usize..4),
        masked: bool, projected: bool, seed: u64,
    ) {
        let mut params = Params::new(Seed::new(seed), DType::F64, &Device::Cpu);
        let lstm = Lstm::new(inputs, hidden, layers, params.scope("lstm")).unwrap();
        let normal = Init::Normal { sd: 1.0 };
        let width = if projected { 4 * hidden } else { inputs };
        let x = params.scope("data").param("x", (rows, time, width), normal).unwrap();
        let layers = (0..layers).map(|layer| {
            let mut state = |name: &str| {
                params.scope("state").param(&format!("{name}{layer}"), (rows, hidden), normal).unwrap()
            };
            (state("h"), state("c"))
        });
        let state = LstmState { layers: layers.collect() };
        let mut stream = Seed::new(seed).stream(1);
        let mask: Vec<u8> = (0..rows * time).map(|_| u8::from(stream.random_bool(0.6))).collect();
        let mask = masked.then(|| Tensor::from_vec(mask, (rows, time), &Device::Cpu).unwrap());
        let weighted = |tensor: &Tensor, name: &str| {
            let mut fixed = Params::new(Seed::new(seed), DType::F64, &Device::Cpu);
            let factors = fixed.scope("loss").param(name, tensor.shape(), normal).unwrap().detach();
            tensor.mul(&factors).unwrap().sum_all().unwrap()
        };
        let loss = |outputs: &Tensor, state: &LstmState| {
            let states = state.layers.iter().enumerate().skip(1).map(|(layer, (h, c))| {
                (weighted(h, &format!("h{layer}")) + weighted(c, &format!("c{layer}"))).unwrap()
            });
            states.fold(weighted(outputs, "outputs"), |sum, term| (sum + term).unwrap())
        };

        let input = if projected { Input::Projected(&x) } else { Input::Features(&x) };
        let x = if projected { x.clone() } else { composed::project(&x, lstm.input_weight()).unwrap() };
        let (outputs, last) = composed::forward(&lstm.layers, &x, &state, mask.as_ref()).unwrap();
        let gradients = loss(&outputs, &last).backward().unwrap();
        for (record, frozen) in [
            (Lstm::run(&lstm, input, &state, mask.as_ref()), lstm.freeze().unwrap().run(input, &state, mask.as_ref())),
            (
                stepwise(&lstm, input, &state, mask.as_ref()),
                stepwise::forward(&lstm.layers, input, &state, mask.as_ref()),
            ),
        ] {
            let (found, found_last) = record.unwrap();
            assert_close(&found, &outputs);
            for (found, expected) in found_last.layers.iter().zip(&last.layers) {
                assert_close(&found.0, &expected.0);
                assert_close(&found.1, &expected.1);
            }
            prop_assert_eq!(values(&frozen.unwrap().0), values(&found));
            let found = backward(&loss(&found, &found_last)).unwrap();
            for (_, var) in params.iter() {
                match (found.get(var).unwrap(), gradients.get(var)) {
                    (Some(found), Some(expected)) => assert_close(&found, expected),
                    // candle leaves out what the loss does not depend on; the operations may
                    // give zeros.
                    (found, None) => prop_assert!(found.is_none_or(|found| values(&found).iter().all(|v| *v == 0.0))),
                    (None, Some(_)) => prop_assert!(false, "no gradient"),
                }
            }
        }
    }
}

#[test]
fn outputs_and_gradients_do_not_depend_on_threads_nor_outputs_on_other_rows() {
    let run = |threads, rows: usize| {
        let mut params = Params::new(Seed::new(4), DType::F32, &Device::Cpu);
        let lstm = Lstm::new(24, 128, 2, params.scope("lstm")).unwrap();
        let x = params.scope("data").param("x", (40, 3, 24), Init::Normal { sd: 1.0 }).unwrap();
        let x = x.narrow(0, 0, rows).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (outputs, _) = lstm.forward(&x, &lstm.zero_state(rows).unwrap(), None).unwrap();
            let gradients = backward(&outputs.sqr().unwrap().sum_all().unwrap()).unwrap();
            let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let gradients =
                params.iter().map(|(_, var)| flat(&gradients.get(var).unwrap().unwrap()));
            (flat(&outputs), gradients.collect::<Vec<_>>())
        })
    };
    let whole = run(1, 40);
    assert_eq!(run(3, 40), whole);
    assert_eq!(run(1, 7).0, whole.0[..7 * 3 * 128]);
}

#[test]
fn sizes_that_do_not_fit_are_named() {
    let (_, lstm, x) = setup(2);
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap();
    let state = lstm.zero_state(2).unwrap();
    let message = |result: Result<(Tensor, LstmState)>| result.unwrap_err().to_string();
    assert!(
        message(lstm.forward(&zeros(&[2, 4, 5]), &state, None)).contains("expected [.., .., 3]")
    );
    let other = lstm.zero_state(3).unwrap();
    assert!(message(lstm.forward(&x, &other, None)).contains("expected 2 times [2, 2]"));
    assert!(
        message(lstm.forward(&x, &state, Some(&zeros(&[2, 4])))).contains("expected [2, 4] of U8")
    );
}

#[test]
fn one_cell_computed_by_hand() {
    let mut params = Params::new(Seed::new(4), DType::F64, &Device::Cpu);
    let lstm = Lstm::new(1, 1, 1, params.scope("lstm")).unwrap();
    let get = |name: &str| values(params.get(&format!("lstm.0.{name}")).unwrap());
    let (w, u, b) = (get("input_weight"), get("hidden_weight"), get("bias"));
    let x = [0.7, -1.3];
    let (mut h, mut c) = (0f64, 0f64);
    for x in x {
        let gate = |i: usize| x * w[i] + h * u[i] + b[i];
        let open = |i: usize| 1.0 / (1.0 + (-gate(i)).exp());
        c = open(1) * c + open(0) * gate(3).tanh();
        h = open(2) * c.tanh();
    }
    let x = Tensor::new(&[[[x[0]], [x[1]]]], &Device::Cpu).unwrap();
    let (outputs, state) = lstm.forward(&x, &lstm.zero_state(1).unwrap(), None).unwrap();
    assert!((values(&outputs)[1] - h).abs() < 1e-12);
    assert!((values(&state.layers[0].1)[0] - c).abs() < 1e-12);
}

#[test]
fn steps_equal_the_sequence_and_rows_can_be_selected() {
    let (_, lstm, x) = setup(2);
    let (outputs, last) = lstm.forward(&x, &lstm.zero_state(2).unwrap(), None).unwrap();
    let mut state = lstm.zero_state(2).unwrap();
    for t in 0..4 {
        let (output, next) = lstm.forward(&x.narrow(1, t, 1).unwrap(), &state, None).unwrap();
        assert_close(&output, &outputs.narrow(1, t, 1).unwrap());
        state = next.detach();
    }
    assert_close(state.output(), last.output());
    let twice = state.select(&[1, 1, 0]).unwrap();
    let (a, b) = (values(twice.output()), values(last.output()));
    assert_eq!((&a[..2], &a[2..4], &a[4..]), (&b[2..], &b[2..], &b[..2]));
}

#[test]
fn a_masked_sequence_equals_the_shorter_one() {
    let (_, lstm, x) = setup(1);
    let mask = Tensor::new(&[[1u8, 1, 0, 0], [1, 0, 1, 0]], &Device::Cpu).unwrap();
    let (_, state) = lstm.forward(&x, &lstm.zero_state(2).unwrap(), Some(&mask)).unwrap();
    let short = Tensor::cat(&[x.narrow(1, 0, 1).unwrap(), x.narrow(1, 2, 1).unwrap()], 1).unwrap();
    let (_, expected) = lstm.forward(&short, &lstm.zero_state(2).unwrap(), None).unwrap();
    assert_close(
        &state.output().narrow(0, 1, 1).unwrap(),
        &expected.output().narrow(0, 1, 1).unwrap(),
    );
}
