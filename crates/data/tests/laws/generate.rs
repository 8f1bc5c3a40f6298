//! Arbitrary data sets.

use foretaste_data::{Catalogue, Choice, Dataset, ItemId, LogBuilder, Step, Vocabulary};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

/// Item ids that a format may stumble over: numbers with leading zeros, long numbers, delimiters,
/// quotes, letters beyond ASCII.
pub const ODD_NAMES: [&str; 8] = ["7", "007", "1234567", "-3", "ü", "x,y;z", "q\"t", "NaN"];

/// Session ids, likewise; the first are indices where they stand first.
pub const ODD_SESSIONS: [&str; 8] =
    ["0", "1", "007", "monday 7", "ü,;\"", "18446744073709551616", "-3", "5"];

/// What a generated data set may hold.
#[derive(Clone, Copy, Debug)]
pub struct Holds {
    pub names: [&'static str; 8],
    pub sessions: [&'static str; 8],
    pub only_clicks: bool,
    pub rewards: fn(f32) -> f32,
    pub users: bool,
    pub timestamps: bool,
    pub propensities: bool,
    /// Whether a session may lack what others have.
    pub of_some: bool,
}

#[derive(Clone, Debug)]
struct Planned {
    slate: Vec<usize>,
    choice: Index,
    reward: f32,
    wait: i64,
    propensity: Vec<f32>,
}

fn step() -> impl Strategy<Value = Planned> {
    let slate = subsequence((0..8).collect::<Vec<usize>>(), 1..=8).prop_shuffle();
    let reward = prop_oneof![
        Just(0.0),
        Just(1.0),
        -1e9..1e9_f32,
        any::<f32>().prop_filter("finite", |r| r.is_finite())
    ];
    (slate, any::<Index>(), reward, 1..1000_i64, vec(f32::MIN_POSITIVE..=1.0, 8)).prop_map(
        |(slate, choice, reward, wait, propensity)| Planned {
            slate,
            choice,
            reward,
            wait,
            propensity,
        },
    )
}

/// Data sets of 1 to 7 sessions.
pub fn datasets(holds: Holds) -> impl Strategy<Value = Dataset> {
    let session = (vec(step(), 1..5), 0..3_u32, any::<bool>(), any::<[bool; 3]>());
    let ids =
        prop_oneof![Just(holds.sessions.to_vec()), Just(holds.sessions.to_vec()).prop_shuffle()];
    (vec(session, 1..8), ids).prop_map(move |(sessions, ids)| {
        let mut log = LogBuilder::default();
        for (steps, user, leaves, lacks) in &sessions {
            let [user_of, times, propensities] =
                [(holds.users, 0), (holds.timestamps, 1), (holds.propensities, 2)]
                    .map(|(held, part)| held && !(holds.of_some && lacks[part]));
            let mut time = -500;
            for (t, planned) in steps.iter().enumerate() {
                let slate: Vec<ItemId> =
                    planned.slate.iter().map(|&item| ItemId(item as u32)).collect();
                let answers = if holds.only_clicks { slate.len() } else { slate.len() + 1 };
                let choice = match slate.get(planned.choice.index(answers)) {
                    Some(&item) => Choice::Item(item),
                    None if *leaves && t + 1 == steps.len() => Choice::Leave,
                    None => Choice::Skip,
                };
                time += planned.wait;
                let propensity = propensities.then_some(&planned.propensity[..slate.len()]);
                let timestamp = times.then_some(time);
                let reward = (holds.rewards)(planned.reward);
                log.push(Step { slate: &slate, choice, reward, propensity, timestamp }).unwrap();
            }
            log.end_session(user_of.then_some(*user)).unwrap();
        }
        let (log, sessions) = (log.build(), ids.into_iter().take(sessions.len()).collect());
        let users = if log.sessions_with_users() > 0 {
            ["ann", "42", "üb"].into_iter().collect()
        } else {
            Vocabulary::default()
        };
        let catalogue = Catalogue::new(holds.names.into_iter().collect());
        let name = "generated".into();
        Dataset { name, log, catalogue, users, sessions, ..Dataset::default() }
    })
}

/// Anything that our own schema can hold.
pub fn any_dataset() -> impl Strategy<Value = Dataset> {
    any::<[bool; 4]>().prop_flat_map(|[users, timestamps, propensities, of_some]| {
        let (names, sessions) = (ODD_NAMES, ODD_SESSIONS);
        let rewards = |r| r;
        datasets(Holds {
            names,
            sessions,
            only_clicks: false,
            rewards,
            users,
            timestamps,
            propensities,
            of_some,
        })
    })
}
