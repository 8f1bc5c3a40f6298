use candle_core::{DType, Device, Tensor};
use foretaste_nn::{Params, masked_log_softmax};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::deep_fm::DeepFm;
use crate::fields::{Choices, Fields, labels};
use crate::model::nll;
use crate::training::{Callback, train};
use crate::wide_deep::WideDeep;
use crate::{ClickModel, CurvePoint, Data, Impressions, Likelihood, Result, Training};

/// Slates that are scored at a time, which bounds the memory of a forward pass.
const CHUNK: usize = 1_024;

/// DFM, W&D-LR and W&D-CCF: a network on sparse fields that gives every shown item a logit z.
///
/// The fields of a shown item are the item, the last clicks before the slate (a field of several
/// values, averaged), ln(1 + the number of clicks before) and, where asked for, the place in the
/// slate. No one-hot vector is built. The papers' networks use ReLU and dropout, wide & deep FTRL
/// and AdaGrad; ours use ELU and Adam with early stopping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The network.
    pub architecture: Architecture,
    /// What it is trained for.
    pub loss: Loss,
    /// Width of the embeddings, at least 1.
    pub dim: usize,
    /// Standard deviation of the entries of the embeddings before training.
    pub initial: f64,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// How many clicks back the history looks, at least 1.
    pub history: usize,
    /// Weights for pairs of a click and a shown item, which are hashed to them, at least 1; of no
    /// effect in DeepFM.
    pub buckets: u32,
    /// Whether the place in the slate is a field. Off by default: where slates were put together
    /// afterwards, their order may give the click away.
    pub place: bool,
    /// How it is trained; a batch is of slates.
    pub training: Training,
}

/// The network of a [`NetworkConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Wide & deep (Cheng et al. 2016, §3). Wide: a weight for every item, and for every
    /// cross-product of an item clicked before and the shown item (their AND(user_installed_app,
    /// impression_app)). Deep: embeddings of the fields side by side, hidden layers, a logit. z is
    /// the sum of both.
    WideDeep,
    /// DeepFM (Guo et al. 2017, Eq 1-4): z = Σ w + Σ_{i<j} ⟨v_i, v_j⟩ + deep(v_1, v_2, ...), with
    /// one vector v for each field, which the factorisation machine and the deep part share.
    DeepFm,
}

/// What a network is trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Every shown item by itself is clicked or not: the logistic loss, over all slates, those
    /// without a click among them. The likelihood is [`Likelihood::Derived`]: if items are clicked
    /// independently with log-odds z and exactly one was, it is an item with probability
    /// softmax(z).
    Logistic,
    /// Collaborative competitive filtering (Yang et al. 2011): the clicked item won against the
    /// others of its slate, with probability softmax(z) over the slate. Slates without a
    /// click are left out. The likelihood is [`Likelihood::Fitted`].
    Competitive,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            architecture: Architecture::WideDeep,
            loss: Loss::Competitive,
            dim: 16,
            initial: 0.1,
            hidden: vec![32],
            history: 20,
            buckets: 1 << 18,
            place: false,
            training: Training::default(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Network {
    config: NetworkConfig,
    params: Params,
    items: usize,
    layers: Layers,
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
        check(config)?;
        let mut params = Params::new(seed, dtype, &Device::Cpu);
        let scope = params.scope("network");
        let layers = match config.architecture {
            Architecture::WideDeep => Layers::WideDeep(WideDeep::new(config, items, scope)?),
            Architecture::DeepFm => Layers::DeepFm(DeepFm::new(config, items, scope)?),
        };
        Ok(Self { config: config.clone(), params, items, layers, curve: Vec::new() })
    }

    fn fields(&self, impressions: &Impressions<'_>, wanted: &[usize]) -> Result<Fields> {
        let buckets =
            (self.config.architecture == Architecture::WideDeep).then_some(self.config.buckets);
        Fields::new(
            impressions,
            wanted,
            self.config.history,
            buckets,
            self.params.dtype(),
            self.params.device(),
        )
    }

    fn logits(&self, fields: &Fields) -> Result<Tensor> {
        match &self.layers {
            Layers::WideDeep(network) => network.logits(fields),
            Layers::DeepFm(network) => network.logits(fields),
        }
    }

    /// The mean loss of the slates of a batch: per shown item, or per slate with a click.
    fn loss(&self, impressions: &Impressions<'_>, batch: &[usize]) -> Result<Tensor> {
        let fields = self.fields(impressions, batch)?;
        let logits = self.logits(&fields)?;
        Ok(match self.config.loss {
            Loss::Logistic => {
                // -y z - log σ(-z), the latter as choosing nothing over the item.
                let alone = Tensor::ones((logits.dim(0)?, 1), DType::U8, logits.device())?;
                let (_, log_none) = masked_log_softmax(&logits.unsqueeze(1)?, &alone, true)?;
                let labels = Tensor::new(labels(impressions, batch), logits.device())?
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
                .logits(&self.fields(impressions, chunk)?)?
                .to_dtype(DType::F32)?
                .to_vec1::<f32>()?;
            let mut logits = logits.into_iter();
            let sizes = chunk.iter().map(|&impression| impressions.get(impression).slate.len());
            scores.extend(sizes.map(|size| logits.by_ref().take(size).collect::<Vec<_>>()));
        }
        Ok(scores)
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

fn check(config: &NetworkConfig) -> Result<()> {
    let counts = [config.dim, config.history, config.buckets as usize];
    if counts.contains(&0)
        || config.hidden.contains(&0)
        || !(config.initial > 0.0 && config.initial.is_finite())
    {
        let problem = format!(
            "{config:?}: expected counts and widths of at least 1 and a positive deviation"
        );
        return Err(Setting::new("network", problem).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{log, small};
    use foretaste_nn::check_gradients;

    fn configs() -> Vec<NetworkConfig> {
        let mut configs = Vec::new();
        for architecture in [Architecture::WideDeep, Architecture::DeepFm] {
            for loss in [Loss::Logistic, Loss::Competitive] {
                for place in [false, true] {
                    configs.push(NetworkConfig {
                        architecture,
                        loss,
                        place,
                        dim: 2,
                        initial: 0.7,
                        hidden: vec![3],
                        history: 2,
                        buckets: 5,
                        training: Training::default(),
                    });
                }
            }
        }
        configs
    }

    /// A network whose every parameter is drawn, those that start at zero too.
    fn network(config: &NetworkConfig) -> Network {
        let network = Network::untrained(config, 6, Seed::new(1), DType::F64).unwrap();
        for (at, (_, var)) in network.params.iter().enumerate() {
            let values = (0..var.elem_count())
                .map(|entry| ((7 * at + entry) as f64).sin())
                .collect::<Vec<_>>();
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        network
    }

    #[test]
    fn gradients_match_finite_differences() {
        let log = small();
        let impressions = Impressions::new(&log, &[0, 1, 2]);
        for config in configs() {
            let network = network(&config);
            check_gradients(&network.params, || {
                Ok(network.loss(&impressions, &impressions.with_click()).unwrap())
            });
        }
    }

    /// The logits by loops over numbers, from the formulas of both papers.
    #[test]
    fn logits_equal_the_formulas_of_the_papers() {
        let log = small();
        let impressions = Impressions::new(&log, &[0, 1, 2]);
        for config in configs() {
            let network = network(&config);
            let get = |name: &str| {
                let var = network.params.get(&format!("network.{name}")).unwrap();
                (
                    var.flatten_all().unwrap().to_vec1::<f64>().unwrap(),
                    var.dims()[1..].iter().product::<usize>(),
                )
            };
            let row = |name: &str, row: usize| {
                let (values, width) = get(name);
                values[row * width..(row + 1) * width].to_vec()
            };
            let deep = |x: &[f64]| {
                let layer = |x: &[f64], name: &str, width: usize| -> Vec<f64> {
                    let (weight, bias) = (
                        get(&format!("deep.{name}.weight")).0,
                        get(&format!("deep.{name}.bias")).0,
                    );
                    let dot = |o: usize| {
                        (0..x.len()).map(|i| weight[o * x.len() + i] * x[i]).sum::<f64>()
                    };
                    (0..width).map(|o| bias[o] + dot(o)).collect()
                };
                let hidden: Vec<f64> = layer(x, "first", 3)
                    .iter()
                    .map(|&x| if x > 0.0 { x } else { x.exp() - 1.0 })
                    .collect();
                layer(&hidden, "rest.0", 1)[0]
            };
            let scores = network.scores(&impressions).unwrap();
            for (impression, scores) in impressions.iter().zip(&scores) {
                let history = impressions.history(impression);
                let recent = &history[history.len().saturating_sub(2)..];
                let mean = |name: &str| {
                    let mut mean = vec![0.0; get(name).1];
                    for click in recent {
                        let click = row(name, click.index());
                        mean.iter_mut()
                            .zip(click)
                            .for_each(|(mean, x)| *mean += x / recent.len() as f64);
                    }
                    mean
                };
                let length = (history.len() as f64 + 1.0).ln();
                for (place, (item, score)) in impression.slate.iter().zip(scores).enumerate() {
                    let expected = match config.architecture {
                        Architecture::WideDeep => {
                            let mut wide = row("wide.items", item.index())[0];
                            let mut distinct = recent.to_vec();
                            distinct.dedup();
                            for click in distinct {
                                wide += row(
                                    "wide.pairs",
                                    crate::fields::bucket(click.0, item.0, 5) as usize,
                                )[0];
                            }
                            let mut x = row("items", item.index());
                            if config.place {
                                wide += row("wide.places", place)[0];
                                x.extend(row("places", place));
                            }
                            x.extend([mean("clicks"), vec![length]].concat());
                            wide + deep(&x)
                        }
                        Architecture::DeepFm => {
                            let scaled = |name: &str| {
                                row(name, 0).iter().map(|x| x * length).collect::<Vec<_>>()
                            };
                            let mut fields = vec![(
                                row("items.weight", item.index())[0],
                                row("items.vector", item.index()),
                            )];
                            if config.place {
                                fields.push((
                                    row("places.weight", place)[0],
                                    row("places.vector", place),
                                ));
                            }
                            fields.push((mean("clicks.weight")[0], mean("clicks.vector")));
                            fields.push((scaled("length.weight")[0], scaled("length.vector")));
                            let mut z = fields.iter().map(|(weight, _)| weight).sum::<f64>();
                            for (i, (_, a)) in fields.iter().enumerate() {
                                for (_, b) in &fields[..i] {
                                    z += a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                                }
                            }
                            z + deep(
                                &fields
                                    .into_iter()
                                    .flat_map(|(_, vector)| vector)
                                    .collect::<Vec<_>>(),
                            )
                        }
                    };
                    assert!(
                        (f64::from(*score) - expected).abs() < 1e-5,
                        "{config:?}: {score} {expected}"
                    );
                }
            }
        }
    }

    /// Both losses from the scores: the mean over all shown items of log(1 + eᶻ) - y z, and the
    /// mean over the slates with a click of log Σ eᶻ - z of the clicked item.
    #[test]
    fn losses_equal_their_definitions() {
        let log = small();
        let impressions = Impressions::new(&log, &[0, 1, 2]);
        for config in configs() {
            let network = network(&config);
            let scores = network.scores(&impressions).unwrap();
            let scored = impressions.iter().zip(&scores);
            let (examples, losses): (Vec<usize>, Vec<f64>) = match config.loss {
                Loss::Logistic => {
                    let of_item = |clicked: bool, z: f32| {
                        (1.0 + f64::from(z).exp()).ln() - if clicked { z.into() } else { 0.0 }
                    };
                    let losses = scored.flat_map(|(impression, scores)| {
                        let items = scores.iter().enumerate();
                        items
                            .map(|(place, &z)| of_item(impression.clicked == Some(place), z))
                            .collect::<Vec<_>>()
                    });
                    ((0..impressions.len()).collect(), losses.collect())
                }
                Loss::Competitive => {
                    let of_impression = |scores: &[f32], place: usize| {
                        scores.iter().map(|&z| f64::from(z).exp()).sum::<f64>().ln()
                            - f64::from(scores[place])
                    };
                    let losses = scored.filter_map(|(impression, scores)| {
                        Some(of_impression(scores, impression.clicked?))
                    });
                    (impressions.with_click(), losses.collect())
                }
            };
            let loss = network.loss(&impressions, &examples).unwrap().to_scalar::<f64>().unwrap();
            let expected = losses.iter().sum::<f64>() / losses.len() as f64;
            assert!((loss - expected).abs() < 1e-6, "{config:?}: {loss} {expected}");
        }
    }

    #[test]
    fn impressions_do_not_depend_on_their_batch() {
        let small = small();
        let long = log(&[&[(&[0, 1, 2, 3, 4, 5], Some(1)), (&[3, 4], None)]]);
        for config in configs() {
            let network = network(&config);
            let together = network.scores(&Impressions::new(&small, &[2, 0, 1])).unwrap();
            let alone: Vec<_> = [2, 0, 1]
                .iter()
                .flat_map(|&s| network.scores(&Impressions::new(&small, &[s])).unwrap())
                .collect();
            assert_eq!(together.len(), alone.len());
            let close =
                |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(together.iter().zip(&alone).all(close));
            assert_eq!(network.scores(&Impressions::new(&long, &[0])).unwrap()[1].len(), 2);
        }
    }
}
