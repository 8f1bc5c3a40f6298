//! How much a training explores at each iteration. It is a function of the iteration alone, so a
//! resumed training needs no further state.

use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::Result;

/// ε by iteration: from `start` to `end` in a straight line, then `end`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epsilon {
    /// ε of the first iteration.
    pub start: f64,
    /// ε from the last iteration of the decay on.
    pub end: f64,
    /// Iterations that the decay takes; 0 is a constant `end`.
    pub decay: u64,
}

impl Epsilon {
    /// The same ε for all iterations.
    pub fn constant(epsilon: f64) -> Self {
        Self { start: epsilon, end: epsilon, decay: 0 }
    }

    /// ε of an iteration, counted from 0.
    pub fn at(&self, iteration: u64) -> f64 {
        if iteration >= self.decay {
            return self.end;
        }
        self.start + (self.end - self.start) * iteration as f64 / self.decay as f64
    }

    pub(crate) fn check(&self) -> Result<()> {
        match [self.start, self.end].iter().all(|epsilon| (0.0..=1.0).contains(epsilon)) {
            true => Ok(()),
            false => Err(Setting::of("epsilon", self, "probabilities").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_falls_in_a_straight_line_and_stays() {
        let epsilon = Epsilon { start: 1.0, end: 0.2, decay: 4 };
        let found: Vec<f64> = (0..6).map(|iteration| epsilon.at(iteration)).collect();
        let expected = [1.0, 0.8, 0.6, 0.4, 0.2, 0.2];
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12),
            "{found:?}"
        );
        assert_eq!(Epsilon::constant(0.3).at(0), 0.3);
    }
}
