use std::ops::ControlFlow;

use foretaste_eval::choice::{Evaluation, evaluate};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::item_knn::{ItemKnn, ItemKnnConfig};
use crate::network::{Architecture, Loss, Network, NetworkConfig};
use crate::popularity::{Popularity, PopularityConfig, Position, PositionConfig};
use crate::session_knn::{SessionKnn, SessionKnnConfig};
use crate::session_rnn::{SessionRnn, SessionRnnConfig};
use crate::trees::{Trees, TreesConfig};
use crate::{ClickModel, CurvePoint, Data, Result, Training};

/// The models of GAN-CDQN's experiment A that are not user models of its own, and two that any
/// model should beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Click counts: [`PopularityConfig`].
    Popularity,
    /// The place in the slate: [`PositionConfig`].
    Position,
    /// Item-based nearest neighbours: [`ItemKnnConfig`].
    ItemKnn,
    /// Session-based nearest neighbours: [`SessionKnnConfig`].
    SessionKnn,
    /// A recurrent network over clicks: [`SessionRnnConfig`].
    SessionRnn,
    /// Gradient-boosted trees: [`TreesConfig`].
    Trees,
    /// DeepFM: [`NetworkConfig`].
    DeepFm,
    /// Wide & deep with logistic loss: [`NetworkConfig`].
    WideDeepLogistic,
    /// Wide & deep with collaborative competitive filtering loss: [`NetworkConfig`].
    WideDeepCompetitive,
}

/// A model with its hyper-parameters, ready to be fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settings {
    /// Click counts.
    Popularity(PopularityConfig),
    /// The place in the slate.
    Position(PositionConfig),
    /// IKNN.
    ItemKnn(ItemKnnConfig),
    /// SCKNNC.
    SessionKnn(SessionKnnConfig),
    /// S-RNN.
    SessionRnn(SessionRnnConfig),
    /// XGBOOST.
    Trees(TreesConfig),
    /// DFM, W&D-LR or W&D-CCF.
    Network(NetworkConfig),
}

/// How far a selection is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The point of the grid that is being fitted, from 0.
    pub point: usize,
    /// Points of the grid.
    pub points: usize,
    /// Updates done, for networks.
    pub iteration: u64,
    /// The point of the network's learning curve, where one was made now.
    pub seen: Option<CurvePoint>,
}

/// What a selection found.
pub struct Selection {
    /// The model of the chosen settings, fitted to the training sessions.
    pub model: Box<dyn ClickModel>,
    /// Which candidate was chosen.
    pub chosen: usize,
    /// Every point of the grid, in order.
    pub candidates: Vec<Candidate>,
}

/// One point of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The hyper-parameters.
    pub settings: Settings,
    /// The figures of the validation sessions.
    pub validation: Evaluation,
    /// How the fit went, see [`ClickModel::curve`].
    pub curve: Vec<CurvePoint>,
}

impl ModelKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Popularity,
        Self::Position,
        Self::ItemKnn,
        Self::SessionKnn,
        Self::SessionRnn,
        Self::Trees,
        Self::DeepFm,
        Self::WideDeepLogistic,
        Self::WideDeepCompetitive,
    ];

    /// The name in GAN-CDQN's tables; `popularity` and `position` are not in them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Position => "position",
            Self::ItemKnn => "IKNN",
            Self::SessionKnn => "SCKNNC",
            Self::SessionRnn => "S-RNN",
            Self::Trees => "XGBOOST",
            Self::DeepFm => "DFM",
            Self::WideDeepLogistic => "W&D-LR",
            Self::WideDeepCompetitive => "W&D-CCF",
        }
    }

    /// The hyper-parameters that [`select`] chooses among.
    ///
    /// | model | grid | [coarse grid](Self::coarse_grid) |
    /// |---|---|---|
    /// | popularity | per slate or not × smoothing 1, 10, 100 | per slate or not × smoothing 1, 10 |
    /// | position | smoothing 1, 10, 100 | the same |
    /// | IKNN | 20 or 200 neighbours × λ 0 or 20 × ties by popularity or not | 20 or 200 × λ 0 or 20, ties by popularity |
    /// | SCKNNC | 10, 50, 100 or 500 neighbours × ties by popularity or not | 10, 50, 100 or 500, ties by popularity |
    /// | S-RNN | state of width 16 or 64 × learning rate 2e-3 or 1e-2 | 16 with 1e-2, 64 with 2e-3 |
    /// | XGBOOST | depth 2, 4 or 6 × learning rate 0.1 or 0.3 | depth 2 or 4 with 0.3 |
    /// | DFM, W&D-LR, W&D-CCF | embedding 8 or 32 × hidden layers 32 or 64-32 × learning rate 1e-3 or 5e-3 | hidden layer 32; DFM: 8 with 5e-3, 32 with 1e-3; W&D: 8 with 1e-3 or 5e-3 |
    pub fn grid(self) -> Vec<Settings> {
        let network = |architecture, loss| {
            let base = NetworkConfig { architecture, loss, ..NetworkConfig::default() };
            cross(&[8, 32], &cross(&[vec![32], vec![64, 32]], &[1e-3, 5e-3]))
                .into_iter()
                .map(|(dim, (hidden, rate))| {
                    Settings::Network(NetworkConfig {
                        dim,
                        hidden,
                        training: training(rate),
                        ..base.clone()
                    })
                })
                .collect()
        };
        match self {
            Self::Popularity => cross(&[false, true], &[1.0, 10.0, 100.0])
                .into_iter()
                .map(|(per_slate, smoothing)| {
                    Settings::Popularity(PopularityConfig { per_slate, smoothing })
                })
                .collect(),
            Self::Position => [1.0, 10.0, 100.0]
                .map(|smoothing| Settings::Position(PositionConfig { smoothing }))
                .to_vec(),
            Self::ItemKnn => cross(&[20, 200], &cross(&[0.0, 20.0], &[false, true]))
                .into_iter()
                .map(|(neighbours, (regularisation, popularity_breaks_ties))| {
                    Settings::ItemKnn(ItemKnnConfig {
                        neighbours,
                        regularisation,
                        popularity_breaks_ties,
                    })
                })
                .collect(),
            Self::SessionKnn => cross(&[10, 50, 100, 500], &[false, true])
                .into_iter()
                .map(|(neighbours, popularity_breaks_ties)| {
                    Settings::SessionKnn(SessionKnnConfig { neighbours, popularity_breaks_ties })
                })
                .collect(),
            Self::SessionRnn => cross(&[16, 64], &[2e-3, 1e-2])
                .into_iter()
                .map(|(hidden, rate)| {
                    let mut config = SessionRnnConfig { hidden, ..SessionRnnConfig::default() };
                    config.training.learning_rate = rate;
                    Settings::SessionRnn(config)
                })
                .collect(),
            Self::Trees => cross(&[2, 4, 6], &[0.1, 0.3])
                .into_iter()
                .map(|(max_depth, learning_rate)| {
                    Settings::Trees(TreesConfig {
                        max_depth,
                        learning_rate,
                        ..TreesConfig::default()
                    })
                })
                .collect(),
            Self::DeepFm => network(Architecture::DeepFm, Loss::Logistic),
            Self::WideDeepLogistic => network(Architecture::WideDeep, Loss::Logistic),
            Self::WideDeepCompetitive => network(Architecture::WideDeep, Loss::Competitive),
        }
    }

    /// A few points of the [grid](Self::grid) for quick runs, listed beside it.
    ///
    /// They are those that came close to the best of the grid by the validation figures of every
    /// log that we looked at: GAN-CDQN's yelp and rsc, MovieLens 100K and LastFM with simulated
    /// slates.
    pub fn coarse_grid(self) -> Vec<Settings> {
        let kept = |settings: &Settings| match settings {
            Settings::Popularity(config) => config.smoothing <= 10.0,
            Settings::Position(_) => true,
            Settings::ItemKnn(config) => config.popularity_breaks_ties,
            Settings::SessionKnn(config) => config.popularity_breaks_ties,
            Settings::SessionRnn(config) => {
                (config.hidden == 16) == (config.training.learning_rate == 1e-2)
            }
            Settings::Trees(config) => config.max_depth <= 4 && config.learning_rate == 0.3,
            Settings::Network(config) => {
                let fast = config.training.learning_rate == 5e-3;
                config.hidden.len() == 1
                    && match config.architecture {
                        Architecture::DeepFm => (config.dim == 8) == fast,
                        Architecture::WideDeep => config.dim == 8,
                    }
            }
        };
        self.grid().into_iter().filter(kept).collect()
    }
}

impl Settings {
    /// Fits the model to the training sessions; networks and trees stop early by the validation
    /// sessions.
    ///
    /// `callback` is called for a network before any update and after every one, and may stop it.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range or the training
    /// sessions hold nothing to learn from; [`Error::Training`](crate::Error::Training) if a
    /// gradient or a score is not finite, or if `callback` stopped the fit.
    pub fn fit(
        &self,
        data: &Data<'_>,
        seed: Seed,
        mut callback: impl FnMut(foretaste_train::Progress<CurvePoint>) -> ControlFlow<()>,
    ) -> Result<Box<dyn ClickModel>> {
        Ok(match self {
            Self::Popularity(config) => Box::new(Popularity::fit(config, data)?),
            Self::Position(config) => Box::new(Position::fit(config, data)?),
            Self::ItemKnn(config) => Box::new(ItemKnn::fit(config, data)?),
            Self::SessionKnn(config) => Box::new(SessionKnn::fit(config, data)?),
            Self::SessionRnn(config) => {
                Box::new(SessionRnn::fit(config, data, seed, &mut callback)?)
            }
            Self::Trees(config) => Box::new(Trees::fit(config, data, seed)?),
            Self::Network(config) => Box::new(Network::fit(config, data, seed, &mut callback)?),
        })
    }
}

/// Fits every point of the kind's [grid](ModelKind::grid) and keeps the one that is best on the
/// validation sessions: by the likelihood where the model has one, by precision@1 elsewhere, the
/// earlier of two that are equal.
///
/// Point i draws from the i-th seed under `seed`. `callback` is called for every point, for a
/// network before any update and after every one, and may stop the selection.
///
/// # Errors
/// As [`Settings::fit`] and [`evaluate`]; [`Error::Setting`](crate::Error::Setting) if nothing was
/// clicked in the validation sessions.
pub fn select(
    kind: ModelKind,
    data: &Data<'_>,
    seed: Seed,
    callback: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Selection> {
    select_among(&kind.grid(), data, seed, callback)
}

/// As [`select`], among the given settings of one kind of model.
///
/// # Errors
/// As [`select`]; [`Error::Setting`](crate::Error::Setting) if there are no settings.
pub fn select_among(
    grid: &[Settings],
    data: &Data<'_>,
    seed: Seed,
    mut callback: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Selection> {
    let mut best: Option<(Box<dyn ClickModel>, usize)> = None;
    let mut candidates: Vec<Candidate> = Vec::with_capacity(grid.len());
    for (point, settings) in grid.iter().enumerate() {
        let mut of_point =
            |iteration, seen| callback(Progress { point, points: grid.len(), iteration, seen });
        if of_point(0, None).is_break() {
            return Err(foretaste_train::Error::Interrupted.into());
        }
        let model = settings.fit(data, seed.index(point as u64), |progress| {
            of_point(progress.iteration, progress.point)
        })?;
        let figures = evaluate(&*model, data.log, data.validation)?;
        if figures.choices == 0 {
            return Err(Setting::new("validation sessions", "nothing was clicked in them").into());
        }
        let curve = model.curve().to_vec();
        if best
            .as_ref()
            .is_none_or(|&(_, chosen)| is_better(&figures, &candidates[chosen].validation))
        {
            best = Some((model, point));
        }
        candidates.push(Candidate { settings: settings.clone(), validation: figures, curve });
    }
    let (model, chosen) =
        best.ok_or_else(|| Setting::new("grid", "empty, expected at least one point"))?;
    Ok(Selection { model, chosen, candidates })
}

/// Whether figures of validation choose a model over another of the same kind: by the likelihood
/// where there is one, by precision@1 elsewhere.
fn is_better(figures: &Evaluation, of_other: &Evaluation) -> bool {
    match (figures.nll_given_choice, of_other.nll_given_choice) {
        (Some(nll), Some(of_other)) => nll < of_other,
        _ => figures.precision_at_1 > of_other.precision_at_1,
    }
}

/// All pairs, the second running fastest.
fn cross<A: Clone, B: Clone>(first: &[A], second: &[B]) -> Vec<(A, B)> {
    first.iter().flat_map(|a| second.iter().map(|b| (a.clone(), b.clone()))).collect()
}

fn training(learning_rate: f64) -> Training {
    Training { learning_rate, ..Training::default() }
}
