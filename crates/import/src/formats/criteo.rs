//! Criteo's logs of banners for counterfactual learning. An impression is several lines, in one of
//! two forms:
//!
//! * that of the test-bed: a line that begins with `example`, and a line for each of its
//!   candidates, of which the first were shown. Lefortier, Swaminathan, Gu, Joachims, de Rijke,
//!   "Large-scale validation of counterfactual learning methods: a test-bed", 2016 (arXiv
//!   1612.00367), section 2;
//! * that of the challenge at NIPS 2017: a line for each candidate, of which the first was shown.

use foretaste_data::{Facts, Fault, PropensityKind};
use hashbrown::HashMap;

use super::steps::{Key, Steps};
use crate::reader::blocks::Blocks;
use crate::reader::record::{List, Record, Strings};
use crate::reader::{Checked, Collector, Source, WHOLE, number};
use crate::{Layout, Propensities, Result};

/// Whether a line is the first of an impression, in either form.
pub(crate) fn begins(line: &str) -> bool {
    line.starts_with(TEST_BED) || line.contains(COST) && line.contains(WEIGHT)
}

const TEST_BED: &str = "example ";
const COST: &str = " |l ";
const WEIGHT: &str = "|p ";
const FEATURES: &str = "|f ";

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    collector.declare(Facts { propensity: PropensityKind::Slate, ..Facts::default() });
    let layout = Layout::default();
    let mut steps = Steps::new(&layout);
    // Nothing else was declared before.
    steps.declare(Propensities::Slate).ok();
    Blocks::Before(begins).read(source, |place, lines, fraction| {
        collector.count_row(fraction);
        let mut impression = Impression::default();
        let read = match lines[0].starts_with(TEST_BED) {
            true => impression.read(lines, collector),
            false => impression.read_of_challenge(lines),
        };
        let key = Ok(Key { session: Some(&impression.id), user: None });
        steps.row(collector, place, key, None, |record| {
            read?;
            *record = impression.record();
            Ok(())
        })
    })?;
    let note = "the publisher kept one in ten of the impressions without a click, see the recipe";
    collector.note(note.into());
    steps.finish(collector)
}

#[derive(Default)]
struct Impression {
    id: String,
    reward: f32,
    propensity: f32,
    candidates: Strings,
    shown: Strings,
    chosen: Strings,
    context: Strings,
}

impl Impression {
    /// Reads `example ID: HASH CLICKED PROPENSITY SLOTS CANDIDATES FEATURE:VALUE…`, and the lines
    /// of the candidates.
    fn read(&mut self, lines: &[String], collector: &mut Collector) -> Checked {
        let mut fields = lines[0].split_ascii_whitespace().skip(1);
        let mut field = |name| fields.next().ok_or_else(|| Fault::value(name, "a value", ""));
        self.id = field("example")?.trim_end_matches(':').to_owned();
        field("hash")?;
        self.reward = number(field("clicked")?, "clicked", "0 or 1")?;
        self.propensity = number(field("propensity")?, "propensity", "a number")?;
        let slots: usize = number(field("slots")?, "slots", WHOLE)?;
        let expected: usize = number(field("candidates")?, "candidates", WHOLE)?;
        let features = fields.map(|field| field.split_once(':').unwrap_or((field, "1")));
        let named = features.map(|(name, value)| (format!("display_{name}"), value)).collect();
        let known = collector.in_order(named);
        known.iter().for_each(|value| self.context.push(value.unwrap_or_default()));
        let mut copies = HashMap::new();
        for line in &lines[1..] {
            self.candidate(line, slots, &mut copies)?;
        }
        let found = self.candidates.len();
        if found != expected || slots > expected {
            let found = format!("{found} of {expected}, for {slots} slots");
            return Err(Fault::new("candidates", "as many lines as the first line says", found));
        }
        Ok(())
    }

    /// Reads `CLICKED exid:ID FEATURE:VALUE…`.
    fn candidate(
        &mut self,
        line: &str,
        slots: usize,
        copies: &mut HashMap<String, usize>,
    ) -> Checked {
        let mut fields = line.split_ascii_whitespace();
        let clicked: f32 = number(fields.next().unwrap_or_default(), "clicked", "0 or 1")?;
        let of = fields.next().and_then(|field| field.strip_prefix("exid:")).unwrap_or_default();
        if of != self.id {
            let found = format!("{of:?} in impression {:?}", self.id);
            return Err(Fault::new("exid", "the id of the impression", found));
        }
        self.product(fields, clicked > 0.0, slots, copies);
        Ok(())
    }

    /// Reads `ID |l COST |p WEIGHT |f FEATURE:VALUE…`, and of the other candidates `ID |f
    /// FEATURE:VALUE…`. The cost is 0.001 where the banner was clicked, and 0.999 where it was not;
    /// the weight is the inverse of the propensity.
    fn read_of_challenge(&mut self, lines: &[String]) -> Checked {
        let id = |line: &str| line.split('|').next().unwrap_or_default().trim().to_owned();
        self.id = id(&lines[0]);
        let value = |mark: &str| {
            let (_, after) = lines[0].split_once(mark)?;
            after.split_ascii_whitespace().next()
        };
        let cost = value(COST).unwrap_or_default();
        let weight: f32 = number(value(WEIGHT).unwrap_or_default(), "p", "a number")?;
        self.propensity = 1.0 / weight;
        self.reward = match cost.parse() {
            Ok(0.001_f32) => 1.0,
            Ok(0.999) => 0.0,
            _ => return Err(Fault::value("l", "0.001 for a click or 0.999 for none", cost)),
        };
        let mut copies = HashMap::new();
        for line in lines {
            let Some((_, features)) = line.split_once(FEATURES).filter(|_| id(line) == self.id)
            else {
                let found = format!("{line:.40?} in impression {:?}", self.id);
                return Err(Fault::new("candidates", "lines of one impression, with |f", found));
            };
            let clicked = self.candidates.len() == 0 && self.reward > 0.0;
            self.product(features.split_ascii_whitespace(), clicked, 1, &mut copies);
        }
        Ok(())
    }

    /// Adds a candidate. The features are all that tells a product from others; copies of one are
    /// numbered.
    fn product<'l>(
        &mut self,
        features: impl Iterator<Item = &'l str>,
        clicked: bool,
        slots: usize,
        copies: &mut HashMap<String, usize>,
    ) {
        let mut id = features.collect::<Vec<_>>().join(" ");
        if id.is_empty() {
            "no features".clone_into(&mut id);
        }
        let copy = copies.entry(id.clone()).or_default();
        *copy += 1;
        if *copy > 1 {
            id += &format!(" #{copy}");
        }
        self.candidates.push(&id);
        if self.candidates.len() <= slots {
            self.shown.push(&id);
        }
        if clicked {
            self.chosen.push(&id);
        }
    }

    fn record(&self) -> Record<'_> {
        Record {
            shown: List::Owned(&self.shown),
            chosen: List::Owned(&self.chosen),
            reward: std::slice::from_ref(&self.reward),
            propensity: Some(std::slice::from_ref(&self.propensity)),
            candidates: List::Owned(&self.candidates),
            context: Some(&self.context).filter(|context| context.len() > 0),
            ..Record::default()
        }
    }
}
