//! Arbitrary data sets.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use understudy_data::{Catalogue, Choice, Dataset, ItemId, LogBuilder, Step, Vocabulary};

/// Item ids that a format may stumble over: numbers with leading zeros, long numbers, delimiters, quotes, letters
/// beyond ASCII.
pub const ODD_NAMES: [&str; 8] = ["7", "007", "1234567", "-3", "ü", "x,y;z", "q\"t", "NaN"];
/// Item ids that every format can hold.
pub const PLAIN_NAMES: [&str; 8] = ["7", "007", "1234567", "-3", "ü", "x", "q\"t", "NaN"];

/// What a generated data set may hold.
#[derive(Clone, Copy, Debug)]
pub struct Holds {
    pub names: [&'static str; 8],
    pub only_clicks: bool,
    pub rewards: fn(f32) -> f32,
    pub users: bool,
    pub timestamps: bool,
    pub propensities: bool,
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
    let reward =
        prop_oneof![Just(0.0), Just(1.0), -1e9..1e9_f32, any::<f32>().prop_filter("finite", |r| r.is_finite())];
    (slate, any::<Index>(), reward, 1..1000_i64, vec(f32::MIN_POSITIVE..=1.0, 8))
        .prop_map(|(slate, choice, reward, wait, propensity)| Planned { slate, choice, reward, wait, propensity })
}

/// Data sets of 1 to 7 sessions.
pub fn datasets(holds: Holds) -> impl Strategy<Value = Dataset> {
    let session = (vec(step(), 1..5), 0..3_u32, any::<bool>());
    vec(session, 1..8).prop_map(move |sessions| {
        let mut log = LogBuilder::default();
        for (steps, user, leaves) in &sessions {
            let mut time = -500;
            for (t, planned) in steps.iter().enumerate() {
                let slate: Vec<ItemId> = planned.slate.iter().map(|&item| ItemId(item as u32)).collect();
                let answers = if holds.only_clicks { slate.len() } else { slate.len() + 1 };
                let choice = match slate.get(planned.choice.index(answers)) {
                    Some(&item) => Choice::Item(item),
                    None if *leaves && t + 1 == steps.len() => Choice::Leave,
                    None => Choice::Skip,
                };
                time += planned.wait;
                let propensity = holds.propensities.then_some(&planned.propensity[..slate.len()]);
                let timestamp = holds.timestamps.then_some(time);
                let reward = (holds.rewards)(planned.reward);
                log.push(Step { slate: &slate, choice, reward, propensity, timestamp }).unwrap();
            }
            log.end_session(holds.users.then_some(*user)).unwrap();
        }
        let users = if holds.users { ["ann", "42", "üb"].into_iter().collect() } else { Vocabulary::default() };
        let catalogue = Catalogue::new(holds.names.into_iter().collect());
        Dataset { name: "generated".into(), log: log.build(), catalogue, users, ..Dataset::default() }
    })
}

/// Anything that our own schema can hold.
pub fn any_dataset() -> impl Strategy<Value = Dataset> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_flat_map(|(users, timestamps, propensities)| {
        datasets(Holds { names: ODD_NAMES, only_clicks: false, rewards: |r| r, users, timestamps, propensities })
    })
}
