//! What U predicts for logged slates (Eq 1), for the evaluation that it shares with all models of
//! choice.

use candle_core::{DType, Device};
use foretaste_data::{Log, PaddedBatch};
use foretaste_eval::choice::{ChoiceModel, Prediction, log_softmax};
use foretaste_settings::Setting;

use super::model::BehaviourModel;
use crate::Result;

/// Sessions that are evaluated at a time.
const CHUNK: usize = 64;

/// Eq 1; to choose none is END.
impl ChoiceModel for BehaviourModel {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let mut all = Vec::new();
        for chunk in sessions.chunks(CHUNK) {
            all.extend(predict(self, &PaddedBatch::new(log, chunk, None))?);
        }
        Ok(all)
    }
}

fn predict(model: &BehaviourModel, batch: &PaddedBatch) -> Result<Vec<Prediction>> {
    let unknown = batch
        .shown
        .iter()
        .zip(&batch.shown_mask)
        .find(|&(&item, &shown)| shown && item as usize >= model.config().items);
    if let Some((item, _)) = unknown {
        let problem = format!("{}, but the log shows item {item}", model.config().items);
        return Err(Setting::new("items", problem).into());
    }
    let log_p = model.click_log_probabilities(batch)?.detach();
    let log_p = log_p.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let cells = (0..batch.step_mask.len()).filter(|&cell| batch.step_mask[cell]);
    let of_step = |(cell, row): (usize, Vec<f32>)| {
        let shown = &batch.shown_mask[cell * batch.places..][..batch.places];
        let places = row.iter().zip(shown).filter(|(_, shown)| **shown);
        let scores: Vec<f32> = places.map(|(&log_p, _)| log_p).collect();
        let log_choice = scores.iter().chain(&row[batch.places..]).map(|&log_p| log_p.into());
        Prediction {
            log_given_choice: Some(log_softmax(&scores)),
            log_choice: Some(log_choice.collect()),
            scores,
        }
    };
    Ok(cells.zip(log_p).map(of_step).collect())
}
