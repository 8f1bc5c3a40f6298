mod cell;
#[cfg(test)]
mod composed;
mod fused;
mod operation;
mod plan;
mod sequence;
mod stepwise;
mod weights;

use candle_core::{DType, Tensor};
use foretaste_settings::Setting;

use self::fused::Packed;
use crate::{Init, Result, Scope};

/// A stack of LSTM layers (Hochreiter & Schmidhuber 1997, with forget gates).
///
/// With x the input of a layer and (h, c) its state, (i, f, o, g) = (σ, σ, σ, tanh)(x Wᵢ + h Wₕ +
/// b), c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c'). All parameters start in U[-1/√hidden, 1/√hidden].
///
/// On the CPU all of it is this crate's own. On NVIDIA GPUs candle multiplies and a kernel of this
/// crate does the rest, which has been compiled and never run. On Apple GPUs candle's operations do
/// everything, which has never been compiled.
#[derive(Debug)]
pub struct Lstm {
    layers: Vec<Layer>,
    hidden: usize,
}

#[derive(Debug)]
struct Layer {
    input_weight: Tensor,
    hidden_weight: Tensor,
    bias: Tensor,
}

/// The state of a batch of sequences: for each layer h and c, both `[rows, hidden]`.
#[derive(Clone, Debug)]
pub struct LstmState {
    layers: Vec<(Tensor, Tensor)>,
}

impl Lstm {
    /// Creates for each layer `l` the parameters `l.input_weight [inputs, 4 hidden]`,
    /// `l.hidden_weight [hidden, 4 hidden]` and `l.bias [4 hidden]`, gates in the order i, f, o, g.
    ///
    /// # Errors
    /// [`Error::Setting`] if a size is 0.
    pub fn new(inputs: usize, hidden: usize, layers: usize, mut scope: Scope<'_>) -> Result<Self> {
        if inputs == 0 || hidden == 0 || layers == 0 {
            let problem = format!(
                "{inputs} inputs, hidden {hidden}, {layers} layers: expected at least 1 of each"
            );
            return Err(Setting::new("LSTM sizes", problem).into());
        }
        let init = Init::Uniform { bound: 1.0 / (hidden as f64).sqrt() };
        let layers = (0..layers)
            .map(|layer| {
                let mut scope = scope.scope(&layer.to_string());
                let inputs = if layer == 0 { inputs } else { hidden };
                Ok(Layer {
                    input_weight: scope.param("input_weight", (inputs, 4 * hidden), init)?,
                    hidden_weight: scope.param("hidden_weight", (hidden, 4 * hidden), init)?,
                    bias: scope.param("bias", 4 * hidden, init)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers, hidden })
    }

    /// Width of the state and the outputs.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// The first layer's input weight `[inputs, 4 hidden]`. Its rows are what one-hot inputs
    /// project to, ready for [`Lstm::forward_projected`].
    pub fn input_weight(&self) -> &Tensor {
        &self.layers[0].input_weight
    }

    /// The state of `rows` sequences that begin: zeros.
    pub fn zero_state(&self, rows: usize) -> Result<LstmState> {
        let weight = &self.layers[0].hidden_weight;
        let zeros = Tensor::zeros((rows, self.hidden), weight.dtype(), weight.device())?;
        Ok(LstmState { layers: vec![(zeros.clone(), zeros); self.layers.len()] })
    }

    /// `x [rows, time, inputs]` to `(outputs [rows, time, hidden], state after the last step)`,
    /// from `state`.
    ///
    /// Where `mask [rows, time]` (u8) is 0 the step is skipped: the state is carried over and the
    /// output repeats it, and no work is done for it on the CPU. A backward pass can be taken once
    /// per call.
    ///
    /// This is one operation over the whole batch: one product per layer for the inputs of all
    /// steps, one per step for the recurrence, hand-written derivatives. On the CPU results do not
    /// depend on the number of threads, nor a row's on the other rows.
    ///
    /// # Errors
    /// [`Error::Setting`] if sizes do not fit.
    pub fn forward(
        &self,
        x: &Tensor,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        self.run(Input::Features(x), state, mask)
    }

    /// [`Lstm::forward`] on inputs already multiplied by [`Lstm::input_weight`]:
    /// `[rows, time, 4 hidden]`.
    pub fn forward_projected(
        &self,
        projected: &Tensor,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        self.run(Input::Projected(projected), state, mask)
    }

    /// The LSTM as it is now, ready to be run many times without gradients.
    pub fn freeze(&self) -> Result<FrozenLstm> {
        let layers = self.layers.iter().map(Layer::detach).collect();
        let lstm = Self { layers, hidden: self.hidden };
        let packed = lstm.on_cpu().then(|| Packed::new(&lstm.layers)).transpose()?;
        Ok(FrozenLstm { lstm, packed })
    }

    fn run(
        &self,
        input: Input<'_>,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        self.check(input, state, mask)?;
        match self.on_cpu() {
            true => Packed::new(&self.layers)?.record(&self.layers, input, state, mask),
            false => stepwise::record(&self.layers, input, state, mask),
        }
    }

    fn on_cpu(&self) -> bool {
        self.layers[0].bias.device().is_cpu()
    }

    fn check(&self, input: Input<'_>, state: &LstmState, mask: Option<&Tensor>) -> Result<()> {
        let (rows, time, width) = input.tensor().dims3()?;
        let expected = match input {
            Input::Features(_) => self.input_weight().dim(0)?,
            Input::Projected(_) => 4 * self.hidden,
        };
        let state_fits = |tensor: &Tensor| tensor.dims() == [rows, self.hidden];
        let mask_fits = |mask: &Tensor| mask.dims() == [rows, time] && mask.dtype() == DType::U8;
        let problem = if width != expected {
            format!("input [{rows}, {time}, {width}], expected [.., .., {expected}]")
        } else if state.layers.len() != self.layers.len()
            || !state.layers.iter().all(|(h, c)| state_fits(h) && state_fits(c))
        {
            let found: Vec<_> = state.layers.iter().map(|(h, c)| (h.dims(), c.dims())).collect();
            format!(
                "a state of {found:?}, expected {} times [{rows}, {}] for h and c",
                self.layers.len(),
                self.hidden
            )
        } else if let Some(mask) = mask.filter(|mask| !mask_fits(mask)) {
            format!(
                "a mask {:?} of {:?}, expected [{rows}, {time}] of U8",
                mask.dims(),
                mask.dtype()
            )
        } else {
            return Ok(());
        };
        Err(Setting::new("LSTM", problem).into())
    }
}

/// An LSTM whose weights stay as they are: packed for the processor once, and run without a tape.
#[derive(Debug)]
pub struct FrozenLstm {
    lstm: Lstm,
    packed: Option<Packed>,
}

impl FrozenLstm {
    /// As [`Lstm::forward`], without gradients. Acting is a call with one time step; branches of a
    /// Monte-Carlo rollout start from [`LstmState::select`].
    pub fn forward(
        &self,
        x: &Tensor,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        self.run(Input::Features(x), state, mask)
    }

    /// As [`Lstm::forward_projected`], without gradients.
    pub fn forward_projected(
        &self,
        projected: &Tensor,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        self.run(Input::Projected(projected), state, mask)
    }

    /// The LSTM itself, its parameters detached.
    pub fn lstm(&self) -> &Lstm {
        &self.lstm
    }

    fn run(
        &self,
        input: Input<'_>,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        self.lstm.check(input, state, mask)?;
        match &self.packed {
            Some(packed) => packed.forward(input, state, mask),
            None => stepwise::forward(&self.lstm.layers, input, state, mask),
        }
    }
}

/// What a sequence is made of.
#[derive(Clone, Copy)]
enum Input<'a> {
    /// `[rows, time, inputs]`.
    Features(&'a Tensor),
    /// Already multiplied by the first layer's input weight: `[rows, time, 4 hidden]`.
    Projected(&'a Tensor),
}

impl<'a> Input<'a> {
    fn tensor(self) -> &'a Tensor {
        match self {
            Self::Features(tensor) | Self::Projected(tensor) => tensor,
        }
    }
}

impl Layer {
    fn detach(&self) -> Self {
        Self {
            input_weight: self.input_weight.detach(),
            hidden_weight: self.hidden_weight.detach(),
            bias: self.bias.detach(),
        }
    }
}

impl LstmState {
    /// The state whose h and c `[rows, hidden]` these are, from the first layer up. At least one
    /// layer.
    pub fn new(layers: Vec<(Tensor, Tensor)>) -> Self {
        Self { layers }
    }

    /// h and c of each layer, `[rows, hidden]`, from the first up.
    pub fn layers(&self) -> &[(Tensor, Tensor)] {
        &self.layers
    }

    /// The top layer's output h, `[rows, hidden]`.
    pub fn output(&self) -> &Tensor {
        &self.layers[self.layers.len() - 1].0
    }

    /// The same numbers without the operations that led to them. An acting loop that keeps a state
    /// detaches it at every step, or the state holds on to all steps before.
    pub fn detach(&self) -> Self {
        Self { layers: self.layers.iter().map(|(h, c)| (h.detach(), c.detach())).collect() }
    }

    /// Copies rows, in the given order, a row as often as it is named.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        let rows = Tensor::new(rows, self.output().device())?;
        let pick = |tensor: &Tensor| tensor.index_select(&rows, 0);
        let layers =
            self.layers.iter().map(|(h, c)| Ok((pick(h)?, pick(c)?))).collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// The same, but that the sequences in `rows` begin: their state is zero.
    pub fn restart(&self, rows: &[usize]) -> Result<Self> {
        let all = self.output().dim(0)?;
        let mut from: Vec<u32> = (0..all as u32).collect();
        rows.iter().for_each(|&row| from[row] = all as u32);
        let with_zeros = |tensor: &Tensor| {
            let zeros = Tensor::zeros((1, tensor.dim(1)?), tensor.dtype(), tensor.device())?;
            Tensor::cat(&[tensor, &zeros], 0)
        };
        let padded = self.layers.iter().map(|(h, c)| Ok((with_zeros(h)?, with_zeros(c)?)));
        Self { layers: padded.collect::<Result<_>>()? }.select(&from)
    }
}

#[cfg(test)]
mod tests {
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
                let flat =
                    |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
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
            message(lstm.forward(&zeros(&[2, 4, 5]), &state, None))
                .contains("expected [.., .., 3]")
        );
        let other = lstm.zero_state(3).unwrap();
        assert!(message(lstm.forward(&x, &other, None)).contains("expected 2 times [2, 2]"));
        assert!(
            message(lstm.forward(&x, &state, Some(&zeros(&[2, 4]))))
                .contains("expected [2, 4] of U8")
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
        let short =
            Tensor::cat(&[x.narrow(1, 0, 1).unwrap(), x.narrow(1, 2, 1).unwrap()], 1).unwrap();
        let (_, expected) = lstm.forward(&short, &lstm.zero_state(2).unwrap(), None).unwrap();
        assert_close(
            &state.output().narrow(0, 1, 1).unwrap(),
            &expected.output().narrow(0, 1, 1).unwrap(),
        );
    }
}
