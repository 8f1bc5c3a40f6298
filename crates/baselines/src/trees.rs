//! The baseline XGBOOST of GAN-CDQN's experiment A, grown by `forust-ml`. What that library grows
//! is converted to a forest of our own, which predicts and is saved.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use foretaste_data::Catalogue;
use foretaste_nn::Params;
use foretaste_nn::checkpoint::Weights;
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::{CountFeatures, Folds};
use forust_ml::objective::ObjectiveType;
use forust_ml::{GradientBooster, Matrix};
use serde::{Deserialize, Serialize};

use crate::data::sample_shown;
use crate::features::{FEATURES, Features};
use crate::forest::Forest;
use crate::grid::{Configured, Grid, cross};
use crate::training::Callback;
use crate::{ClickModel, CurvePoint, Data, Impressions, Likelihood, Result};

/// XGBOOST: gradient-boosted regression trees on the logistic loss of every shown item (Chen &
/// Guestrin 2016), grown by the crate `forust-ml`, which implements XGBoost's algorithm
/// (second-order gains, histogram splits, L2 on the leaves). It knows the logistic and the squared
/// loss and no ranking objective, so there are no LambdaRank trees here.
///
/// GAN-CDQN does not list the features that it gave to XGBoost. Ours, of a shown item a in a
/// slate, after the clicks h of the session, with counts from the training sessions:
///
/// | feature | |
/// |---|---|
/// | those of [`CountFeatures`](foretaste_train::CountFeatures) | |
/// | share of rate | the rate of a over the sum of rates in the slate; not where items are [alone](Self::alone) |
/// | slate size | number of items shown; not where items are alone |
/// | place | place of a in the slate, from 0, where asked for |
///
/// Rows of training are counted out of fold: the training sessions are dealt into 10 folds, from
/// the seed, and the rows of a fold see the counts of the other nine. A row that saw its own click
/// would give it away.
///
/// The number of trees is that of the lowest logistic loss on the validation sessions. No row or
/// column is sampled while growing, so the seed makes the folds, and the choice of `max_rows`, and
/// no more.
///
/// The score is the log-odds z of a click. The likelihood is [`Likelihood::Derived`]: if items are
/// clicked independently with log-odds z and exactly one was, it is an item with probability
/// softmax(z).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreesConfig {
    /// Depth of a tree, at least 1.
    pub max_depth: usize,
    /// Shrinkage of every tree, in (0, 1].
    pub learning_rate: f32,
    /// Trees at most.
    pub trees: usize,
    /// Stop after this many trees in a row without a lower loss on the validation sessions.
    pub patience: usize,
    /// Shown items to grow trees on, and to stop by, about so many at most: slates are sampled
    /// down, from the seed.
    pub max_rows: usize,
    /// Whether the place in the slate is a feature. Off by default: where slates were put
    /// together afterwards, their order may give the click away.
    pub place: bool,
    /// Whether an item is judged without what compares it with its slate, so that the items of a
    /// whole catalogue can be ranked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
}

impl Default for TreesConfig {
    fn default() -> Self {
        Self {
            max_depth: 4,
            learning_rate: 0.1,
            trees: 300,
            patience: 20,
            max_rows: 100_000,
            place: false,
            alone: false,
        }
    }
}

/// XGBOOST's settings.
pub(crate) const GRID: Grid<TreesConfig> = Grid {
    points: || {
        cross(&[2, 4, 6], &[0.1, 0.3])
            .into_iter()
            .map(|(max_depth, learning_rate)| TreesConfig {
                max_depth,
                learning_rate,
                ..TreesConfig::default()
            })
            .collect()
    },
    is_coarse: |config| config.max_depth <= 4 && config.learning_rate == 0.3,
};

impl Configured for TreesConfig {
    fn fit(
        &self,
        data: &Data<'_>,
        seed: Seed,
        _callback: Callback<'_>,
    ) -> Result<Box<dyn ClickModel>> {
        Ok(Box::new(Trees::fit(self, data, seed)?))
    }

    fn restore(&self, catalogue: &Catalogue, weights: &Weights) -> Result<Box<dyn ClickModel>> {
        check(self)?;
        // They have no parameters, and no more nodes than trees of this depth.
        Params::new(Seed::new(0), DType::F32, &Device::Cpu).check(weights.shapes())?;
        let nodes = 1usize.checked_shl(self.max_depth.min(64) as u32 + 2).unwrap_or(usize::MAX);
        let of_trees = self.trees.saturating_mul(nodes).saturating_mul(4);
        CountFeatures::check_tables(weights.shapes(), catalogue.len(), of_trees)?;
        let weights = weights.tensors()?;
        let features = Features::from_tables(weights, catalogue.len())?;
        let forest = Forest::from_tables(weights, columns(self))?;
        Ok(Box::new(Trees { features, forest, curve: Vec::new() }))
    }
}

pub(crate) struct Trees {
    features: Features,
    forest: Forest,
    curve: Vec<CurvePoint>,
}

impl Trees {
    pub fn fit(config: &TreesConfig, data: &Data<'_>, seed: Seed) -> Result<Self> {
        check(config)?;
        let training = data.training();
        let (train, train_labels) = out_of_fold(config, data, &training, seed)?;
        let features = Features::new(&training, data.items)?;
        let columns = columns(config);
        let validation = data.validation();
        validation.check(data.items)?;
        let wanted = sample_shown(&validation, config.max_rows, seed.derive("validation"));
        let (held_out, held_out_labels) =
            (features.rows(&validation, &wanted), validation.labels(&wanted));
        let clicks = train_labels.iter().sum::<f64>() as usize;
        if clicks == 0 || clicks == train_labels.len() {
            let problem = format!(
                "{clicks} clicks on {} shown items, expected some of them",
                train_labels.len()
            );
            return Err(Setting::new("training sessions", problem).into());
        }
        let (train, held_out) = (transpose(&train, columns), transpose(&held_out, columns));
        if held_out.is_empty() {
            let problem = "none, expected at least one to stop by";
            return Err(Setting::new("validation sessions", problem).into());
        }
        let (rows, held_out_rows) = (train_labels.len(), held_out_labels.len());
        let weights = vec![1.0; rows.max(held_out_rows)];
        // Growing stops by the last.
        let judged = vec![
            (Matrix::new(&train, rows, columns), &train_labels[..], &weights[..rows]),
            (
                Matrix::new(&held_out, held_out_rows, columns),
                &held_out_labels[..],
                &weights[..held_out_rows],
            ),
        ];
        let mut booster = GradientBooster::default()
            .set_objective_type(ObjectiveType::LogLoss)
            .set_max_depth(config.max_depth)
            .set_learning_rate(config.learning_rate)
            .set_iterations(config.trees)
            .set_early_stopping_rounds(Some(config.patience));
        booster.fit_unweighted(&Matrix::new(&train, rows, columns), &train_labels, Some(judged))?;
        let curve = curve(&booster);
        Ok(Self { features, forest: Forest::of(&booster), curve })
    }
}

impl ClickModel for Trees {
    fn scores(&self, impressions: &Impressions<'_>) -> Result<Vec<Vec<f32>>> {
        const CHUNK: usize = 4_096;
        impressions.check(self.features.items())?;
        let all: Vec<usize> = (0..impressions.len()).collect();
        let mut scores = Vec::with_capacity(impressions.len());
        for chunk in all.chunks(CHUNK) {
            let rows = self.features.rows(impressions, chunk);
            let mut margins = rows.iter().map(|row| self.forest.predict(row) as f32);
            scores.extend(chunk.iter().map(|&impression| {
                margins.by_ref().take(impressions.get(impression).slate.len()).collect::<Vec<_>>()
            }));
        }
        Ok(scores)
    }

    fn weights(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        let mut weights = self.features.tables()?;
        weights.extend(self.forest.tables()?);
        Ok(Some(weights))
    }

    fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    fn likelihood(&self) -> Likelihood {
        Likelihood::Derived
    }
}

type Row = [f64; FEATURES];

/// The rows of the training slates, or of a sample of them, with their labels: counted out of
/// fold.
fn out_of_fold(
    config: &TreesConfig,
    data: &Data<'_>,
    training: &Impressions<'_>,
    seed: Seed,
) -> Result<(Vec<Row>, Vec<f64>)> {
    let folds = Folds::deal(data.train.len(), seed);
    let wanted = sample_shown(training, config.max_rows, seed.derive("training"));
    let (mut all_rows, mut all_labels) = (Vec::new(), Vec::new());
    for fold in 0..folds.len() {
        let others = folds.others(data.train, fold);
        let features = Features::new(&Impressions::new(data.log, &others), data.items)?;
        let in_fold = |impression: &usize| folds.of(training.get(*impression).session) == fold;
        let wanted: Vec<usize> = wanted.iter().copied().filter(in_fold).collect();
        all_rows.extend(features.rows(training, &wanted));
        all_labels.extend(training.labels(&wanted));
    }
    Ok((all_rows, all_labels))
}

/// The log-losses after every tree.
fn curve(booster: &GradientBooster) -> Vec<CurvePoint> {
    let point = |(tree, losses): (usize, &[f64])| CurvePoint {
        iteration: tree as u64 + 1,
        training_loss: Some(losses[0]),
        validation_loss: losses[1],
    };
    booster
        .evaluation_history
        .iter()
        .flat_map(|history| history.data.chunks_exact(2).enumerate().map(point))
        .collect()
}

/// The first `columns` features as columns, one after the other.
fn transpose(rows: &[Row], columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|column| rows.iter().map(move |row| row[column])).collect()
}

/// Number of features in use, the first ones: what compares an item with its slate stands behind
/// the others, and the place is the last.
fn columns(config: &TreesConfig) -> usize {
    match (config.alone, config.place) {
        (true, _) => CountFeatures::DIM,
        (false, true) => FEATURES,
        (false, false) => FEATURES - 1,
    }
}

fn check(config: &TreesConfig) -> Result<()> {
    let counts = [config.max_depth, config.trees, config.patience, config.max_rows];
    if counts.contains(&0) || !(config.learning_rate > 0.0 && config.learning_rate <= 1.0) {
        let expected = "counts of at least 1 and a learning rate in (0, 1]";
        return Err(Setting::of("gradient-boosted trees", config, expected).into());
    }
    if config.alone && config.place {
        let problem = "an item that is judged alone has no place: expected one of both";
        return Err(Setting::new("gradient-boosted trees", problem).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log;

    /// The last slate of the third session, after clicks on 4 and 1, with the counts of the first
    /// two sessions.
    #[test]
    fn features_of_a_small_log() {
        let small = log(&[
            &[(&[0, 1, 2], Some(1)), (&[3, 4], Some(4)), (&[1, 3], Some(1)), (&[4, 5], Some(5))],
            &[(&[4], Some(4))],
            &[(&[4, 5], Some(4)), (&[1, 2], Some(1)), (&[1, 5, 3], None)],
        ]);
        let features = Features::new(&Impressions::new(&small, &[0, 1]), 6).unwrap();
        let impressions = Impressions::new(&small, &[2]);
        let rows = features.rows(&impressions, &[2]);
        let (mean, half) = (5.0 / 10.0, 0.5f64.sqrt());
        let rate = |clicks: f64, shown: f64| (clicks + 10.0 * mean) / (shown + 10.0);
        let rates = [rate(2.0, 2.0), rate(1.0, 1.0), rate(0.0, 2.0)];
        let total: f64 = rates.iter().sum();
        let counted = [
            [3f64.ln(), 3f64.ln(), rates[0], half, half, 0.0, 1.0, 2.0],
            [2f64.ln(), 2f64.ln(), rates[1], half + 1.0, 1.0, 1.0, 0.0, 2.0],
            [0.0, 3f64.ln(), rates[2], 0.0, 0.0, 0.0, 0.0, 2.0],
        ];
        let of_slate = |place: usize| [rates[place] / total, 3.0, place as f64];
        let expected: Vec<f64> =
            (0..3).flat_map(|place| counted[place].into_iter().chain(of_slate(place))).collect();
        for (row, expected) in rows.iter().flatten().zip(&expected) {
            assert!((row - expected).abs() < 1e-12, "{rows:?}");
        }
        assert_eq!(rows[..], features.rows(&impressions, &[0, 1, 2])[4..]);
    }

    #[test]
    fn a_row_of_training_does_not_see_its_own_session() {
        let slates: Vec<[u32; 3]> =
            (0..20).map(|session| [session % 4, 4 + session % 3, 7]).collect();
        let clicks = |changed: Option<usize>| {
            let click = |session: usize| {
                slates[session][(session + usize::from(changed == Some(session))) % 3]
            };
            let steps: Vec<[(&[u32], Option<u32>); 1]> =
                (0..20).map(|session| [(&slates[session][..], Some(click(session)))]).collect();
            log(&steps.iter().map(|session| &session[..]).collect::<Vec<_>>())
        };
        let train: Vec<usize> = (0..20).collect();
        let table = |log: &foretaste_data::Log| {
            let data = Data { log, items: 8, train: &train, validation: &train };
            let (rows, labels) =
                out_of_fold(&TreesConfig::default(), &data, &data.training(), Seed::new(1))
                    .unwrap();
            assert_eq!((rows.len(), labels.iter().sum::<f64>()), (60, 20.0));
            (rows, labels)
        };
        let (before, labels) = table(&clicks(None));
        for changed in 0..20 {
            let (after, changed_labels) = table(&clicks(Some(changed)));
            let differing: Vec<usize> =
                (0..60).filter(|&row| labels[row] != changed_labels[row]).collect();
            assert_eq!(differing.len(), 2);
            for row in differing {
                assert_eq!(before[row], after[row]);
            }
            assert_ne!(before, after);
        }
    }

    /// By the booster that grew them, bit for bit.
    #[test]
    fn trees_predict_as_they_were_grown() {
        let rows: Vec<Row> = (0..400)
            .map(|at| std::array::from_fn(|column| f64::from((at * (column as u32 + 3)) % 17)))
            .collect();
        let labels: Vec<f64> =
            rows.iter().map(|row| f64::from(u8::from(row[0] + row[3] > 15.0))).collect();
        let values = transpose(&rows, FEATURES);
        let matrix = Matrix::new(&values, rows.len(), FEATURES);
        let judged =
            vec![(Matrix::new(&values, rows.len(), FEATURES), &labels[..], &[1.0; 400][..])];
        let mut booster = GradientBooster::default()
            .set_objective_type(ObjectiveType::LogLoss)
            .set_iterations(60)
            .set_early_stopping_rounds(Some(3));
        booster.fit_unweighted(&matrix, &labels, Some(judged)).unwrap();
        let forest = Forest::of(&booster);
        let found: Vec<f64> = rows.iter().map(|row| forest.predict(row)).collect();
        assert!(found.iter().any(|margin| *margin != found[0]));
        assert_eq!(found, booster.predict(&matrix, false));
    }

    #[test]
    fn the_trees_are_the_same_on_any_number_of_threads() {
        let (mut slates, mut stream) = (Vec::new(), 1u32);
        for _ in 0..20_000 {
            let mut draw = || {
                stream = stream.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                stream >> 16
            };
            let first = draw() % 40;
            let slate = [first, 40 + draw() % 40, 80 + draw() % 40];
            slates.push((slate, slate[draw() as usize % 3]));
        }
        let steps: Vec<Vec<(&[u32], Option<u32>)>> = slates
            .chunks(10)
            .map(|steps| steps.iter().map(|(slate, click)| (&slate[..], Some(*click))).collect())
            .collect();
        let log = log(&steps.iter().map(|session| &session[..]).collect::<Vec<_>>());
        let (train, validation): (Vec<usize>, Vec<usize>) =
            ((0..1_900).collect(), (1_900..2_000).collect());
        let data = Data { log: &log, items: 120, train: &train, validation: &validation };
        let fit = || {
            let config = TreesConfig { trees: 5, ..TreesConfig::default() };
            Trees::fit(&config, &data, Seed::new(1)).unwrap().scores(&data.validation()).unwrap()
        };
        let scores = [1, 2, 5].map(|threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(fit)
        });
        assert!(scores[0] == scores[1] && scores[1] == scores[2]);
    }
}
