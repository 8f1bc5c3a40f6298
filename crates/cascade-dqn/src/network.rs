//! The Q-networks as trainable tensors: the stages of the cascade and what they share. The values
//! here are defined by the paper's formulas; `argmax` computes the same values for whole
//! catalogues.

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Catalogue, ItemId, RecentClicks};
use foretaste_nn::{Init, Params, lookup};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::Network;

use crate::Result;
use crate::argmax::{Cascade, Storage};
use crate::config::{Architecture, ItemFeatures, QConfig};
use crate::encoder::{self, Encoder};
use crate::stage::Stage;

/// The Q-networks of a recommender with the encoder and the item features that they share.
///
/// Stage j of the cascade is Q^j(s, a_1..j) = q_jᵀ σ(L_j [s; f_{a_1}; ..; f_{a_j}] + c_j), GAN-CDQN
/// §"Cascading RL Policy"; parameter `stage.j.weight [w + j d, l]` is L_jᵀ, `stage.j.bias [l]` is
/// c_j, `stage.j.output [l]` is q_j, j from 0. A single network, [`Architecture::Greedy`], is stage
/// 0 alone. They run on the CPU.
#[derive(Debug)]
pub struct QNetworks {
    config: QConfig,
    params: Params,
    features: Tensor,
    encoder: Encoder,
    stages: Vec<Stage>,
}

impl QNetworks {
    /// Untrained networks with parameters drawn from `seed`. `features`, `[K, d]` row-major, are
    /// given where the configuration says so, and not otherwise.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range or the features
    /// do not fit.
    pub fn new(config: QConfig, features: Option<&[f32]>, seed: Seed) -> Result<Self> {
        Self::with_type(config, features, seed, DType::F32)
    }

    pub(crate) fn with_type(
        config: QConfig,
        features: Option<&[f32]>,
        seed: Seed,
        dtype: DType,
    ) -> Result<Self> {
        let params = Params::new(seed.derive("q-networks"), dtype, &Device::Cpu);
        Self::with_params(config, features, params)
    }

    fn with_params(config: QConfig, features: Option<&[f32]>, mut params: Params) -> Result<Self> {
        config.check()?;
        let features = encoder::features(&config, features, params.scope("items"))?;
        let encoder = Encoder::new(&config, params.scope("state"))?;
        let (width, dim, hidden) = (encoder.width(), config.features.dim(), config.hidden);
        let mut scope = params.scope("stage");
        let stage = |j: usize| {
            let mut scope = scope.scope(&j.to_string());
            let inputs = width + (j + 1) * dim;
            Ok(Stage {
                weight: scope.param("weight", (inputs, hidden), Init::glorot(inputs, hidden))?,
                bias: scope.param("bias", hidden, Init::Constant(0.0))?,
                output: scope.param("output", hidden, Init::glorot(hidden, 1))?,
            })
        };
        let stages = (0..config.stages()).map(stage).collect::<Result<_>>()?;
        Ok(Self { config, params, features, encoder, stages })
    }

    /// The same networks, whose learned item features start with this number of every item, `[K]`,
    /// in the place of a random one: what is known of the items before any user was met. It is
    /// learned on like the others.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if features are given instead, or there is not one
    /// finite number for each item.
    pub fn knowing(self, items: &[f32]) -> Result<Self> {
        let fits = items.len() == self.config.items && items.iter().all(|value| value.is_finite());
        let Some(learned) = self.params.get(encoder::LEARNED).filter(|_| fits) else {
            let problem = format!(
                "{} numbers to start from, expected a finite one for each of {} items whose \
                 features are learned",
                items.len(),
                self.config.items
            );
            return Err(Setting::new("item features", problem).into());
        };
        let first = Tensor::from_slice(items, (items.len(), 1), &Device::Cpu)?;
        let first = first.to_dtype(learned.dtype())?;
        let rest = learned.narrow(1, 1, self.config.features.dim() - 1)?;
        learned.set(&Tensor::cat(&[&first, &rest], 1)?)?;
        Ok(self)
    }

    /// Networks of their own with the same parameters.
    pub fn copy(&self) -> Result<Self> {
        let given = self.given_features()?;
        let copy = Self::with_type(
            self.config.clone(),
            given.as_deref(),
            Seed::new(0),
            self.params.dtype(),
        )?;
        copy.params.restore(&self.params.snapshot()?)?;
        Ok(copy)
    }

    /// The configuration.
    pub fn config(&self) -> &QConfig {
        &self.config
    }

    /// The trainable parameters Θ.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// No clicks of `rows` sessions, as many back as the state looks.
    pub fn no_clicks(&self, rows: usize) -> RecentClicks {
        RecentClicks::new(rows, self.config.state.history())
    }

    /// The user states s = h(clicks), `[rows, w]`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the window of the clicks is not the configured
    /// history, or one is not in the catalogue.
    pub fn states(&self, clicks: &RecentClicks) -> Result<Tensor> {
        if clicks.window() != self.config.state.history() {
            let (found, expected) = (clicks.window(), self.config.state.history());
            let problem = format!("a window of {found}, expected {expected}");
            return Err(Setting::new("clicks", problem).into());
        }
        self.encoder.states(&self.features, clicks)
    }

    /// Q^j of every place of the slates: `states [rows, w]` and `slates [rows · k]` to `[rows, k]`.
    /// Under [`Architecture::Greedy`] Q of every item by itself, of as many items as there are for
    /// each row.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if an item is not in the catalogue; an error of
    /// the network if sizes do not fit.
    pub fn values(&self, states: &Tensor, slates: &[ItemId]) -> Result<Tensor> {
        let rows = states.dim(0)?;
        match self.config.architecture {
            Architecture::Cascade => {
                let inputs = Tensor::cat(&[states, &self.slate_features(rows, slates)?], 1)?;
                let values =
                    self.stages.iter().map(|stage| stage.value(&inputs, self.config.activation));
                Ok(Tensor::cat(&values.collect::<Result<Vec<_>>>()?, 1)?)
            }
            Architecture::Greedy => {
                let k = slates.len().checked_div(rows).unwrap_or(self.config.k);
                let width = self.encoder.width();
                let states = states
                    .unsqueeze(1)?
                    .broadcast_as((rows, k, width))?
                    .reshape((rows * k, width))?;
                let inputs = Tensor::cat(&[states, self.item_features(slates)?], 1)?;
                Ok(self.stages[0].value(&inputs, self.config.activation)?.reshape((rows, k))?)
            }
        }
    }

    /// What slates are worth: Q^k, which is the cascade's Q*, or the mean of the items' values of a
    /// single network, `[rows]`.
    ///
    /// # Errors
    /// As [`QNetworks::values`].
    pub(crate) fn slate_values(&self, states: &Tensor, slates: &[ItemId]) -> Result<Tensor> {
        match self.config.architecture {
            Architecture::Cascade => {
                let inputs =
                    Tensor::cat(&[states, &self.slate_features(states.dim(0)?, slates)?], 1)?;
                Ok(self.stages[self.config.k - 1]
                    .value(&inputs, self.config.activation)?
                    .squeeze(1)?)
            }
            Architecture::Greedy => Ok(self.values(states, slates)?.mean(1)?),
        }
    }

    /// The networks as they are now, ready for the argmax: computes the item half of every stage's
    /// first layer for all items.
    pub fn freeze(&self, storage: Storage) -> Result<Cascade> {
        Cascade::new(
            &self.config,
            &self.features.detach(),
            self.encoder.width(),
            &self.stages,
            storage,
        )
    }

    /// The same, in the memory of these networks frozen before, or others of the same settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the networks that were frozen have other
    /// settings; `cascade` is then as it was. After any other error it must not be used.
    pub fn renew(&self, cascade: &mut Cascade) -> Result<()> {
        cascade.renew(&self.config, &self.features.detach(), self.encoder.width(), &self.stages)
    }

    /// The features that were given, if any, `[K, d]`.
    pub(crate) fn given_features(&self) -> Result<Option<Vec<f32>>> {
        Ok(match self.config.features {
            ItemFeatures::Learned { .. } => None,
            ItemFeatures::Given { .. } => {
                Some(self.features.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
            }
        })
    }

    /// Refuses items that are not as many as the networks know, or whose features are not those
    /// that the networks were given.
    pub(crate) fn check_items(&self, catalogue: &Catalogue) -> Result<()> {
        let given = given(&self.config, catalogue);
        if catalogue.len() == self.config.items && self.given_features()?.as_deref() == given {
            return Ok(());
        }
        let (found, expected) = (catalogue.len(), self.config.items);
        let problem =
            format!("{found}, expected the {expected} of the networks, with their features");
        Err(Setting::new("items", problem).into())
    }

    /// `[rows, k · d]`.
    fn slate_features(&self, rows: usize, slates: &[ItemId]) -> Result<Tensor> {
        let width = self.config.k * self.config.features.dim();
        Ok(self.item_features(slates)?.reshape((rows, width))?)
    }

    /// `[items, d]`.
    fn item_features(&self, items: &[ItemId]) -> Result<Tensor> {
        let items: Vec<u32> = items.iter().map(|item| item.0).collect();
        Ok(lookup(&self.features, &items)?)
    }
}

impl Network for QNetworks {
    const KIND: &'static str = "cascade-dqn/2";
    type Config = QConfig;
    type Error = crate::Error;

    fn parts(&self) -> (&QConfig, &Params) {
        (&self.config, &self.params)
    }

    /// On the CPU, whatever the device.
    fn build(config: QConfig, catalogue: &Catalogue, params: Params) -> Result<Self> {
        let features = given(&config, catalogue);
        let networks = Self::with_params(config, features, params.on(&Device::Cpu))?;
        networks.check_items(catalogue)?;
        Ok(networks)
    }

    /// The raw ids, and the features where they are given.
    fn vocabulary(config: &QConfig, catalogue: &Catalogue) -> String {
        match config.features {
            ItemFeatures::Given { .. } => catalogue.digest(),
            ItemFeatures::Learned { .. } => catalogue.names().digest(),
        }
    }
}

/// The features of the catalogue, if the networks are given any.
fn given<'a>(config: &QConfig, catalogue: &'a Catalogue) -> Option<&'a [f32]> {
    let features = catalogue.features().map(|(values, _)| values);
    features.filter(|_| matches!(config.features, ItemFeatures::Given { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::config::StateEncoder;
    use foretaste_nn::{Activation, check_gradients};

    fn configs() -> Vec<QConfig> {
        let base = QConfig {
            hidden: 3,
            features: ItemFeatures::Learned { dim: 2 },
            state: StateEncoder::PositionWeights { history: 3, columns: 2 },
            ..QConfig::new(5, 2)
        };
        let given = QConfig { features: ItemFeatures::Given { dim: 2 }, ..base.clone() };
        let greedy = QConfig {
            architecture: Architecture::Greedy,
            activation: Activation::Tanh,
            ..base.clone()
        };
        let lstm = QConfig { state: StateEncoder::Lstm { history: 3, hidden: 4 }, ..base.clone() };
        vec![base, given, greedy, lstm]
    }

    const FEATURES: [f32; 10] = [0.3, -1.0, 0.5, 0.2, -0.7, 0.9, 1.1, 0.4, -0.2, 0.6];

    fn networks(config: QConfig, dtype: DType) -> QNetworks {
        let given = matches!(config.features, ItemFeatures::Given { .. }).then_some(&FEATURES[..]);
        QNetworks::with_type(config, given, Seed::new(4), dtype).unwrap()
    }

    fn clicks(networks: &QNetworks) -> RecentClicks {
        let mut clicks = networks.no_clicks(3);
        for (row, item) in [(1, 4), (1, 0), (1, 2), (1, 1), (2, 3)] {
            clicks.push(row, ItemId(item));
        }
        clicks
    }

    const SLATES: [ItemId; 6] = [ItemId(0), ItemId(1), ItemId(4), ItemId(2), ItemId(3), ItemId(0)];

    #[test]
    fn gradients_match_finite_differences() {
        for config in configs() {
            let networks = networks(config, DType::F64);
            let clicks = clicks(&networks);
            // At 0, where it is drawn, ELU has no second derivative.
            if let Some(bias) = networks.params.get("state.bias") {
                bias.set(&(bias.as_tensor() + 0.3).unwrap()).unwrap();
            }
            check_gradients(networks.params(), || {
                let values = networks
                    .states(&clicks)
                    .and_then(|states| networks.values(&states, &SLATES))
                    .unwrap();
                Ok((values.sqr()? + values)?.sum_all()?)
            });
        }
    }

    /// Q^j as the paper writes it, by loops over numbers.
    #[test]
    fn values_equal_the_formulas_of_the_paper() {
        for config in configs()
            .into_iter()
            .filter(|config| matches!(config.state, StateEncoder::PositionWeights { .. }))
        {
            let networks = networks(config.clone(), DType::F64);
            let get = |name: &str| {
                networks.params.get(name).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
            };
            let features = networks.features.to_vec2::<f64>().unwrap();
            let elu = |x: f64| if x > 0.0 { x } else { x.exp() - 1.0 };
            let clicks = clicks(&networks);
            let states = networks.states(&clicks).unwrap();
            let (columns, dim) = (2, 2);
            let (weight, bias) = (get("state.weight"), get("state.bias"));
            let found = networks.values(&states, &SLATES).unwrap().to_vec2::<f64>().unwrap();
            let slate_values =
                networks.slate_values(&states, &SLATES).unwrap().to_vec1::<f64>().unwrap();
            for row in 0..3 {
                let state: Vec<f64> = (0..columns * dim)
                    .map(|i| {
                        let (column, feature) = (i / dim, i % dim);
                        let sum: f64 = clicks
                            .row(row)
                            .iter()
                            .enumerate()
                            .map(|(lag, item)| {
                                weight[lag * columns + column] * features[item.index()][feature]
                            })
                            .sum();
                        elu(sum + bias[i])
                    })
                    .collect();
                for place in 0..2 {
                    let (stage, before) = match config.architecture {
                        Architecture::Cascade => (place, 0),
                        Architecture::Greedy => (0, place),
                    };
                    let mut inputs = state.clone();
                    SLATES[row * 2..][before..=place]
                        .iter()
                        .for_each(|a| inputs.extend(&features[a.index()]));
                    let [l, c, q] = ["weight", "bias", "output"]
                        .map(|part| get(&format!("stage.{stage}.{part}")));
                    let hidden = |o: usize| {
                        c[o] + inputs.iter().enumerate().map(|(i, x)| x * l[i * 3 + o]).sum::<f64>()
                    };
                    let activate = |x: f64| {
                        if config.activation == Activation::Elu { elu(x) } else { x.tanh() }
                    };
                    let expected: f64 = (0..3).map(|o| q[o] * activate(hidden(o))).sum();
                    assert!((found[row][place] - expected).abs() < 1e-12, "{config:?}");
                }
                let worth = match config.architecture {
                    Architecture::Cascade => found[row][1],
                    Architecture::Greedy => (found[row][0] + found[row][1]) / 2.0,
                };
                assert!((slate_values[row] - worth).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_copy_has_the_values_and_parameters_of_its_own() {
        for config in configs() {
            let networks = networks(config, DType::F32);
            let copy = networks.copy().unwrap();
            let clicks = clicks(&networks);
            let value = |q: &QNetworks| {
                q.values(&q.states(&clicks).unwrap(), &SLATES).unwrap().to_vec2::<f32>().unwrap()
            };
            let before = value(&networks);
            assert_eq!(value(&copy), before);
            let bias = networks.params.get("stage.0.bias").unwrap();
            bias.set(&(bias.as_tensor() + 1.0).unwrap()).unwrap();
            assert_ne!(value(&networks), before);
            assert_eq!(value(&copy), before);
        }
    }

    #[test]
    fn what_is_known_of_the_items_is_the_first_of_their_learned_features() {
        let new = || QNetworks::new(QConfig::new(3, 2), None, Seed::new(1)).unwrap();
        let table =
            |of: &QNetworks| of.params.get(encoder::LEARNED).unwrap().to_vec2::<f32>().unwrap();
        let known = new().knowing(&[0.5, -2.0, 1.0]).unwrap();
        for ((before, after), first) in
            table(&new()).iter().zip(table(&known)).zip([0.5, -2.0, 1.0])
        {
            assert_eq!((after[0], &after[1..]), (first, &before[1..]));
        }
        for bad in [&[1.0, 2.0][..], &[1.0, f32::NAN, 0.0]] {
            let refused = new().knowing(bad).unwrap_err().to_string();
            assert!(refused.contains("a finite one for each of 3 items"), "{refused}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let base = QConfig::new(6, 2);
        for config in [
            QConfig { k: 0, ..base.clone() },
            QConfig { k: 7, ..base.clone() },
            QConfig { hidden: 0, ..base.clone() },
            QConfig { features: ItemFeatures::Given { dim: 2 }, ..base.clone() },
            QConfig { features: ItemFeatures::Learned { dim: 0 }, ..base.clone() },
            QConfig { state: StateEncoder::Lstm { history: 0, hidden: 2 }, ..base.clone() },
        ] {
            assert!(
                matches!(
                    QNetworks::new(config.clone(), None, Seed::new(1)),
                    Err(Error::Setting(_))
                ),
                "{config:?}"
            );
        }
        let networks = QNetworks::new(base, None, Seed::new(1)).unwrap();
        assert!(
            networks
                .states(&RecentClicks::new(1, 3))
                .unwrap_err()
                .to_string()
                .contains("a window of 3, expected 20")
        );
    }
}
