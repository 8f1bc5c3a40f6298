//! The experiment `regularisers`: users under Shannon's entropy, L2 and between, by closed forms
//! and by the min-max (GAN-CDQN, experiment B).

use std::collections::BTreeMap;

use anyhow::Context;
use candle_core::Device;
use foretaste_data::Split;
use foretaste_eval::Metric;
use foretaste_eval::choice::evaluate;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Watch};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Figures, Kind, View};
use foretaste_train::{Fitted, Progress};
use foretaste_user_model::{
    AdversarialConfig, AdversarialPoint, CurvePoint, MostPrecise, Regulariser, StateEncoder,
    TrainConfig, UserModel, UserModelConfig, fit_adversarial, fit_for_both,
};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::learned::{self, LEARNED_USERS, interruptible};
use crate::sources::{self, Source, Splitting};

/// The experiment `regularisers`.
pub struct Regularisers {
    cells: Vec<Cell>,
    sources: Vec<Source>,
    missing: Vec<String>,
    device: Device,
}

/// What a cell's result depends on, in addition to its data set, method and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    data: String,
    device: String,
    model: UserModelConfig,
    training: TrainConfig,
    /// Without it the inner maximum is taken in closed form.
    min_max: Option<MinMax>,
}

/// Rewards by the min-max.
#[derive(Clone, Serialize, Deserialize)]
struct MinMax {
    /// Whether it starts from the rewards of Shannon's closed form, a generator of the same form
    /// from their softmax.
    from_entropy: bool,
    /// Whether these rewards are those of the highest validation precision, as the authors take
    /// them, not those of the lowest loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    most_precise: bool,
    generator: UserModelConfig,
    training: AdversarialConfig,
}

/// Seeds where claims are to be decided.
const SEEDS: u64 = 10;
const NAME: &str = "regularisers";
const USERS: [&str; 2] = ["GAN-PW", "GAN-LSTM"];
const SHANNON: &str = "shannon";
/// Figures of a test, and what they are called where the generator is tested.
const GENERATOR: [(Metric, Metric); 3] = [
    (Metric::NllGivenClick, Metric::GeneratorNllGivenClick),
    (Metric::PrecisionAt1, Metric::GeneratorPrecisionAt1),
    (Metric::PrecisionAt2, Metric::GeneratorPrecisionAt2),
];
const L2_MIN_MAX: &str = "L2 min-max";
const L2_FROM_MOST_PRECISE: &str = "L2 min-max, from the most precise";

impl Regularisers {
    /// Reads the data and lays out the grid of cells: data sets x GAN-PW and GAN-LSTM x
    /// regularizers x seeds.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let (all, mut missing) = sources::read(settings)?;
        let (sources, left): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|source| covers(source, settings.scale));
        let untold = |source: &Source| {
            format!(
                "NOT RUN below scale paper: {}, whose slates are simulated.",
                source.dataset.name
            )
        };
        missing.extend(left.iter().map(untold));
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS)).version(LEARNED_USERS);
        for source in &sources {
            for (name, state) in
                USERS.into_iter().zip([StateEncoder::position_weights(), StateEncoder::lstm()])
            {
                let training = learned::training(source, settings.scale);
                let shannon = UserModelConfig {
                    state,
                    ..UserModelConfig::new(source.dataset.catalogue.len())
                };
                for (setting, regulariser, min_max) in
                    settings_of(&shannon, &training, settings.scale)
                {
                    let config = Config {
                        data: source.digest.clone(),
                        device: settings.device.to_string(),
                        model: UserModelConfig { regulariser, ..shannon.clone() },
                        training: training.clone(),
                        min_max,
                    };
                    grid.arm(&source.dataset.name, name, setting, config)?;
                }
            }
        }
        Ok(Self { cells: grid.into_cells(), sources, missing, device: settings.device.open()? })
    }
}

/// Below the paper's scale the min-max keeps to logs whose slates are not simulated.
fn covers(source: &Source, scale: Scale) -> bool {
    scale == Scale::Paper || !source.simulated_slates
}

fn settings_of(
    shannon: &UserModelConfig,
    training: &TrainConfig,
    scale: Scale,
) -> [(&'static str, Regulariser, Option<MinMax>); 6] {
    let published = AdversarialConfig::default();
    let reward = TrainConfig { batch: published.reward.batch, ..training.clone() };
    let (generator, training) = match scale {
        Scale::Paper => (shannon.generator(), AdversarialConfig { reward, ..published }),
        Scale::Quick | Scale::Decide => {
            let reward = TrainConfig { patience: Some(10), ..reward };
            (shannon.clone(), AdversarialConfig { reward, inner: 3, warm_up: 100, ..published })
        }
        Scale::Smoke => {
            (shannon.clone(), AdversarialConfig { reward, inner: 1, warm_up: 10, ..published })
        }
    };
    let min_max = |from_entropy, most_precise| {
        let (generator, training) = (generator.clone(), training.clone());
        Some(MinMax { from_entropy, most_precise, generator, training })
    };
    [
        (SHANNON, Regulariser::Shannon, None),
        ("shannon min-max", Regulariser::Shannon, min_max(false, false)),
        ("tsallis 1.5", Regulariser::Tsallis { alpha: 1.5 }, None),
        ("L2", Regulariser::L2, None),
        (L2_MIN_MAX, Regulariser::L2, min_max(true, false)),
        (L2_FROM_MOST_PRECISE, Regulariser::L2, min_max(true, true)),
    ]
}

impl Experiment for Regularisers {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        let source = sources::of(&self.sources, cell)?;
        let config: Config = cell.config()?;
        let seed = Seed::new(cell.seed);
        let split = source.split(Splitting::BySeed, seed)?;
        let run = Run { source, split, seed, config: &config, device: &self.device, watch };
        match &config.min_max {
            None => run.closed_form(),
            Some(min_max) => run.min_max(min_max),
        }
    }

    fn columns(&self) -> &'static [Metric] {
        &[
            Metric::NllGivenClick,
            Metric::PrecisionAt1,
            Metric::PrecisionAt2,
            Metric::ClicksRuledOut,
            Metric::GeneratorPrecisionAt1,
            Metric::GeneratorPrecisionAt2,
            Metric::Shortfall,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![Metric::Loss, Metric::BestIteration, Metric::GeneratorNllGivenClick]
    }

    fn curve_label(&self) -> &'static str {
        "Fenchel-Young loss per slate"
    }

    fn question(&self) -> &'static str {
        "Does the regularizer of the users' choice matter for predicting clicks (GAN-CDQN, \
         experiment B)?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        self.sources.iter().map(Source::data_set).collect()
    }

    fn views(&self) -> Vec<View> {
        vec![View {
            kind: Kind::Dots,
            name: "precision",
            title: "Users under different regularizers",
            axis: "precision@1 (share of clicks)",
            metrics: vec![(Metric::PrecisionAt1, "precision@1")],
            panels: Some(By::Dataset),
            groups: Some(By::Setting),
            series: Some(By::Method),
            ..View::default()
        }]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.sources.iter().map(Source::note).chain(self.missing.clone()).collect();
        notes.push(
            "Figures are those of the test users of a 50 / 25 / 25 split drawn again for every \
             seed, at the lowest validation loss. min-max: r_θ and a generator φ_α trained in \
             alternation, L2's from Shannon's rewards at the lowest validation loss, or at the \
             highest validation precision (the most precise); the others in closed form, from \
             untrained rewards. clicks_ruled_out is the share of clicks that φ* gives probability \
             0, which makes the NLL infinite; shortfall is what φ_α lacks to the optimum of the \
             inner maximum on the validation users, in units of reward."
                .into(),
        );
        notes
    }
}

/// One cell at work.
struct Run<'a> {
    source: &'a Source,
    split: Split,
    seed: Seed,
    config: &'a Config,
    device: &'a Device,
    watch: &'a Watch,
}

impl Run<'_> {
    fn model(&self, config: UserModelConfig) -> anyhow::Result<UserModel> {
        Ok(UserModel::new(config, &self.source.dataset.catalogue, self.seed, self.device)?)
    }

    fn fit(
        &self,
        model: &mut UserModel,
        part: &str,
    ) -> anyhow::Result<(Fitted<CurvePoint>, Option<MostPrecise>)> {
        let (log, training) = (&self.source.dataset.log, &self.config.training);
        let callback = learned::callback(self.watch, training.iterations, part, "loss");
        interruptible(fit_for_both(
            model,
            log,
            &self.split,
            training,
            self.seed.derive("training"),
            callback,
        ))
    }

    fn figures(&self, model: &UserModel) -> anyhow::Result<Figures> {
        let log = &self.source.dataset.log;
        let test = evaluate(model, log, &self.split.test)?;
        let losses = model.slate_losses(log, &self.split.test)?;
        let loss = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
        let mut figures = learned::metrics(&test)?;
        figures.insert(Metric::Loss, loss);
        figures
            .insert(Metric::ClicksRuledOut, test.ruled_out.context("no test slate has a click")?);
        Ok(figures)
    }

    fn closed_form(&self) -> anyhow::Result<Outcome> {
        let mut model = self.model(self.config.model.clone())?;
        let (fitted, _) = self.fit(&mut model, "")?;
        let mut metrics = self.figures(&model)?;
        metrics.insert(Metric::BestIteration, fitted.best.iteration as f64);
        Ok(Outcome { metrics, curve: learned::curve(&fitted, "loss") })
    }

    fn min_max(&self, min_max: &MinMax) -> anyhow::Result<Outcome> {
        let mut model = self.model(self.config.model.clone())?;
        let mut generator = self.model(min_max.generator.clone())?;
        if min_max.from_entropy {
            let config =
                UserModelConfig { regulariser: Regulariser::Shannon, ..self.config.model.clone() };
            let mut entropy = self.model(config.clone())?;
            let (_, most_precise) = self.fit(&mut entropy, "entropy")?;
            if min_max.most_precise {
                most_precise.context("no validation slate has a click")?.restore(&entropy)?;
            }
            let rewards = entropy.params().snapshot()?;
            model.params().restore(&rewards)?;
            if *generator.config() == config {
                generator.params().restore(&rewards)?;
            }
        }
        let log = &self.source.dataset.log;
        let callback = |update: Progress<AdversarialPoint>| {
            self.watch.progress(update.iteration, min_max.training.reward.iterations);
            if let Some(point) = update.point {
                let norms = [
                    ("gradient_norm", point.gradient_norm),
                    ("generator_gradient_norm", point.generator_gradient_norm),
                ];
                self.watch.record(
                    "",
                    update.iteration,
                    row(&point).into_iter().chain(learned::figures(norms)),
                );
            }
            self.watch.control_flow()
        };
        let seed = self.seed.derive("min-max");
        let fitted = interruptible(fit_adversarial(
            &mut model,
            &mut generator,
            log,
            &self.split,
            &min_max.training,
            seed,
            callback,
        ))?;
        let mut metrics = self.figures(&model)?;
        let of_generator = learned::metrics(&evaluate(&generator, log, &self.split.test)?)?;
        let named = |(metric, name)| Some((name, *of_generator.get(&metric)?));
        metrics.extend(GENERATOR.into_iter().filter_map(named));
        metrics.insert(Metric::BestIteration, fitted.best.iteration as f64);
        metrics.insert(Metric::Shortfall, fitted.best.validation_shortfall);
        Ok(Outcome { metrics, curve: fitted.curve.iter().map(row).collect() })
    }
}

fn row(point: &AdversarialPoint) -> BTreeMap<String, f64> {
    learned::figures([
        ("iteration", Some(point.iteration as f64)),
        ("objective_train", point.train_objective),
        ("objective_validation", Some(point.validation_objective)),
        ("shortfall", Some(point.validation_shortfall)),
        ("validation_loss", Some(point.validation_loss)),
    ])
    .collect()
}
