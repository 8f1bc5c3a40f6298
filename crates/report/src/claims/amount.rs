//! How large a difference is said to be.

use std::fmt;

/// The size of a difference: in the metric's unit, or as a share of the rival's mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Absolute(f64),
    Percent(f64),
}

impl Amount {
    /// What a cell says: `0.01`, `1%`, or nothing.
    pub(super) fn parse(cell: &str) -> Result<Option<Self>, String> {
        let cell = cell.trim();
        if cell.is_empty() {
            return Ok(None);
        }
        let (number, kind): (_, fn(f64) -> Self) = match cell.strip_suffix('%') {
            Some(number) => (number.trim_end(), Self::Percent),
            None => (cell, Self::Absolute),
        };
        match number.parse::<f64>() {
            Ok(size) if size > 0.0 && size.is_finite() => Ok(Some(kind(size))),
            _ => Err(format!(
                "is `{cell}`, expected a positive number in the metric's unit, or a share of the \
                 rival's mean such as `1%`"
            )),
        }
    }

    /// In the metric's unit; `None` for a share of nothing.
    pub(super) fn of(self, rival_mean: f64) -> Option<f64> {
        match self {
            Self::Absolute(size) => Some(size),
            Self::Percent(share) => {
                Some(share / 100.0 * rival_mean.abs()).filter(|&size| size > 0.0)
            }
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(size) => write!(f, "{size}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}
