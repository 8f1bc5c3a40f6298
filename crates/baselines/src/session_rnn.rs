use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use understudy_data::ItemId;
use understudy_nn::{Init, Lstm, Params, masked_log_softmax};
use understudy_random::Seed;

use crate::data::sample;
use crate::model::nll;
use crate::training::{Watch, train};
use crate::{ClickModel, Data, Displays, Error, Likelihood, Result, Training};

/// Clicks after which gradients are cut; the state is carried on.
const SEGMENT: usize = 32;
/// Sessions that are scored at a time, which bounds the memory of a forward pass.
const CHUNK: usize = 32;

/// S-RNN: a recurrent network over the clicks of a session that predicts the next one among all items (GRU4Rec, Hidasi et
/// al. 2016).
///
/// The clicks pass through an embedding and one LSTM layer, where the paper has one-hot inputs and GRUs, to a state h; the
/// score of item i is ⟨w_i, h⟩ + b_i. The state before the first click is zero, and the first click is predicted too, from
/// b alone: most displays of the papers' data are first ones. What was shown beside the clicks plays no part in training.
///
/// The loss is the cross-entropy of the next click against a sample of items drawn uniformly for each batch (the paper,
/// §3.1, samples the other clicks of the batch), corrected for the share of items drawn; with no fewer `candidates` than
/// items it is the full softmax. Gradients run back through 32 clicks at most. The likelihood is [`Likelihood::Derived`]:
/// the softmax over all items, given that the click is one of those shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRnnConfig {
    /// Width of the embedding and of the state, at least 1.
    pub hidden: usize,
    /// Items that compete with the next click in the loss, at least 1.
    pub candidates: usize,
    /// Of longer training sessions the first clicks, so many, are trained on.
    pub longest: usize,
    /// How it is trained; a batch is of sessions.
    pub training: Training,
}

impl Default for SessionRnnConfig {
    fn default() -> Self {
        Self { hidden: 32, candidates: 512, longest: 50, training: Training { iterations: 500, ..Training::default() } }
    }
}

#[derive(Debug)]
pub(crate) struct SessionRnn {
    config: SessionRnnConfig,
    params: Params,
    items: usize,
    clicks: Tensor,
    lstm: Lstm,
    weight: Tensor,
    bias: Tensor,
}

impl SessionRnn {
    pub fn fit(config: &SessionRnnConfig, data: &Data<'_>, seed: Seed, watch: Watch<'_>) -> Result<Self> {
        let model = Self::untrained(config, data.items, seed.derive("session RNN"), DType::F32)?;
        let displays = data.training();
        displays.check(data.items)?;
        let cut = |clicks: &Vec<ItemId>| clicks[..clicks.len().min(config.longest)].to_vec();
        let sessions: Vec<Vec<ItemId>> = displays.clicks().iter().map(cut).collect();
        let examples: Vec<usize> = (0..sessions.len()).filter(|&session| !sessions[session].is_empty()).collect();
        let held_out = data.validation_sample(config.training.validation_displays, seed);
        train(
            &model.params,
            &config.training,
            &examples,
            seed.derive("training"),
            |batch, seed| model.loss(&batch.iter().map(|&session| &sessions[session][..]).collect::<Vec<_>>(), seed),
            || nll(&model, &held_out),
            watch,
        )?;
        Ok(model)
    }

    fn untrained(config: &SessionRnnConfig, items: usize, seed: Seed, dtype: DType) -> Result<Self> {
        if [config.hidden, config.candidates, config.longest].contains(&0) {
            return Err(Error::setting("session RNN", format!("{config:?}: expected every count to be at least 1")));
        }
        let mut params = Params::new(seed, dtype, &Device::Cpu);
        let init = Init::Normal { sd: 1.0 / (config.hidden as f64).sqrt() };
        let clicks = params.scope("clicks").param("embedding", (items, config.hidden), init)?;
        let lstm = Lstm::new(config.hidden, config.hidden, 1, params.scope("lstm"))?;
        let mut scope = params.scope("next");
        let weight = scope.param("weight", (items, config.hidden), init)?;
        let bias = scope.param("bias", (items, 1), Init::Constant(0.0))?;
        Ok(Self { config: config.clone(), params, items, clicks, lstm, weight, bias })
    }

    /// The states of some sessions, `[1 + sessions · time, hidden]`: row 0 is the state before any click, row
    /// `session · time + n` that after n clicks. `time` is the length of the longest.
    fn states(&self, sessions: &[&[ItemId]], time: usize) -> Result<Tensor> {
        let device = self.params.device();
        let empty = Tensor::zeros((1, self.config.hidden), self.params.dtype(), device)?;
        if time == 0 {
            return Ok(empty);
        }
        let mut state = self.lstm.zero_state(sessions.len())?;
        let mut outputs = Vec::new();
        for start in (0..time).step_by(SEGMENT) {
            let steps = SEGMENT.min(time - start);
            // Padding comes after the clicks of a session, so it reaches no state that is used.
            let click = |session: &[ItemId], t: usize| session.get(t).map_or(0, |item| item.0);
            let items: Vec<u32> =
                sessions.iter().flat_map(|session| (start..start + steps).map(|t| click(session, t))).collect();
            let inputs = self.clicks.index_select(&Tensor::new(items, device)?, 0)?;
            let inputs = inputs.reshape((sessions.len(), steps, self.config.hidden))?;
            let (output, last) = self.lstm.forward(&inputs, &state, None)?;
            outputs.push(output);
            state = last.detach();
        }
        let states = Tensor::cat(&outputs, 1)?.reshape((sessions.len() * time, self.config.hidden))?;
        Ok(Tensor::cat(&[empty, states], 0)?)
    }

    /// The cross-entropy of every click of some sessions, in nats per click.
    fn loss(&self, sessions: &[&[ItemId]], seed: Seed) -> Result<Tensor> {
        let device = self.params.device();
        // Nothing follows the last click.
        let inputs: Vec<&[ItemId]> = sessions.iter().map(|clicks| &clicks[..clicks.len() - 1]).collect();
        let time = inputs.iter().map(|clicks| clicks.len()).max().unwrap_or(0);
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (session, clicks) in sessions.iter().enumerate() {
            rows.extend((0..clicks.len()).map(|n| row(session, time, n)));
            targets.extend(clicks.iter().map(|item| item.0));
        }
        let candidates = sample(self.items, self.config.candidates, seed);
        let candidates: Vec<u32> = candidates.into_iter().map(|item| item as u32).collect();
        // The target stands first, and wherever it was drawn it does not stand a second time.
        let mask = targets.iter().flat_map(|target| {
            [1].into_iter().chain(candidates.iter().map(move |candidate| u8::from(candidate != target)))
        });
        let mask = Tensor::from_vec(mask.collect(), (targets.len(), 1 + candidates.len()), device)?;
        let correction = (self.items as f64 / candidates.len() as f64).ln();
        let (targets, candidates) = (Tensor::new(targets, device)?, Tensor::new(candidates, device)?);
        let states = self.states(&inputs, time)?.index_select(&Tensor::new(rows, device)?, 0)?;
        let of_target = self.dot(&states, &targets)?.unsqueeze(1)?;
        let of_candidates = states
            .matmul(&self.weight.index_select(&candidates, 0)?.t()?)?
            .broadcast_add(&(self.bias.index_select(&candidates, 0)?.t()? + correction)?)?;
        let (log_next, _) = masked_log_softmax(&Tensor::cat(&[of_target, of_candidates], 1)?, &mask, false)?;
        Ok(log_next.narrow(1, 0, 1)?.mean_all()?.neg()?)
    }

    /// The score of one item for each state `[rows, hidden]`: `[rows]`.
    fn dot(&self, states: &Tensor, items: &Tensor) -> Result<Tensor> {
        let products = (states * self.weight.index_select(items, 0)?)?.sum(1)?;
        Ok((products + self.bias.index_select(items, 0)?.squeeze(1)?)?)
    }
}

impl ClickModel for SessionRnn {
    fn scores(&self, displays: &Displays<'_>) -> Result<Vec<Vec<f32>>> {
        displays.check(self.items)?;
        let (device, of_sessions) = (self.params.device(), displays.of_sessions());
        let mut scores = Vec::with_capacity(displays.len());
        for (sessions, ranges) in displays.clicks().chunks(CHUNK).zip(of_sessions.chunks(CHUNK)) {
            let sessions: Vec<&[ItemId]> = sessions.iter().map(|clicks| &clicks[..]).collect();
            let time = sessions.iter().map(|clicks| clicks.len()).max().unwrap_or(0);
            let (mut rows, mut items, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
            for (session, range) in ranges.iter().enumerate() {
                for display in range.clone().map(|index| displays.get(index)) {
                    rows.extend(display.slate.iter().map(|_| row(session, time, display.before)));
                    items.extend(display.slate.iter().map(|item| item.0));
                    sizes.push(display.slate.len());
                }
            }
            let states = self.states(&sessions, time)?.index_select(&Tensor::new(rows, device)?, 0)?;
            let all = self.dot(&states, &Tensor::new(items, device)?)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            let mut all = all.into_iter();
            scores.extend(sizes.into_iter().map(|size| all.by_ref().take(size).collect::<Vec<_>>()));
        }
        Ok(scores)
    }

    fn likelihood(&self) -> Likelihood {
        Likelihood::Derived
    }
}

/// The row of a session's state after `n` clicks, see [`SessionRnn::states`].
fn row(session: usize, time: usize, n: usize) -> u32 {
    if n == 0 { 0 } else { (session * time + n) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{log, small};
    use understudy_nn::check_gradients;

    fn model(candidates: usize) -> SessionRnn {
        let config = SessionRnnConfig { hidden: 3, candidates, ..SessionRnnConfig::default() };
        SessionRnn::untrained(&config, 6, Seed::new(1), DType::F64).unwrap()
    }

    fn sessions(displays: &Displays<'_>) -> Vec<Vec<ItemId>> {
        displays.clicks().to_vec()
    }

    fn loss(model: &SessionRnn, sessions: &[Vec<ItemId>]) -> Tensor {
        model.loss(&sessions.iter().map(|clicks| &clicks[..]).collect::<Vec<_>>(), Seed::new(5)).unwrap()
    }

    #[test]
    fn gradients_match_finite_differences() {
        let log = small();
        let sessions = sessions(&Displays::new(&log, &[0, 1, 2]));
        for candidates in [3, 6] {
            let model = model(candidates);
            check_gradients(&model.params, || Ok(loss(&model, &sessions)));
        }
    }

    /// On displays that show every item, the likelihood over the display is that over all items, which the loss with all
    /// items as candidates trains.
    #[test]
    fn the_full_loss_is_the_likelihood_of_displays_of_all_items() {
        let all: &[u32] = &[0, 1, 2, 3, 4, 5];
        let log = log(&[&[(all, Some(1)), (all, Some(4)), (all, Some(1))], &[(all, Some(0))]]);
        let displays = Displays::new(&log, &[0, 1]);
        let model = model(6);
        let expected = nll(&model, &displays).unwrap();
        let found = loss(&model, &sessions(&displays)).to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    /// The corrected sample of candidates gives the full softmax on average of exp(loss), the partition over the target:
    /// 4,000 samples of one click, their mean within 5 standard errors, which chance leaves once in 1.7 million seeds.
    #[test]
    fn sampled_candidates_stand_for_all_items() {
        let clicks = [vec![ItemId(2)]];
        let partition = |model: &SessionRnn, seed: u64| {
            let loss = model.loss(&[&clicks[0][..]], Seed::new(seed)).unwrap();
            loss.to_scalar::<f64>().unwrap().exp()
        };
        let bias = Tensor::new(&[[0.3f64], [-1.0], [0.5], [1.5], [0.0], [-0.4]], &Device::Cpu).unwrap();
        let [full, sampled] = [6, 3].map(|candidates| {
            let model = model(candidates);
            model.params.get("next.bias").unwrap().set(&bias).unwrap();
            model
        });
        let expected = partition(&full, 0);
        let draws: Vec<f64> = (0..4_000).map(|seed| partition(&sampled, seed)).collect();
        let mean = draws.iter().sum::<f64>() / 4e3;
        let error = (draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4e3 / 4e3).sqrt();
        assert!((mean - expected).abs() < 5.0 * error, "{mean} ± {error}, {expected}");
    }

    /// 80 clicks run over two cuts of the gradient, and the states are those of one run without cuts.
    #[test]
    fn cuts_of_the_gradient_do_not_change_the_states() {
        let model = model(6);
        let clicks: Vec<ItemId> = (0..80).map(|t| ItemId(t * t % 6)).collect();
        let states = model.states(&[&clicks, &clicks[..40]], 80).unwrap();
        let items = Tensor::new(clicks.iter().map(|item| item.0).collect::<Vec<_>>(), &Device::Cpu).unwrap();
        let inputs = model.clicks.index_select(&items, 0).unwrap().unsqueeze(0).unwrap();
        let (whole, _) = model.lstm.forward(&inputs, &model.lstm.zero_state(1).unwrap(), None).unwrap();
        let whole = whole.squeeze(0).unwrap().to_vec2::<f64>().unwrap();
        let states = states.to_vec2::<f64>().unwrap();
        assert_eq!(states[0], [0.0; 3]);
        for n in 1..=80 {
            for (first, whole) in states[row(0, 80, n) as usize].iter().zip(&whole[n - 1]) {
                assert!((first - whole).abs() < 1e-12);
            }
        }
        assert_eq!(states[row(0, 80, 40) as usize], states[row(1, 80, 40) as usize]);
    }

    #[test]
    fn a_display_depends_on_the_clicks_before_it_alone() {
        let model = model(6);
        let log = log(&[
            &[(&[0, 1], Some(1)), (&[2, 3], None), (&[4, 5], Some(4)), (&[0, 2], Some(0))],
            &[(&[0, 1], Some(1)), (&[4, 5], Some(5))],
        ]);
        let both = model.scores(&Displays::new(&log, &[0, 1])).unwrap();
        let second = model.scores(&Displays::new(&log, &[1])).unwrap();
        assert_eq!((both.len(), second.len()), (6, 2));
        for (a, b) in [(&both[4], &second[0]), (&both[5], &second[1]), (&both[0], &both[4]), (&both[2], &both[5])] {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} {b:?}");
        }
    }
}
