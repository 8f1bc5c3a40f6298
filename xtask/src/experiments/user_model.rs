//! The experiment `user-model`: GAN-CDQN's learned users under Shannon's entropy on held-out displays (experiment A).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use understudy_data::import::{self, import};
use understudy_data::{Dataset, Format, Split};
use understudy_eval::metrics;
use understudy_random::Seed;
use understudy_user_model::{self as user_model, StateEncoder, TrainConfig, UserModelConfig, evaluate, fit};

use crate::experiment::{Cell, Experiment, Interrupted, Outcome, Watch};
use crate::settings::{Scale, Settings};

/// The experiment `user-model`.
pub struct UserModel {
    cells: Vec<Cell>,
    sources: Vec<Source>,
    device: Device,
}

struct Source {
    dataset: Dataset,
    split: Split,
    digest: String,
}

/// What a cell's result depends on, beside its data set, method and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    data: String,
    device: String,
    model: UserModelConfig,
    training: TrainConfig,
}

const REAL: [&str; 2] = ["yelp", "rsc"];

impl UserModel {
    /// Reads the data and lays out the grid of cells: data sets x GAN-PW and GAN-LSTM x seeds.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let sources = match &settings.data_dir {
            Some(folder) => real_sources(folder)?,
            None => vec![Source::read("simulated", &bundled())?],
        };
        let training = TrainConfig {
            iterations: if settings.scale == Scale::Smoke { 40 } else { TrainConfig::default().iterations },
            ..TrainConfig::default()
        };
        let mut cells = Vec::new();
        for source in &sources {
            for (method, state) in [("GAN-PW", StateEncoder::position_weights()), ("GAN-LSTM", StateEncoder::lstm())] {
                let model = UserModelConfig { state, ..UserModelConfig::new(source.dataset.catalogue.len()) };
                let config = Config {
                    data: source.digest.clone(),
                    device: settings.device.to_string(),
                    model,
                    training: training.clone(),
                };
                let config = serde_json::to_value(config)?;
                cells.extend((0..settings.seeds).map(|seed| Cell {
                    experiment: "user-model".into(),
                    dataset: source.dataset.name.clone(),
                    method: method.into(),
                    setting: "shannon".into(),
                    seed,
                    config: config.clone(),
                }));
            }
        }
        Ok(Self { cells, sources, device: settings.device.open()? })
    }
}

impl Experiment for UserModel {
    fn name(&self) -> &'static str {
        "user-model"
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        let source = self.sources.iter().find(|source| source.dataset.name == cell.dataset);
        let Source { dataset, split, .. } = source.context("a data set of this run")?;
        let config: Config = serde_json::from_value(cell.config.clone())?;
        let seed = Seed::new(cell.seed);
        let model = user_model::UserModel::new(config.model, &dataset.catalogue, seed, &self.device)?;
        let total = config.training.iterations;
        let fitted = fit(&model, &dataset.log, split, &config.training, seed.derive("training"), |iteration| {
            watch.progress(iteration, total);
            if watch.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let fitted = match fitted {
            Err(user_model::Error::Interrupted) => bail!(Interrupted),
            other => other?,
        };
        let test = evaluate(&model, &dataset.log, &split.test)?;
        let unclicked = "no test display has a click";
        let metrics = [
            ("nll", test.nll),
            ("nll_given_click", test.nll_given_click.context(unclicked)?),
            ("precision@1", test.precision_at_1.context(unclicked)?),
            ("precision@2", test.precision_at_2.context(unclicked)?),
            ("validation_nll", fitted.best.validation_nll),
            ("best_iteration", fitted.best.iteration as f64),
        ];
        let row = |point: &user_model::CurvePoint| {
            BTreeMap::from([
                ("iteration".to_owned(), point.iteration as f64),
                ("validation_nll".to_owned(), point.validation_nll),
            ])
            .into_iter()
            .chain(point.train_nll.map(|nll| ("train_nll".to_owned(), nll)))
            .collect()
        };
        Ok(Outcome {
            metrics: metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            curve: fitted.curve.iter().map(row).collect(),
        })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.sources.iter().map(Source::note).collect();
        notes.push(
            "Figures are those of the test users at the iteration with the lowest validation NLL; \"no click\" stands on every \
             slate with utility 0. nll is in nats per display; nll_given_click leaves the mass of \"no click\" out, and is the one to hold \
             against uniform choice. Seeds vary initialisation and batches; the split is the file's."
                .into(),
        );
        let has = |name: &str| self.sources.iter().any(|source| source.dataset.name == name);
        if has("yelp") || has("rsc") {
            let missing: Vec<&str> = REAL.into_iter().filter(|name| !has(name)).collect();
            notes.extend(
                missing.iter().map(|name| format!("NOT RUN: {name}, whose file {name}.txt is not in the data folder.")),
            );
        }
        if has("yelp") {
            notes.push(
                "A public run of the authors' code on yelp (GAN-LSTM, Shannon, learning rate 1e-3, batch 128, one seed): test NLL \
                 0.933, precision@1 0.748, precision@2 0.876, each precision at its own best validation checkpoint."
                    .into(),
            );
        }
        notes
    }
}

impl Source {
    fn read(name: &str, path: &Path) -> anyhow::Result<Self> {
        let name = Some(name.to_owned());
        let options = import::Options { format: Some(Format::GanCdqn), name, ..import::Options::default() };
        let (dataset, _) = import(path, options)?;
        let split = dataset.split.clone().with_context(|| format!("{} names no split", path.display()))?;
        for (side, sessions) in [("train", &split.train), ("validation", &split.validation), ("test", &split.test)] {
            ensure!(!sessions.is_empty(), "{}: column tr_val_tst puts no user on the {side} side", path.display());
        }
        let mut hasher = blake3::Hasher::new();
        std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
        Ok(Self { dataset, split, digest: hasher.finalize().to_hex().to_string() })
    }

    /// Where the data come from, and what choosing blindly would score on the test displays.
    fn note(&self) -> String {
        let sizes = self.split.test.iter().flat_map(|&session| self.dataset.log.session(session).steps());
        let sizes: Vec<usize> = sizes.map(|step| step.slate.len()).collect();
        let mean = |f: &dyn Fn(f64) -> f64| sizes.iter().map(|&k| f(k as f64)).sum::<f64>() / sizes.len() as f64;
        let constant = |r| {
            let displays: Vec<Vec<f32>> = sizes.iter().map(|&k| vec![0.0; k]).collect();
            metrics::precision_at(r, displays.iter().map(|scores| (&scores[..], 0))).unwrap_or(f64::NAN)
        };
        let kind =
            if self.dataset.name == "simulated" { "simulated users (bundled; not real data)" } else { "real log" };
        format!(
            "{}: {kind}, {} test displays; choosing uniformly among the shown items scores NLL {:.3}, precision@1 {:.3}, \
             precision@2 {:.3}.",
            self.dataset.name,
            sizes.len(),
            mean(&|k| k.ln()),
            constant(1),
            constant(2),
        )
    }
}

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("datasets").join("simulated-choice.tsv")
}

fn real_sources(folder: &Path) -> anyhow::Result<Vec<Source>> {
    let find = |name: &str| -> Option<PathBuf> {
        let file = format!("{name}.txt");
        [folder.join("gaum").join(&file), folder.join(&file)].into_iter().find(|path| path.exists())
    };
    let found: Vec<_> = REAL.iter().filter_map(|name| Some((name, find(name)?))).collect();
    if found.is_empty() {
        bail!(
            "{}: neither yelp.txt nor rsc.txt of GAN-CDQN's released data is there, nor in its folder gaum; \
             datasets/gan-cdqn.md says where they come from",
            folder.display()
        );
    }
    found.into_iter().map(|(name, path)| Source::read(name, &path)).collect()
}
