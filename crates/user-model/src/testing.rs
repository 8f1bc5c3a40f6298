//! A small log and every kind of model, for the unit tests.

use foretaste_data::{Catalogue, Choice, ItemId, Log, LogBuilder, Step};
use foretaste_nn::Activation;

use crate::{ItemFeatures, StateEncoder, UserModelConfig};

/// Six items with three features each.
pub(crate) fn catalogue() -> Catalogue {
    let values = (0..18).map(|i| (i as f32 * 0.7).sin()).collect();
    Catalogue::numbered(6).with_features(values, 3).unwrap()
}

/// Three sessions with slates of different sizes, clicks and skips, one of them longer than the
/// shortest history.
pub(crate) fn log() -> Log {
    let sessions: [&[(&[u32], Option<u32>)]; 3] = [
        &[
            (&[0, 1, 2], Some(1)),
            (&[3, 4], Some(4)),
            (&[5, 0, 1, 2], None),
            (&[2, 3], Some(2)),
            (&[1, 5], Some(5)),
        ],
        &[(&[4], Some(4))],
        &[(&[1, 2], None), (&[5, 3, 0], Some(3)), (&[0, 1], Some(0))],
    ];
    let mut log = LogBuilder::default();
    for session in sessions {
        for (slate, chosen) in session {
            let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
            let choice = chosen.map_or(Choice::Skip, |item| Choice::Item(ItemId(item)));
            log.push(Step::new(&slate, choice, 0.0)).unwrap();
        }
        log.end_session(None).unwrap();
    }
    log.build()
}

/// Every encoder with every kind of features.
pub(crate) fn configs() -> Vec<UserModelConfig> {
    let weights = |activation, bias| StateEncoder::PositionWeights {
        history: 2,
        columns: 2,
        initial: 0.3,
        activation,
        bias,
    };
    let states = [
        weights(Activation::Elu, true),
        weights(Activation::Identity, false),
        StateEncoder::Lstm { hidden: 3, layers: 2 },
    ];
    let features = [ItemFeatures::OneHot, ItemFeatures::Learned { dim: 2 }, ItemFeatures::Given];
    let mut configs = Vec::new();
    for state in states {
        for features in features {
            configs.push(UserModelConfig {
                features,
                state: state.clone(),
                head: vec![4, 3],
                eta: 1.5,
                ..UserModelConfig::new(6)
            });
        }
    }
    configs
}
