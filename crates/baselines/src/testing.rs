//! Small logs for the unit tests.

use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};

/// A log of sessions of (slate, clicked item).
pub(crate) fn log(sessions: &[&[(&[u32], Option<u32>)]]) -> Log {
    let mut log = LogBuilder::default();
    for session in sessions {
        for (slate, clicked) in *session {
            let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
            let choice = clicked.map_or(Choice::Skip, |item| Choice::Item(ItemId(item)));
            log.push(Step::new(&slate, choice, 0.0)).unwrap();
        }
        log.end_session(None).unwrap();
    }
    log.build()
}

/// Three sessions of six items with slates of different sizes, clicks, repeats and skips.
pub(crate) fn small() -> Log {
    log(&[
        &[
            (&[0, 1, 2], Some(1)),
            (&[3, 4], Some(4)),
            (&[5, 0, 1, 2], None),
            (&[1, 3], Some(1)),
            (&[4, 5], Some(5)),
        ],
        &[(&[4], Some(4))],
        &[(&[1, 2], None), (&[5, 3, 0], Some(3)), (&[0, 1], Some(0)), (&[2, 4, 3], Some(2))],
    ])
}
