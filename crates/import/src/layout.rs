//! How a user's own files are laid out: what an import needs to know in addition to the path.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use foretaste_data::{PropensityKind, TimeUnit};
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::{Error, Format, Limits, Result};

/// How a log of our schema (CSV, JSON Lines, Parquet) is laid out where it differs from the schema,
/// and what to do with what a log cannot hold. By default nothing differs.
///
/// It is written as TOML, with the names of the fields in kebab case; [`guess`](crate::guess)
/// writes one from a file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layout {
    /// The format, where the first bytes do not tell it.
    pub format: Option<Format>,
    /// The file's name of a column, by the schema's.
    pub columns: BTreeMap<String, String>,
    /// Columns of the file that are not read, as if they were not there.
    pub ignore_columns: Vec<String>,
    /// What separates the fields of a delimited file; `None` finds it in the header.
    pub delimiter: Option<char>,
    /// What separates the items of a list in one field of a delimited file; `None` is white space.
    /// Lists in brackets, as Python and JSON write them, are known whatever this is.
    pub list_separator: Option<char>,
    /// The unit of whole numbers that are times; `None` takes that in which the first of them lies
    /// between 1973 and 5138, or else the log's own.
    pub time_unit: Option<TimeUnit>,
    /// The time zone of times that name none, such as `Europe/Berlin`; `None` is UTC.
    pub time_zone: Option<String>,
    /// What the propensities are; `None` goes by the name of their column: `slate_propensity`,
    /// `marginal_propensity`, or else conditional.
    pub propensities: Option<Propensities>,
    /// Columns of the file that are kept as categories of each step: what the slate was shown in,
    /// such as query and device. Those called `context_NAME` are kept without a word.
    pub context: Vec<String>,
    /// Ids that stand for no item at the end of a slate.
    pub padding: Vec<String>,
    /// Ids that stand for no choice.
    pub no_click: Vec<String>,
    /// What becomes of a choice that is not on its slate.
    pub off_slate: OffSlate,
    /// What becomes of an item that stands on a slate more than once.
    pub repeated: Repeated,
    /// What several clicks on a slate are to a model that sees one choice a step.
    pub clicks: Clicks,
    /// Whether rows are put into the order of their sessions, and within one of their times (or
    /// steps, where there are no times).
    pub sort: bool,
    /// The pause that ends a session: with a session column it cuts sessions further, without it
    /// the rows of a user. Implies `sort`.
    pub session_gap: Option<Gap>,
    /// Sessions of more steps than this are left out.
    pub max_session_steps: Option<usize>,
    /// How large rows, slates and the like may be.
    pub limits: Limits,
    /// A CSV or Parquet file of the clicks: `slate`, which the log's rows have too, `item`, and
    /// perhaps `timestamp`.
    pub clicks_file: Option<PathBuf>,
    /// A file of what was bought: `session` or `user`, `item`, `timestamp`, and perhaps `reward`,
    /// which is else 1. A click earns what was bought of its item from then on.
    pub orders_file: Option<PathBuf>,
    /// For how long after a click an order counts for it; `None` is for ever.
    pub order_window: Option<Gap>,
}

/// A pause: `45s`, `30m`, `2h`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Gap {
    /// Its length.
    pub seconds: i64,
}

macro_rules! choices {
    ($(#[$doc:meta])* $kind:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $kind { $($(#[$variant_doc])* $variant),* }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $name),* })
            }
        }

        impl FromStr for $kind {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => {
                        let names = [$($name),*].join(", ");
                        Err(Setting::new($what, format!("{name:?}, expected one of {names}")).into())
                    }
                }
            }
        }
    };
}

choices! {
    /// What the propensities of a file are.
    Propensities, "propensities" {
        /// Each place's, given the places before it.
        #[default]
        Conditional = "conditional",
        /// Each place's times those of all places before it: the product up to there.
        Cumulative = "cumulative",
        /// One number a row, the whole slate's.
        Slate = "slate",
        /// Each place's, whatever stands at the others.
        Marginal = "marginal",
    }
}

impl Propensities {
    /// What a column called so holds, whatever else is said; `None` for other names.
    pub(crate) fn of_column(name: &str) -> Option<Self> {
        match name {
            "slate_propensity" => Some(Self::Slate),
            "marginal_propensity" => Some(Self::Marginal),
            _ => None,
        }
    }

    /// What they are in a log: products are taken apart.
    pub(crate) fn kind(self) -> PropensityKind {
        match self {
            Self::Conditional | Self::Cumulative => PropensityKind::Conditional,
            Self::Slate => PropensityKind::Slate,
            Self::Marginal => PropensityKind::Marginal,
        }
    }
}

choices! {
    /// What becomes of a choice that is not on its slate.
    OffSlate, "off-slate" {
        /// It is a bad row.
        #[default]
        Refuse = "refuse",
        /// Its row is left out, and counted.
        Drop = "drop",
        /// The item is put at the end of the slate, and counted.
        Append = "append",
    }
}

choices! {
    /// What becomes of an item that stands on a slate more than once.
    Repeated, "repeated items" {
        /// It is a bad row.
        #[default]
        Refuse = "refuse",
        /// Its first place counts; such slates are counted.
        First = "first",
    }
}

choices! {
    /// What several clicks on a slate are to a model that sees one choice a step.
    Clicks, "clicks" {
        /// The first click is the choice of the step. The others stay in the log in addition to it.
        #[default]
        First = "first",
        /// Every click is a step, on the slate less the items clicked before, and a step without a
        /// choice follows: choice without replacement.
        Each = "each",
    }
}

impl FromStr for Gap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const UNITS: [(&str, i64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
        let problem = || {
            let problem = format!("{text:?}, expected a length such as 45s, 30m, 2h or 1d");
            Error::from(Setting::new("session gap", problem))
        };
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
            .ok_or_else(problem)?;
        let number: i64 = number.trim().parse().ok().filter(|&n| n > 0).ok_or_else(problem)?;
        Ok(Self { seconds: number.checked_mul(*unit).ok_or_else(problem)? })
    }
}

impl TryFrom<String> for Gap {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl Layout {
    /// Reads a layout from a TOML file.
    ///
    /// # Errors
    /// [`Error::Files`] if it cannot be read; [`Error::File`] with the line of what is wrong in it.
    pub fn read(path: &Path) -> Result<Self> {
        const LONGEST: u64 = 1 << 20;
        let bytes = foretaste_files::read(path, LONGEST)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::file(path, "is not UTF-8, expected a layout as TOML"))?;
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Error::file(path, format!("line {line}: {}", error.message()))
        })
    }

    /// Whether rows are put into order before they become steps.
    pub(crate) fn sorts(&self) -> bool {
        self.sort || self.session_gap.is_some()
    }

    /// Whether it says anything that concerns our own schema alone.
    pub fn concerns_schema(&self) -> bool {
        let rest = Self {
            format: None,
            max_session_steps: None,
            limits: Limits::default(),
            clicks: Clicks::First,
            ..self.clone()
        };
        rest != Self::default()
    }
}
