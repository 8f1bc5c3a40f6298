//! The form of the challenge at NIPS 2017: a line for each candidate, of which the first was shown.

use foretaste_data::Fault;

use super::Impression;
use crate::reader::{Checked, number};

const COST: &str = " |l ";
const WEIGHT: &str = "|p ";
const FEATURES: &str = "|f ";

/// Whether a line is the first of an impression.
pub(super) fn begins(line: &str) -> bool {
    line.contains(COST) && line.contains(WEIGHT)
}

/// Reads `ID |l COST |p WEIGHT |f FEATURE:VALUE…`, and of the other candidates `ID |f
/// FEATURE:VALUE…`. The cost is 0.001 where the banner was clicked, and 0.999 where it was not; the
/// weight is the inverse of the propensity.
pub(super) fn read(lines: &[String], to: &mut Impression) -> Checked {
    let id = |line: &str| line.split('|').next().unwrap_or_default().trim().to_owned();
    to.id = id(&lines[0]);
    let value = |mark: &str| {
        let (_, after) = lines[0].split_once(mark)?;
        after.split_ascii_whitespace().next()
    };
    let cost = value(COST).unwrap_or_default();
    let weight: f32 = number(value(WEIGHT).unwrap_or_default(), "p", "a number")?;
    to.propensity = 1.0 / weight;
    to.reward = match cost.parse() {
        Ok(0.001_f32) => 1.0,
        Ok(0.999) => 0.0,
        _ => return Err(Fault::value("l", "0.001 for a click or 0.999 for none", cost)),
    };
    for line in lines {
        let Some((_, features)) = line.split_once(FEATURES).filter(|_| id(line) == to.id) else {
            let found = format!("{line:.40?} in impression {:?}", to.id);
            return Err(Fault::new("candidates", "lines of one impression, with |f", found));
        };
        let clicked = to.candidates.len() == 0 && to.reward > 0.0;
        to.product(features.split_ascii_whitespace(), clicked, 1);
    }
    Ok(())
}
