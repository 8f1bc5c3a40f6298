//! The form of the test-bed: a line that begins with `example`, and a line for each of the
//! candidates, of which the first were shown.
//!
//! Lefortier, Swaminathan, Gu, Joachims, de Rijke, "Large-scale validation of counterfactual
//! learning methods: a test-bed", 2016 (arXiv 1612.00367), section 2.

use foretaste_data::Fault;

use super::Impression;
use crate::reader::{Checked, Collector, WHOLE, number};

/// Whether a line is the first of an impression.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("example ")
}

/// Reads `example ID: HASH CLICKED PROPENSITY SLOTS CANDIDATES FEATURE:VALUE…`, and the lines of
/// the candidates.
pub(super) fn read(lines: &[String], to: &mut Impression, collector: &mut Collector) -> Checked {
    let mut fields = lines[0].split_ascii_whitespace().skip(1);
    let mut field = |name| fields.next().ok_or_else(|| Fault::value(name, "a value", ""));
    to.id = field("example")?.trim_end_matches(':').to_owned();
    field("hash")?;
    to.reward = number(field("clicked")?, "clicked", "0 or 1")?;
    to.propensity = number(field("propensity")?, "propensity", "a number")?;
    let slots: usize = number(field("slots")?, "slots", WHOLE)?;
    let expected: usize = number(field("candidates")?, "candidates", WHOLE)?;
    let features = fields.map(|field| field.split_once(':').unwrap_or((field, "1")));
    let named = features.map(|(name, value)| (format!("display_{name}"), value)).collect();
    let known = collector.in_order(named);
    known.iter().for_each(|value| to.context.push(value.unwrap_or_default()));
    for line in &lines[1..] {
        candidate(line, slots, to)?;
    }
    let found = to.candidates.len();
    if found != expected || slots > expected {
        let found = format!("{found} of {expected}, for {slots} slots");
        return Err(Fault::new("candidates", "as many lines as the first line says", found));
    }
    Ok(())
}

/// Reads `CLICKED exid:ID FEATURE:VALUE…`.
fn candidate(line: &str, slots: usize, to: &mut Impression) -> Checked {
    let mut fields = line.split_ascii_whitespace();
    let clicked: f32 = number(fields.next().unwrap_or_default(), "clicked", "0 or 1")?;
    let of = fields.next().and_then(|field| field.strip_prefix("exid:")).unwrap_or_default();
    if of != to.id {
        let found = format!("{of:?} in impression {:?}", to.id);
        return Err(Fault::new("exid", "the id of the impression", found));
    }
    to.product(fields, clicked > 0.0, slots);
    Ok(())
}
