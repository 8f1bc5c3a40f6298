use candle_core::{D, Tensor};
use candle_nn::ops::sigmoid;

use crate::{Error, Init, Result, Scope};

/// A stack of LSTM layers (Hochreiter & Schmidhuber 1997, with forget gates), composed from candle's operations.
///
/// With x the input of a layer and (h, c) its state, (i, f, o, g) = (σ, σ, σ, tanh)(x Wᵢ + h Wₕ + b),
/// c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c'). All parameters start in U[-1/√hidden, 1/√hidden].
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
    /// Creates for each layer `l` the parameters `l.input_weight [inputs, 4 hidden]`, `l.hidden_weight [hidden, 4 hidden]`
    /// and `l.bias [4 hidden]`, gates in the order i, f, o, g.
    ///
    /// # Errors
    /// [`Error::Setting`] if a size is 0.
    pub fn new(inputs: usize, hidden: usize, layers: usize, mut scope: Scope<'_>) -> Result<Self> {
        if inputs == 0 || hidden == 0 || layers == 0 {
            let problem = format!("{inputs} inputs, hidden {hidden}, {layers} layers: expected at least 1 of each");
            return Err(Error::Setting { what: "LSTM sizes", problem });
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

    /// The first layer's input weight `[inputs, 4 hidden]`. Its rows are what one-hot inputs project to, ready for
    /// [`Lstm::forward_projected`].
    pub fn input_weight(&self) -> &Tensor {
        &self.layers[0].input_weight
    }

    /// The state of `rows` sequences that begin: zeros.
    pub fn zero_state(&self, rows: usize) -> Result<LstmState> {
        let weight = &self.layers[0].hidden_weight;
        let zeros = Tensor::zeros((rows, self.hidden), weight.dtype(), weight.device())?;
        Ok(LstmState { layers: vec![(zeros.clone(), zeros); self.layers.len()] })
    }

    /// `x [rows, time, inputs]` to `(outputs [rows, time, hidden], state after the last step)`, from `state`.
    ///
    /// Where `mask [rows, time]` (u8) is 0 the step is skipped: the state is carried over and the output repeats it.
    /// Acting is a call with one time step. A backward pass costs memory in proportion to `time` and work to its square,
    /// and recurses once per operation: sequences of thousands of steps need a large stack.
    pub fn forward(&self, x: &Tensor, state: &LstmState, mask: Option<&Tensor>) -> Result<(Tensor, LstmState)> {
        self.forward_projected(&project(x, self.input_weight())?, state, mask)
    }

    /// [`Lstm::forward`] on inputs already multiplied by [`Lstm::input_weight`]: `[rows, time, 4 hidden]`.
    pub fn forward_projected(
        &self,
        projected: &Tensor,
        state: &LstmState,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, LstmState)> {
        let time = projected.dim(1)?;
        let masks =
            mask.map(|mask| (0..time).map(|t| Ok(mask.narrow(1, t, 1)?)).collect::<Result<Vec<_>>>()).transpose()?;
        let mut projected = projected.clone();
        let mut layers = Vec::with_capacity(self.layers.len());
        for (index, (layer, state)) in self.layers.iter().zip(&state.layers).enumerate() {
            if index > 0 {
                projected = project(&projected, &layer.input_weight)?;
            }
            let gates = projected.broadcast_add(&layer.bias)?;
            let mut state = state.clone();
            let mut outputs = Vec::with_capacity(time);
            for t in 0..time {
                let next = layer.cell(&gates.narrow(1, t, 1)?.squeeze(1)?, &state)?;
                state = match &masks {
                    Some(masks) => (carry(&masks[t], &next.0, &state.0)?, carry(&masks[t], &next.1, &state.1)?),
                    None => next,
                };
                outputs.push(state.0.clone());
            }
            projected = Tensor::stack(&outputs, 1)?;
            layers.push(state);
        }
        Ok((projected, LstmState { layers }))
    }
}

impl Layer {
    fn cell(&self, input: &Tensor, (h, c): &(Tensor, Tensor)) -> Result<(Tensor, Tensor)> {
        let hidden = h.dim(D::Minus1)?;
        let gates = (input + h.matmul(&self.hidden_weight)?)?;
        let open = sigmoid(&gates.narrow(1, 0, 3 * hidden)?.contiguous()?)?;
        let g = gates.narrow(1, 3 * hidden, hidden)?.tanh()?;
        let (i, f, o) =
            (open.narrow(1, 0, hidden)?, open.narrow(1, hidden, hidden)?, open.narrow(1, 2 * hidden, hidden)?);
        let c = ((f * c)? + (i * g)?)?;
        let h = (o * c.tanh()?)?;
        Ok((h, c))
    }
}

impl LstmState {
    /// The top layer's output h, `[rows, hidden]`.
    pub fn output(&self) -> &Tensor {
        &self.layers[self.layers.len() - 1].0
    }

    /// The same numbers without the operations that led to them. An acting loop that keeps a state detaches it at every
    /// step, or the state holds on to all steps before.
    pub fn detach(&self) -> Self {
        Self { layers: self.layers.iter().map(|(h, c)| (h.detach(), c.detach())).collect() }
    }

    /// Copies rows, in the given order, a row as often as it is named.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        let rows = Tensor::new(rows, self.output().device())?;
        let pick = |tensor: &Tensor| tensor.index_select(&rows, 0);
        let layers = self.layers.iter().map(|(h, c)| Ok((pick(h)?, pick(c)?))).collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// This state in the rows where `mask [rows, 1]` (u8) is 1, `other` elsewhere.
    pub fn blend(&self, mask: &Tensor, other: &Self) -> Result<Self> {
        let pairs = self.layers.iter().zip(&other.layers);
        let layers =
            pairs.map(|(a, b)| Ok((carry(mask, &a.0, &b.0)?, carry(mask, &a.1, &b.1)?))).collect::<Result<_>>()?;
        Ok(Self { layers })
    }
}

fn carry(mask: &Tensor, new: &Tensor, old: &Tensor) -> Result<Tensor> {
    Ok(mask.broadcast_as(new.shape())?.where_cond(new, old)?)
}

fn project(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (rows, time, inputs) = x.dims3()?;
    Ok(x.reshape((rows * time, inputs))?.matmul(weight)?.reshape((rows, time, weight.dim(1)?))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;
    use crate::gradient_check::check_gradients;
    use candle_core::{DType, Device};
    use understudy_random::Seed;

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

    #[test]
    fn gradients_match_finite_differences() {
        let mask = Tensor::new(&[[1u8, 1, 1, 1], [1, 0, 1, 0]], &Device::Cpu).unwrap();
        for mask in [None, Some(&mask)] {
            let (params, lstm, x) = setup(2);
            check_gradients(&params, || {
                let (outputs, state) = lstm.forward(&x, &lstm.zero_state(2)?, mask)?;
                Ok((outputs.sqr()?.sum_all()? + state.layers[0].1.sum_all()?)?)
            });
        }
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
        assert_close(&state.output().narrow(0, 1, 1).unwrap(), &expected.output().narrow(0, 1, 1).unwrap());
    }
}
