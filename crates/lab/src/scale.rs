//! The four sizes of a run. Each experiment derives its settings from the size, so a command names
//! one word instead of many settings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Everything runs once, as small as it gets: a check that nothing is broken, its figures mean
    /// little.
    Smoke,
    /// Small networks and few iterations: minutes on two cores, still meaningful. What an
    /// experiment shortens is on its page in docs/experiments.
    Quick,
    /// As quick, with as many seeds as the claims need to be decided: hours.
    Decide,
    /// The published settings.
    Paper,
}

impl Scale {
    /// All, the smallest first.
    pub const ALL: [Self; 4] = [Self::Smoke, Self::Quick, Self::Decide, Self::Paper];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Decide => "decide",
            Self::Paper => "paper",
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scale| scale.as_str() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("there is no scale `{name}`: expected one of {names}")
        })
    }
}
