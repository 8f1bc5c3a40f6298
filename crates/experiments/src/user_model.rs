//! The experiment `user-model`: GAN-CDQN's learned users under Shannon's entropy, and the click
//! models that it compares them with, on held-out slates (experiment A).

use candle_core::Device;
use foretaste_baselines::{self as baselines, Data, ModelKind, select_among};
use foretaste_eval::Metric;
use foretaste_eval::choice::evaluate;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Watch};
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Kind, View};
use foretaste_user_model::{
    Context, StateEncoder, TrainConfig, UserModel as Users, UserModelConfig, fit_for_both,
};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::learned::{self, LEARNED_USERS, interruptible};
use crate::sources::{self, Source, Splitting};

/// The experiment `user-model`.
pub struct UserModel {
    cells: Vec<Cell>,
    sources: Vec<Source>,
    missing: Vec<String>,
    device: Device,
}

/// What a cell's result depends on, in addition to its data set, method and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    data: String,
    splitting: Splitting,
    method: Method,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Users(Box<Learned>),
    Baseline { grid: Vec<baselines::Settings> },
}

#[derive(Clone, Serialize, Deserialize)]
struct Learned {
    device: String,
    model: UserModelConfig,
    training: TrainConfig,
}

/// Seeds where claims are to be decided.
const SEEDS: u64 = 10;
const NAME: &str = "user-model";
/// GAN-CDQN's users, as published and with the numbers that the trees are given.
const USERS: [[&str; 2]; 2] = [["GAN-PW", "GAN-PW, features"], ["GAN-LSTM", "GAN-LSTM, features"]];

impl UserModel {
    /// Reads the data and lays out the grid of cells: data sets x splits x models x seeds.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let (sources, missing) = sources::read(settings)?;
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS)).version(LEARNED_USERS);
        for source in &sources {
            for splitting in source.splittings() {
                for (name, method) in methods(source, settings) {
                    let config = Config { data: source.digest.clone(), splitting, method };
                    grid.arm(&source.dataset.name, name, splitting.name(), config)?;
                }
            }
        }
        Ok(Self { cells: grid.into_cells(), sources, missing, device: settings.device.open()? })
    }
}

/// Every model with its settings for a data set.
fn methods(source: &Source, settings: &Settings) -> Vec<(&'static str, Method)> {
    let contexts = [None, Some(Context::Counts { place: false })];
    let states = [StateEncoder::position_weights(), StateEncoder::lstm()];
    let users = USERS.into_iter().zip(states).flat_map(|(names, state)| {
        names.into_iter().zip(contexts).map(move |(name, context)| {
            let published = UserModelConfig::new(source.dataset.catalogue.len());
            let learned = Learned {
                device: settings.device.to_string(),
                model: UserModelConfig { state: state.clone(), context, ..published },
                training: learned::training(source, settings.scale),
            };
            (name, Method::Users(Box::new(learned)))
        })
    });
    let baselines = ModelKind::ALL
        .into_iter()
        .map(|kind| (kind.name(), Method::Baseline { grid: grid(kind, settings.scale) }));
    users.chain(baselines).collect()
}

/// The hyper-parameters to choose among.
pub fn grid(kind: ModelKind, scale: Scale) -> Vec<baselines::Settings> {
    match scale {
        Scale::Smoke => kind.coarse_grid().into_iter().take(1).map(brief).collect(),
        Scale::Quick | Scale::Decide => kind.coarse_grid(),
        Scale::Paper => kind.grid(),
    }
}

/// The settings with as little training as runs all the code.
fn brief(mut settings: baselines::Settings) -> baselines::Settings {
    match &mut settings {
        baselines::Settings::SessionRnn(config) => config.training.iterations = 20,
        baselines::Settings::Network(config) => config.training.iterations = 20,
        baselines::Settings::Trees(config) => config.trees = 5,
        _ => {}
    }
    settings
}

impl Experiment for UserModel {
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
        match config.method {
            Method::Users(learned) => self.users(source, config.splitting, *learned, seed, watch),
            Method::Baseline { grid } => baseline(source, config.splitting, &grid, seed, watch),
        }
    }

    fn columns(&self) -> &'static [Metric] {
        &[
            Metric::Nll,
            Metric::NllGivenClick,
            Metric::PrecisionAt1,
            Metric::PrecisionAt2,
            Metric::PrecisionAt1MostPrecise,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![
            Metric::ValidationNll,
            Metric::ValidationNllGivenClick,
            Metric::PrecisionAt2MostPrecise,
            Metric::ValidationPrecisionAt1,
            Metric::BestIteration,
            Metric::GridPoint,
        ]
    }

    fn curve_label(&self) -> &'static str {
        "loss, in nats"
    }

    fn question(&self) -> &'static str {
        "Which model predicts the clicks of held-out users (GAN-CDQN, experiment A)?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        self.sources.iter().map(Source::data_set).collect()
    }

    fn views(&self) -> Vec<View> {
        vec![
            View {
                title: "precision@1 of held-out users, split by seed",
                over: "model",
                metrics: vec![(Metric::PrecisionAt1, "precision@1")],
                settings: "split by seed",
                panels: Some(By::Dataset),
                groups: Some(By::Method),
                ..View::default()
            },
            View {
                title: "NLL of the clicked item given a click, nats per slate, split by seed",
                over: "model",
                metrics: vec![(Metric::NllGivenClick, "NLL")],
                settings: "split by seed",
                panels: Some(By::Dataset),
                groups: Some(By::Method),
                ..View::default()
            },
            View {
                kind: Kind::Dots,
                name: "precision",
                title: "Which model predicts clicks of held-out users",
                axis: "precision@1 (share of clicks)",
                metrics: vec![(Metric::PrecisionAt1, "precision@1")],
                panels: Some(By::Dataset),
                groups: Some(By::Method),
                series: Some(By::Setting),
                ..View::default()
            },
        ]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.sources.iter().map(Source::note).chain(self.missing.clone()).collect();
        notes.push(
            "Figures are those of the test users. Hyper-parameters and the moment to stop are \
             chosen on the validation users. nll_given_click is the NLL of the clicked item given \
             that one was clicked, in nats per slate; nll, for the learned users, has \"no click\" on every slate with utility 0. A model without a likelihood has neither."
                .into(),
        );
        notes.push(
            "Split by seed: 50 / 25 / 25 of the users drawn again for every seed, so that \
             intervals speak of users too. Released split: the file's, so that they speak of \
             initialization and batches alone, and models without any have none."
                .into(),
        );
        if self.sources.iter().any(|source| source.dataset.name == "yelp") {
            notes.push(
                "yelp: the position model shows that the file's order gives the click away; no \
                 other model sees the order. A public run of the authors' code (GAN-LSTM, \
                 Shannon, learning rate 1e-3, batch 128, one seed, released split): test NLL \
                 0.933, precision@1 0.748, precision@2 0.876, each precision at its own best \
                 validation checkpoint."
                    .into(),
            );
        }
        notes
    }
}

impl UserModel {
    fn users(
        &self,
        source: &Source,
        splitting: Splitting,
        Learned { model, training, .. }: Learned,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<Outcome> {
        let (dataset, split) = (&source.dataset, source.split(splitting, seed)?);
        let mut model = Users::new(model, &dataset.catalogue, seed, &self.device)?;
        let callback = learned::callback(watch, training.iterations, "", "nll");
        let (fitted, most_precise) = interruptible(fit_for_both(
            &mut model,
            &dataset.log,
            &split,
            &training,
            seed.derive("training"),
            callback,
        ))?;
        let test = evaluate(&model, &dataset.log, &split.test)?;
        let mut metrics = learned::metrics(&test)?;
        metrics.extend(test.nll.map(|nll| (Metric::Nll, nll)));
        metrics.insert(Metric::ValidationNll, fitted.best.validation_nll);
        metrics.insert(Metric::BestIteration, fitted.best.iteration as f64);
        if let Some(most_precise) = most_precise {
            most_precise.restore(&model)?;
            let test = evaluate(&model, &dataset.log, &split.test)?;
            let figures = [
                (Metric::PrecisionAt1MostPrecise, test.precision_at_1),
                (Metric::PrecisionAt2MostPrecise, test.precision_at_2),
                (Metric::ValidationPrecisionAt1, most_precise.point.validation_precision),
            ];
            metrics.extend(figures.into_iter().filter_map(|(name, value)| Some((name, value?))));
        }
        Ok(Outcome { metrics, curve: learned::curve(&fitted, "nll") })
    }
}

fn baseline(
    source: &Source,
    splitting: Splitting,
    grid: &[baselines::Settings],
    seed: Seed,
    watch: &Watch,
) -> anyhow::Result<Outcome> {
    let (dataset, split) = (&source.dataset, source.split(splitting, seed)?);
    let data = Data::new(&dataset.log, dataset.catalogue.len(), &split);
    let selected =
        select_among(grid, &data, seed.derive("baseline"), learned::grid_callback(watch));
    let selection = interruptible(selected)?;
    let test = evaluate(&*selection.model, &dataset.log, &split.test)?;
    let chosen = &selection.candidates[selection.chosen];
    let figures = [
        (Metric::NllGivenClick, test.nll_given_choice),
        (Metric::PrecisionAt1, test.precision_at_1),
        (Metric::PrecisionAt2, test.precision_at_2),
        (Metric::ValidationNllGivenClick, chosen.validation.nll_given_choice),
        (Metric::ValidationPrecisionAt1, chosen.validation.precision_at_1),
        (Metric::GridPoint, Some(selection.chosen as f64)),
    ];
    let figures = figures.into_iter().filter_map(|(metric, value)| Some((metric, value?)));
    Ok(Outcome {
        metrics: figures.collect(),
        curve: chosen.curve.iter().map(learned::baseline_row).collect(),
    })
}
