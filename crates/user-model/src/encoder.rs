//! From clicks to user states, and from items to features (GAN-CDQN, section "Model
//! Parameterization"). Both are multiplied into the first layer directly, so that no one-hot vector
//! is built.

use candle_core::Tensor;
use foretaste_nn::{Activation, Init, Lstm, Scope, Sparse, lookup};
use foretaste_settings::Setting;
use foretaste_train::padded_together;

use crate::Result;
use crate::config::{ItemFeatures, StateEncoder, UserModelConfig};
use crate::impressions::Histories;

/// The item features f_a, multiplied into a layer without building one-hot vectors.
#[derive(Debug)]
pub(crate) enum Features {
    OneHot { items: usize },
    Dense { table: Tensor },
}

impl Features {
    pub fn new(
        config: &UserModelConfig,
        given: Option<(&[f32], usize)>,
        mut scope: Scope<'_>,
    ) -> Result<Self> {
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
                let problem =
                    format!("{} values of {dim} features for {} items", values.len(), config.items);
                return Err(Setting::new("item features", problem).into());
            }
            (ItemFeatures::Given, None) => {
                let problem = "the catalogue has none; use one-hot or learned features";
                return Err(Setting::new("item features", problem).into());
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
    pub fn project(&self, items: &[u32], weight: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::OneHot { .. } => lookup(weight, items)?,
            Self::Dense { table } => lookup(table, items)?.matmul(weight)?,
        })
    }
}

/// The state encoder h.
#[derive(Debug)]
pub(crate) enum Encoder {
    PositionWeights { weight: Tensor, bias: Option<Tensor>, activation: Activation },
    Lstm(Lstm),
}

/// Distinct states times the first layer of the reward network, and which of them lies before each
/// slate.
pub(crate) struct States {
    /// `[distinct, out]`.
    pub projected: Tensor,
    /// Row of `projected` for each slate.
    pub of_impression: Vec<u32>,
}

impl Encoder {
    pub fn new(config: &StateEncoder, features: &Features, mut scope: Scope<'_>) -> Result<Self> {
        Ok(match *config {
            StateEncoder::PositionWeights { history, columns, initial, activation, bias } => {
                Self::PositionWeights {
                    weight: scope.param("weight", (history, columns), Init::Constant(initial))?,
                    bias: bias
                        .then(|| {
                            scope.param("bias", (features.dim(), columns), Init::Constant(0.0))
                        })
                        .transpose()?,
                    activation,
                }
            }
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

    /// The states of `histories` times `layer [width, out]`.
    pub fn project(
        &self,
        features: &Features,
        histories: &Histories,
        layer: &Tensor,
    ) -> Result<States> {
        match (self, features) {
            (Self::PositionWeights { weight, bias, activation }, Features::OneHot { .. }) => {
                one_hot_position_weights(weight, bias.as_ref(), *activation, histories, layer)
            }
            (Self::PositionWeights { weight, bias, activation }, Features::Dense { table }) => {
                position_weights(weight, bias.as_ref(), *activation, table, histories, layer)
            }
            (Self::Lstm(lstm), _) => lstm_states(lstm, features, histories, layer),
        }
    }
}

/// One click of a history: the distinct state that it belongs to, how far back it lies, and the
/// item.
struct Click {
    state: u32,
    lag: u32,
    item: u32,
}

/// The last `history` clicks before each slate, and the distinct state of each slate: 0 for the
/// empty history.
fn recent_clicks(histories: &Histories, history: usize) -> (Vec<Click>, Vec<u32>) {
    let mut clicks = Vec::new();
    let mut of_impression = Vec::with_capacity(histories.before.len());
    let mut distinct = 1;
    for &before in &histories.before {
        let Some((session, count)) = before else {
            of_impression.push(0);
            continue;
        };
        let recent = histories.sessions[session][..count].iter().rev().take(history).enumerate();
        clicks.extend(recent.map(|(lag, &item)| Click { state: distinct, lag: lag as u32, item }));
        of_impression.push(distinct);
        distinct += 1;
    }
    (clicks, of_impression)
}

fn distinct(of_impression: &[u32]) -> usize {
    of_impression.iter().max().map_or(1, |&last| last as usize + 1)
}

/// vec[σ(Fᵀ W + B)] times `layer` for features `[items, d]`; row τ of W weighs the click τ + 1
/// back.
fn position_weights(
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    table: &Tensor,
    histories: &Histories,
    layer: &Tensor,
) -> Result<States> {
    let ((history, columns), dim, device) = (weight.dims2()?, table.dim(1)?, weight.device());
    let (clicks, of_impression) = recent_clicks(histories, history);
    let shape = (distinct(&of_impression), dim, columns);
    let mut sums = match bias {
        Some(bias) => bias.unsqueeze(0)?.broadcast_as(shape)?.contiguous()?,
        None => Tensor::zeros(shape, weight.dtype(), device)?,
    };
    if !clicks.is_empty() {
        let column = |pick: fn(&Click) -> u32| {
            Tensor::new(clicks.iter().map(pick).collect::<Vec<_>>(), device)
        };
        let weights = weight.index_select(&column(|click| click.lag)?, 0)?;
        let clicked = table.index_select(&column(|click| click.item)?, 0)?;
        let outer = clicked.unsqueeze(2)?.broadcast_mul(&weights.unsqueeze(1)?)?;
        sums = sums.index_add(&column(|click| click.state)?, &outer, 0)?;
    }
    let states = activation.forward(&sums.reshape((shape.0, dim * columns))?)?;
    Ok(States { projected: states.matmul(layer)?, of_impression })
}

/// [`position_weights`] for one-hot features, without building a state: only the rows of the
/// clicked items differ from σ(B), so s V = vec[σ(B)] V + Σ over clicked items i of (σ(B_i + Σ_τ
/// w_τ) - σ(B_i)) V_i. Linear in the clicks.
fn one_hot_position_weights(
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    histories: &Histories,
    layer: &Tensor,
) -> Result<States> {
    let ((history, columns), (width, out), device) =
        (weight.dims2()?, layer.dims2()?, weight.device());
    let (mut clicks, of_impression) = recent_clicks(histories, history);
    let base = match bias {
        Some(bias) => activation.forward(&bias.reshape((1, width))?)?.matmul(layer)?,
        // σ(0) = 0 for every σ that there is.
        None => Tensor::zeros((1, out), weight.dtype(), device)?,
    };
    if clicks.is_empty() {
        return Ok(States { projected: base, of_impression });
    }
    // A pair is a state and an item that was clicked before it, perhaps several times.
    clicks.sort_by_key(|click| (click.state, click.item));
    let same = |a: &Click, b: &Click| (a.state, a.item) == (b.state, b.item);
    let pairs: Vec<&[Click]> = clicks.chunk_by(same).collect();
    let items: Vec<u32> = pairs.iter().map(|pair| pair[0].item).collect();
    let pair_of_click: Vec<u32> = pairs
        .iter()
        .enumerate()
        .flat_map(|(pair, clicks)| vec![pair as u32; clicks.len()])
        .collect();
    let lags = Tensor::new(clicks.iter().map(|click| click.lag).collect::<Vec<_>>(), device)?;
    let weights = weight.index_select(&lags, 0)?;
    let without = match bias {
        Some(bias) => lookup(bias, &items)?,
        None => Tensor::zeros((pairs.len(), columns), weight.dtype(), device)?,
    };
    let with = without.index_add(&Tensor::new(pair_of_click, device)?, &weights, 0)?;
    let change = (activation.forward(&with)? - activation.forward(&without)?)?;
    let places = pairs.iter().flat_map(|pair| {
        (0..columns)
            .map(|column| (pair[0].state as usize, pair[0].item * columns as u32 + column as u32))
    });
    let change = Sparse::new(distinct(&of_impression), width, places)?
        .matmul(&change.flatten_all()?, layer)?;
    Ok(States { projected: base.broadcast_add(&change)?, of_impression })
}

/// Outputs of the LSTM after every click of every session times `layer`, behind a row of zeros for
/// the empty history.
fn lstm_states(
    lstm: &Lstm,
    features: &Features,
    histories: &Histories,
    layer: &Tensor,
) -> Result<States> {
    let sessions = &histories.sessions;
    let lengths: Vec<usize> = sessions.iter().map(Vec::len).collect();
    let (mut first, mut count) = (vec![0; sessions.len()], 1);
    let mut states = vec![Tensor::zeros((1, layer.dim(1)?), layer.dtype(), layer.device())?];
    for group in padded_together(&lengths).into_iter().filter(|group| !group.is_empty()) {
        let rows = group.len();
        let time = group.iter().map(|&session| lengths[session]).max().unwrap_or(0);
        let (mut items, mut mask) = (vec![0u32; rows * time], vec![0u8; rows * time]);
        for (row, session) in group.into_iter().enumerate() {
            items[row * time..][..lengths[session]].copy_from_slice(&sessions[session]);
            mask[row * time..][..lengths[session]].fill(1);
            first[session] = count + row * time;
        }
        count += rows * time;
        let mask = Tensor::from_vec(mask, (rows, time), layer.device())?;
        let projected = features.project(&items, lstm.input_weight())?;
        let projected = projected.reshape((rows, time, 4 * lstm.hidden()))?;
        let (outputs, _) =
            lstm.forward_projected(&projected, &lstm.zero_state(rows)?, Some(&mask))?;
        states.push(outputs.reshape((rows * time, lstm.hidden()))?.matmul(layer)?);
    }
    let place = |before: &Option<(usize, usize)>| match *before {
        Some((session, clicks)) => (first[session] + clicks - 1) as u32,
        None => 0,
    };
    let of_impression = histories.before.iter().map(place).collect();
    Ok(States { projected: Tensor::cat(&states, 0)?, of_impression })
}
