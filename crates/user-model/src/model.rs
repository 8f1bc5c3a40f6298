//! GAN-CDQN's user model as a trainable network: state, reward r_θ and choice φ*, and the loss of
//! what users chose (Lemma 2). How it acts, is fitted and is evaluated is in modules of its own.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Catalogue, Log};
use foretaste_nn::{Init, Mlp, Params, scalar};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{CountContext, Network};

use crate::config::{Context, ItemFeatures, Outcomes, Outside, UserModelConfig};
use crate::context::TrainingRows;
use crate::encoder::{Encoder, Features};
use crate::impressions::{Histories, Impressions};
use crate::{Endings, Regulariser, Result, RewardHead};

/// Shown items that are evaluated at a time, or those of one session: few enough for a layer to
/// stay in the processor's cache.
const CHUNK: usize = 8_192;

/// A learned user (GAN-CDQN §"Model Parameterization"): a state s = h(clicks), a reward r_θ(s, a) =
/// vᵀ σ(V [s; f_a] + b) with as many hidden layers as the configuration asks for, and the choice φ*
/// = argmax ⟨φ, η r_θ⟩ - R(φ) of its [`Regulariser`], which is softmax(η r_θ) under Shannon's
/// entropy.
#[derive(Debug)]
pub struct UserModel {
    config: UserModelConfig,
    params: Params,
    pub(crate) features: Features,
    pub(crate) encoder: Encoder,
    /// What was counted in the training sessions, where context features are taken.
    pub(crate) context: Option<CountContext>,
    pub(crate) reward: RewardNetwork,
}

/// r_θ. The first layer's V is kept in parts, for the state, the item and the context features, so
/// that each is multiplied once per state and once per item shown.
#[derive(Debug)]
pub(crate) struct RewardNetwork {
    pub state_weight: Tensor,
    pub item_weight: Tensor,
    /// Of the context features, where they are taken.
    pub context_weight: Option<Tensor>,
    pub bias: Tensor,
    pub rest: Mlp,
}

/// What a model says of one slate of a log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SlateChoice {
    /// η r_θ of each item, in the order shown; that of nothing is 0.
    pub utility: Vec<f32>,
    /// log φ* of each item; minus infinity where φ* is 0.
    pub log_probability: Vec<f32>,
    /// log φ* of choosing nothing; 0 where that is not an option.
    pub log_outside: f32,
    /// The Fenchel-Young loss of what the user did ([`Regulariser::loss`]); under Shannon it is
    /// -log φ* of that.
    pub loss: f32,
    /// Place of the item that was chosen in fact; `None` if nothing was.
    pub chosen: Option<usize>,
}

impl UserModel {
    /// An untrained model with parameters drawn from `seed`. `catalogue` gives the features where
    /// they are [`ItemFeatures::Given`](crate::ItemFeatures::Given).
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range or does not fit
    /// the catalogue.
    pub fn new(
        config: UserModelConfig,
        catalogue: &Catalogue,
        seed: Seed,
        device: &Device,
    ) -> Result<Self> {
        Self::with_type(config, catalogue, seed, device, DType::F32)
    }

    pub(crate) fn with_type(
        config: UserModelConfig,
        catalogue: &Catalogue,
        seed: Seed,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        Self::with_params(config, catalogue, Params::new(seed.derive("user-model"), dtype, device))
    }

    fn with_params(
        config: UserModelConfig,
        catalogue: &Catalogue,
        mut params: Params,
    ) -> Result<Self> {
        config.check()?;
        if catalogue.len() != config.items {
            let problem = format!("{}, but the catalogue has {}", config.items, catalogue.len());
            return Err(Setting::new("items", problem).into());
        }
        let features = Features::new(&config, catalogue.features(), params.scope("items"))?;
        let encoder = Encoder::new(&config.state, &features, params.scope("state"))?;
        let (width, dim, first) = (encoder.width(&features), features.dim(), config.head[0]);
        let mut scope = params.scope("reward");
        let init = Init::glorot(width + dim, first);
        let state_weight = scope.param("state_weight", (width, first), init)?;
        let item_weight = scope.param("item_weight", (dim, first), init)?;
        let context_weight = match config.context {
            Some(Context::Counts { place }) => {
                let dim = CountContext::width(place);
                Some(scope.param("context_weight", (dim, first), Init::glorot(dim, first))?)
            }
            None => None,
        };
        let bias = scope.param("bias", first, Init::Constant(0.0))?;
        let widths: Vec<usize> = config.head.iter().copied().chain([1]).collect();
        let rest = Mlp::new(&widths, config.activation, scope.scope("rest"))?;
        let reward = RewardNetwork { state_weight, item_weight, context_weight, bias, rest };
        Ok(Self { config, params, features, encoder, context: None, reward })
    }

    /// The configuration.
    pub fn config(&self) -> &UserModelConfig {
        &self.config
    }

    /// The model with the same rewards under another regularizer, as min-max training starts from
    /// those of Shannon's entropy.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the regularizer is outside its range.
    pub fn with_regulariser(mut self, regulariser: Regulariser) -> Result<Self> {
        regulariser.check()?;
        self.config.regulariser = regulariser;
        Ok(self)
    }

    /// The model with all places alike, where it takes the place on the slate: for items that are
    /// scored where they stand at none.
    #[must_use]
    pub fn with_places_alike(mut self) -> Self {
        self.context = self.context.map(CountContext::with_places_alike);
        self
    }

    /// The trainable parameters θ, which [`fit`](crate::fit) changes.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What r_θ takes from an item: the item half of its first layer, V_item f_a, `[K, first]`
    /// row-major.
    ///
    /// # Errors
    /// An error of the network if the device fails.
    pub fn item_vectors(&self) -> Result<Vec<f32>> {
        let items: Vec<u32> = (0..self.config.items as u32).collect();
        let vectors = self.features.project(&items, &self.reward.item_weight)?;
        Ok(vectors.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// Counts in these sessions of a log what its users' steps pay and when their sessions end, in
    /// place of what the model knew of it. [`fit`](crate::fit) does so with the training sessions.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the log has an item that the model does not
    /// know, or a reward that is not a finite number.
    pub fn learn_outcomes(&mut self, log: &Log, sessions: &[usize]) -> Result<()> {
        let outcomes = Outcomes {
            rewards: RewardHead::observed(log, sessions),
            endings: Endings::observed(log, sessions),
        };
        let config = UserModelConfig { outcomes: Some(outcomes), ..self.config.clone() };
        config.check()?;
        self.config = config;
        Ok(())
    }

    /// Adds a constant to the reward of every item in every state, which moves the odds of choosing
    /// nothing and no others.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is not a finite number.
    pub(crate) fn raise_rewards(&self, by: f64) -> Result<()> {
        if !by.is_finite() {
            return Err(Setting::new("constant of rewards", by.to_string()).into());
        }
        let last = format!("reward.rest.{}.bias", self.config.head.len() - 1);
        let bias = self
            .params
            .get(&last)
            .ok_or_else(|| Setting::new("parameters", format!("no {last}")))?;
        Ok(bias.set(&(bias.as_tensor() + by)?)?)
    }

    /// The mean Fenchel-Young loss of the slates of a batch, a scalar tensor: under Shannon the
    /// negative log-likelihood of Lemma 2.
    pub(crate) fn batch_loss(&self, impressions: &Impressions) -> Result<Tensor> {
        let utilities = (self.impression_rewards(impressions)? * self.config.eta)?;
        Ok(self.losses(&utilities, impressions)?.mean_all()?)
    }

    /// Mean Fenchel-Young loss of the slates of `sessions` ([`Regulariser::loss`]): under Shannon
    /// the negative log-likelihood, in nats per choice.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if they have no slate.
    pub fn loss(&self, log: &Log, sessions: &[usize]) -> Result<f64> {
        let [loss] = self.mean_over(log, sessions, |impressions| {
            Ok([scalar(&self.batch_loss(impressions)?)?])
        })?;
        Ok(loss)
    }

    /// Means over all slates of `sessions` from means over as many as a forward pass should hold.
    pub(crate) fn mean_over<const N: usize>(
        &self,
        log: &Log,
        sessions: &[usize],
        means: impl Fn(&Impressions) -> Result<[f64; N]>,
    ) -> Result<[f64; N]> {
        let (mut sums, mut count) = ([0.0; N], 0);
        for impressions in self.impressions(log, sessions) {
            let impressions = impressions?;
            for (sum, mean) in sums.iter_mut().zip(means(&impressions)?) {
                *sum += mean * impressions.len() as f64;
            }
            count += impressions.len();
        }
        if count == 0 {
            return Err(Setting::new("sessions", "no slate to evaluate").into());
        }
        Ok(sums.map(|sum| sum / count as f64))
    }

    pub(crate) fn impressions(
        &self,
        log: &Log,
        sessions: &[usize],
    ) -> impl Iterator<Item = Result<Impressions>> {
        let shown = |session: usize| {
            log.session(session).steps().map(|step| step.slate.len()).sum::<usize>()
        };
        let mut held = 0;
        let chunks = sessions.chunk_by(move |&session, &next| {
            held += shown(session);
            let more = held + shown(next) <= CHUNK;
            held *= usize::from(more);
            more
        });
        let impressions = chunks.map(|chunk| self.impressions_of(log, chunk, &TrainingRows::new()));
        impressions.filter(|impressions| {
            !impressions.as_ref().is_ok_and(|impressions| impressions.len() == 0)
        })
    }

    /// What the model says of every slate of `sessions`, in order.
    pub(crate) fn slate_choices(&self, log: &Log, sessions: &[usize]) -> Result<Vec<SlateChoice>> {
        let mut choices = Vec::new();
        for impressions in self.impressions(log, sessions) {
            let impressions = impressions?;
            let rewards = self.impression_rewards(&impressions)?;
            let (log_phi, log_outside) = self.log_probabilities(&rewards, &impressions.mask)?;
            let utilities = (rewards * self.config.eta)?;
            let loss =
                self.losses(&utilities, &impressions)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            let log_outside = log_outside.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            let log_phi = log_phi.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            let utilities = utilities.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            for (impression, (mut log_probability, mut utility)) in
                log_phi.into_iter().zip(utilities).enumerate()
            {
                log_probability.truncate(impressions.sizes[impression]);
                utility.truncate(impressions.sizes[impression]);
                let (log_outside, loss) = (log_outside[impression], loss[impression]);
                let chosen = impressions.choices[impression];
                choices.push(SlateChoice { utility, log_probability, log_outside, loss, chosen });
            }
        }
        Ok(choices)
    }

    /// r_θ of every place `[impressions, places]`, 0 where there is none.
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden).
    pub(crate) fn impression_rewards(&self, impressions: &Impressions) -> Result<Tensor> {
        self.rewards(&self.hidden(impressions)?, impressions)
    }

    /// The last hidden layer of r_θ of every item shown, `[entries, width]`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if nothing was chosen on a slate, and users must
    /// choose.
    pub(crate) fn hidden(&self, impressions: &Impressions) -> Result<Tensor> {
        if self.config.outside == Outside::Absent && impressions.choices.contains(&None) {
            let problem = "absent, but on a slate of the log nothing was chosen";
            return Err(Setting::new("outside option", problem).into());
        }
        let projected = self.projected_states(&impressions.histories)?;
        let items = self.features.project(&impressions.shown, &self.reward.item_weight)?;
        let states = projected.index_select(&impressions.slate_of_entry, 0)?;
        let sum = self.reward.with_context((states + items)?, impressions.context.as_ref())?;
        self.reward.hidden(&sum, &self.config)
    }

    /// The Fenchel-Young loss of each slate `[impressions]`, from η r_θ `[impressions, places]`.
    pub(crate) fn losses(&self, utilities: &Tensor, impressions: &Impressions) -> Result<Tensor> {
        self.config.regulariser.loss(
            utilities,
            &impressions.mask,
            self.may_choose_nothing(),
            &impressions.chosen,
        )
    }

    pub(crate) fn may_choose_nothing(&self) -> bool {
        self.config.outside != Outside::Absent
    }

    /// The states of `histories` times the first layer of the reward network:
    /// `[impressions, first]`.
    pub(crate) fn projected_states(&self, histories: &Histories) -> Result<Tensor> {
        let states = self.encoder.project(&self.features, histories, &self.reward.state_weight)?;
        Ok(states
            .projected
            .index_select(&Tensor::new(states.of_impression, self.params.device())?, 0)?)
    }

    /// r_θ of every place `[impressions, places]`, 0 where there is none, from the last hidden
    /// layer of the items shown, `[entries, width]`.
    pub(crate) fn rewards(&self, hidden: &Tensor, impressions: &Impressions) -> Result<Tensor> {
        let rewards = self.reward.last(hidden)?;
        let none = rewards.narrow(0, 0, 1)?.zeros_like()?;
        let padded =
            Tensor::cat(&[none, rewards], 0)?.index_select(&impressions.entry_of_place, 0)?;
        Ok(padded.reshape((impressions.len(), impressions.places))?)
    }

    /// r_θ of slates of equal size, without context features: projected states `[rows, first]` and
    /// items `[rows · k]` to `[rows, k]`.
    pub(crate) fn slate_rewards(
        &self,
        projected: &Tensor,
        items: &[u32],
        k: usize,
    ) -> Result<Tensor> {
        let rows = projected.dim(0)?;
        let items = self.features.project(items, &self.reward.item_weight)?;
        let hidden =
            items.reshape((rows, k, items.dim(1)?))?.broadcast_add(&projected.unsqueeze(1)?)?;
        let sum = hidden.reshape((rows * k, hidden.dim(2)?))?;
        Ok(self.reward.finish(&sum, &self.config)?.reshape((rows, k))?)
    }

    /// (log φ* of the places, log φ* of choosing nothing).
    pub(crate) fn log_probabilities(
        &self,
        rewards: &Tensor,
        mask: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        self.config.regulariser.log_choice(
            &(rewards * self.config.eta)?,
            mask,
            self.may_choose_nothing(),
        )
    }
}

impl RewardNetwork {
    /// The first layer's sum with the part of the context features `[rows, dim]`.
    fn with_context(&self, sum: Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        match (&self.context_weight, context) {
            (Some(weight), Some(context)) => Ok((sum + context.matmul(weight)?)?),
            _ => Ok(sum),
        }
    }

    /// From the first layer's sum without bias, `[rows, first]`, to the reward `[rows]`.
    fn finish(&self, sum: &Tensor, config: &UserModelConfig) -> Result<Tensor> {
        self.last(&self.hidden(sum, config)?)
    }

    /// The same up to the last hidden layer, `[rows, width]`.
    fn hidden(&self, sum: &Tensor, config: &UserModelConfig) -> Result<Tensor> {
        Ok(self.rest.hidden(&config.activation.forward_biased(sum, &self.bias)?)?)
    }

    /// From the last hidden layer, `[rows, width]`, to the reward `[rows]`.
    fn last(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(self.rest.last(hidden)?.squeeze(1)?)
    }
}

impl Network for UserModel {
    const KIND: &'static str = "gan-user-model/1";
    type Config = UserModelConfig;
    type Error = crate::Error;

    fn parts(&self) -> (&UserModelConfig, &Params) {
        (&self.config, &self.params)
    }

    fn build(config: UserModelConfig, catalogue: &Catalogue, params: Params) -> Result<Self> {
        Self::with_params(config, catalogue, params)
    }

    fn tables(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(self.context.as_ref().map(CountContext::tables).transpose()?.unwrap_or_default())
    }

    fn take_tables(&mut self, weights: &BTreeMap<String, Tensor>) -> Result<()> {
        if let Some(Context::Counts { place }) = self.config.context {
            self.context = Some(CountContext::from_tables(weights, self.config.items, place)?);
        }
        Ok(())
    }

    /// The raw ids, and the features where they are given.
    fn vocabulary(config: &UserModelConfig, catalogue: &Catalogue) -> String {
        match config.features {
            ItemFeatures::Given => catalogue.digest(),
            ItemFeatures::OneHot | ItemFeatures::Learned { .. } => catalogue.names().digest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::config::StateEncoder;
    use crate::testing::{catalogue, configs, log};
    use foretaste_data::{Choice, Event, EventKind, ItemId, LogBuilder, PaddedBatch, Saved, Step};
    use foretaste_nn::check_gradients;

    #[test]
    fn gradients_match_finite_differences() {
        let log = log();
        let sparse = [Regulariser::L2, Regulariser::Tsallis { alpha: 1.4 }]
            .map(|regulariser| UserModelConfig { regulariser, ..configs()[0].clone() });
        for config in configs().into_iter().chain(sparse) {
            let model =
                UserModel::with_type(config, &catalogue(), Seed::new(1), &Device::Cpu, DType::F64)
                    .unwrap();
            let impressions =
                Impressions::new(&PaddedBatch::new(&log, &[0, 1, 2], None), &Device::Cpu).unwrap();
            check_gradients(&model.params, || Ok(model.batch_loss(&impressions).unwrap()));
        }
    }

    #[test]
    fn raised_rewards_are_all_higher_by_as_much() {
        let (log, catalogue) = (log(), catalogue());
        for config in configs() {
            let model = UserModel::new(config, &catalogue, Seed::new(1), &Device::Cpu).unwrap();
            let rewards = || -> Vec<f32> {
                let predictions = model.slate_choices(&log, &[0, 1, 2]).unwrap();
                predictions.into_iter().flat_map(|prediction| prediction.utility).collect()
            };
            let before = rewards();
            model.raise_rewards(0.75).unwrap();
            let raise = 0.75 * model.config().eta as f32;
            assert!(
                rewards()
                    .iter()
                    .zip(&before)
                    .all(|(after, before)| (after - before - raise).abs() < 1e-5)
            );
            assert!(model.raise_rewards(f64::NAN).is_err());
        }
    }

    /// Items of equal vectors have equal rewards, and the vectors are all that tells items apart.
    #[test]
    fn item_vectors_are_what_rewards_know_of_items() {
        let config = UserModelConfig { features: ItemFeatures::OneHot, ..configs()[0].clone() };
        let model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
        let (items, first) = (model.config().items, model.config().head[0]);
        let vectors = model.item_vectors().unwrap();
        assert_eq!(vectors.len(), items * first);
        let states = Tensor::zeros((1, first), DType::F32, &Device::Cpu).unwrap();
        let all: Vec<u32> = (0..items as u32).collect();
        let rewards = model.slate_rewards(&states, &all, items).unwrap();
        let vectors = Tensor::from_vec(vectors, (items, first), &Device::Cpu).unwrap();
        let again = model.reward.finish(&vectors, &model.config).unwrap();
        assert_eq!(rewards.to_vec2::<f32>().unwrap()[0], again.to_vec1::<f32>().unwrap());
    }

    /// The reward as the paper writes it, by loops over numbers: states from the clicks, then v^T
    /// σ(V [s; f_a] + b).
    #[test]
    fn rewards_equal_the_formulas_of_the_paper() {
        let log = log();
        for config in configs()
            .into_iter()
            .filter(|config| matches!(config.state, StateEncoder::PositionWeights { .. }))
        {
            let model =
                UserModel::with_type(config, &catalogue(), Seed::new(1), &Device::Cpu, DType::F64)
                    .unwrap();
            let get = |name: &str| {
                let var = model.params.get(name).unwrap();
                (var.flatten_all().unwrap().to_vec1::<f64>().unwrap(), var.dims().to_vec())
            };
            let feature = |item: usize| match &model.features {
                Features::OneHot { items } => {
                    (0..*items).map(|i| f64::from(u8::from(i == item))).collect::<Vec<_>>()
                }
                Features::Dense { table } => table.get(item).unwrap().to_vec1::<f64>().unwrap(),
            };
            let elu = |x: f64| if x > 0.0 { x } else { x.exp() - 1.0 };
            let dense = |x: &[f64],
                         (w, dims): &(Vec<f64>, Vec<usize>),
                         (b, _): &(Vec<f64>, Vec<usize>)| {
                (0..dims[0])
                    .map(|o| b[o] + (0..dims[1]).map(|i| w[o * dims[1] + i] * x[i]).sum::<f64>())
                    .collect::<Vec<_>>()
            };
            let (weight, shape) = get("state.weight");
            let (history, columns) = (shape[0], shape[1]);
            let d = model.features.dim();
            let bias = model.params.get("state.bias").map(|_| get("state.bias").0);
            let predictions = model.slate_choices(&log, &[0, 1, 2]).unwrap();
            let mut predictions = predictions.iter();
            for session in log.iter() {
                let mut clicks: Vec<usize> = Vec::new();
                for step in session.steps() {
                    let mut state = vec![0.0; d * columns];
                    for (i, s) in state.iter_mut().enumerate() {
                        let (row, column) = (i / columns, i % columns);
                        let weighted = clicks.iter().rev().take(history).enumerate();
                        let sum: f64 = weighted
                            .map(|(t, &item)| feature(item)[row] * weight[t * columns + column])
                            .sum();
                        let sum = sum + bias.as_ref().map_or(0.0, |bias| bias[i]);
                        *s = if bias.is_some() { elu(sum) } else { sum };
                    }
                    let reward = |item: usize| {
                        let (vs, vf, b) = (
                            get("reward.state_weight"),
                            get("reward.item_weight").0,
                            get("reward.bias").0,
                        );
                        let first = vs.1[1];
                        let f = feature(item);
                        let mut x: Vec<f64> = (0..first)
                            .map(|o| {
                                let s: f64 = state
                                    .iter()
                                    .enumerate()
                                    .map(|(i, s)| s * vs.0[i * first + o])
                                    .sum();
                                let f: f64 =
                                    f.iter().enumerate().map(|(i, f)| f * vf[i * first + o]).sum();
                                elu(s + f + b[o])
                            })
                            .collect();
                        for layer in 0.. {
                            let name = format!("reward.rest.{layer}");
                            x = dense(
                                &x,
                                &get(&format!("{name}.weight")),
                                &get(&format!("{name}.bias")),
                            );
                            if x.len() == 1 {
                                return x[0];
                            }
                            x.iter_mut().for_each(|x| *x = elu(*x));
                        }
                        unreachable!()
                    };
                    let weights: Vec<f64> = step
                        .slate
                        .iter()
                        .map(|item| (model.config.eta * reward(item.index())).exp())
                        .collect();
                    let sum = 1.0 + weights.iter().sum::<f64>();
                    let prediction = predictions.next().unwrap();
                    for (found, weight) in prediction.log_probability.iter().zip(&weights) {
                        assert!((f64::from(*found) - (weight / sum).ln()).abs() < 1e-5, "{found}");
                    }
                    assert!((f64::from(prediction.log_outside) + sum.ln()).abs() < 1e-5);
                    clicks.extend(step.choice.item().map(|item| item.index()));
                }
            }
            assert!(predictions.next().is_none());
        }
    }

    #[test]
    fn a_step_does_not_depend_on_what_follows() {
        let (log, mut cut) = (log(), LogBuilder::default());
        for step in log.session(0).steps().take(3) {
            cut.push(step).unwrap();
        }
        cut.end_session(None).unwrap();
        for config in configs() {
            let model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
            let (whole, part) = (
                model.slate_choices(&log, &[0]).unwrap(),
                model.slate_choices(&cut.clone().build(), &[0]).unwrap(),
            );
            for (a, b) in whole.iter().zip(&part) {
                assert!(
                    a.log_probability
                        .iter()
                        .zip(&b.log_probability)
                        .all(|(a, b)| (a - b).abs() < 1e-6)
                );
            }
            assert_eq!((whole.len(), part.len()), (5, 3));
        }
    }

    #[test]
    fn an_impression_without_a_choice_is_refused_where_one_must_choose() {
        let config = UserModelConfig { outside: Outside::Absent, ..UserModelConfig::new(6) };
        let model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
        assert!(model.loss(&log(), &[0]).unwrap_err().to_string().contains("nothing was chosen"));
        assert!(model.slate_choices(&log(), &[0]).is_err());
        let sure = model.slate_choices(&log(), &[1]).unwrap();
        assert_eq!((sure[0].log_probability.as_slice(), sure[0].log_outside), (&[0.0][..], 0.0));
    }

    #[test]
    fn sessions_do_not_depend_on_their_batch() {
        let log = log();
        for config in configs() {
            let model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
            let together = model.slate_choices(&log, &[2, 0, 1]).unwrap();
            let alone: Vec<_> = [2, 0, 1]
                .iter()
                .flat_map(|&session| model.slate_choices(&log, &[session]).unwrap())
                .collect();
            assert_eq!(together.len(), alone.len());
            for (a, b) in together.iter().zip(&alone) {
                assert_eq!(a.chosen, b.chosen);
                assert!(
                    a.log_probability
                        .iter()
                        .zip(&b.log_probability)
                        .all(|(a, b)| (a - b).abs() < 1e-5)
                );
            }
            let loss = model.loss(&log, &[0, 1, 2]).unwrap();
            let sum: f64 = together
                .iter()
                .map(|p| p.chosen.map_or(p.log_outside, |place| p.log_probability[place]))
                .map(f64::from)
                .sum();
            assert!((loss + sum / together.len() as f64).abs() < 1e-5);
        }
    }

    #[test]
    fn an_organic_event_is_a_click_of_the_history() {
        let slate = [ItemId(3), ItemId(4), ItemId(0)];
        let (mut clicked, mut seen) = (LogBuilder::default(), LogBuilder::default());
        clicked.push(Step::new(&[ItemId(1), ItemId(2)], Choice::Item(ItemId(2)), 0.0)).unwrap();
        seen.push(Step::new(&[ItemId(1), ItemId(2)], Choice::Skip, 0.0)).unwrap();
        let kind = EventKind::View;
        seen.event(Event { item: ItemId(2), kind, after: 0, timestamp: None });
        for log in [&mut clicked, &mut seen] {
            log.push(Step::new(&slate, Choice::Skip, 0.0)).unwrap();
            log.end_session(None).unwrap();
        }
        let (clicked, seen) = (clicked.build(), seen.build());
        for config in configs() {
            let model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
            let second = |log| model.slate_choices(log, &[0]).unwrap()[1].clone();
            assert_eq!(second(&clicked), second(&seen));
        }
    }

    #[test]
    fn a_checkpoint_gives_the_same_predictions_and_its_own_items() {
        let (log, folder) = (log(), tempfile::tempdir().unwrap());
        for config in configs() {
            let model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
            model.save(folder.path(), &catalogue(), 7, 1, None).unwrap();
            let other = Catalogue::new(["a", "b", "c", "d", "e", "f"].into_iter().collect());
            let (loaded, saved) = UserModel::load(folder.path(), &other, &Device::Cpu).unwrap();
            assert_eq!(
                loaded.slate_choices(&log, &[0, 1, 2]).unwrap(),
                model.slate_choices(&log, &[0, 1, 2]).unwrap()
            );
            assert_eq!(saved, Saved { catalogue: catalogue(), origin: None });
        }
    }

    #[test]
    fn a_checkpoint_names_the_regulariser_unless_it_is_shannons() {
        let (log, folder) = (log(), tempfile::tempdir().unwrap());
        for regulariser in
            [Regulariser::Shannon, Regulariser::L2, Regulariser::Tsallis { alpha: 1.5 }]
        {
            let model =
                UserModel::new(configs()[0].clone(), &catalogue(), Seed::new(1), &Device::Cpu)
                    .unwrap();
            let model = model.with_regulariser(regulariser).unwrap();
            model.save(folder.path(), &catalogue(), 7, 1, None).unwrap();
            let manifest = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
            assert_eq!(
                manifest.contains("regulariser"),
                regulariser != Regulariser::Shannon,
                "{manifest}"
            );
            let (loaded, _) = UserModel::load(folder.path(), &catalogue(), &Device::Cpu).unwrap();
            assert_eq!(loaded.config, model.config);
            assert_eq!(
                loaded.slate_choices(&log, &[0, 1, 2]).unwrap(),
                model.slate_choices(&log, &[0, 1, 2]).unwrap()
            );
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let new = |config: UserModelConfig| {
            UserModel::new(config, &Catalogue::numbered(6), Seed::new(1), &Device::Cpu)
        };
        let base = UserModelConfig::new(6);
        for config in [
            UserModelConfig { items: 7, ..base.clone() },
            UserModelConfig { head: vec![], ..base.clone() },
            UserModelConfig { eta: -1.0, ..base.clone() },
            UserModelConfig { regulariser: Regulariser::Tsallis { alpha: 2.5 }, ..base.clone() },
            UserModelConfig { features: ItemFeatures::Given, ..base.clone() },
            UserModelConfig { features: ItemFeatures::Learned { dim: 0 }, ..base.clone() },
            UserModelConfig { state: StateEncoder::Lstm { hidden: 0, layers: 1 }, ..base.clone() },
        ] {
            assert!(matches!(new(config.clone()), Err(Error::Setting(_))), "{config:?}");
        }
        assert!(new(base).is_ok());
    }
}
