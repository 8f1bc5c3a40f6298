//! What the numbers of a log mean where the numbers alone do not say it: the unit of times and the
//! kind of propensities. Estimators and exports depend on it.

use std::fmt;
use std::str::FromStr;

use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What the numbers of a [`Log`](crate::Log) mean, as declared by those who recorded it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The unit of the times, counted since 1970 by UTC; `None` where it is the log's own.
    pub time_unit: Option<TimeUnit>,
    /// What the propensities are probabilities of.
    pub propensity: PropensityKind,
}

/// A unit of times that are counted since 1 January 1970, by UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl TimeUnit {
    const ALL: [Self; 4] =
        [Self::Seconds, Self::Milliseconds, Self::Microseconds, Self::Nanoseconds];

    /// How many of it make a second.
    pub fn per_second(self) -> i64 {
        match self {
            Self::Seconds => 1,
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1_000_000,
            Self::Nanoseconds => 1_000_000_000,
        }
    }

    /// The unit in which a time would lie between 1973 and 5138; `None` for a number that is no
    /// such time in any unit.
    pub fn of_magnitude(time: i64) -> Option<Self> {
        match time {
            100_000_000..100_000_000_000 => Some(Self::Seconds),
            100_000_000_000..100_000_000_000_000 => Some(Self::Milliseconds),
            100_000_000_000_000..100_000_000_000_000_000 => Some(Self::Microseconds),
            100_000_000_000_000_000.. => Some(Self::Nanoseconds),
            _ => None,
        }
    }

    /// The unit's name: `s`, `ms`, `us` or `ns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }
}

/// What the propensities of a log are probabilities of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PropensityKind {
    /// Each place's, given the places before it: their product is the slate's.
    #[default]
    Conditional,
    /// The whole slate's: it stands at the first place, and 1 at the others, so that the product
    /// is the slate's and single places mean nothing.
    Slate,
    /// Each place's, whatever stands at the others: their product means nothing.
    Marginal,
}

impl PropensityKind {
    const ALL: [Self; 3] = [Self::Conditional, Self::Slate, Self::Marginal];

    /// Its name: `conditional`, `slate` or `marginal`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conditional => "conditional",
            Self::Slate => "slate",
            Self::Marginal => "marginal",
        }
    }
}

macro_rules! by_name {
    ($kind:ty, $what:literal) => {
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $kind {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self, Error> {
                Self::ALL.into_iter().find(|value| value.name() == name).ok_or_else(|| {
                    let names = Self::ALL.map(Self::name).join(", ");
                    Setting::new($what, format!("{name:?}, expected one of {names}")).into()
                })
            }
        }
    };
}

by_name!(TimeUnit, "time unit");
by_name!(PropensityKind, "kind of propensities");
