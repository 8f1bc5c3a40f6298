//! The checked way to make a log from steps: each step that is appended satisfies every invariant,
//! or is refused with what is wrong with it and leaves no trace.

use super::extras::{Categories, Clicks, Events, KnownSets};
use super::{
    CandidateSets, Choice, Event, Extras, Facts, ItemId, Log, NO_PROPENSITY, NO_TIME, NO_USER, Step,
};
use crate::{Error, Fault, Result};

/// Builds a [`Log`] step by step and checks its invariants: slates are not empty and hold each item
/// once, the chosen item is on the slate, nothing follows [`Choice::Leave`], rewards are finite,
/// propensities lie in (0, 1], and all steps of a session have a time, or propensities, or none
/// has.
#[derive(Clone, Debug, Default)]
pub struct LogBuilder {
    log: Log,
    sorted: Vec<ItemId>,
    sets: KnownSets,
}

impl LogBuilder {
    /// A builder of a log whose numbers mean this.
    pub fn new(facts: Facts) -> Self {
        let mut builder = Self::default();
        builder.declare(facts);
        builder
    }

    /// Changes what the log's numbers mean.
    pub fn declare(&mut self, facts: Facts) {
        self.log.rest.facts = facts;
    }

    /// Appends a step to the open session.
    ///
    /// # Errors
    /// [`Error::Log`] with the broken invariant; the builder is then as it was before.
    pub fn push(&mut self, step: Step<'_>) -> Result<()> {
        self.try_push(&step).map_err(Error::from)
    }

    /// The same, for a reader of rows that counts its faults by field.
    ///
    /// # Errors
    /// The broken invariant; the builder is then as it was before.
    pub fn try_push(&mut self, step: &Step<'_>) -> std::result::Result<(), Fault> {
        self.try_push_with(step, &Extras::default())
    }

    /// The same of a step that has more than its slate, choice and reward.
    ///
    /// # Errors
    /// As [`LogBuilder::try_push`]; also for clicks that are fewer than two, of which the first is
    /// not the step's choice, that are not on the slate or on it twice, and for candidates that
    /// lack an item of the slate or hold one twice.
    pub fn try_push_with(
        &mut self,
        step: &Step<'_>,
        extras: &Extras<'_>,
    ) -> std::result::Result<(), Fault> {
        self.check(step)?;
        check_extras(step, extras)?;
        self.append(step, extras);
        Ok(())
    }

    /// Adds an organic event to the open session, after the steps that it has so far.
    pub fn event(&mut self, event: Event) {
        self.append_event(Event { after: self.open_steps() as u32, ..event });
    }

    /// Closes the open session. `user` is an index into the data set's user vocabulary, `None`
    /// where it is not known.
    ///
    /// # Errors
    /// [`Error::Log`] if the session has no step, or the user is 2^32 - 1.
    pub fn end_session(&mut self, user: Option<u32>) -> Result<()> {
        if self.open_steps() == 0 {
            return Err(Fault::new("session", "at least one step", "none").into());
        }
        if user == Some(NO_USER) {
            return Err(Fault::new("user", "a number below 2^32 - 1", NO_USER.to_string()).into());
        }
        self.close_session(user);
        Ok(())
    }

    /// Forgets the steps and events of the open session, and columns that it alone had.
    pub fn abandon_session(&mut self) {
        self.log.rest.events.take_if(|events| !events.abandon());
        if self.open_steps() == 0 {
            return;
        }
        let steps = self.closed_steps();
        self.log.rest.clicks.take_if(|clicks| !clicks.truncate(steps));
        self.log.rest.candidates.take_if(|sets| !sets.truncate(steps));
        self.log.rest.context.take_if(|known| !known.truncate(steps));
        let impressions = self.log.slate_offsets[steps] as usize;
        let log = &mut self.log;
        log.slate_offsets.truncate(steps + 1);
        log.shown.truncate(impressions);
        log.chosen.truncate(steps);
        log.reward.truncate(steps);
        log.propensity.take_if(|column| {
            column.truncate(impressions);
            column.iter().all(|&number| number == NO_PROPENSITY)
        });
        log.timestamp.take_if(|column| {
            column.truncate(steps);
            column.iter().all(|&time| time == NO_TIME)
        });
    }

    /// The last step of the open session.
    pub fn last(&self) -> Option<Step<'_>> {
        (self.open_steps() > 0).then(|| self.log.step(self.log.steps() - 1))
    }

    /// Number of closed sessions.
    pub fn sessions(&self) -> usize {
        self.log.sessions()
    }

    /// Number of steps of the open session.
    pub fn open_steps(&self) -> usize {
        self.log.steps() - self.closed_steps()
    }

    /// The finished log. Steps of a session that was not closed are dropped.
    pub fn build(mut self) -> Log {
        self.abandon_session();
        self.log
    }

    /// Makes the last step of the open session the one on which the user left, if nothing was
    /// chosen on it.
    pub fn leave_on_last_step(&mut self) {
        if self.open_steps() > 0
            && let Some(last) = self.log.chosen.last_mut()
            && *last == Choice::Skip.code()
        {
            *last = Choice::Leave.code();
        }
    }

    /// Makes room for a log that is `fraction` complete and will have grown by the share `growth`
    /// before this is called again. An allocation by doubling would need old and new columns at
    /// once near the end, when both are largest.
    pub fn reserve_for(&mut self, fraction: f64, growth: f64) {
        let log = &mut self.log;
        grow(&mut log.session_offsets, fraction, growth);
        grow(&mut log.slate_offsets, fraction, growth);
        grow(&mut log.shown, fraction, growth);
        grow(&mut log.chosen, fraction, growth);
        grow(&mut log.reward, fraction, growth);
        log.propensity.as_mut().into_iter().for_each(|column| grow(column, fraction, growth));
        log.timestamp.as_mut().into_iter().for_each(|column| grow(column, fraction, growth));
        log.rest.user.as_mut().into_iter().for_each(|column| grow(column, fraction, growth));
    }

    fn closed_steps(&self) -> usize {
        self.log.session_offsets[self.log.sessions()] as usize
    }

    fn check(&mut self, step: &Step<'_>) -> std::result::Result<(), Fault> {
        if step.slate.is_empty() {
            return Err(Fault::new("shown", "at least one item", "an empty slate"));
        }
        if let Some(item) = self.repeated(step.slate) {
            return Err(Fault::new(
                "shown",
                "every item once",
                format!("item number {} twice", item.0),
            ));
        }
        if let Choice::Item(item) = step.choice
            && !step.slate.contains(&item)
        {
            return Err(Fault::new(
                "chosen",
                "an item of the slate",
                format!("item number {}", item.0),
            ));
        }
        if self.open_steps() > 0 && self.log.chosen.last() == Some(&Choice::Leave.code()) {
            return Err(Fault::new(
                "session",
                "nothing after the step on which the user left",
                "another step",
            ));
        }
        if !step.reward.is_finite() {
            return Err(Fault::new("reward", "a finite number", step.reward.to_string()));
        }
        if let Some(propensity) = step.propensity {
            if propensity.len() != step.slate.len() {
                let found = format!("{} for {} items", propensity.len(), step.slate.len());
                return Err(Fault::new("propensity", "one number per item of the slate", found));
            }
            if let Some(p) = propensity.iter().find(|&&p| !(p > 0.0 && p <= 1.0)) {
                return Err(Fault::new(
                    "propensity",
                    "a probability above 0 and at most 1",
                    p.to_string(),
                ));
            }
        }
        if step.timestamp == Some(NO_TIME) {
            return Err(Fault::new("timestamp", "a number above -2^63", NO_TIME.to_string()));
        }
        // Without a column on either side there is nothing to compare.
        let log = &self.log;
        let propensity = step.propensity.is_some() || log.propensity.is_some();
        let timestamp = step.timestamp.is_some() || log.timestamp.is_some();
        if (propensity || timestamp)
            && let Some(last) = self.last()
        {
            if step.propensity.is_some() != last.propensity.is_some() {
                return Err(Fault::all_or_none("propensity", step.propensity.is_some()));
            }
            if step.timestamp.is_some() != last.timestamp.is_some() {
                return Err(Fault::all_or_none("timestamp", step.timestamp.is_some()));
            }
        }
        Ok(())
    }

    /// An item that stands twice on a slate.
    fn repeated(&mut self, slate: &[ItemId]) -> Option<ItemId> {
        // All pairs are cheaper than sorting for the slates that people see, and need no copy. Most
        // of these slates do not even have two items with the same last ten bits.
        const ALL_PAIRS: usize = 24;
        if slate.len() <= ALL_PAIRS {
            let mut seen = [0_u64; 16];
            let alike = slate.iter().any(|item| {
                let (word, bit) = ((item.0 >> 6) as usize % seen.len(), 1 << (item.0 % 64));
                let again = seen[word] & bit != 0;
                seen[word] |= bit;
                again
            });
            if !alike {
                return None;
            }
            return slate
                .iter()
                .enumerate()
                .find(|&(at, item)| slate[..at].contains(item))
                .map(|(_, &item)| item);
        }
        self.sorted.clear();
        self.sorted.extend_from_slice(slate);
        self.sorted.sort_unstable();
        self.sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    pub(crate) fn append(&mut self, step: &Step<'_>, extras: &Extras<'_>) {
        let log = &mut self.log;
        let (steps, impressions) = (log.steps(), log.impressions());
        if !extras.clicks.is_empty() {
            log.rest.clicks.get_or_insert_with(Clicks::default).push(steps, extras.clicks);
        }
        if !extras.candidates.is_empty() || log.rest.candidates.is_some() {
            let sets = log.rest.candidates.get_or_insert_with(CandidateSets::default);
            self.sets.push(sets, steps, extras.candidates);
        }
        let known = extras.context.iter().any(|value| value.number().is_some());
        if known || log.rest.context.is_some() {
            let categories = log.rest.context.get_or_insert_with(Categories::default);
            categories.push(steps, extras.context);
        }
        log.shown.extend_from_slice(step.slate);
        log.slate_offsets.push(log.shown.len() as u64);
        log.chosen.push(step.choice.code());
        log.reward.push(step.reward);
        if step.propensity.is_some() || log.propensity.is_some() {
            let column = log.propensity.get_or_insert_with(|| vec![NO_PROPENSITY; impressions]);
            match step.propensity {
                Some(numbers) => column.extend_from_slice(numbers),
                None => column.resize(log.shown.len(), NO_PROPENSITY),
            }
        }
        if step.timestamp.is_some() || log.timestamp.is_some() {
            let column = log.timestamp.get_or_insert_with(|| vec![NO_TIME; steps]);
            column.push(step.timestamp.unwrap_or(NO_TIME));
        }
    }

    pub(crate) fn append_event(&mut self, event: Event) {
        self.log.rest.events.get_or_insert_with(Events::default).push(event);
    }

    pub(crate) fn close_session(&mut self, user: Option<u32>) {
        let log = &mut self.log;
        let sessions = log.sessions();
        log.session_offsets.push(log.chosen.len() as u64);
        if let Some(events) = &mut log.rest.events {
            events.close(sessions + 1);
        }
        if user.is_some() || log.rest.user.is_some() {
            log.rest
                .user
                .get_or_insert_with(|| vec![NO_USER; sessions])
                .push(user.unwrap_or(NO_USER));
        }
    }
}

pub(super) fn check_extras(step: &Step<'_>, extras: &Extras<'_>) -> std::result::Result<(), Fault> {
    let Extras { clicks, candidates, context: _ } = *extras;
    if let Some((first, _)) = clicks.first() {
        let other = |at: usize| clicks[..at].iter().any(|(item, _)| *item == clicks[at].0);
        if clicks.len() < 2 || step.choice != Choice::Item(*first) {
            return Err(Fault::new("chosen", "several clicks, the choice first", "others"));
        }
        if let Some((at, _)) =
            clicks.iter().enumerate().find(|(_, (item, _))| !step.slate.contains(item))
        {
            let found = format!("click {} of {}", at + 1, clicks.len());
            return Err(Fault::new("chosen", "items of the slate", found));
        }
        if (1..clicks.len()).any(other) {
            return Err(Fault::new("chosen", "every item once", "one twice"));
        }
        if let Some((_, reward)) = clicks.iter().find(|(_, reward)| !reward.is_finite()) {
            return Err(Fault::new("reward", "finite numbers", reward.to_string()));
        }
    }
    if !candidates.is_empty() {
        let mut sorted = candidates.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Fault::new("candidates", "every item once", "one twice"));
        }
        if let Some(at) = step.slate.iter().position(|item| sorted.binary_search(item).is_err()) {
            let found = format!("not that at place {}", at + 1);
            return Err(Fault::new("candidates", "all items of the slate", found));
        }
    }
    Ok(())
}

/// Reserves what a column needs in the end, if it would not last until the next call. What is
/// reserved beyond the end is never touched, and so takes no memory.
fn grow<T>(column: &mut Vec<T>, fraction: f64, growth: f64) {
    let len = column.len() as f64;
    if len * (1.0 + 2.0 * growth) < column.capacity() as f64 {
        return;
    }
    let expected = len / fraction.clamp(1e-6, 1.0) * (1.0 + 2.0 * growth) * 1.03;
    // A guess from a share of the file: what cannot be had now is asked for again when it is
    // needed.
    let _ = column.try_reserve_exact((expected - len) as usize);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLATE: [ItemId; 2] = [ItemId(0), ItemId(1)];

    fn step(timestamp: Option<i64>, propensity: Option<&[f32]>) -> Step<'_> {
        Step { slate: &SLATE, choice: Choice::Skip, reward: 0.0, propensity, timestamp }
    }

    #[test]
    fn all_steps_of_a_session_have_a_column_or_none_has() {
        let (with, without) = (step(Some(1), Some(&[0.5, 1.0])), step(None, None));
        for [first, other] in [[with, without], [without, with]] {
            let mut log = LogBuilder::default();
            log.push(first).unwrap();
            for mixed in
                [step(other.timestamp, first.propensity), step(first.timestamp, other.propensity)]
            {
                assert!(
                    log.push(mixed)
                        .unwrap_err()
                        .to_string()
                        .contains("every step of a session or on none")
                );
            }
            log.end_session(None).unwrap();
            log.push(other).unwrap();
            log.end_session(Some(3)).unwrap();
            let log = log.build();
            assert_eq!([log.session(0).step(0), log.session(1).step(0)], [first, other]);
            assert_eq!([log.session(0).user(), log.session(1).user()], [None, Some(3)]);
            assert_eq!(
                [
                    log.sessions_with_timestamps(),
                    log.sessions_with_propensities(),
                    log.sessions_with_users()
                ],
                [1; 3]
            );
        }
    }

    #[test]
    fn a_session_that_was_not_closed_leaves_no_column_behind() {
        let (mut log, mut other) = (LogBuilder::default(), LogBuilder::default());
        for log in [&mut log, &mut other] {
            log.push(step(None, None)).unwrap();
            log.end_session(None).unwrap();
        }
        log.push(step(Some(1), Some(&[0.5, 1.0]))).unwrap();
        assert_eq!(log.build(), other.build());
    }

    #[test]
    fn what_stands_for_nothing_is_no_value() {
        let mut log = LogBuilder::default();
        assert!(log.push(step(Some(NO_TIME), None)).is_err());
        assert!(log.push(step(None, Some(&[NO_PROPENSITY, 1.0]))).is_err());
        log.push(step(Some(NO_TIME + 1), None)).unwrap();
        assert!(log.end_session(Some(NO_USER)).is_err());
        log.end_session(Some(NO_USER - 1)).unwrap();
        assert_eq!(log.build().session(0).start(), Some(NO_TIME + 1));
    }
}
