//! D as a trainable network on batches of whole trajectories, with its loss (IRecGAN, Eq 5 and
//! appendix 1). It defines the values that `acting` must reproduce step by step.

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Catalogue, Log, PaddedBatch};
use foretaste_nn::{Init, Params, lookup, masked_log_softmax};
use foretaste_random::Seed;
use foretaste_train::{ClickEncoder, Head, Network};

use crate::{DiscriminatorConfig, Error, Result};

/// Sessions that are evaluated at a time.
const CHUNK: usize = 256;

/// D: the probability that a trajectory τ comes from real users (appendix 1).
///
/// D(τ) = σ(mean over the steps t of e(c^max_t)ᵀ e(c_t) (W^p r_t + b^p)), c^max_t = argmax over the
/// slate of (W^d s_t + b^d)ᵀ e(c), by a softmax at low temperature. Where leaving counts, END is on
/// every slate and is what was chosen on the last step.
#[derive(Debug)]
pub struct Discriminator {
    config: DiscriminatorConfig,
    params: Params,
    pub(crate) clicks: ClickEncoder,
    /// W^d and b^d.
    pub(crate) favourite: Head,
    /// W^p and b^p, one number each.
    pub(crate) reward: (Tensor, Tensor),
}

impl Discriminator {
    /// An untrained discriminator with parameters drawn from `seed`; every reward weighs 1 at
    /// first.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(config: DiscriminatorConfig, seed: Seed, device: &Device) -> Result<Self> {
        Self::with_type(config, seed, device, DType::F32)
    }

    pub(crate) fn with_type(
        config: DiscriminatorConfig,
        seed: Seed,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        Self::with_params(config, Params::new(seed.derive("discriminator"), dtype, device))
    }

    fn with_params(config: DiscriminatorConfig, mut params: Params) -> Result<Self> {
        config.check()?;
        let DiscriminatorConfig { items, embedding, hidden, layers, first_input, .. } = config;
        let scope = params.root();
        let clicks = ClickEncoder::new(items + 1, embedding, hidden, layers, first_input, scope)?;
        let favourite = Head::new(hidden, embedding, params.scope("favourite"))?;
        let mut scope = params.scope("reward");
        let reward = (
            scope.param("weight", 1, Init::Constant(0.0))?,
            scope.param("bias", 1, Init::Constant(1.0))?,
        );
        Ok(Self { config, params, clicks, favourite, reward })
    }

    /// The configuration.
    pub fn config(&self) -> &DiscriminatorConfig {
        &self.config
    }

    /// The trainable parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The entry of END in the embedding.
    pub(crate) fn end(&self) -> u32 {
        self.config.items as u32
    }

    /// The terms e(c^max_t)ᵀ e(c_t) (W^p r_t + b^p) of the steps at these cells, `[cells]`.
    fn agreements(&self, batch: &PaddedBatch, cells: &[u32]) -> Result<Tensor> {
        let (steps, options, device) = (cells.len(), batch.places + 1, self.params.device());
        let (mut shown, mut mask) = (vec![self.end(); steps * options], vec![0u8; steps * options]);
        for (step, &cell) in cells.iter().enumerate() {
            let row = step * options..(step + 1) * options;
            let (shown, mask) = (&mut shown[row.clone()], &mut mask[row]);
            mask[batch.places] = self.config.leaving.into();
            // A place that the slate lacks repeats the first: the optimizer touches no other row of
            // the table.
            shown[..batch.places].fill(batch.shown[cell as usize * batch.places]);
            if !self.config.leaving {
                shown[batch.places] = shown[0];
            }
            for place in (0..batch.places)
                .filter(|place| batch.shown_mask[cell as usize * batch.places + place])
            {
                shown[place] = batch.shown[cell as usize * batch.places + place];
                mask[place] = 1;
            }
        }
        let chosen = |&cell: &u32| match batch.clicked_mask[cell as usize] {
            true => batch.clicked[cell as usize],
            false => self.end(),
        };
        let chosen: Vec<u32> = cells.iter().map(chosen).collect();
        let rewards = Tensor::new(
            cells.iter().map(|&cell| batch.reward[cell as usize]).collect::<Vec<_>>(),
            device,
        )?;
        let states = self.clicks.states(batch, cells)?;

        let table = self.clicks.table();
        let items = lookup(table, &shown)?.reshape((steps, options, self.config.embedding))?;
        let query = self.favourite.forward(&states)?;
        let values =
            (items.broadcast_mul(&query.unsqueeze(1)?)?.sum(2)? / self.config.temperature)?;
        let mask = Tensor::from_vec(mask, (steps, options), device)?;
        let weights = (masked_log_softmax(&values, &mask, false)?.0.exp()?
            * mask.to_dtype(values.dtype())?)?;
        let favourite = items.broadcast_mul(&weights.unsqueeze(2)?)?.sum(1)?;
        let agreement = (favourite * lookup(table, &chosen)?)?.sum(1)?;
        let rewards = rewards.to_dtype(values.dtype())?;
        let weight = rewards.broadcast_mul(&self.reward.0)?.broadcast_add(&self.reward.1)?;
        Ok((agreement * weight)?)
    }

    /// What D is the sigmoid of, for each trajectory of a batch: `[rows]`; 0 for one without a step
    /// that counts.
    pub(crate) fn logits(&self, batch: &PaddedBatch) -> Result<Tensor> {
        let counts = |cell: usize| {
            batch.clicked_mask[cell] || (self.config.leaving && batch.step_mask[cell])
        };
        let cells: Vec<u32> =
            (0..batch.step_mask.len() as u32).filter(|&cell| counts(cell as usize)).collect();
        let logits = Tensor::zeros(batch.rows, self.params.dtype(), self.params.device())?;
        if cells.is_empty() {
            return Ok(logits);
        }
        let rows: Vec<u32> = cells.iter().map(|cell| cell / batch.steps as u32).collect();
        let mut steps = vec![0f32; batch.rows];
        rows.iter().for_each(|&row| steps[row as usize] += 1.0);
        let shares: Vec<f32> = rows.iter().map(|&row| 1.0 / steps[row as usize]).collect();
        let shares = Tensor::new(shares, self.params.device())?.to_dtype(self.params.dtype())?;
        let terms = (self.agreements(batch, &cells)? * shares)?;
        Ok(logits.index_add(&Tensor::new(rows, self.params.device())?, &terms, 0)?)
    }

    /// The mean of -log D over real sessions and the mean of -log(1 - D) over generated
    /// trajectories, added: Eq 5, a scalar tensor.
    pub fn loss(&self, real: &PaddedBatch, generated: &PaddedBatch) -> Result<Tensor> {
        let means = [(real, true), (generated, false)].map(|(batch, is_real)| {
            let logits = self.logits(batch)?.unsqueeze(1)?;
            let all = Tensor::ones(logits.shape(), DType::U8, logits.device())?;
            let (log_d, log_not_d) = masked_log_softmax(&logits, &all, true)?;
            Ok::<_, Error>(if is_real { log_d.mean_all()? } else { log_not_d.mean_all()? })
        });
        let [real, generated] = means;
        Ok((real? + generated?)?.neg()?)
    }

    /// D of every session of a log.
    pub fn probabilities(&self, log: &Log) -> Result<Vec<f64>> {
        let sessions: Vec<usize> = (0..log.sessions()).collect();
        let mut probabilities = Vec::with_capacity(sessions.len());
        for chunk in sessions.chunks(CHUNK) {
            let logits = self
                .logits(&PaddedBatch::new(log, chunk, None))?
                .to_dtype(DType::F32)?
                .to_vec1::<f32>()?;
            probabilities.extend(logits.into_iter().map(|logit| sigmoid(f64::from(logit))));
        }
        Ok(probabilities)
    }
}

impl Network for Discriminator {
    const KIND: &'static str = "irecgan-discriminator/1";
    type Config = DiscriminatorConfig;
    type Error = Error;

    fn parts(&self) -> (&DiscriminatorConfig, &Params) {
        (&self.config, &self.params)
    }

    fn build(config: DiscriminatorConfig, _: &Catalogue, params: Params) -> Result<Self> {
        Self::with_params(config, params)
    }
}

pub(crate) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}
