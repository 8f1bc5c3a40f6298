//! U as a trainable network on batches of sessions: the probabilities of Eq 1 and Eq 2, and the
//! losses of Eq 3 and Eq 7. Its behavior as users is in `environment`.

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Catalogue, Log, PaddedBatch};
use foretaste_nn::{Params, lookup, masked_log_softmax, scalar};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{ClickEncoder, Head, Network};

use super::config::{BehaviourConfig, Rewards};
use crate::{Error, Result};

/// Sessions that are evaluated at a time.
const CHUNK: usize = 256;

/// U: a state from the clicks so far, a click on the slate or END by Eq 1, a purchase of what was
/// clicked, or its reward, by Eq 2.
///
/// END is on every slate, with an embedding of its own.
#[derive(Debug)]
pub struct BehaviourModel {
    config: BehaviourConfig,
    params: Params,
    pub(super) clicks: ClickEncoder,
    /// W^c, b^c.
    pub(super) click: Head,
    /// W^r, b^r.
    pub(super) reward: Head,
}

impl BehaviourModel {
    /// An untrained model with parameters drawn from `seed`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(config: BehaviourConfig, seed: Seed, device: &Device) -> Result<Self> {
        Self::with_type(config, seed, device, DType::F32)
    }

    pub(super) fn with_type(
        config: BehaviourConfig,
        seed: Seed,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        Self::with_params(config, Params::new(seed.derive("behaviour"), dtype, device))
    }

    fn with_params(config: BehaviourConfig, mut params: Params) -> Result<Self> {
        config.check()?;
        let BehaviourConfig { items, embedding, hidden, layers, first_input, .. } = config;
        let scope = params.scope("clicks");
        let clicks = ClickEncoder::new(items + 1, embedding, hidden, layers, first_input, scope)?;
        let click = Head::new(hidden, embedding, params.scope("click"))?;
        let reward = Head::new(hidden, embedding, params.scope("reward"))?;
        Ok(Self { config, params, clicks, click, reward })
    }

    /// The configuration.
    pub fn config(&self) -> &BehaviourConfig {
        &self.config
    }

    /// The trainable parameters Θ_u.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The entry of END in the embedding.
    pub(super) fn end(&self) -> u32 {
        self.config.items as u32
    }

    /// log p(c | s^u_t, a_t), Eq 1, at every step of a batch of
    /// [`clicked_sessions`](super::clicked_sessions): `[steps, places + 1]`, END in the last
    /// column, 0 where a slate has no such place.
    pub fn click_log_probabilities(&self, batch: &PaddedBatch) -> Result<Tensor> {
        let cells = cells(batch);
        self.click_log_probabilities_at(batch, &cells, &self.clicks.states(batch, &cells)?)
    }

    fn click_log_probabilities_at(
        &self,
        batch: &PaddedBatch,
        cells: &[u32],
        states: &Tensor,
    ) -> Result<Tensor> {
        let (steps, options) = (cells.len(), batch.places + 1);
        let (mut shown, mut mask) = (vec![self.end(); steps * options], vec![1u8; steps * options]);
        for (step, &cell) in cells.iter().enumerate() {
            for place in 0..batch.places {
                match batch.shown_mask[cell as usize * batch.places + place] {
                    true => {
                        shown[step * options + place] =
                            batch.shown[cell as usize * batch.places + place]
                    }
                    false => mask[step * options + place] = 0,
                }
            }
        }
        let items = lookup(self.clicks.table(), &shown)?.reshape((
            steps,
            options,
            self.config.embedding,
        ))?;
        let values = items.broadcast_mul(&self.click.forward(states)?.unsqueeze(1)?)?.sum(2)?;
        let mask = Tensor::from_vec(mask, (steps, options), values.device())?;
        Ok(masked_log_softmax(&values, &mask, false)?.0)
    }

    /// (W^r s + b^r)ᵀ e, Eq 2 before f_r, of one item for each state: `[rows]`.
    fn reward_logits(&self, states: &Tensor, items: &[u32]) -> Result<Tensor> {
        Ok((self.reward.forward(states)? * lookup(self.clicks.table(), items)?)?.sum(1)?)
    }

    /// -q (log p(c | s, a) + λ_p log p(r | s, c)) summed over the steps of a batch and divided by
    /// their number: a scalar tensor.
    ///
    /// `weights` holds q_D for each cell `[rows · steps]`: its gradient is the negative of Eq 7.
    /// Without it q_D is 1, and it is the negative of Eq 3. A purchase counts as much as the
    /// configuration says; END has no reward. The constant of the likelihood of amounts is left
    /// out.
    ///
    /// # Errors
    /// [`Error::Setting`] if the batch has no step, or the reward of a click is neither 0 nor 1
    /// where rewards are purchases.
    pub fn loss(&self, batch: &PaddedBatch, weights: Option<&[f32]>) -> Result<Tensor> {
        let cells = cells(batch);
        if cells.is_empty() {
            return Err(Setting::new("batch", "no step in it").into());
        }
        let device = self.params.device();
        let column = |values: Vec<f32>| {
            Ok::<_, Error>(Tensor::new(values, device)?.to_dtype(self.params.dtype())?)
        };
        let weight = |cell: u32| weights.map_or(1.0, |weights| weights[cell as usize]);
        let states = self.clicks.states(batch, &cells)?;

        let clicked: Vec<u32> = (0..cells.len() as u32)
            .filter(|&i| batch.clicked_mask[cells[i as usize] as usize])
            .collect();
        let place = |&cell: &u32| match batch.clicked_mask[cell as usize] {
            true => batch.chosen[cell as usize],
            false => batch.places as u32,
        };
        let chosen =
            Tensor::new(cells.iter().map(place).collect::<Vec<_>>(), device)?.unsqueeze(1)?;
        let log_p = self
            .click_log_probabilities_at(batch, &cells, &states)?
            .gather(&chosen, 1)?
            .squeeze(1)?;
        let mut sum =
            (log_p * column(cells.iter().map(|&cell| weight(cell)).collect())?)?.sum_all()?;

        if !clicked.is_empty() {
            let of = |i: &u32| cells[*i as usize];
            let items: Vec<u32> = clicked.iter().map(|i| batch.clicked[of(i) as usize]).collect();
            let states = states.index_select(&Tensor::new(&clicked[..], device)?, 0)?;
            let values = self.reward_logits(&states, &items)?;
            let share = |i: &u32| self.config.lambda_p as f32 * weight(of(i));
            let reward = |i: &u32| batch.reward[of(i) as usize];
            let log_p = match self.config.rewards {
                Rewards::Purchases => {
                    let refused = clicked.iter().map(reward).find(|&r| r != 0.0 && r != 1.0);
                    if let Some(reward) = refused {
                        let problem = format!("the reward of a click is {reward}, expected 0 or 1");
                        return Err(Setting::new("rewards", problem).into());
                    }
                    let logits = values.unsqueeze(1)?;
                    let all = Tensor::ones(logits.shape(), DType::U8, device)?;
                    let (bought, not_bought) = masked_log_softmax(&logits, &all, true)?;
                    let purchase = self.config.purchase_weight as f32;
                    let class = |i: &u32, bought: bool| {
                        let class = if bought { purchase } else { 1.0 };
                        share(i) * class * f32::from(bought == (reward(i) > 0.5))
                    };
                    let class = |bought| column(clicked.iter().map(|i| class(i, bought)).collect());
                    sum = (sum + (bought.squeeze(1)? * class(true)?)?.sum_all()?)?;
                    (not_bought * class(false)?)?
                }
                Rewards::Amounts => {
                    let rewards = column(clicked.iter().map(reward).collect())?;
                    let shares = column(clicked.iter().map(share).collect())?;
                    (((rewards - values)?.sqr()? * -0.5)? * shares)?
                }
            };
            sum = (sum + log_p.sum_all()?)?;
        }
        Ok((sum / -(cells.len() as f64))?)
    }

    /// The mean of [`loss`](Self::loss) over the steps of all sessions of a log of
    /// [`clicked_sessions`](super::clicked_sessions), q_D = 1.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is empty.
    pub fn mean_loss(&self, log: &Log) -> Result<f64> {
        let sessions: Vec<usize> = (0..log.sessions()).collect();
        let mut sum = 0.0;
        for chunk in sessions.chunks(CHUNK) {
            let batch = PaddedBatch::new(log, chunk, None);
            sum += scalar(&self.loss(&batch, None)?)? * cells(&batch).len() as f64;
        }
        match log.steps() {
            0 => Err(Setting::new("sessions", "none to evaluate").into()),
            steps => Ok(sum / steps as f64),
        }
    }
}

impl Network for BehaviourModel {
    const KIND: &'static str = "irecgan-behaviour/1";
    type Config = BehaviourConfig;
    type Error = Error;

    fn parts(&self) -> (&BehaviourConfig, &Params) {
        (&self.config, &self.params)
    }

    fn build(config: BehaviourConfig, _: &Catalogue, params: Params) -> Result<Self> {
        Self::with_params(config, params)
    }
}

/// The cells of a batch that hold a step.
fn cells(batch: &PaddedBatch) -> Vec<u32> {
    (0..batch.step_mask.len() as u32).filter(|&cell| batch.step_mask[cell as usize]).collect()
}
