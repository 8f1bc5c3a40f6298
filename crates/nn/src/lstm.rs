//! The LSTM as the models use it: parameters, states and sizes. How its steps are computed, on the
//! CPU or elsewhere, is left to the modules below, which all have to give the same numbers.

mod cell;
#[cfg(test)]
mod composed;
mod fused;
mod operation;
mod plan;
mod sequence;
mod stepwise;
#[cfg(test)]
mod tests;
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
    /// [`Error::Setting`](crate::Error::Setting) if a size is 0.
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
    /// [`Error::Setting`](crate::Error::Setting) if sizes do not fit.
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

    /// The same, with the state of one sequence, `[1, hidden]`, in place of that in each of `rows`.
    pub fn replace(&self, rows: &[usize], by: &Self) -> Result<Self> {
        let all = self.output().dim(0)?;
        let mut from: Vec<u32> = (0..all as u32).collect();
        rows.iter().for_each(|&row| from[row] = all as u32);
        let join = |a: &Tensor, b: &Tensor| Tensor::cat(&[a, b], 0);
        let layers = self.layers.iter().zip(&by.layers);
        let joined =
            layers.map(|((h, c), (with_h, with_c))| Ok((join(h, with_h)?, join(c, with_c)?)));
        Self { layers: joined.collect::<Result<_>>()? }.select(&from)
    }
}
