//! The whole-sequence operation on the CPU: tensors to panels, the layers, and back.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use foretaste_settings::Setting;

use super::operation::{Argument, Gradients, LastGradients, Pass, tracked, untracked};
use super::plan::Plan;
use super::sequence::{self, LayerRun, LayerWeights, StateGradients};
use super::weights::{
    GATES, from_gate_panels, gate_panels, read_gate_row, to_gate_panels, transposed,
};
use super::{Input, Layer, LstmState};
use crate::Result;
use crate::kernel::{Left, Panels, Real, WIDTH, for_each_chunk, multiply, with_slice};
use crate::tape::Computed;

/// The layers' weights in the kernels' layout.
#[derive(Clone, Debug)]
pub(super) enum Packed {
    F32(Arc<Vec<LayerWeights<f32>>>),
    F64(Arc<Vec<LayerWeights<f64>>>),
}

impl Packed {
    pub(super) fn new(layers: &[Layer]) -> Result<Self> {
        match layers[0].bias.dtype() {
            DType::F32 => Ok(Self::F32(Arc::new(pack(layers)?))),
            DType::F64 => Ok(Self::F64(Arc::new(pack(layers)?))),
            dtype => {
                let problem = format!("parameters of type {dtype:?}, expected F32 or F64");
                Err(Setting::new("LSTM", problem).into())
            }
        }
    }

    /// The outputs `[rows, time, hidden]` and last states, without a tape.
    pub(super) fn forward(
        &self,
        input: Input<'_>,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        match self {
            Self::F32(weights) => untracked(&Sequence::run(weights, input, state, mask)?),
            Self::F64(weights) => untracked(&Sequence::run(weights, input, state, mask)?),
        }
    }

    /// The same on candle's tape.
    pub(super) fn record(
        &self,
        layers: &[Layer],
        input: Input<'_>,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        match self {
            Self::F32(weights) => {
                tracked(Sequence::run(weights, input, state, mask)?, layers, input, state)
            }
            Self::F64(weights) => {
                tracked(Sequence::run(weights, input, state, mask)?, layers, input, state)
            }
        }
    }
}

fn pack<T: Real>(layers: &[Layer]) -> Result<Vec<LayerWeights<T>>> {
    let gates = |weight: &Tensor, rows: usize, hidden: usize| {
        with_slice(weight, |values: &[T]| gate_panels(values, rows, hidden))
    };
    let pack = |layer: &Layer| {
        let (inputs, hidden) = (layer.input_weight.dim(0)?, layer.hidden_weight.dim(0)?);
        Ok(LayerWeights {
            input: gates(&layer.input_weight, inputs, hidden)?,
            hidden: gates(&layer.hidden_weight, hidden, hidden)?,
            bias: gates(&layer.bias, 1, hidden)?,
        })
    };
    layers.iter().map(pack).collect()
}

/// What a run over a batch computed.
struct Sequence<T> {
    plan: Plan,
    time: usize,
    hidden: usize,
    /// The inputs `[packed, width]`, unless they came projected.
    x: Option<Panels<T>>,
    layers: Vec<LayerRun<T>>,
}

impl<T: Real> Sequence<T> {
    fn run(
        weights: &[LayerWeights<T>],
        input: Input<'_>,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<Self> {
        let (rows, time, width) = input.tensor().dims3()?;
        let hidden = weights[0].hidden.rows();
        let plan = match mask {
            Some(mask) => with_slice(mask, |mask: &[u8]| Plan::new(rows, time, Some(mask)))?,
            None => Plan::new(rows, time, None),
        };
        let (x, gates) = with_slice(input.tensor(), |values: &[T]| {
            let row = |i: usize| &values[plan.source[i] * width..][..width];
            match input {
                Input::Features(_) => {
                    let x = Panels::from_rows(plan.packed(), width, row);
                    let gates = projected(&x, 0, &weights[0].input);
                    (Some(x), gates)
                }
                Input::Projected(_) => (None, to_gate_panels(plan.packed(), hidden, row)),
            }
        })?;
        let mut first = Some(gates);
        let mut layers: Vec<LayerRun<T>> = Vec::with_capacity(weights.len());
        for (weights, (h, c)) in weights.iter().zip(&state.layers) {
            let gates = first
                .take()
                .unwrap_or_else(|| projected(&layers[layers.len() - 1].h, rows, &weights.input));
            let mut run =
                LayerRun { gates, h: states(&plan, h, hidden)?, c: states(&plan, c, hidden)? };
            sequence::forward(weights, &plan, &mut run);
            layers.push(run);
        }
        Ok(Self { plan, time, hidden, x, layers })
    }

    /// These of `states`, as a tensor of this shape.
    fn computed(&self, states: &Panels<T>, order: &[usize], shape: &[usize]) -> Computed {
        Computed::Host(T::to_cpu_storage_owned(read_rows(states, order, self.hidden)), shape.into())
    }
}

impl<T: Real> Pass for Sequence<T> {
    fn outputs(&self) -> candle_core::Result<Computed> {
        let h = &self.layers[self.layers.len() - 1].h;
        Ok(self.computed(h, &self.plan.output, &[self.plan.rows, self.time, self.hidden]))
    }

    fn last(&self) -> candle_core::Result<Vec<[Computed; 2]>> {
        let read = |states| self.computed(states, &self.plan.last, &[self.plan.rows, self.hidden]);
        Ok(self.layers.iter().map(|run| [read(&run.h), read(&run.c)]).collect())
    }

    fn back(
        self,
        layers: &[Layer],
        outputs: &Tensor,
        mut last: LastGradients,
        gradients: &mut Gradients<'_>,
    ) -> candle_core::Result<()> {
        let Self { plan, time, hidden, x, layers: mut runs } = self;
        // The gradient of outputs that repeat the initial state goes there, past all steps.
        let mut unmoved =
            Some(with_slice(outputs, |values: &[T]| initial_gradients(&plan, values, hidden))?);
        let mut outputs =
            with_slice(outputs, |values: &[T]| output_gradients(&plan, values, hidden))?;
        while let Some(mut run) = runs.pop() {
            let index = runs.len();
            let Layer { input_weight, hidden_weight, .. } = &layers[index];
            let given = |gradient: Option<Tensor>| match gradient {
                Some(gradient) => {
                    with_slice(&gradient, |values: &[T]| ranked(&plan, values, hidden))
                }
                None => Ok(Panels::zeros(plan.rows, hidden)),
            };
            let [h, c] = last.take(index);
            let mut state = StateGradients { outputs, h: given(h)?, c: given(c)? };
            let back =
                with_slice(hidden_weight, |weight: &[T]| transposed(weight, hidden, hidden))?;
            sequence::backward(&back, &plan, &mut run, &mut state);
            if let Some(unmoved) = unmoved.take() {
                state.h.add(&unmoved);
            }

            let width = input_weight.dim(0)?;
            let (below, from) = match (runs.last(), &x) {
                (Some(below), _) => (Some(&below.h), plan.rows),
                (None, x) => (x.as_ref(), 0),
            };
            let weight = |panels: &Panels<T>| {
                tensor(from_gate_panels(panels, hidden), &[panels.rows(), GATES * hidden])
            };
            if let Some(below) = below {
                let gradient = || sequence::weight_gradient(below, from, width, &run.gates);
                gradients.set(Argument::InputWeight(index), || weight(&gradient()))?;
            }
            let gradient = || sequence::recurrent_gradient(&plan, &run, hidden);
            gradients.set(Argument::HiddenWeight(index), || weight(&gradient()))?;
            gradients.set(Argument::Bias(index), || {
                weight(&sequence::bias_gradient(&run.gates))?.squeeze(0)
            })?;
            for (argument, states) in
                [(Argument::H(index), &state.h), (Argument::C(index), &state.c)]
            {
                gradients.set(argument, || {
                    tensor(unranked(&plan, states, hidden), &[plan.rows, hidden])
                })?;
            }

            let inputs = || {
                let back =
                    with_slice(input_weight, |weight: &[T]| transposed(weight, width, hidden))?;
                let mut inputs = Panels::zeros(plan.packed(), width);
                multiply(Left::Rows(&run.gates, 0), &back, 0, back.rows(), &mut inputs);
                candle_core::Result::Ok(inputs)
            };
            if index == 0 {
                return gradients.set(Argument::Input, || {
                    let (values, width) = match &x {
                        Some(_) => {
                            let inputs = inputs()?;
                            (scatter(&plan, time, width, |i, row| inputs.read_row(i, row)), width)
                        }
                        None => {
                            let width = GATES * hidden;
                            (
                                scatter(&plan, time, width, |i, row| {
                                    read_gate_row(&run.gates, i, row)
                                }),
                                width,
                            )
                        }
                    };
                    tensor(values, &[plan.rows, time, width])
                });
            }
            outputs = inputs()?;
        }
        Ok(())
    }
}

/// The gradient in each packed state, from that in the outputs `[rows * time, hidden]`.
fn output_gradients<T: Real>(plan: &Plan, values: &[T], hidden: usize) -> Panels<T> {
    let mut panels = Panels::zeros(plan.packed(), hidden);
    panels.add_rows(values, hidden, |place| plan.output[place].checked_sub(plan.rows));
    panels
}

/// The gradient in each initial state, from outputs that repeat it.
fn initial_gradients<T: Real>(plan: &Plan, values: &[T], hidden: usize) -> Panels<T> {
    let mut panels = Panels::zeros(plan.rows, hidden);
    panels.add_rows(values, hidden, |place| {
        Some(plan.output[place]).filter(|&state| state < plan.rows)
    });
    panels
}

/// The states `[rows, hidden]` by rank.
fn ranked<T: Real>(plan: &Plan, values: &[T], hidden: usize) -> Panels<T> {
    Panels::from_rows(plan.rows, hidden, |rank| &values[plan.order[rank] * hidden..][..hidden])
}

/// The states by rank as `[rows, hidden]`.
fn unranked<T: Real>(plan: &Plan, states: &Panels<T>, hidden: usize) -> Vec<T> {
    let mut values = vec![T::zero(); plan.rows * hidden];
    for (rank, &row) in plan.order.iter().enumerate() {
        states.read_row(rank, &mut values[row * hidden..][..hidden]);
    }
    values
}

/// States numbered as in [`Plan`], the initial ones from `tensor [rows, hidden]` and zeros for the
/// rest.
fn states<T: Real>(plan: &Plan, tensor: &Tensor, hidden: usize) -> Result<Panels<T>> {
    let initial = with_slice(tensor, |values: &[T]| ranked(plan, values, hidden))?;
    let mut panels = Panels::zeros(plan.rows + plan.packed(), hidden);
    for u in 0..panels.count() {
        panels.panel_mut(u)[..plan.rows].copy_from_slice(initial.panel(u));
    }
    Ok(panels)
}

/// The inputs that stand in the rows of `x` from `first` on, times the weight.
fn projected<T: Real>(x: &Panels<T>, first: usize, weight: &Panels<T>) -> Panels<T> {
    let mut gates = Panels::zeros(x.rows() - first, weight.count() * WIDTH);
    multiply(Left::Rows(x, first), weight, 0, weight.rows(), &mut gates);
    gates
}

/// The rows of `panels` in this order, one after another.
fn read_rows<T: Real>(panels: &Panels<T>, order: &[usize], width: usize) -> Vec<T> {
    let mut values = vec![T::zero(); order.len() * width];
    for_each_chunk(&mut values, width, |i, values| panels.read_row(order[i], values));
    values
}

/// `[rows, time, width]` with what `read` gives for each packed step where it came from, zeros at
/// masked places.
fn scatter<T: Real>(
    plan: &Plan,
    time: usize,
    width: usize,
    read: impl Fn(usize, &mut [T]),
) -> Vec<T> {
    let mut values = vec![T::zero(); plan.rows * time * width];
    for (i, &place) in plan.source.iter().enumerate() {
        read(i, &mut values[place * width..][..width]);
    }
    values
}

fn tensor<T: Real>(values: Vec<T>, shape: &[usize]) -> candle_core::Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu)
}
