use std::fmt;
use std::path::Path;
use std::str::FromStr;

use foretaste_settings::Setting;

use crate::formats::{coat, trivago};
use crate::reader::{Source, parquet};
use crate::{Error, Input, Result};

/// A file format of logs; `docs/data-formats.md` describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The tab-separated files of the GAN-CDQN paper's authors: one row per item shown.
    GanCdqn,
    /// The processed CSV of the IRecGAN paper's authors:
    /// `session_num;query_num;click_item;rec_list;purchase`.
    IRecGan,
    /// MovieLens 100k: `u.data`, with `u.item` beside it. Read only; slates are simulated.
    MovieLens100k,
    /// The `ratings.csv` of MovieLens latest-small and its larger sisters, with `movies.csv` beside
    /// it if it is there. Read only; slates are simulated.
    MovieLens,
    /// The `user_taggedartists.dat` of LastFM, HetRec 2011. Read only; slates are simulated.
    LastFm,
    /// The raw files of CIKM Cup 2016, Track 2: `train-queries.csv`, with `train-clicks.csv` and
    /// `train-purchases.csv` beside it. Read only.
    Cikm,
    /// `yoochoose-clicks.dat` of RecSys Challenge 2015, with `yoochoose-buys.dat` beside it. Read
    /// only; slates are simulated.
    YooChoose,
    /// The actions of trivago's RecSys Challenge 2019, as CSV or Parquet. Read only.
    Trivago,
    /// A log of the Open Bandit Dataset: one row per item shown at a position. Read only.
    OpenBandit,
    /// A matrix of ratings of the Coat data set: `train.ascii`, with `propensities.ascii` beside
    /// it, or `test.ascii`. Read only.
    Coat,
    /// Our schema, comma-separated: one row per step.
    Csv,
    /// Our schema, one JSON object per step and line.
    JsonLines,
    /// Our schema as Parquet.
    Parquet,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 13] = [
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
        Self::Csv,
        Self::JsonLines,
        Self::Parquet,
    ];

    /// The format's name on a command line: `gan-cdqn`, `irecgan`, `movielens-100k`, `movielens`,
    /// `lastfm`, `cikm`, `yoochoose`, `trivago`, `open-bandit`, `coat`, `csv`, `jsonl` or
    /// `parquet`.
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
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        }
    }

    /// The format of a file, by its first bytes: Parquet's magic (and then the names of its
    /// columns), a JSON object, the header line, or the first row of a file without header:
    /// `u.data`, `yoochoose-clicks.dat`, Coat's ratings. Sees through gzip. Whatever comes through
    /// a pipe is gone afterwards: there, [`Input::format`].
    ///
    /// # Errors
    /// [`Error::File`] for a directory, an empty file or a header of no known format;
    /// [`Error::Files`] when the system refuses.
    pub fn detect(path: &Path) -> Result<Self> {
        Input::open(path)?.format()
    }

    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        let start = Source::open(path, None)?.start(path)?;
        if start.starts_with(b"PAR1") {
            let trivago = parquet::column_names(path).is_ok_and(|names| {
                trivago::COLUMNS.iter().all(|column| names.iter().any(|name| name == column))
            });
            return Ok(if trivago { Self::Trivago } else { Self::Parquet });
        }
        let text = String::from_utf8_lossy(&start);
        let text = text.trim_start_matches('\u{feff}');
        let header = text.lines().next().unwrap_or_default();
        let has = |delimiter: char, column: &str| {
            header
                .split(delimiter)
                .any(|field| field.trim().trim_matches('"').eq_ignore_ascii_case(column))
        };
        if text.trim_start().starts_with('{') {
            Ok(Self::JsonLines)
        } else if has('\t', "session_new_index") {
            Ok(Self::GanCdqn)
        } else if has(';', "rec_list") {
            Ok(Self::IRecGan)
        } else if has(',', "userId") && has(',', "movieId") {
            Ok(Self::MovieLens)
        } else if has('\t', "artistID") {
            Ok(Self::LastFm)
        } else if header.split('\t').count() == 4
            && header.split('\t').all(|field| field.parse::<i64>().is_ok())
        {
            Ok(Self::MovieLens100k)
        } else if has(';', "queryId") && has(';', "items") {
            Ok(Self::Cikm)
        } else if has(',', "action_type") && has(',', "impressions") {
            Ok(Self::Trivago)
        } else if has(',', "position") && has(',', "propensity_score") {
            Ok(Self::OpenBandit)
        } else if is_click(header) {
            Ok(Self::YooChoose)
        } else if header.split(' ').count() > 1
            && header.split(' ').all(|rating| coat::RATINGS.contains(&rating))
        {
            Ok(Self::Coat)
        } else if has(',', "session") || has(',', "shown") {
            Ok(Self::Csv)
        } else {
            let clipped: String = header.chars().take(80).collect();
            let names = Self::ALL.map(Self::name).join(", ");
            let problem = format!(
                "its first line {clipped:?} is no header of a known format; name one of {names}"
            );
            Err(Error::file(path, problem))
        }
    }
}

/// Whether a line is a row of YooChoose's clicks: session, time, item, category.
fn is_click(line: &str) -> bool {
    let fields: Vec<&str> = line.split(',').collect();
    let [session, time, item, _] = fields[..] else { return false };
    let number = |field: &str| field.parse::<u64>().is_ok();
    number(session) && number(item) && time.contains('T') && time.ends_with('Z')
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
