use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::import::Source;
use crate::{Error, Result};

/// A file format of logs; `docs/data-formats.md` describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The tab-separated files of the GAN-CDQN paper's authors: one row per item shown.
    GanCdqn,
    /// The processed CSV of the IRecGAN paper's authors: `session_num;query_num;click_item;rec_list;purchase`.
    IRecGan,
    /// MovieLens 100k: `u.data`, with `u.item` beside it. Read only; slates are simulated.
    MovieLens100k,
    /// The `ratings.csv` of MovieLens latest-small and its larger sisters, with `movies.csv` beside it if it is there. Read
    /// only; slates are simulated.
    MovieLens,
    /// The `user_taggedartists.dat` of LastFM, HetRec 2011. Read only; slates are simulated.
    LastFm,
    /// Our schema, comma-separated: one row per step.
    Csv,
    /// Our schema, one JSON object per step and line.
    JsonLines,
    /// Our schema as Parquet.
    Parquet,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 8] = [
        Self::GanCdqn,
        Self::IRecGan,
        Self::MovieLens100k,
        Self::MovieLens,
        Self::LastFm,
        Self::Csv,
        Self::JsonLines,
        Self::Parquet,
    ];

    /// The format's name on a command line: `gan-cdqn`, `irecgan`, `movielens-100k`, `movielens`, `lastfm`, `csv`, `jsonl`
    /// or `parquet`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GanCdqn => "gan-cdqn",
            Self::IRecGan => "irecgan",
            Self::MovieLens100k => "movielens-100k",
            Self::MovieLens => "movielens",
            Self::LastFm => "lastfm",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        }
    }

    /// The format of a file, by its first bytes: Parquet's magic, a JSON object, the header line, or the four whole
    /// numbers of a row of `u.data`, which has no header. Sees through gzip.
    ///
    /// # Errors
    /// [`Error::File`] for a directory, an empty file or a header of no known format; [`Error::Io`] when the system
    /// refuses.
    pub fn detect(path: &Path) -> Result<Self> {
        let start = Source::open(path, None)?.start(path)?;
        if start.starts_with(b"PAR1") {
            return Ok(Self::Parquet);
        }
        let text = String::from_utf8_lossy(&start);
        let text = text.trim_start_matches('\u{feff}');
        let header = text.lines().next().unwrap_or_default();
        let has = |delimiter: char, column: &str| {
            header.split(delimiter).any(|field| field.trim().trim_matches('"').eq_ignore_ascii_case(column))
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
        } else if header.split('\t').count() == 4 && header.split('\t').all(|field| field.parse::<i64>().is_ok()) {
            Ok(Self::MovieLens100k)
        } else if has(',', "session") || has(',', "shown") {
            Ok(Self::Csv)
        } else {
            let clipped: String = header.chars().take(80).collect();
            let names = Self::ALL.map(Self::name).join(", ");
            let problem = format!("its first line {clipped:?} is no header of a known format; name one of {names}");
            Err(Error::file(path, problem))
        }
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
            Error::Setting(format!("{name:?} is no format; choose one of {names}"))
        })
    }
}
