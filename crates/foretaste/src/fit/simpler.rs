//! Simpler models of the same clicks, which learned users are to beat.

use anyhow::bail;
use foretaste_baselines::{ClickModel, Data, Error, ModelKind, select_among};
use foretaste_console::Interrupted;
use foretaste_data::{Dataset, Log, Split};
use foretaste_eval::choice::{ChoiceModel, Prediction};
use foretaste_random::Seed;

use super::watch::Watch;

/// A simpler model and what it is called.
pub struct Simpler {
    pub name: &'static str,
    pub model: Box<dyn ChoiceModel>,
}

const FITTED: [(&str, ModelKind); 3] = [
    ("position", ModelKind::Position),
    ("popularity", ModelKind::Popularity),
    ("boosted trees", ModelKind::Trees),
];

/// How many models are fitted, each a unit of work.
pub fn points() -> u64 {
    FITTED.iter().map(|(_, kind)| kind.coarse_grid().len() as u64).sum()
}

/// The simpler models, the uniform one first; their settings too are chosen on the validation
/// sessions.
///
/// # Errors
/// [`Interrupted`] if the watch stopped it; what the models return.
pub fn fit(
    dataset: &Dataset,
    split: &Split,
    seed: Seed,
    watch: &mut Watch,
) -> anyhow::Result<Vec<Simpler>> {
    let data = Data::new(&dataset.log, dataset.catalogue.len(), split);
    let mut all = vec![Simpler { name: "uniform", model: Box::new(Uniform) }];
    for (name, kind) in FITTED {
        let seed = seed.derive(kind.name());
        let callback = |_| watch.advance("simpler models");
        let model = match select_among(&kind.coarse_grid(), &data, seed, callback) {
            Ok(selection) => selection.model,
            Err(Error::Training(foretaste_train::Error::Interrupted)) => bail!(Interrupted),
            Err(other) => bail!(other),
        };
        all.push(Simpler { name, model: Box::new(Fitted(model)) });
    }
    Ok(all)
}

/// A click model as what it says of choices.
struct Fitted(Box<dyn ClickModel>);

impl ChoiceModel for Fitted {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        self.0.predict(log, sessions)
    }
}

/// All items of a slate are alike.
struct Uniform;

impl ChoiceModel for Uniform {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let steps = sessions.iter().flat_map(|&session| log.session(session).steps());
        let of_size = |size: usize| Prediction {
            scores: vec![0.0; size],
            log_given_choice: Some(vec![-(size as f64).ln(); size]),
            log_choice: None,
        };
        Ok(steps.map(|step| of_size(step.slate.len())).collect())
    }
}
