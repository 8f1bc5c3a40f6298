use candle_core::Tensor;
use understudy_nn::{Activation, Init, Lstm, LstmState, Scope};

use crate::config::{ItemFeatures, StateEncoder, UserModelConfig};
use crate::displays::Histories;
use crate::{Error, Result};

/// The item features f_a, multiplied into a layer without building one-hot vectors.
#[derive(Clone, Debug)]
pub(crate) enum Features {
    OneHot { items: usize },
    Dense { table: Tensor },
}

impl Features {
    pub fn new(config: &UserModelConfig, given: Option<(&[f32], usize)>, mut scope: Scope<'_>) -> Result<Self> {
        Ok(match (config.features, given) {
            (ItemFeatures::OneHot, _) => Self::OneHot { items: config.items },
            (ItemFeatures::Learned { dim }, _) => {
                let init = Init::Normal { sd: 1.0 / (dim as f64).sqrt() };
                Self::Dense { table: scope.param("embedding", (config.items, dim), init)? }
            }
            (ItemFeatures::Given, Some((values, dim))) if values.len() == config.items * dim => {
                let table = Tensor::from_slice(values, (config.items, dim), scope.device())?;
                Self::Dense { table: table.to_dtype(scope.dtype())? }
            }
            (ItemFeatures::Given, Some((values, dim))) => {
                let problem = format!("{} values of {dim} features for {} items", values.len(), config.items);
                return Err(Error::setting("item features", problem));
            }
            (ItemFeatures::Given, None) => {
                return Err(Error::setting("item features", "the catalogue has none; use one-hot or learned features"));
            }
        })
    }

    /// d.
    pub fn dim(&self) -> usize {
        match self {
            Self::OneHot { items } => *items,
            Self::Dense { table } => table.dims()[1],
        }
    }

    /// Features of `items [n]` times `weight [d, out]`: `[n, out]`.
    pub fn project(&self, items: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::OneHot { .. } => weight.index_select(items, 0)?,
            Self::Dense { table } => table.index_select(items, 0)?.matmul(weight)?,
        })
    }
}

/// The state encoder h.
#[derive(Clone, Debug)]
pub(crate) enum Encoder {
    PositionWeights { weight: Tensor, bias: Option<Tensor>, activation: Activation },
    Lstm(Lstm),
}

/// Distinct states, and which of them lies before each display.
pub(crate) struct States {
    /// `[distinct, width]`.
    pub values: Tensor,
    /// Row of `values` for each display.
    pub of_display: Vec<u32>,
}

impl Encoder {
    pub fn new(config: &StateEncoder, features: &Features, mut scope: Scope<'_>) -> Result<Self> {
        Ok(match *config {
            StateEncoder::PositionWeights { history, columns, initial, activation, bias } => Self::PositionWeights {
                weight: scope.param("weight", (history, columns), Init::Constant(initial))?,
                bias: bias.then(|| scope.param("bias", (features.dim(), columns), Init::Constant(0.0))).transpose()?,
                activation,
            },
            StateEncoder::Lstm { hidden, layers } => {
                Self::Lstm(Lstm::new(features.dim(), hidden, layers, scope.scope("lstm"))?)
            }
        })
    }

    /// Width of the state.
    pub fn width(&self, features: &Features) -> usize {
        match self {
            Self::PositionWeights { weight, .. } => features.dim() * weight.dims()[1],
            Self::Lstm(lstm) => lstm.hidden(),
        }
    }

    /// How many clicks back the state looks; `None` is without limit.
    pub fn window(&self) -> Option<usize> {
        match self {
            Self::PositionWeights { weight, .. } => Some(weight.dims()[0]),
            Self::Lstm(_) => None,
        }
    }

    pub fn encode(&self, features: &Features, histories: &Histories) -> Result<States> {
        match self {
            Self::PositionWeights { weight, bias, activation } => {
                position_weights(weight, bias.as_ref(), *activation, features, histories)
            }
            Self::Lstm(lstm) => lstm_states(lstm, features, histories),
        }
    }

    /// The LSTM's state one click later.
    pub fn step(lstm: &Lstm, features: &Features, items: &Tensor, state: &LstmState) -> Result<LstmState> {
        let projected = features.project(items, lstm.input_weight())?.unsqueeze(1)?;
        Ok(lstm.forward_projected(&projected, state, None)?.1)
    }
}

/// vec[σ(Fᵀ W + B)], one row for the empty history and one for each other display. Row τ of W weighs the click τ+1 back.
fn position_weights(
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    features: &Features,
    histories: &Histories,
) -> Result<States> {
    let (history, columns) = weight.dims2()?;
    let (mut rows, mut lags, mut items) = (Vec::new(), Vec::new(), Vec::new());
    let mut of_display = Vec::with_capacity(histories.before.len());
    let mut distinct = 1;
    for &before in &histories.before {
        let Some((sequence, clicks)) = before else {
            of_display.push(0);
            continue;
        };
        for (lag, &item) in histories.sequences[sequence][..clicks].iter().rev().take(history).enumerate() {
            rows.push(distinct);
            lags.push(lag as u32);
            items.push(item);
        }
        of_display.push(distinct);
        distinct += 1;
    }
    let (dim, device) = (features.dim(), weight.device());
    let zeros = || Tensor::zeros((distinct as usize, dim, columns), weight.dtype(), device);
    let base = match bias {
        Some(bias) => bias.unsqueeze(0)?.broadcast_as((distinct as usize, dim, columns))?.contiguous()?,
        None => zeros()?,
    };
    let sums = if rows.is_empty() {
        base
    } else {
        let weights = weight.index_select(&Tensor::new(lags, device)?, 0)?;
        match features {
            // The indicator of an item moves one row of the d rows.
            Features::OneHot { .. } => {
                let cells: Vec<u32> = rows.iter().zip(&items).map(|(row, item)| row * dim as u32 + item).collect();
                base.reshape((distinct as usize * dim, columns))?.index_add(
                    &Tensor::new(cells, device)?,
                    &weights,
                    0,
                )?
            }
            Features::Dense { table } => {
                let clicked = table.index_select(&Tensor::new(items, device)?, 0)?;
                let outer = clicked.unsqueeze(2)?.broadcast_mul(&weights.unsqueeze(1)?)?;
                base.index_add(&Tensor::new(rows, device)?, &outer, 0)?
            }
        }
    };
    let values = activation.forward(&sums.reshape((distinct as usize, dim * columns))?)?;
    Ok(States { values, of_display })
}

/// Outputs of the LSTM after every click of every sequence, behind a row of zeros for the empty history.
fn lstm_states(lstm: &Lstm, features: &Features, histories: &Histories) -> Result<States> {
    let rows = histories.sequences.len();
    let time = histories.sequences.iter().map(Vec::len).max().unwrap_or(0);
    let state = lstm.zero_state(rows.max(1))?;
    let empty = state.output().narrow(0, 0, 1)?;
    let place = |before: &Option<(usize, usize)>| match *before {
        Some((sequence, clicks)) => (1 + sequence * time + clicks - 1) as u32,
        None => 0,
    };
    let of_display = histories.before.iter().map(place).collect();
    if rows == 0 {
        return Ok(States { values: empty, of_display });
    }
    // Padding comes after the clicks of a row, so it reaches no state that a display uses.
    let mut items = vec![0u32; rows * time];
    for (row, sequence) in histories.sequences.iter().enumerate() {
        items[row * time..row * time + sequence.len()].copy_from_slice(sequence);
    }
    let projected = features.project(&Tensor::new(items, empty.device())?, lstm.input_weight())?;
    let projected = projected.reshape((rows, time, 4 * lstm.hidden()))?;
    let (outputs, _) = lstm.forward_projected(&projected, &state, None)?;
    let outputs = outputs.reshape((rows * time, lstm.hidden()))?;
    Ok(States { values: Tensor::cat(&[empty, outputs], 0)?, of_display })
}
