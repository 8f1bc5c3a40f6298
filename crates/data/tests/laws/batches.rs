//! Laws of padded batches.

use foretaste_data::{Batches, PaddedBatch};
use foretaste_random::Seed;
use proptest::prelude::*;

use crate::generate::any_dataset;

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
