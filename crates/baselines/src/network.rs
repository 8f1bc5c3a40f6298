//! The networks among the baselines of GAN-CDQN's experiment A: DFM, W&D-LR and W&D-CCF. They share
//! their fields, context features, training and saving; this module combines these with the two
//! architectures and the two losses.

mod config;
mod context;
mod deep;
mod deep_fm;
mod fields;
#[cfg(test)]
mod tests;
mod wide_deep;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use foretaste_data::Catalogue;
use foretaste_nn::checkpoint::Weights;
use foretaste_nn::{Params, masked_log_softmax};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::CountFeatures;

pub use self::config::{Architecture, Loss, NetworkConfig};
use self::context::{Context, Sessions};
use self::deep_fm::DeepFm;
use self::fields::{Choices, Fields};
use self::wide_deep::WideDeep;
use crate::grid::{Configured, Grid, cross, training};
use crate::model::nll;
use crate::training::{Callback, train};
use crate::{ClickModel, CurvePoint, Data, Impressions, Likelihood, Result};

/// Slates that are scored at a time, which bounds the memory of a forward pass.
const CHUNK: usize = 1_024;

/// DFM's settings.
pub(crate) const DEEP_FM: Grid<NetworkConfig> = Grid {
    points: || points(Architecture::DeepFm, Loss::Logistic, false),
    is_coarse: |config| {
        config.hidden.len() == 1 && (config.dim == 8) == (config.training.learning_rate == 5e-3)
    },
};

/// W&D-LR's settings.
pub(crate) const WIDE_DEEP_LOGISTIC: Grid<NetworkConfig> = Grid {
    points: || points(Architecture::WideDeep, Loss::Logistic, false),
    is_coarse: |config| config.hidden.len() == 1 && config.dim == 8,
};

/// W&D-CCF's settings.
pub(crate) const WIDE_DEEP_COMPETITIVE: Grid<NetworkConfig> = Grid {
    points: || points(Architecture::WideDeep, Loss::Competitive, false),
    ..WIDE_DEEP_LOGISTIC
};

/// The same with context features.
pub(crate) const DEEP_FM_FEATURES: Grid<NetworkConfig> =
    Grid { points: || points(Architecture::DeepFm, Loss::Logistic, true), ..DEEP_FM };
pub(crate) const WIDE_DEEP_LOGISTIC_FEATURES: Grid<NetworkConfig> =
    Grid { points: || points(Architecture::WideDeep, Loss::Logistic, true), ..WIDE_DEEP_LOGISTIC };
pub(crate) const WIDE_DEEP_COMPETITIVE_FEATURES: Grid<NetworkConfig> = Grid {
    points: || points(Architecture::WideDeep, Loss::Competitive, true),
    ..WIDE_DEEP_COMPETITIVE
};

fn points(architecture: Architecture, loss: Loss, context: bool) -> Vec<NetworkConfig> {
    let base = NetworkConfig { architecture, loss, context, ..NetworkConfig::default() };
    cross(&[8, 32], &cross(&[vec![32], vec![64, 32]], &[1e-3, 5e-3]))
        .into_iter()
        .map(|(dim, (hidden, rate))| NetworkConfig {
            dim,
            hidden,
            training: training(rate),
            ..base.clone()
        })
        .collect()
}

impl Configured for NetworkConfig {
    fn fit(
        &self,
        data: &Data<'_>,
        seed: Seed,
        callback: Callback<'_>,
    ) -> Result<Box<dyn ClickModel>> {
        Ok(Box::new(Network::fit(self, data, seed, callback)?))
    }

    fn restore(&self, catalogue: &Catalogue, weights: &Weights) -> Result<Box<dyn ClickModel>> {
        // However large the settings say that it is.
        let entries = weights.shapes().entries();
        let params = Params::new(Seed::new(0), DType::F32, &Device::Cpu).at_most(entries);
        let mut network = Network::with_params(self, catalogue.len(), params)?;
        network.params.check(weights.shapes())?;
        CountFeatures::check_tables(weights.shapes(), catalogue.len(), 0)?;
        let weights = weights.tensors()?;
        network.params.restore(weights)?;
        if self.context {
            let items = catalogue.len();
            network.context = Some(Context::from_tables(weights, items, self.place)?);
        }
        Ok(Box::new(network))
    }
}

#[derive(Debug)]
pub(crate) struct Network {
    config: NetworkConfig,
    params: Params,
    items: usize,
    layers: Layers,
    context: Option<Context>,
    curve: Vec<CurvePoint>,
}

#[derive(Debug)]
enum Layers {
    WideDeep(WideDeep),
    DeepFm(DeepFm),
}

impl Network {
    pub fn fit(
        config: &NetworkConfig,
        data: &Data<'_>,
        seed: Seed,
        callback: Callback<'_>,
    ) -> Result<Self> {
        let mut network = Self::untrained(config, data.items, seed.derive("network"), DType::F32)?;
        let impressions = data.training();
        impressions.check(data.items)?;
        if impressions.with_click().is_empty() {
            let problem = "no click in them, expected at least one";
            return Err(Setting::new("training sessions", problem).into());
        }
        if config.context {
            network.context = Some(Context::count(data, config.place, seed.derive("context"))?);
        }
        let examples: Vec<usize> = match config.loss {
            Loss::Logistic => (0..impressions.len()).collect(),
            Loss::Competitive => impressions.with_click(),
        };
        let held_out = data.validation_sample(config.training.validation_items, seed);
        network.curve = train(
            &network.params,
            &config.training,
            &examples,
            seed.derive("training"),
            |batch, _| network.loss(&impressions, batch),
            || nll(&network, &held_out),
            callback,
        )?;
        Ok(network)
    }

    fn untrained(config: &NetworkConfig, items: usize, seed: Seed, dtype: DType) -> Result<Self> {
        Self::with_params(config, items, Params::new(seed, dtype, &Device::Cpu))
    }

    fn with_params(config: &NetworkConfig, items: usize, mut params: Params) -> Result<Self> {
        config.check()?;
        let scope = params.scope("network");
        let layers = match config.architecture {
            Architecture::WideDeep => Layers::WideDeep(WideDeep::new(config, items, scope)?),
            Architecture::DeepFm => Layers::DeepFm(DeepFm::new(config, items, scope)?),
        };
        let (config, curve) = (config.clone(), Vec::new());
        Ok(Self { config, params, items, layers, context: None, curve })
    }

    fn fields(
        &self,
        of: Sessions,
        impressions: &Impressions<'_>,
        wanted: &[usize],
    ) -> Result<Fields> {
        let buckets =
            (self.config.architecture == Architecture::WideDeep).then_some(self.config.buckets);
        let (dtype, device) = (self.params.dtype(), self.params.device());
        let history = self.config.history;
        let mut fields = Fields::new(impressions, wanted, history, buckets, dtype, device)?;
        if let Some(context) = &self.context {
            let rows = context.rows(of, impressions, wanted);
            let rows = Tensor::from_vec(rows, (fields.items.len(), context.dim()), device)?;
            fields.context = Some(rows.to_dtype(dtype)?);
        }
        Ok(fields)
    }

    fn logits(&self, fields: &Fields) -> Result<Tensor> {
        match &self.layers {
            Layers::WideDeep(network) => network.logits(fields),
            Layers::DeepFm(network) => network.logits(fields),
        }
    }

    /// The mean loss of the slates of a batch: per shown item, or per slate with a click.
    fn loss(&self, impressions: &Impressions<'_>, batch: &[usize]) -> Result<Tensor> {
        let fields = self.fields(Sessions::Training, impressions, batch)?;
        let logits = self.logits(&fields)?;
        Ok(match self.config.loss {
            Loss::Logistic => {
                // -y z - log σ(-z), the latter as choosing nothing over the item.
                let alone = Tensor::ones((logits.dim(0)?, 1), DType::U8, logits.device())?;
                let (_, log_none) = masked_log_softmax(&logits.unsqueeze(1)?, &alone, true)?;
                let labels = Tensor::new(impressions.labels(batch), logits.device())?
                    .to_dtype(logits.dtype())?;
                ((logits * labels)? + log_none)?.mean_all()?.neg()?
            }
            Loss::Competitive => {
                let choices = Choices::new(impressions, batch, logits.device())?;
                let none = logits.narrow(0, 0, 1)?.zeros_like()?;
                let padded =
                    Tensor::cat(&[none, logits], 0)?.index_select(&choices.entry_of_place, 0)?;
                let padded = padded.reshape(choices.mask.shape())?;
                let (log_choice, _) = masked_log_softmax(&padded, &choices.mask, false)?;
                log_choice.gather(&choices.clicked, 1)?.mean_all()?.neg()?
            }
        })
    }
}

impl ClickModel for Network {
    fn scores(&self, impressions: &Impressions<'_>) -> Result<Vec<Vec<f32>>> {
        impressions.check(self.items)?;
        let all: Vec<usize> = (0..impressions.len()).collect();
        let mut scores = Vec::with_capacity(impressions.len());
        for chunk in all.chunks(CHUNK) {
            let logits = self
                .logits(&self.fields(Sessions::Others, impressions, chunk)?)?
                .to_dtype(DType::F32)?
                .to_vec1::<f32>()?;
            let mut logits = logits.into_iter();
            let sizes = chunk.iter().map(|&impression| impressions.get(impression).slate.len());
            scores.extend(sizes.map(|size| logits.by_ref().take(size).collect::<Vec<_>>()));
        }
        Ok(scores)
    }

    fn weights(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        let mut weights = self.params.snapshot()?;
        if let Some(context) = &self.context {
            weights.extend(context.tables()?);
        }
        Ok(Some(weights))
    }

    fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    fn likelihood(&self) -> Likelihood {
        match self.config.loss {
            Loss::Logistic => Likelihood::Derived,
            Loss::Competitive => Likelihood::Fitted,
        }
    }
}
