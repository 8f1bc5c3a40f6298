//! The names of all formats, with what is known of a format without a file: whether it is our
//! schema, its columns and its unit of times. How a format is read is in `formats`.

use std::fmt;
use std::str::FromStr;

use foretaste_data::TimeUnit;
use foretaste_settings::Setting;
use serde::Deserialize;

use crate::{Error, Result};

/// A file format of logs; `docs/data-formats.md` describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Format {
    /// The tab-separated files of the GAN-CDQN paper's authors: one row per item shown.
    GanCdqn,
    /// The processed CSV of the IRecGAN paper's authors:
    /// `session_num;query_num;click_item;rec_list;purchase`.
    IRecGan,
    /// MovieLens 100k: `u.data`, with `u.item` next to it. Read only; slates are simulated.
    MovieLens100k,
    /// The `ratings.csv` of MovieLens latest-small and its larger sisters, with `movies.csv` next
    /// to it if it is there. Read only; slates are simulated.
    MovieLens,
    /// The `user_taggedartists.dat` of LastFM, HetRec 2011. Read only; slates are simulated.
    LastFm,
    /// The raw files of CIKM Cup 2016, Track 2: `train-queries.csv`, with `train-clicks.csv` and
    /// `train-purchases.csv` next to it. Read only.
    Cikm,
    /// `yoochoose-clicks.dat` of RecSys Challenge 2015, with `yoochoose-buys.dat` next to it. Read
    /// only; slates are simulated.
    YooChoose,
    /// The actions of trivago's RecSys Challenge 2019, as CSV or Parquet. Read only.
    Trivago,
    /// A log of the Open Bandit Dataset: one row per item shown at a position, with
    /// `item_context.csv` next to it if it is there. Read only.
    OpenBandit,
    /// A matrix of ratings of the Coat data set: `train.ascii`, with `propensities.ascii` next to
    /// it, or `test.ascii`. Read only.
    Coat,
    /// The `ratings.dat` of MovieLens 1M, with `movies.dat` next to it if it is there. Read only;
    /// slates are simulated.
    MovieLens1M,
    /// The `behaviors.tsv` of MIND: news impressions. Read only.
    Mind,
    /// A log of KuaiRand, such as `log_random_4_22_to_5_08_1k.csv`: one row per video shown. Read
    /// only.
    KuaiRand,
    /// The JSON Lines of OTTO: sessions of events. Read only; slates are simulated.
    Otto,
    /// The `events.csv` of RetailRocket. Read only; slates are simulated.
    RetailRocket,
    /// The `.inter` files of RecBole. Read only; slates are simulated.
    RecBole,
    /// Events of one's own, of which a [`Layout`](crate::Layout) names the columns: session or
    /// user, item, timestamp and perhaps event. Read only; slates are simulated.
    Events,
    /// A log of RecoGym's simulator, as CSV. Read only.
    RecoGym,
    /// Vowpal Wabbit's text, with actions of their own features or with slots. Read only.
    VowpalWabbit,
    /// Criteo's banners for counterfactual learning: an impression is several lines. Read only.
    Criteo,
    /// A search log of Yandex, as PyClick reads it: queries with results, and clicks. Read only.
    SearchLog,
    /// Our schema, comma-separated: one row per step.
    Csv,
    /// Our schema, one JSON object per step and line.
    JsonLines,
    /// Our schema as Parquet.
    Parquet,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 24] = [
        Self::GanCdqn,
        Self::IRecGan,
        Self::MovieLens100k,
        Self::MovieLens,
        Self::LastFm,
        Self::Cikm,
        Self::YooChoose,
        Self::Trivago,
        Self::OpenBandit,
        Self::Coat,
        Self::MovieLens1M,
        Self::Mind,
        Self::KuaiRand,
        Self::Otto,
        Self::RetailRocket,
        Self::RecBole,
        Self::Events,
        Self::RecoGym,
        Self::VowpalWabbit,
        Self::Criteo,
        Self::SearchLog,
        Self::Csv,
        Self::JsonLines,
        Self::Parquet,
    ];

    /// The format's name on a command line: `gan-cdqn`, `irecgan`, `movielens-100k`, `movielens`,
    /// `lastfm`, `cikm`, `yoochoose`, `trivago`, `open-bandit`, `coat`, `movielens-1m`, `mind`,
    /// `kuairand`, `otto`, `retailrocket`, `recbole`, `events`, `recogym`, `vw`, `criteo`,
    /// `search-log`, `csv`, `jsonl` or `parquet`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GanCdqn => "gan-cdqn",
            Self::IRecGan => "irecgan",
            Self::MovieLens100k => "movielens-100k",
            Self::MovieLens => "movielens",
            Self::LastFm => "lastfm",
            Self::Cikm => "cikm",
            Self::YooChoose => "yoochoose",
            Self::Trivago => "trivago",
            Self::OpenBandit => "open-bandit",
            Self::Coat => "coat",
            Self::MovieLens1M => "movielens-1m",
            Self::Mind => "mind",
            Self::KuaiRand => "kuairand",
            Self::Otto => "otto",
            Self::RetailRocket => "retailrocket",
            Self::RecBole => "recbole",
            Self::Events => "events",
            Self::RecoGym => "recogym",
            Self::VowpalWabbit => "vw",
            Self::Criteo => "criteo",
            Self::SearchLog => "search-log",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

impl Format {
    /// Whether it is our own schema, whose columns a [`Layout`](crate::Layout) can name.
    pub fn is_schema(self) -> bool {
        matches!(self, Self::Csv | Self::JsonLines | Self::Parquet)
    }

    /// The columns of a format that is CSV of our schema under other names: ours, and the file's.
    pub(crate) fn columns(self) -> Option<&'static [(&'static str, &'static str)]> {
        const KUAIRAND: [(&str, &str); 5] = [
            ("session", "user_id"),
            ("user", "user_id"),
            ("timestamp", "time_ms"),
            ("item", "video_id"),
            ("clicked", "is_click"),
        ];
        (self == Self::KuaiRand).then_some(&KUAIRAND)
    }

    /// The unit of the times that it holds, where that is fixed.
    pub(crate) fn time_unit(self) -> Option<TimeUnit> {
        match self {
            Self::MovieLens100k
            | Self::MovieLens
            | Self::LastFm
            | Self::Cikm
            | Self::YooChoose
            | Self::Trivago
            | Self::OpenBandit
            | Self::MovieLens1M
            | Self::Otto
            | Self::RetailRocket
            | Self::RecBole
            | Self::Events => Some(TimeUnit::Seconds),
            Self::Mind => Some(TimeUnit::Milliseconds),
            _ => None,
        }
    }
}

impl TryFrom<String> for Format {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Setting::new("format", format!("{name:?}, expected one of {names}")).into()
        })
    }
}
