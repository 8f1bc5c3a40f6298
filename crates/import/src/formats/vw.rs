//! Vowpal Wabbit's text: contextual bandits with actions of their own features (`cb_adf`), and
//! slates of them (`ccb`).
//!
//! A block of lines is a decision, an empty line ends it. The label `action:cost:probability`
//! stands at the action that was taken, or at the slot that it was put in.

use foretaste_data::Fault;

use super::steps::{Key, Steps};
use crate::reader::blocks::Blocks;
use crate::reader::record::{List, Record, Strings};
use crate::reader::{Checked, Collector, Source};
use crate::{Layout, Result};

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let layout = Layout::default();
    let (mut steps, mut decisions) = (Steps::new(&layout), 0_u64);
    Blocks::ByEmptyLines.read(source, |place, lines, fraction| {
        collector.count_row(fraction);
        let mut block = Block::default();
        lines.iter().for_each(|line| block.take(line));
        let session = decisions.to_string();
        decisions += 1;
        let key = Ok(Key { session: Some(&session), user: None });
        steps.row(collector, place, key, None, |to| {
            *to = block.record()?;
            Ok(())
        })
    })?;
    steps.finish(collector)
}

/// The lines of a decision.
#[derive(Default)]
struct Block {
    actions: Strings,
    /// The actions of the slots, or the one that was taken.
    shown: Strings,
    chosen: Strings,
    reward: Vec<f32>,
    propensity: Vec<f32>,
    fault: Option<Fault>,
}

impl Block {
    fn take(&mut self, line: &str) {
        let (label, features) = line.split_once('|').unwrap_or((line, ""));
        let label = label.trim();
        let kind = label.split_ascii_whitespace().nth(1);
        let taken = match (label.split_ascii_whitespace().next(), kind) {
            (Some("shared"), _) | (Some("ccb"), Some("shared")) => Ok(()),
            (Some("ccb"), Some("action")) => {
                self.action(features);
                Ok(())
            }
            (Some("ccb"), Some("slot")) => {
                let outcome = label.split_ascii_whitespace().nth(2).unwrap_or_default();
                self.outcome(outcome, None)
            }
            (None, _) => {
                self.action(features);
                Ok(())
            }
            (Some(outcome), _) => {
                let own = self.action(features);
                self.outcome(outcome, Some(own))
            }
        };
        self.fault = self.fault.take().or(taken.err());
    }

    /// Takes note of an action; its id is what describes it, as the file names none.
    fn action(&mut self, features: &str) -> usize {
        let features = features.trim();
        let id = match features {
            "" => format!("action {}", self.actions.len()),
            features => features.to_owned(),
        };
        self.actions.push(&id);
        self.actions.len() - 1
    }

    /// `action:cost:probability`, and in a slot the other probabilities behind commas.
    fn outcome(&mut self, label: &str, own: Option<usize>) -> Checked {
        let expected = "action:cost:probability at an action or a slot";
        let fault = || Fault::value("label", expected, label);
        let mut parts = label.split(',').next().unwrap_or_default().split(':');
        let action = parts.next().and_then(|action| action.parse::<usize>().ok());
        let mut number = || parts.next().and_then(|number| number.parse::<f32>().ok());
        let (cost, chance) = (number().ok_or_else(fault)?, number().ok_or_else(fault)?);
        let action = own.or(action).filter(|&action| action < self.actions.len());
        let id = self.actions.get(action.ok_or_else(fault)?).to_owned();
        if cost < 0.0 {
            self.chosen.push(&id);
        }
        self.shown.push(&id);
        self.reward.push(if cost == 0.0 { 0.0 } else { -cost });
        self.propensity.push(chance);
        Ok(())
    }

    fn record(&self) -> Checked<Record<'_>> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.shown.len() == 0 {
            return Err(Fault::new("label", "one action with a label", "none"));
        }
        Ok(Record {
            shown: List::Owned(&self.shown),
            chosen: List::Owned(&self.chosen),
            reward: &self.reward,
            propensity: Some(&self.propensity),
            candidates: List::Owned(&self.actions),
            ..Record::default()
        })
    }
}
