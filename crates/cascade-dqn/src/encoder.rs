//! The state of a user as the Q-networks see it, computed from the features of the last clicked
//! items (GAN-CDQN, section "Model Parameterization"). All stages share it.

use candle_core::{Device, Tensor};
use foretaste_data::RecentClicks;
use foretaste_nn::{Activation, Init, Lstm, Scope, lookup};
use foretaste_settings::Setting;

use crate::Result;
use crate::config::{ItemFeatures, QConfig, StateEncoder};

/// The parameter that holds the item features where they are learned.
pub(crate) const LEARNED: &str = "items.embedding";

/// The table of item features `[K, d]`, a parameter if they are learned.
pub(crate) fn features(
    config: &QConfig,
    given: Option<&[f32]>,
    mut scope: Scope<'_>,
) -> Result<Tensor> {
    match (config.features, given) {
        (ItemFeatures::Learned { dim }, None) => {
            let init = Init::Normal { sd: 1.0 / (dim as f64).sqrt() };
            Ok(scope.param("embedding", (config.items, dim), init)?)
        }
        (ItemFeatures::Given { dim }, Some(values)) if values.len() == config.items * dim => {
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(
                    Setting::new("item features", format!("value {at} is {}", values[at])).into()
                );
            }
            let table = Tensor::from_slice(values, (config.items, dim), &Device::Cpu)?;
            Ok(table.to_dtype(scope.dtype())?)
        }
        (expected, given) => {
            let found =
                given.map_or("none".to_owned(), |values| format!("{} values", values.len()));
            let problem =
                format!("{found} given, expected {expected:?} for {} items", config.items);
            Err(Setting::new("item features", problem).into())
        }
    }
}

/// The state encoder h.
#[derive(Debug)]
pub(crate) enum Encoder {
    PositionWeights { weight: Tensor, bias: Tensor },
    Lstm(Lstm),
}

impl Encoder {
    pub fn new(config: &QConfig, mut scope: Scope<'_>) -> Result<Self> {
        let dim = config.features.dim();
        Ok(match config.state {
            StateEncoder::PositionWeights { history, columns } => Self::PositionWeights {
                weight: scope.param(
                    "weight",
                    (history, columns),
                    Init::glorot(history, columns),
                )?,
                bias: scope.param("bias", (columns, dim), Init::Constant(0.0))?,
            },
            StateEncoder::Lstm { hidden, .. } => {
                Self::Lstm(Lstm::new(dim, hidden, 1, scope.scope("lstm"))?)
            }
        })
    }

    /// Width of the state.
    pub fn width(&self) -> usize {
        match self {
            Self::PositionWeights { bias, .. } => bias.elem_count(),
            Self::Lstm(lstm) => lstm.hidden(),
        }
    }

    /// The states of sessions with these clicks, `[rows, width]`, from the features `table [K, d]`.
    pub fn states(&self, table: &Tensor, clicks: &RecentClicks) -> Result<Tensor> {
        let (rows, window) = (clicks.rows(), clicks.window());
        let (items, known) = clicks.padded();
        let dim = table.dim(1)?;
        match self {
            Self::PositionWeights { weight, bias } => {
                let mask: Vec<f32> = known
                    .iter()
                    .flat_map(|&known| (0..window as u32).map(move |lag| f32::from(lag < known)))
                    .collect();
                let mask = Tensor::from_vec(mask, (rows * window, 1), &Device::Cpu)?
                    .to_dtype(table.dtype())?;
                let items: Vec<u32> = items.iter().map(|item| item.0).collect();
                let clicked =
                    lookup(table, &items)?.broadcast_mul(&mask)?.reshape((rows, window, dim))?;
                let clicked =
                    clicked.transpose(1, 2)?.contiguous()?.reshape((rows * dim, window))?;
                let sums = clicked
                    .matmul(weight)?
                    .reshape((rows, dim, weight.dim(1)?))?
                    .transpose(1, 2)?;
                let sums = sums.broadcast_add(bias)?.contiguous()?;
                Ok(Activation::Elu.forward(&sums)?.reshape((rows, self.width()))?)
            }
            Self::Lstm(lstm) => {
                // Oldest first, behind the places that are skipped.
                let place = |row: usize, time: usize| row * window + (window - 1 - time);
                let order = |row: usize| (0..window).map(move |time| place(row, time));
                let sequence: Vec<u32> =
                    (0..rows).flat_map(|row| order(row).map(|at| items[at].0)).collect();
                let mask: Vec<u8> = known
                    .iter()
                    .flat_map(|&known| {
                        (0..window).rev().map(move |lag| u8::from(lag < known as usize))
                    })
                    .collect();
                let mask = Tensor::from_vec(mask, (rows, window), &Device::Cpu)?;
                let clicked = lookup(table, &sequence)?.reshape((rows, window, dim))?;
                let (_, state) = lstm.forward(&clicked, &lstm.zero_state(rows)?, Some(&mask))?;
                Ok(state.output().clone())
            }
        }
    }
}
