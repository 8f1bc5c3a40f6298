//! Criteo's log of banners for counterfactual learning: an impression is a line that begins with
//! `example`, and a line for each of its candidates, of which the first were shown.
//!
//! Lefortier, Swaminathan, Gu, Joachims, de Rijke, "Large-scale validation of counterfactual
//! learning methods: a test-bed", 2016 (arXiv 1612.00367), section 2.

use foretaste_data::{Facts, Fault, PropensityKind};
use hashbrown::HashMap;

use super::steps::{Key, Steps};
use crate::reader::blocks::Blocks;
use crate::reader::record::{List, Record, Strings};
use crate::reader::{Checked, Collector, Source, WHOLE, number};
use crate::{Layout, Propensities, Result};

/// What the first line of an impression begins with.
pub(crate) const START: &str = "example ";

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    collector.declare(Facts { propensity: PropensityKind::Slate, ..Facts::default() });
    let layout = Layout::default();
    let mut steps = Steps::new(&layout);
    // Nothing else was declared before.
    steps.declare(Propensities::Slate).ok();
    Blocks::Before(START).read(source, |place, lines, fraction| {
        collector.count_row(fraction);
        let mut impression = Impression::default();
        let read = impression.read(lines, collector);
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
        let mut copies: HashMap<&str, usize> = HashMap::new();
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

    /// Reads `CLICKED exid:ID FEATURE:VALUE…`. The features are all that tells a product from
    /// others; copies of one are numbered.
    fn candidate<'l>(
        &mut self,
        line: &'l str,
        slots: usize,
        copies: &mut HashMap<&'l str, usize>,
    ) -> Checked {
        let (clicked, rest) = line.trim().split_once(' ').unwrap_or((line, ""));
        let features = rest.split_once(' ').map_or("", |(_, features)| features.trim());
        let copy = copies.entry(features).or_default();
        *copy += 1;
        let more = if *copy > 1 { format!(" #{copy}") } else { String::new() };
        let id = format!("{features}{more}");
        self.candidates.push(&id);
        if self.candidates.len() <= slots {
            self.shown.push(&id);
        }
        if number::<f32>(clicked, "clicked", "0 or 1")? > 0.0 {
            self.chosen.push(&id);
        }
        Ok(())
    }

    fn record(&self) -> Record<'_> {
        Record {
            shown: List::Owned(&self.shown),
            chosen: List::Owned(&self.chosen),
            reward: std::slice::from_ref(&self.reward),
            propensity: Some(std::slice::from_ref(&self.propensity)),
            candidates: List::Owned(&self.candidates),
            context: Some(&self.context),
            ..Record::default()
        }
    }
}
