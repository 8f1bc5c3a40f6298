//! User models with context features: what they count in the training sessions, and the rows that
//! training sees. Training rows are counted out of fold, all others in all training sessions.

use std::collections::BTreeMap;

use candle_core::Tensor;
use foretaste_data::{Log, PaddedBatch};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{ContextFeatures, CountContext};

use crate::config::Context;
use crate::impressions::Impressions;
use crate::{Result, UserModel};

/// The context features of the training sessions by their numbers, counted out of fold; empty for a
/// model that takes none.
pub(crate) type TrainingRows = BTreeMap<usize, Vec<f32>>;

impl UserModel {
    /// Counts the context features in these sessions of a log, in folds that are dealt from `seed`,
    /// and gives the rows that training is to see.
    pub(crate) fn learn_context(
        &mut self,
        log: &Log,
        sessions: &[usize],
        seed: Seed,
    ) -> Result<TrainingRows> {
        let Some(Context::Counts { place }) = self.config().context else {
            return Ok(TrainingRows::new());
        };
        // A session that is named twice, as when they are drawn with replacement, counts once, so
        // that it is in one fold.
        let mut sessions = sessions.to_vec();
        sessions.sort_unstable();
        sessions.dedup();
        let (items, seed) = (self.config().items, seed.derive("context"));
        let counted = CountContext::count(log, &sessions, items, place, seed)?;
        self.context = Some(counted.context);
        Ok(sessions.into_iter().zip(counted.training).collect())
    }

    /// The slates of these sessions as the model sees them; those in `training` with the context
    /// features that stand there.
    pub(crate) fn impressions_of(
        &self,
        log: &Log,
        sessions: &[usize],
        training: &TrainingRows,
    ) -> Result<Impressions> {
        let batch = PaddedBatch::new(log, sessions, None);
        let mut impressions = Impressions::new(&batch, self.params().device())?;
        if let Some(context) = self.counted()? {
            let mut rows = Vec::with_capacity(impressions.shown.len() * context.dim());
            for session in sessions {
                match training.get(session) {
                    Some(counted) => rows.extend_from_slice(counted),
                    None => context.session_rows(log.session(*session), &mut rows),
                }
            }
            impressions.context = Some(self.rows(rows, context)?);
        }
        Ok(impressions)
    }

    fn rows(&self, rows: Vec<f32>, context: &CountContext) -> Result<Tensor> {
        let shape = (rows.len() / context.dim(), context.dim());
        let rows = Tensor::from_vec(rows, shape, self.params().device())?;
        Ok(rows.to_dtype(self.params().dtype())?)
    }

    pub(crate) fn counted(&self) -> Result<Option<&CountContext>> {
        if self.config().context.is_some() && self.context.is_none() {
            let problem = "the model needs them, but they were not counted; fit the model first";
            return Err(Setting::new("context features", problem).into());
        }
        Ok(self.context.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle_core::{DType, Device};
    use foretaste_data::Split;
    use foretaste_nn::check_gradients;
    use foretaste_sim::policies::UniformRandom;
    use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout};
    use foretaste_train::Network;

    use super::*;
    use crate::testing::{catalogue, configs, log};
    use crate::{LearnedUsers, Pays, TrainConfig, UserModelConfig, fit};

    const COUNTS: Option<Context> = Some(Context::Counts { place: true });

    fn model(config: UserModelConfig, dtype: DType) -> UserModel {
        let config = UserModelConfig { context: COUNTS, ..config };
        let mut model =
            UserModel::with_type(config, &catalogue(), Seed::new(1), &Device::Cpu, dtype).unwrap();
        model.learn_context(&log(), &[0, 1, 2], Seed::new(2)).unwrap();
        model
    }

    #[test]
    fn gradients_match_finite_differences() {
        for config in configs() {
            let model = model(config, DType::F64);
            let seen = model.impressions_of(&log(), &[0, 1, 2], &TrainingRows::new()).unwrap();
            check_gradients(model.params(), || Ok(model.batch_loss(&seen).unwrap()));
        }
    }

    /// What users who act were paid for a click is what the model says of it in their log.
    #[test]
    fn users_who_act_are_those_that_the_model_sees_in_their_log() {
        let without =
            |config| UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
        let models = configs().into_iter().map(|config| model(config, DType::F32));
        for model in models.chain(configs().into_iter().map(without)) {
            let users = LearnedUsers::paying(model, Pays::Utility).unwrap();
            let rollout = Rollout::new(Seed::new(3), 0..20, 3).max_steps(6);
            let played = rollout.run(&users, &Blind(UniformRandom { items: 6 })).unwrap();
            let sessions: Vec<usize> = (0..played.sessions()).collect();
            let choices = users.model().slate_choices(&played, &sessions).unwrap();
            let eta = users.model().config().eta as f32;
            for (choice, step) in choices.iter().zip(played.iter().flat_map(|s| s.steps())) {
                let utility = choice.chosen.map_or(0.0, |place| choice.utility[place] / eta);
                assert!((step.reward - utility).abs() < 1e-5, "{} {utility}", step.reward);
            }
        }
    }

    #[test]
    fn a_checkpoint_holds_the_counts() {
        let (log, folder) = (log(), tempfile::tempdir().unwrap());
        let model = model(configs()[0].clone(), DType::F32);
        model.save(folder.path(), &catalogue(), 7, 1, None).unwrap();
        let (loaded, _) = UserModel::load(folder.path(), &catalogue(), &Device::Cpu).unwrap();
        assert_eq!(
            loaded.slate_choices(&log, &[0, 1, 2]).unwrap(),
            model.slate_choices(&log, &[0, 1, 2]).unwrap()
        );
    }

    #[test]
    fn a_model_that_counted_nothing_says_so() {
        let config = UserModelConfig { context: COUNTS, ..UserModelConfig::new(6) };
        let model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
        let refused = model.slate_choices(&log(), &[0]).unwrap_err().to_string();
        assert!(refused.contains("they were not counted"), "{refused}");
    }

    /// The users of this log like some items more than others: so say the click rates.
    #[test]
    fn a_fit_learns_their_weights() {
        let settings = ChoiceUsersConfig { items: 6, preference: 3.0, ..Default::default() };
        let users = ChoiceUsers::new(&settings).unwrap();
        let rollout = Rollout::new(Seed::new(3), 0..60, 3).max_steps(6);
        let log = rollout.run(&users, &Blind(UniformRandom { items: 6 })).unwrap();
        let split =
            Split { train: (0..40).collect(), validation: (40..60).collect(), test: vec![] };
        let config = UserModelConfig { context: COUNTS, ..configs()[0].clone() };
        let training = TrainConfig { iterations: 30, ..TrainConfig::default() };
        let mut model = UserModel::new(config, &catalogue(), Seed::new(1), &Device::Cpu).unwrap();
        let weight = |model: &UserModel| {
            model.params().snapshot().unwrap()["reward.context_weight"].to_vec2::<f32>().unwrap()
        };
        let before = weight(&model);
        let go_on = |_| ControlFlow::Continue(());
        fit(&mut model, &log, &split, &training, Seed::new(4), go_on).unwrap();
        assert_ne!(before, weight(&model));
    }
}
