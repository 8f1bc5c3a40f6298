//! Criteo's logs of banners for counterfactual learning. An impression is several lines, in one of
//! two forms, each of which has a module.

mod challenge;
mod test_bed;

use foretaste_data::{Facts, PropensityKind};
use hashbrown::HashMap;

use super::steps::{Key, Steps};
use crate::reader::blocks::Blocks;
use crate::reader::record::{List, Record, Strings};
use crate::reader::{Collector, Source};
use crate::{Layout, Propensities, Result};

/// Whether a line is the first of an impression, in either form.
pub(crate) fn begins(line: &str) -> bool {
    test_bed::begins(line) || challenge::begins(line)
}

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    collector.declare(Facts { propensity: PropensityKind::Slate, ..Facts::default() });
    let layout = Layout::default();
    let mut steps = Steps::new(&layout);
    // Nothing else was declared before.
    steps.declare(Propensities::Slate).ok();
    Blocks::Before(begins).read(source, |place, lines, fraction| {
        collector.count_row(fraction);
        let mut impression = Impression::default();
        let read = match test_bed::begins(&lines[0]) {
            true => test_bed::read(lines, &mut impression, collector),
            false => challenge::read(lines, &mut impression),
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
    /// How often features were those of a candidate.
    copies: HashMap<String, usize>,
}

impl Impression {
    /// Adds a candidate, of which the first `slots` were shown. The features are all that tells a
    /// product from others; copies of one are numbered.
    fn product<'l>(
        &mut self,
        features: impl Iterator<Item = &'l str>,
        clicked: bool,
        slots: usize,
    ) {
        let mut id = features.collect::<Vec<_>>().join(" ");
        if id.is_empty() {
            "no features".clone_into(&mut id);
        }
        let copy = self.copies.entry(id.clone()).or_default();
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
