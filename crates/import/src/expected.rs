//! What published files are known to hold.

use std::path::Path;

use serde::Serialize;

use crate::Format;

/// What a published file is known to hold, for a [`Report`](crate::Report) to print next to what
/// was found; `None` is unknown.
///
/// `datasets/` says of each figure where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Expected {
    /// Rows, without the header.
    pub rows: Option<u64>,
    /// Sessions of the log.
    pub sessions: Option<usize>,
    /// Steps of the log.
    pub steps: Option<usize>,
    /// Items of the catalogue.
    pub items: Option<usize>,
    /// Mean number of steps of a session, to two places.
    pub mean_length: Option<f64>,
    /// Sessions for training, validation and test.
    pub split: Option<[usize; 3]>,
}

impl Expected {
    /// What the file of this name in its published folder is known to hold when it is imported with
    /// the recipe's settings; `None` for a file that no recipe knows.
    pub fn of(path: &Path, format: Format) -> Option<Self> {
        FILES
            .iter()
            .find(|(of, name, _)| *of == format && path.ends_with(name))
            .map(|(_, _, expected)| *expected)
    }
}

const UNKNOWN: Expected = Expected {
    rows: None,
    sessions: None,
    steps: None,
    items: None,
    mean_length: None,
    split: None,
};

const fn counts(rows: u64, sessions: usize, steps: usize, items: usize) -> Expected {
    Expected {
        rows: Some(rows),
        sessions: Some(sessions),
        steps: Some(steps),
        items: Some(items),
        ..UNKNOWN
    }
}

const fn with_split(split: [usize; 3], counts: Expected) -> Expected {
    Expected { split: Some(split), ..counts }
}

/// A name that several publications share has the folder of the one that is meant.
const FILES: [(Format, &str, Expected); 18] = [
    (Format::GanCdqn, "yelp.txt", with_split([703, 351, 352], counts(6_756, 1_406, 1_725, 804))),
    (Format::GanCdqn, "rsc.txt", with_split([541, 270, 271], counts(14_624, 1_082, 2_063, 890))),
    (Format::IRecGan, "sessions-a.csv", counts(2_616, 1_563, 2_616, 28_468)),
    (Format::IRecGan, "sessions-b.csv", counts(2_622, 1_569, 2_622, 28_732)),
    (Format::IRecGan, "sample-train-sci-1c.csv", counts(1_001, 427, 998, 19_688)),
    (Format::MovieLens100k, "u.data", counts(100_000, 943, 100_000, 1_682)),
    (Format::MovieLens, "ml-latest-small/ratings.csv", counts(100_836, 610, 100_836, 9_724)),
    (Format::LastFm, "user_taggedartists.dat", counts(186_479, 1_892, 85_015, 12_523)),
    (
        Format::Cikm,
        "train-queries.csv",
        Expected {
            rows: Some(923_127),
            sessions: Some(68_722),
            mean_length: Some(2.81),
            split: Some([65_284, 1_718, 1_720]),
            ..UNKNOWN
        },
    ),
    (
        Format::YooChoose,
        "yoochoose-clicks.dat",
        Expected {
            rows: Some(33_003_944),
            sessions: Some(9_249_729),
            items: Some(52_739),
            ..UNKNOWN
        },
    ),
    (Format::Trivago, "train.csv", Expected { rows: Some(15_932_992), ..UNKNOWN }),
    (Format::Trivago, "trivago_val_100k.parquet", counts(100_003, 7_214, 13_596, 106_852)),
    (Format::OpenBandit, "obd/random/men/men.csv", counts(10_000, 10_000, 10_000, 34)),
    (Format::OpenBandit, "obd/random/women/women.csv", counts(10_000, 10_000, 10_000, 46)),
    (Format::OpenBandit, "obd/bts/men/men.csv", counts(10_000, 10_000, 10_000, 34)),
    (Format::OpenBandit, "obd/bts/women/women.csv", counts(10_000, 10_000, 10_000, 46)),
    (Format::Coat, "train.ascii", counts(290, 6_960, 6_960, 300)),
    (Format::Coat, "test.ascii", counts(290, 4_640, 4_640, 300)),
];
