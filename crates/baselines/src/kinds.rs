//! The kinds of click models: one line each in the table.

use std::ops::ControlFlow;

use foretaste_data::Catalogue;
use foretaste_nn::checkpoint::Weights;
use foretaste_random::Seed;
use serde::{Deserialize, Serialize};

use crate::grid::{Configured, Grid};
use crate::item_knn::{self, ItemKnnConfig};
use crate::network::{self, NetworkConfig};
use crate::popularity::{self, PopularityConfig, PositionConfig};
use crate::session_knn::{self, SessionKnnConfig};
use crate::session_rnn::{self, SessionRnnConfig};
use crate::trees::{self, TreesConfig};
use crate::{ClickModel, CurvePoint, Data, Result};

/// Makes [`Settings`] and [`ModelKind`]. A line has the name of the model, its settings, which are
/// [`Configured`], and its kinds: for each its name, its name in tables, and its grid.
macro_rules! models {
    ($(
        $(#[$doc:meta])* $settings:ident($config:ty) {
            $($(#[$kind_doc:meta])* $kind:ident = $name:literal, $grid:expr;)*
        }
    )*) => {
        /// A model with its hyper-parameters, ready to be fitted.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Settings {
            $($(#[$doc])* $settings($config),)*
        }

        impl Settings {
            fn config(&self) -> &dyn Configured {
                match self {
                    $(Self::$settings(config) => config,)*
                }
            }
        }

        /// The models of GAN-CDQN's experiment A that are not user models of its own, two that any
        /// model should beat, and networks that are given the numbers that the trees have
        /// ([`CountContext`](foretaste_train::CountContext)). S-RNN learns from clicks alone, to
        /// which no shown items belong, and the others have no weights: they can take none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ModelKind {
            $($(
                #[doc = concat!("`", $name, "`: [`", stringify!($config), "`].")]
                $(#[$kind_doc])*
                $kind,
            )*)*
        }

        impl ModelKind {
            /// All kinds.
            pub const ALL: [Self; [$($($name,)*)*].len()] = [$($(Self::$kind,)*)*];

            /// The name in GAN-CDQN's tables; `popularity`, `position` and the kinds with
            /// `features` are not in them.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Self::$kind => $name,)*)*
                }
            }

            /// The points of the grid, all of them or those of the coarse one.
            fn points(self, coarse: bool) -> Vec<Settings> {
                match self {
                    $($(Self::$kind => {
                        let Grid { points, is_coarse } = $grid;
                        let kept = points().into_iter().filter(|point| !coarse || is_coarse(point));
                        kept.map(Settings::$settings).collect()
                    })*)*
                }
            }
        }
    };
}

models! {
    /// Click counts.
    Popularity(PopularityConfig) { Popularity = "popularity", popularity::COUNTS; }
    /// The place in the slate.
    Position(PositionConfig) { Position = "position", popularity::PLACES; }
    /// Item-based nearest neighbors.
    ItemKnn(ItemKnnConfig) { ItemKnn = "IKNN", item_knn::GRID; }
    /// Session-based nearest neighbors.
    SessionKnn(SessionKnnConfig) { SessionKnn = "SCKNNC", session_knn::GRID; }
    /// A recurrent network over clicks.
    SessionRnn(SessionRnnConfig) { SessionRnn = "S-RNN", session_rnn::GRID; }
    /// Gradient-boosted trees.
    Trees(TreesConfig) { Trees = "XGBOOST", trees::GRID; }
    /// A network of fields: DeepFM, or wide & deep.
    Network(NetworkConfig) {
        /// DeepFM.
        DeepFm = "DFM", network::DEEP_FM;
        /// Wide & deep with logistic loss.
        WideDeepLogistic = "W&D-LR", network::WIDE_DEEP_LOGISTIC;
        /// Wide & deep with collaborative competitive filtering loss.
        WideDeepCompetitive = "W&D-CCF", network::WIDE_DEEP_COMPETITIVE;
        /// DeepFM with context features.
        DeepFmFeatures = "DFM, features", network::DEEP_FM_FEATURES;
        /// Wide & deep with logistic loss and context features.
        WideDeepLogisticFeatures = "W&D-LR, features", network::WIDE_DEEP_LOGISTIC_FEATURES;
        /// Wide & deep with collaborative competitive filtering loss and context features.
        WideDeepCompetitiveFeatures =
            "W&D-CCF, features", network::WIDE_DEEP_COMPETITIVE_FEATURES;
    }
}

impl ModelKind {
    /// The hyper-parameters that [`select`](crate::select) chooses among.
    ///
    /// | model | grid | [coarse grid](Self::coarse_grid) |
    /// |---|---|---|
    /// | popularity | per slate or not × smoothing 1, 10, 100 | per slate or not × smoothing 1, 10 |
    /// | position | smoothing 1, 10, 100 | the same |
    /// | IKNN | 20 or 200 neighbors × λ 0 or 20 × ties by popularity or not | 20 or 200 × λ 0 or 20, ties by popularity |
    /// | SCKNNC | 10, 50, 100 or 500 neighbors × ties by popularity or not | 10, 50, 100 or 500, ties by popularity |
    /// | S-RNN | state of width 16 or 64 × learning rate 2e-3 or 1e-2 | 16 with 1e-2, 64 with 2e-3 |
    /// | XGBOOST | depth 2, 4 or 6 × learning rate 0.1 or 0.3 | depth 2 or 4 with 0.3 |
    /// | DFM, W&D-LR, W&D-CCF, with features or without | embedding 8 or 32 × hidden layers 32 or 64-32 × learning rate 1e-3 or 5e-3 | hidden layer 32; DFM: 8 with 5e-3, 32 with 1e-3; W&D: 8 with 1e-3 or 5e-3 |
    pub fn grid(self) -> Vec<Settings> {
        self.points(false)
    }

    /// A few points of the [grid](Self::grid) for quick runs, listed next to it.
    ///
    /// They are those that came close to the best of the grid by the validation figures of every
    /// log that we looked at: GAN-CDQN's yelp and rsc, MovieLens 100K and LastFM with simulated
    /// slates.
    pub fn coarse_grid(self) -> Vec<Settings> {
        self.points(true)
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
        self.config().fit(data, seed, &mut callback)
    }

    /// The model of these settings with what [`ClickModel::weights`] gave of it, which scores as it
    /// did. Of what comes from outside, no more memory is taken than there is.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if models of this kind are not saved, or the
    /// weights do not fit; an error of the network if parameters lack.
    pub fn restore(&self, catalogue: &Catalogue, weights: &Weights) -> Result<Box<dyn ClickModel>> {
        self.config().restore(catalogue, weights)
    }
}
