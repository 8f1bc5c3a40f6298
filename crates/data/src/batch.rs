//! The border between ragged logs and the dense arrays of networks. Padding happens here and
//! nowhere else, and every array comes with a mask that says which of its cells mean something.

use foretaste_random::Seed;
use rand::seq::SliceRandom;

use crate::{Event, Log};

/// Some sessions of a log as dense arrays with explicit masks: rows `B`, time `T`, places `K`,
/// row-major.
///
/// A cell outside its mask holds 0 and means nothing. `T` is the longest session of the batch and
/// `K` its largest slate.
///
/// ```
/// # use foretaste_data::{Choice, ItemId, LogBuilder, PaddedBatch, Step};
/// # let mut log = LogBuilder::default();
/// # for slate in [&[ItemId(4), ItemId(2)][..], &[ItemId(7)]] {
/// #     let choice = Choice::Item(*slate.last().unwrap());
/// #     log.push(Step::new(slate, choice, 1.0))?;
/// #     log.end_session(None)?;
/// # }
/// # let log = log.build();
/// // Two sessions of one step: [4, 2] with a click on 2, and [7] with a click on 7.
/// let batch = PaddedBatch::new(&log, &[0, 1], None);
/// assert_eq!((batch.rows, batch.steps, batch.places), (2, 1, 2));
/// assert_eq!(batch.shown, [4, 2, 7, 0]);
/// assert_eq!(batch.shown_mask, [true, true, true, false]);
/// assert_eq!((&batch.chosen[..], &batch.clicked[..]), (&[1, 0][..], &[2, 7][..]));
/// # Ok::<(), foretaste_data::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PaddedBatch {
    /// `B`: sessions, in the order asked for.
    pub rows: usize,
    /// `T`: steps of the longest session.
    pub steps: usize,
    /// `K`: places of the largest slate.
    pub places: usize,
    /// Item at each place, `[B, T, K]`.
    pub shown: Vec<u32>,
    /// Whether a place exists, `[B, T, K]`.
    pub shown_mask: Vec<bool>,
    /// Whether a step exists, `[B, T]`.
    pub step_mask: Vec<bool>,
    /// Place of the clicked item on the slate, from 0, `[B, T]`; see `clicked_mask`.
    pub chosen: Vec<u32>,
    /// The clicked item, `[B, T]`; see `clicked_mask`.
    pub clicked: Vec<u32>,
    /// Whether an item was clicked, `[B, T]`: false on a step of [`Skip`](crate::Choice::Skip) or
    /// [`Leave`](crate::Choice::Leave), and where there is no step.
    pub clicked_mask: Vec<bool>,
    /// Reward, `[B, T]`.
    pub reward: Vec<f32>,
    /// Organic events before a step, after the step before it: the cell `[B, T]` and the item, in
    /// order. Events after the last step are left out.
    pub events: Vec<(usize, u32)>,
}

impl PaddedBatch {
    /// Pads the given sessions of `log`. Of a session longer than `max_steps` the last `max_steps`
    /// steps are kept.
    ///
    /// Panics if a session number is not of this log.
    pub fn new(log: &Log, sessions: &[usize], max_steps: Option<usize>) -> Self {
        let kept = |session: usize| {
            let session = log.session(session);
            let skipped = session.len().saturating_sub(max_steps.unwrap_or(usize::MAX));
            session.steps().skip(skipped)
        };
        let rows = sessions.len();
        let steps = sessions.iter().map(|&session| kept(session).len()).max().unwrap_or(0);
        let slates =
            sessions.iter().flat_map(|&session| kept(session).map(|step| step.slate.len()));
        let places = slates.max().unwrap_or(0);
        let mut batch = Self {
            rows,
            steps,
            places,
            shown: vec![0; rows * steps * places],
            shown_mask: vec![false; rows * steps * places],
            step_mask: vec![false; rows * steps],
            chosen: vec![0; rows * steps],
            clicked: vec![0; rows * steps],
            clicked_mask: vec![false; rows * steps],
            reward: vec![0.0; rows * steps],
            events: Vec::new(),
        };
        for (row, &session) in sessions.iter().enumerate() {
            let skipped = log.session(session).len() - kept(session).len();
            let later = |event: &Event| event.after as usize >= skipped;
            let mut events = log.session(session).events().filter(later).peekable();
            for (t, step) in kept(session).enumerate() {
                let cell = row * steps + t;
                while let Some(event) = events.next_if(|event| event.after as usize <= skipped + t)
                {
                    batch.events.push((cell, event.item.0));
                }
                for (place, item) in step.slate.iter().enumerate() {
                    batch.shown[cell * places + place] = item.0;
                    batch.shown_mask[cell * places + place] = true;
                    if step.choice.item() == Some(*item) {
                        batch.chosen[cell] = place as u32;
                        batch.clicked[cell] = item.0;
                        batch.clicked_mask[cell] = true;
                    }
                }
                batch.step_mask[cell] = true;
                batch.reward[cell] = step.reward;
            }
        }
        batch
    }
}

/// One epoch of mini-batches: every session once, in a seeded random order.
///
/// ```
/// use foretaste_data::Batches;
/// use foretaste_random::Seed;
///
/// let epoch: Vec<Vec<usize>> = Batches::shuffled(&[3, 5, 8, 9, 11], 2, Seed::new(1).index(0)).collect();
/// assert_eq!(epoch.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    order: Vec<usize>,
    next: usize,
    size: usize,
}

impl Batches {
    /// Mini-batches of `size` of the given sessions, the last one perhaps smaller; a size of 0
    /// counts as 1. Derive a seed per epoch: equal seeds give equal orders.
    pub fn shuffled(sessions: &[usize], size: usize, seed: Seed) -> Self {
        let mut order = sessions.to_vec();
        order.shuffle(&mut seed.derive("batches").stream(0));
        Self { order, next: 0, size: size.max(1) }
    }
}

impl Iterator for Batches {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let rest = &self.order[self.next..];
        let batch = &rest[..self.size.min(rest.len())];
        self.next += batch.len();
        (!batch.is_empty()).then(|| batch.to_vec())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.order.len() - self.next).div_ceil(self.size);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches {}
