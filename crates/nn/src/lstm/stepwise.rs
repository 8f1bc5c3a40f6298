//! The whole-sequence operation on any device, in terms of tensors outside candle's tape: per layer
//! one product for the inputs of all steps, per step one product and a cell, and the way back by
//! hand. So a backward pass takes as many operations a step as a forward pass, however long the
//! sequence.
//!
//! Steps lie one after another: `[time rows, ..]`.

use candle_core::{Result, Tensor};

use super::cell::{self, Cell};
use super::operation::{self, Argument, Gradients, LastGradients, Pass};
use super::{Input, Layer, LstmState};
use crate::tape::Computed;

/// The outputs `[rows, time, hidden]` and last states, without a tape.
pub(super) fn forward(
    layers: &[Layer],
    input: Input<'_>,
    state: &LstmState,
    mask: Option<&Tensor>,
) -> crate::Result<(Tensor, LstmState)> {
    operation::untracked(&Sequence::run(layers, input, state, mask)?)
}

/// The same on candle's tape.
pub(super) fn record(
    layers: &[Layer],
    input: Input<'_>,
    state: &LstmState,
    mask: Option<&Tensor>,
) -> crate::Result<(Tensor, LstmState)> {
    operation::tracked(Sequence::run(layers, input, state, mask)?, layers, input, state)
}

/// What a run over a batch computed.
struct Sequence {
    rows: usize,
    time: usize,
    /// `[time, rows]`.
    mask: Option<Tensor>,
    /// The inputs `[time rows, width]`, unless they came projected.
    x: Option<Tensor>,
    layers: Vec<LayerRun>,
}

/// What a layer computed.
struct LayerRun {
    /// c before the first step, `[rows, hidden]`.
    c: Tensor,
    steps: Vec<Cell>,
    /// h before the first step and after each: `[(1 + time) rows, hidden]`.
    h: Tensor,
}

impl Sequence {
    fn run(
        layers: &[Layer],
        input: Input<'_>,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<Self> {
        let (rows, time, _) = input.tensor().dims3()?;
        let mask = mask.map(|mask| mask.detach().t()?.contiguous()).transpose()?;
        let given = by_time(&input.tensor().detach())?;
        let (x, mut projected) = match input {
            Input::Features(_) => {
                (Some(given.clone()), given.matmul(&layers[0].input_weight.detach())?)
            }
            Input::Projected(_) => (None, given),
        };
        let mut sequence = Self { rows, time, mask, x, layers: Vec::with_capacity(layers.len()) };
        for (index, (layer, state)) in
            layers.iter().map(Layer::detach).zip(&state.layers).enumerate()
        {
            if let Some(below) = index.checked_sub(1) {
                projected = sequence.after(below)?.matmul(&layer.input_weight)?;
            }
            let run = sequence.run_layer(&layer, &projected, state)?;
            sequence.layers.push(run);
        }
        Ok(sequence)
    }

    fn run_layer(
        &self,
        layer: &Layer,
        projected: &Tensor,
        (h, c): &(Tensor, Tensor),
    ) -> Result<LayerRun> {
        let inputs = projected.broadcast_add(&layer.bias)?;
        let (first_h, first_c) = (h.detach().contiguous()?, c.detach().contiguous()?);
        let mut steps: Vec<Cell> = Vec::with_capacity(self.time);
        for t in 0..self.time {
            let (h, c) = steps.last().map_or((&first_h, &first_c), |last| (&last.h, &last.c));
            let sums =
                (inputs.narrow(0, t * self.rows, self.rows)? + h.matmul(&layer.hidden_weight)?)?;
            let step = cell::forward(&sums, c, h, self.mask(t)?.as_ref())?;
            steps.push(step);
        }
        let h: Vec<_> = std::iter::once(&first_h).chain(steps.iter().map(|step| &step.h)).collect();
        Ok(LayerRun { h: Tensor::cat(&h, 0)?, c: first_c, steps })
    }

    /// From the gradients in a layer's `outputs [time rows, hidden]` and in its last h and c: those
    /// in the sums of all steps, `[time rows, 4 hidden]`, and in the first h and c.
    fn layer_back(
        &self,
        run: &LayerRun,
        hidden_weight: &Tensor,
        outputs: &Tensor,
        [h, c]: [Option<Tensor>; 2],
    ) -> Result<(Tensor, [Tensor; 2])> {
        let given = |gradient: Option<Tensor>| match gradient {
            Some(gradient) => gradient.detach().contiguous(),
            None => run.c.zeros_like(),
        };
        let (mut h, mut c) = (given(h)?, given(c)?);
        let back = hidden_weight.t()?;
        let mut sums = Vec::with_capacity(self.time);
        for (t, step) in run.steps.iter().enumerate().rev() {
            let c_prev = t.checked_sub(1).map_or(&run.c, |before| &run.steps[before].c);
            h = (h + outputs.narrow(0, t * self.rows, self.rows)?)?;
            let found = cell::backward(step, c_prev, self.mask(t)?.as_ref(), &c, &h)?;
            h = (found.h_prev + found.sums.matmul(&back)?)?;
            c = found.c_prev;
            sums.push(found.sums);
        }
        sums.reverse();
        Ok((Tensor::cat(&sums, 0)?, [h, c]))
    }

    /// The rows that take step `t`, if not all do.
    fn mask(&self, t: usize) -> Result<Option<Tensor>> {
        self.mask.as_ref().map(|mask| mask.get(t)).transpose()
    }

    /// A layer's h after each step, `[time rows, hidden]`.
    fn after(&self, layer: usize) -> Result<Tensor> {
        self.layers[layer].h.narrow(0, self.rows, self.time * self.rows)
    }

    /// `[time rows, width]` as `[rows, time, width]`.
    fn by_row(&self, tensor: &Tensor) -> Result<Tensor> {
        tensor.reshape((self.time, self.rows, tensor.dim(1)?))?.transpose(0, 1)
    }
}

impl Pass for Sequence {
    fn outputs(&self) -> Result<Computed> {
        Ok(Computed::Device(self.by_row(&self.after(self.layers.len() - 1)?)?))
    }

    fn last(&self) -> Result<Vec<[Computed; 2]>> {
        let last = |run: &LayerRun| {
            let h = run.h.narrow(0, self.time * self.rows, self.rows)?;
            let c = run.steps.last().map_or(&run.c, |step| &step.c);
            Ok([Computed::Device(h), Computed::Device(c.clone())])
        };
        self.layers.iter().map(last).collect()
    }

    fn back(
        mut self,
        layers: &[Layer],
        outputs: &Tensor,
        mut last: LastGradients,
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        let mut outputs = by_time(&outputs.detach())?;
        while let Some(run) = self.layers.pop() {
            let index = self.layers.len();
            let Layer { input_weight, hidden_weight, .. } = &layers[index];
            let (sums, [h, c]) =
                self.layer_back(&run, hidden_weight, &outputs, last.take(index))?;
            let below = index
                .checked_sub(1)
                .map(|below| self.after(below))
                .transpose()?
                .or_else(|| self.x.clone());
            if let Some(below) = &below {
                gradients.set(Argument::InputWeight(index), || below.t()?.matmul(&sums))?;
            }
            let before = run.h.narrow(0, 0, self.time * self.rows)?;
            gradients.set(Argument::HiddenWeight(index), || before.t()?.matmul(&sums))?;
            gradients.set(Argument::Bias(index), || sums.sum(0))?;
            gradients.set(Argument::H(index), || Ok(h))?;
            gradients.set(Argument::C(index), || Ok(c))?;
            let inputs =
                || if below.is_some() { sums.matmul(&input_weight.t()?) } else { Ok(sums.clone()) };
            if index > 0 {
                outputs = inputs()?;
            } else {
                gradients.set(Argument::Input, || self.by_row(&inputs()?)?.contiguous())?;
            }
        }
        Ok(())
    }
}

/// `[rows, time, width]` as `[time rows, width]`.
fn by_time(tensor: &Tensor) -> Result<Tensor> {
    tensor.transpose(0, 1)?.contiguous()?.flatten_to(1)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use foretaste_random::Seed;

    use super::*;
    use crate::{Init, Lstm, Params, backward};

    const ROWS: usize = 5;
    const TIME: usize = 4;
    const INPUTS: usize = 7;

    /// An LSTM of two layers, inputs of this width and a state, all of them parameters; a mask.
    fn setup(
        device: &Device,
        dtype: DType,
        hidden: usize,
        width: usize,
    ) -> (Params, Lstm, Tensor, LstmState, Tensor) {
        let mut params = Params::new(Seed::new(9), dtype, device);
        let lstm = Lstm::new(INPUTS, hidden, 2, params.scope("lstm")).unwrap();
        let mut given = |name: &str, shape: &[usize]| {
            params.scope("given").param(name, shape, Init::Normal { sd: 1.0 }).unwrap()
        };
        let x = given("x", &[ROWS, TIME, width]);
        let layers = ["0", "1"].map(|layer| {
            let mut state = |name: &str| given(&format!("{name}{layer}"), &[ROWS, hidden]);
            (state("h"), state("c"))
        });
        let mask: Vec<u8> = (0..ROWS * TIME).map(|at| u8::from(at % 3 != 1)).collect();
        let mask = Tensor::from_vec(mask, (ROWS, TIME), device).unwrap();
        (params, lstm, x, LstmState { layers: layers.into() }, mask)
    }

    /// Σ of the squares of the outputs and last states.
    fn loss(outputs: &Tensor, last: &LstmState) -> Tensor {
        let states = last.layers.iter().flat_map(|(h, c)| [h, c]);
        let squares = std::iter::once(outputs)
            .chain(states)
            .map(|tensor| tensor.sqr().unwrap().sum_all().unwrap());
        squares.reduce(|sum, square| (sum + square).unwrap()).unwrap()
    }

    /// A tensor off the tape holds no steps before it: work over it is not repeated, and the way
    /// back through all steps is linear in their number.
    #[test]
    fn what_is_kept_and_the_gradients_are_off_the_tape() {
        let (params, lstm, x, state, mask) = setup(&Device::Cpu, DType::F64, 3, INPUTS);
        let kept = Sequence::run(&lstm.layers, Input::Features(&x), &state, Some(&mask)).unwrap();
        assert_eq!((kept.layers.len(), kept.layers[0].steps.len()), (2, TIME));
        for run in &kept.layers {
            let steps = run.steps.iter().flat_map(|step| [&step.gates, &step.c, &step.h]);
            assert!(steps.chain([&run.c, &run.h]).all(|tensor| !tensor.track_op()));
        }
        let (outputs, last) =
            record(&lstm.layers, Input::Features(&x), &state, Some(&mask)).unwrap();
        assert!(outputs.track_op());
        let gradients = backward(&loss(&outputs, &last)).unwrap();
        for (name, var) in params.iter() {
            assert!(!gradients.get(var).unwrap().unwrap().track_op(), "{name}");
        }
    }

    #[test]
    fn only_what_is_tracked_gets_a_gradient() {
        let (params, lstm, x, state, mask) = setup(&Device::Cpu, DType::F64, 3, INPUTS);
        let frozen: Vec<_> = lstm.layers.iter().map(Layer::detach).collect();
        let names = |layers: &[Layer], x: &Tensor, state: &LstmState| {
            let (outputs, last) = record(layers, Input::Features(x), state, Some(&mask)).unwrap();
            let gradients = backward(&loss(&outputs, &last)).unwrap();
            let found = params.iter().filter(|(_, var)| gradients.get(var).unwrap().is_some());
            found.map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&frozen, &x, &state.detach()), ["given.x"]);
        assert_eq!(
            names(&frozen, &x.detach(), &state),
            ["given.c0", "given.c1", "given.h0", "given.h1"]
        );
        assert!(
            names(&lstm.layers, &x.detach(), &state.detach())
                .iter()
                .all(|name| name.starts_with("lstm."))
        );
        assert!(names(&frozen, &x.detach(), &state.detach()).is_empty());
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn lstm_on_a_gpu_equals_the_cpu() {
        let Ok(gpu) = Device::new_cuda(0) else {
            eprintln!("no GPU: the LSTM was compiled for it, not run");
            return;
        };
        for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-3)] {
            for (masked, projected) in [(false, false), (false, true), (true, false), (true, true)]
            {
                let found = values(&gpu, dtype, masked, projected);
                let expected = values(&Device::Cpu, dtype, masked, projected);
                assert_eq!(found.len(), expected.len());
                for ((name, found), (other, expected)) in found.iter().zip(&expected) {
                    assert_eq!((name, found.len()), (other, expected.len()));
                    for (found, expected) in found.iter().zip(expected) {
                        let error = (found - expected).abs() / (1.0 + expected.abs());
                        assert!(error < tolerance, "{name}: {found} against {expected}");
                    }
                }
            }
        }
    }

    /// The outputs, last states and gradients of all parameters, by name, of more units than a
    /// GPU's block has threads.
    #[cfg(feature = "cuda")]
    fn values(
        device: &Device,
        dtype: DType,
        masked: bool,
        projected: bool,
    ) -> Vec<(String, Vec<f64>)> {
        const HIDDEN: usize = 300;
        let width = if projected { 4 * HIDDEN } else { INPUTS };
        let (params, lstm, x, state, mask) = setup(device, dtype, HIDDEN, width);
        let mask = masked.then_some(&mask);
        let run = if projected { Lstm::forward_projected } else { Lstm::forward };
        let (outputs, last) = run(&lstm, &x, &state, mask).unwrap();
        let gradients = backward(&loss(&outputs, &last)).unwrap();
        let mut tensors = vec![("outputs".to_owned(), outputs)];
        for (layer, (h, c)) in last.layers.into_iter().enumerate() {
            tensors.extend([(format!("h{layer}"), h), (format!("c{layer}"), c)]);
        }
        for (name, var) in params.iter() {
            tensors.extend(gradients.get(var).unwrap().map(|gradient| (name.to_owned(), gradient)));
        }
        let read = |tensor: Tensor| {
            let tensor = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
            tensor.flatten_all().unwrap().to_vec1().unwrap()
        };
        tensors.into_iter().map(|(name, tensor)| (name, read(tensor))).collect()
    }
}
