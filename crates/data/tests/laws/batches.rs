//! Laws of padded batches.

use foretaste_data::{Batches, Choice, Event, EventKind, ItemId, LogBuilder, PaddedBatch, Step};
use foretaste_random::Seed;
use proptest::prelude::*;

use crate::generate::any_dataset;

#[test]
fn an_event_stands_before_the_step_that_comes_after_it() {
    let mut log = LogBuilder::default();
    let event =
        |item| Event { item: ItemId(item), kind: EventKind::View, after: 0, timestamp: None };
    let slate = [ItemId(0), ItemId(1)];
    log.push(Step::new(&slate, Choice::Skip, 0.0)).unwrap();
    log.end_session(None).unwrap();
    log.event(event(7));
    log.push(Step::new(&slate, Choice::Skip, 0.0)).unwrap();
    log.event(event(8));
    log.event(event(9));
    log.push(Step::new(&slate, Choice::Skip, 0.0)).unwrap();
    log.event(event(6));
    log.end_session(None).unwrap();
    let log = log.build();
    // Cells of two rows of two steps: the second session is cells 2 and 3.
    assert_eq!(PaddedBatch::new(&log, &[0, 1], None).events, [(2, 7), (3, 8), (3, 9)]);
    // Of its last step alone, what came between the two.
    assert_eq!(PaddedBatch::new(&log, &[1], Some(1)).events, [(0, 8), (0, 9)]);
}

proptest! {
    #[test]
    fn a_batch_holds_exactly_the_last_steps_of_its_sessions(
        dataset in any_dataset(),
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        max_steps in proptest::option::of(1..4_usize),
    ) {
        let log = &dataset.log;
        let sessions: Vec<usize> = picks.iter().map(|pick| pick.index(log.sessions())).collect();
        let batch = PaddedBatch::new(log, &sessions, max_steps);
        let (steps, places) = (batch.steps, batch.places);
        prop_assert_eq!(batch.rows, sessions.len());
        let (mut seen_steps, mut seen_places) = (0, 0);
        for (row, &session) in sessions.iter().enumerate() {
            let session = log.session(session);
            let skipped = session.len() - session.len().min(max_steps.unwrap_or(usize::MAX));
            for t in skipped..session.len() {
                let (step, cell) = (session.step(t), row * steps + t - skipped);
                let slate = cell * places..cell * places + step.slate.len();
                prop_assert!(batch.step_mask[cell] && batch.shown_mask[slate.clone()].iter().all(|&mask| mask));
                prop_assert!(batch.shown[slate.clone()].iter().eq(step.slate.iter().map(|item| &item.0)));
                prop_assert_eq!(batch.reward[cell], step.reward);
                prop_assert_eq!(batch.clicked_mask[cell], step.choice.item().is_some());
                if let Some(item) = step.choice.item() {
                    prop_assert_eq!(batch.clicked[cell], item.0);
                    prop_assert_eq!(step.slate[batch.chosen[cell] as usize], item);
                }
                (seen_steps, seen_places) = (seen_steps + 1, seen_places + step.slate.len());
            }
        }
        let count = |mask: &[bool]| mask.iter().filter(|&&mask| mask).count();
        prop_assert_eq!(count(&batch.step_mask), seen_steps);
        prop_assert_eq!(count(&batch.shown_mask), seen_places);
        let masked = batch.shown.iter().zip(&batch.shown_mask).filter(|&(_, &mask)| !mask);
        prop_assert!(masked.into_iter().all(|(&item, _)| item == 0));
    }

    #[test]
    fn an_epoch_names_every_session_once(count in 0..50_usize, size in 1..9_usize, seed: u64) {
        let sessions: Vec<usize> = (100..100 + count).collect();
        let batches = Batches::shuffled(&sessions, size, Seed::new(seed));
        prop_assert_eq!(batches.len(), count.div_ceil(size));
        let batches: Vec<Vec<usize>> = batches.collect();
        prop_assert!(batches.iter().rev().skip(1).all(|batch| batch.len() == size));
        prop_assert_eq!(&batches, &Batches::shuffled(&sessions, size, Seed::new(seed)).collect::<Vec<_>>());
        let mut named = batches.concat();
        named.sort_unstable();
        prop_assert_eq!(named, sessions);
    }
}
